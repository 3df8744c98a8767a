package otel_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/relay/channel/otel"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

func rollout() channel.Delivery {
	return channel.Delivery{Rule: "r", Notice: notice.Notice{Key: "rollout/prod/x1", Kind: notice.KindRollout, Phase: notice.Resolved, Flows: []string{"prod"}, Since: 1000, Until: 9000,
		Severity: notice.Critical, Sentence: "1 of 2 failed.", Link: "https://flow.example.com/?flow=prod", Rollout: &notice.Rollout{ID: "x1", Outcome: "failed", Total: 2, Done: 1, Failed: 1,
			Members: []notice.Member{
				{ID: "fsn1/db", Label: "db", Region: "fsn1", Object: "HelmRelease/flux-system/db", Status: "succeeded", StartedAt: 1000, EndedAt: 4000, VersionFrom: "1.0", VersionTo: "2.0",
					Failure: "timed out", FailedAt: 2000},
				{ID: "fsn1/Kustomization/apps/web", Label: "web", Region: "fsn1", Object: "Kustomization/apps/web", Status: "failed", WaitingSince: 1500, StartedAt: 5000, EndedAt: 9000,
					Needs: []string{"fsn1/db", "fsn1/idle", "fsn1/other"}, Failure: "no such image", FailedAt: 8000, Revision: "main@sha1:0123456789abcdef0123456789abcdef01234567", Source: "https://github.com/acme/fleet"},
				{ID: "fsn1/idle", Label: "idle", Region: "fsn1", Status: "pending"}, // neither ran nor waited
			}}}}
}

// otlpServer is a collector that records requests, over gRPC and HTTP.
type otlpServer struct {
	collector.UnimplementedTraceServiceServer
	requests []*collector.ExportTraceServiceRequest
	tokens   []string
}

func (s *otlpServer) Export(ctx context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	s.requests, s.tokens = append(s.requests, r), append(s.tokens, md.Get("authorization")...)
	return &collector.ExportTraceServiceResponse{}, nil
}

func (s *otlpServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var in collector.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &in) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.requests, s.tokens = append(s.requests, &in), append(s.tokens, r.Header.Get("Authorization"))
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func value(list []*common.KeyValue, key string) string {
	for _, kv := range list {
		if kv.Key == key {
			return kv.Value.GetStringValue()
		}
	}
	return ""
}

// TestSender_TraceOverBothProtocols sends a rollout twice over each protocol. All four are the same trace.
func TestSender_TraceOverBothProtocols(t *testing.T) {
	s := &otlpServer{}
	web := httptest.NewServer(s)
	defer web.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	collector.RegisterTraceServiceServer(srv, s)
	done := make(chan error)
	go func() { done <- srv.Serve(l) }()
	defer func() { srv.Stop(); <-done }()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("t0ken"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, sender := range []*otel.Sender{
		{URL: web.URL, Protocol: otel.HTTP, Token: channel.Secret(token), Client: channel.NewClient()},
		{URL: "http://" + l.Addr().String(), Protocol: otel.GRPC, Token: channel.Secret(token)},
	} {
		for range 2 {
			if err := sender.Send(t.Context(), rollout(), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(s.requests) != 4 || len(s.tokens) != 4 {
		t.Fatalf("%d requests", len(s.requests))
	}
	for i, r := range s.requests {
		if !proto.Equal(r, s.requests[0]) || s.tokens[i] != "Bearer t0ken" {
			t.Errorf("request %d: %q, %v", i, s.tokens[i], r)
		}
	}
	spans := make(map[string]*tracepb.Span)
	scope := s.requests[0].ResourceSpans[0]
	for _, span := range scope.ScopeSpans[0].Spans {
		spans[span.Name] = span
		if hex.EncodeToString(span.TraceId) != hex.EncodeToString(scope.ScopeSpans[0].Spans[0].TraceId) {
			t.Errorf("%s is in another trace", span.Name)
		}
	}
	if value(scope.Resource.Attributes, "service.name") != "openova-flow" || len(spans) != 4 {
		t.Fatalf("%d spans of %v", len(spans), scope.Resource)
	}
	root, db, web1, waiting := spans["rollout prod"], spans["db"], spans["web"], spans["waiting"]
	if root.ParentSpanId != nil || root.Status.Code != tracepb.Status_STATUS_CODE_ERROR || value(root.Attributes, "deployment.id") != "x1" || value(root.Attributes, "deployment.status") != "failed" ||
		root.StartTimeUnixNano != 1000e6 || root.EndTimeUnixNano != 9000e6 {
		t.Errorf("%v", root)
	}
	if string(db.ParentSpanId) != string(root.SpanId) || db.StartTimeUnixNano != 1000e6 || db.EndTimeUnixNano != 4000e6 || len(db.Events) != 1 || db.Events[0].TimeUnixNano != 2000e6 || value(db.Events[0].Attributes, "exception.message") != "timed out" ||
		value(db.Attributes, "k8s.namespace.name") != "flux-system" || value(db.Attributes, "k8s.cluster.name") != "fsn1" || db.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("%v", db)
	}
	if web1.StartTimeUnixNano != 1500e6 || web1.Status.Code != tracepb.Status_STATUS_CODE_ERROR || len(web1.Links) != 1 || string(web1.Links[0].SpanId) != string(db.SpanId) ||
		value(web1.Attributes, "vcs.ref.head.revision") != "0123456789abcdef0123456789abcdef01234567" || value(web1.Attributes, "vcs.ref.head.name") != "main" ||
		value(web1.Attributes, "vcs.repository.url.full") != "https://github.com/acme/fleet" {
		t.Errorf("%v", web1)
	}
	if string(waiting.ParentSpanId) != string(web1.SpanId) || waiting.StartTimeUnixNano != 1500e6 || waiting.EndTimeUnixNano != 5000e6 {
		t.Errorf("%v", waiting)
	}
}

// TestSender_FollowsNoRedirect has the collector send the relay to another host, which must not get the token.
func TestSender_FollowsNoRedirect(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	srv := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer srv.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("t0ken"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &otel.Sender{URL: srv.URL, Protocol: otel.HTTP, Token: channel.Secret(token), Client: channel.NewClient()}
	if err := s.Send(t.Context(), rollout(), nil); err == nil || reached {
		t.Errorf("%v, reached: %v", err, reached)
	}
}

// TestSender_ErrorHasNoToken has a collector echo the token in its error.
func TestSender_ErrorHasNoToken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		return status.Errorf(codes.PermissionDenied, "%q", md.Get("authorization"))
	}))
	done := make(chan error)
	go func() { done <- srv.Serve(l) }()
	defer func() { srv.Stop(); <-done }()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("t0ken"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &otel.Sender{URL: "http://" + l.Addr().String(), Protocol: otel.GRPC, Token: channel.Secret(token)}
	if err := s.Send(t.Context(), rollout(), nil); err == nil || strings.Contains(err.Error(), "t0ken") || !strings.Contains(err.Error(), "PermissionDenied") {
		t.Errorf("%v", err)
	}
}

func TestSender_InvalidURLIsPermanent(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("t0ken"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &otel.Sender{URL: "http://[", Protocol: otel.HTTP, Token: channel.Secret(token), Client: channel.NewClient()}
	if err := s.Send(t.Context(), rollout(), nil); !channel.IsPermanent(err) {
		t.Errorf("%v", err)
	}
}

// TestSender_ClassifiesAnswers checks which answers make the outbox drop a trace, and after which it waits as long as the collector asks.
func TestSender_ClassifiesAnswers(t *testing.T) {
	send := func(h http.HandlerFunc) error {
		srv := httptest.NewServer(h)
		defer srv.Close()
		return (&otel.Sender{URL: srv.URL, Protocol: otel.HTTP, Client: channel.NewClient()}).Send(t.Context(), rollout(), nil)
	}
	for code, permanent := range map[int]bool{400: true, 404: true, 413: true, 415: true, 401: false, 403: false, 408: false, 429: false, 500: false, 502: false} {
		if err := send(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }); err == nil || channel.IsPermanent(err) != permanent {
			t.Errorf("%d: %v", code, err)
		}
	}
	busy := new(channel.Busy)
	if err := send(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
	}); !errors.As(err, &busy) || busy.After != 7*time.Second {
		t.Errorf("503: %v", err)
	}
	part := &collector.ExportTraceServiceResponse{PartialSuccess: &collector.ExportTracePartialSuccess{RejectedSpans: 1, ErrorMessage: "too old"}}
	body, err := proto.Marshal(part)
	if err != nil {
		t.Fatal(err)
	}
	if err := send(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(body)
	}); !channel.IsPermanent(err) {
		t.Errorf("partial success: %v", err)
	}

	var answer error
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		if answer != nil {
			return answer
		}
		return stream.SendMsg(part)
	}))
	done := make(chan error)
	go func() { done <- srv.Serve(l) }()
	defer func() { srv.Stop(); <-done }()
	for code, permanent := range map[codes.Code]bool{codes.OK: true, codes.InvalidArgument: true, codes.Unimplemented: true, codes.Unauthenticated: false, codes.PermissionDenied: false,
		codes.ResourceExhausted: false, codes.Unavailable: false, codes.Internal: false, codes.Unknown: false} {
		answer = status.Error(code, "no")
		if err := (&otel.Sender{URL: "http://" + l.Addr().String(), Protocol: otel.GRPC}).Send(t.Context(), rollout(), nil); err == nil || channel.IsPermanent(err) != permanent {
			t.Errorf("%v: %v", code, err)
		}
	}
}

// largeRollout has 250 members, and so 501 spans.
func largeRollout() channel.Delivery {
	d := rollout()
	d.Notice.Rollout.Members = nil
	for i := range 250 {
		d.Notice.Rollout.Members = append(d.Notice.Rollout.Members, notice.Member{ID: fmt.Sprint("r/", i), Label: fmt.Sprint(i), Region: "r", Status: "failed", WaitingSince: 1000, StartedAt: 2000,
			Failure: "x", FailedAt: 500})
	}
	return d
}

func TestSender_LargeTraceInParts(t *testing.T) {
	s := &otlpServer{}
	srv := httptest.NewServer(s)
	defer srv.Close()
	if err := (&otel.Sender{URL: srv.URL, Protocol: otel.HTTP, Client: channel.NewClient()}).Send(t.Context(), largeRollout(), nil); err != nil {
		t.Fatal(err)
	}
	spans, events := 0, 0
	for _, r := range s.requests {
		for _, span := range r.ResourceSpans[0].ScopeSpans[0].Spans {
			spans++
			events = max(events, len(span.Events))
		}
	}
	if len(s.requests) < 5 || spans != 501 || events != 128 {
		t.Errorf("%d requests with %d spans, at most %d events", len(s.requests), spans, events)
	}
}

func TestSender_WarningIsNoError(t *testing.T) {
	answer := &collector.ExportTraceServiceResponse{PartialSuccess: &collector.ExportTracePartialSuccess{ErrorMessage: "the collector is almost full"}}
	body, err := proto.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	overHTTP := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(body)
	}))
	defer overHTTP.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	overGRPC := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error { return stream.SendMsg(answer) }))
	done := make(chan error)
	go func() { done <- overGRPC.Serve(l) }()
	defer func() { overGRPC.Stop(); <-done }()
	for protocol, url := range map[string]string{otel.HTTP: overHTTP.URL, otel.GRPC: "http://" + l.Addr().String()} {
		if err := (&otel.Sender{URL: url, Protocol: protocol, Client: channel.NewClient()}).Send(t.Context(), rollout(), nil); err != nil {
			t.Errorf("%s: %v", protocol, err)
		}
	}
}

func TestSender_RejectedSpanStopsNoOtherPart(t *testing.T) {
	body, err := proto.Marshal(&collector.ExportTraceServiceResponse{PartialSuccess: &collector.ExportTracePartialSuccess{RejectedSpans: 1, ErrorMessage: "too old"}})
	if err != nil {
		t.Fatal(err)
	}
	requests := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		if requests++; requests == 1 {
			_, _ = w.Write(body)
		}
	}))
	defer srv.Close()
	err = (&otel.Sender{URL: srv.URL, Protocol: otel.HTTP, Client: channel.NewClient()}).Send(t.Context(), largeRollout(), nil)
	if !channel.IsPermanent(err) || requests != 6 {
		t.Errorf("%v after %d requests, want a permanent error after 6", err, requests)
	}
}

func TestSender_OnlyEndedRollouts(t *testing.T) {
	s := &otel.Sender{URL: "http://127.0.0.1:1", Protocol: otel.HTTP, Client: channel.NewClient()}
	open, cause := rollout(), rollout()
	open.Notice.Phase, open.Notice.Until = notice.Opened, 0
	cause.Notice.Kind, cause.Notice.Rollout = notice.KindCause, nil
	for _, d := range []channel.Delivery{open, cause} {
		if err := s.Send(t.Context(), d, nil); err != nil {
			t.Error(err)
		}
	}
	if err := s.Send(t.Context(), rollout(), nil); err == nil || channel.IsPermanent(err) {
		t.Errorf("%v", err)
	}
}
