// Package otel sends each rollout that has ended as a trace over OTLP. The rollout is the root span, the run of each member is a child of it, and the time for
// which a run waited is a child of the run. Dependencies are links, failures are events. Ids are derived from the rollout, so a repetition is the same trace.
package otel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

// Values of Sender.Protocol.
const (
	GRPC = "grpc"
	HTTP = "http"
)

// Sender is a channel.Sender.
type Sender struct {
	URL      string         // of the collector, without a path; the scheme http means no TLS
	Protocol string         // GRPC or HTTP
	Token    channel.Secret // a bearer token, optional
	Client   *http.Client   // for HTTP
}

// Takes implements channel.Chooser.
func (s *Sender) Takes(kind notice.Kind) bool { return kind == notice.KindRollout }

// Send implements channel.Sender. Only rollouts that have ended are sent.
func (s *Sender) Send(ctx context.Context, d channel.Delivery, _ channel.Memory) error {
	n := &d.Notice
	if !s.Takes(n.Kind) || n.Phase != notice.Resolved || n.Rollout == nil || n.Until == 0 {
		return nil
	}
	token, err := s.Token.Read()
	if err != nil {
		return err
	}
	client, classify, err := s.client(token)
	if err != nil {
		return err
	}
	if err = export(ctx, client, n); err == nil {
		return nil
	}
	if token != "" { // a collector may echo the token
		err = errors.New(strings.ReplaceAll(err.Error(), token, "[credential]"))
	}
	if ctx.Err() != nil { // the last answer may be of an earlier part of the trace
		return err
	}
	return classify(err)
}

func export(ctx context.Context, client otlptrace.Client, n *notice.Notice) error {
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return fmt.Errorf("connect to the collector: %w", err)
	}
	defer func() { _ = exporter.Shutdown(ctx) }() // ExportSpans returns after the collector's answer, so all is sent
	for spans := range slices.Chunk(spansOf(n).Snapshots(), maxSpans) {
		if err := exporter.ExportSpans(ctx, spans); err != nil {
			return fmt.Errorf("send the trace: %w", err)
		}
	}
	return nil
}

// maxSpans is the maximum number of spans in a request. A collector takes 4 MiB by default, and the texts of a notice are bounded.
const maxSpans = 100

// client returns the client of one delivery, and a function that makes an error *channel.Permanent or *channel.Busy if the collector's answer says so. The
// client does not retry: the outbox does.
func (s *Sender) client(token string) (_ otlptrace.Client, classify func(error) error, _ error) {
	headers := make(map[string]string)
	if token != "" {
		headers["authorization"] = "Bearer " + token
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, nil, &channel.Permanent{Err: err}
	}
	if s.Protocol == GRPC {
		code := codes.Unavailable // of the last answer
		options := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(u.Host), otlptracegrpc.WithHeaders(headers), otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{}),
			otlptracegrpc.WithDialOption(grpc.WithUnaryInterceptor(func(ctx context.Context, method string, in, out any, c *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
				err := invoke(ctx, method, in, out, c, o...)
				code = status.Code(err)
				return err
			}))}
		if u.Scheme == "http" {
			options = append(options, otlptracegrpc.WithInsecure())
		}
		return otlptracegrpc.NewClient(options...), func(err error) error { return classifyCode(code, err) }, nil
	}
	last := &recorder{next: s.Client.Transport}
	client := *s.Client
	client.Transport = last
	options := []otlptracehttp.Option{otlptracehttp.WithEndpoint(u.Host), otlptracehttp.WithHeaders(headers), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}),
		otlptracehttp.WithHTTPClient(&client)}
	if u.Scheme == "http" {
		options = append(options, otlptracehttp.WithInsecure())
	}
	return otlptracehttp.NewClient(options...), last.classify, nil
}

// classifyCode does for gRPC what channel.Classify does for HTTP.
func classifyCode(code codes.Code, err error) error {
	switch code {
	case codes.OK, // some spans were rejected, and must not be sent again
		codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.FailedPrecondition, codes.Unimplemented:
		return &channel.Permanent{Err: err}
	}
	return err
}

// recorder is a transport that keeps the last response.
type recorder struct {
	next http.RoundTripper
	last *http.Response
}

func (r *recorder) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	resp, err = r.next.RoundTrip(req)
	r.last = resp
	return resp, err
}

func (r *recorder) classify(err error) error {
	switch {
	case r.last == nil:
		return err
	case r.last.StatusCode/100 == 2: // some spans were rejected, and must not be sent again
		return &channel.Permanent{Err: err}
	}
	return channel.Classify(r.last, err)
}
