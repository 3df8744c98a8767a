// Package otel sends a rollout that has ended as a trace over OTLP. The rollout is the root span, the run of each member that ran or waited is a child of it,
// and its waiting is a child of the run. Dependencies between members are links, failures are events. Ids are derived from the rollout, so a repetition is the
// same trace.
package otel

import (
	"cmp"
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

// Send implements channel.Sender. It ignores all notices but the last of a rollout.
func (s *Sender) Send(ctx context.Context, d channel.Delivery, _ channel.Memory) error {
	n := &d.Notice
	if !s.Takes(n.Kind) || n.Phase != notice.Resolved || n.Rollout == nil || n.Until == 0 {
		return nil
	}
	token, err := s.Token.Read()
	if err != nil {
		return err
	}
	client, last, err := s.client(token)
	if err != nil {
		return err
	}
	if err = export(ctx, client, last, n); err == nil {
		return nil
	}
	if token != "" { // a collector may echo the token
		err = errors.New(strings.ReplaceAll(err.Error(), token, "[credential]"))
	}
	if ctx.Err() != nil { // the last answer may be of an earlier part of the trace
		return err
	}
	return last.classify(err)
}

// export sends the trace in parts. If the collector rejects spans of a part, the other parts are sent too, and the first such error is returned. A warning of
// the collector, which rejects no span, is no error.
func export(ctx context.Context, client otlptrace.Client, last answer, n *notice.Notice) error {
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return fmt.Errorf("connect to the collector: %w", err)
	}
	defer func() { _ = exporter.Shutdown(ctx) }() // ExportSpans returns after the collector's answer, so all is sent
	var rejected error
	for spans := range slices.Chunk(spansOf(n).Snapshots(), maxSpans) {
		if err := exporter.ExportSpans(ctx, spans); err != nil {
			err = fmt.Errorf("send the trace: %w", err)
			if !last.accepts() {
				return err
			}
			if !strings.HasSuffix(err.Error(), "(0 spans rejected)") { // the type of this error is internal to the exporter
				rejected = cmp.Or(rejected, err)
			}
		}
	}
	return rejected
}

// maxSpans is the maximum number of spans in a request. A collector takes 4 MiB by default, and the texts of a notice are bounded.
const maxSpans = 100

// answer is the last answer of a collector.
type answer interface {
	// accepts reports whether the collector has taken the request. It may have rejected some spans; sending them again does not help.
	accepts() bool
	// classify makes an error *channel.Permanent or *channel.Busy if the answer says so.
	classify(err error) error
}

// client returns the client of one delivery, and where the last answer to it is kept. The client does not retry: the outbox does.
func (s *Sender) client(token string) (otlptrace.Client, answer, error) {
	headers := make(map[string]string)
	if token != "" {
		headers["authorization"] = "Bearer " + token
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, nil, &channel.Permanent{Err: err}
	}
	if s.Protocol == GRPC {
		last := &grpcAnswer{codes.Unavailable}
		options := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(u.Host), otlptracegrpc.WithHeaders(headers), otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{}),
			otlptracegrpc.WithDialOption(grpc.WithUnaryInterceptor(func(ctx context.Context, method string, in, out any, c *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
				err := invoke(ctx, method, in, out, c, o...)
				last.code = status.Code(err)
				return err
			}))}
		if u.Scheme == "http" {
			options = append(options, otlptracegrpc.WithInsecure())
		}
		return otlptracegrpc.NewClient(options...), last, nil
	}
	last := &recorder{next: s.Client.Transport}
	client := *s.Client
	client.Transport = last
	options := []otlptracehttp.Option{otlptracehttp.WithEndpoint(u.Host), otlptracehttp.WithHeaders(headers), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}),
		otlptracehttp.WithHTTPClient(&client)}
	if u.Scheme == "http" {
		options = append(options, otlptracehttp.WithInsecure())
	}
	return otlptracehttp.NewClient(options...), last, nil
}

type grpcAnswer struct{ code codes.Code }

func (a *grpcAnswer) accepts() bool { return a.code == codes.OK }

func (a *grpcAnswer) classify(err error) error {
	switch a.code {
	case codes.OK, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.FailedPrecondition, codes.Unimplemented:
		return &channel.Permanent{Err: err}
	}
	return err
}

// recorder is a transport that keeps the response to the last request; nil if there was none.
type recorder struct {
	next http.RoundTripper
	last *http.Response
}

func (r *recorder) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	resp, err = r.next.RoundTrip(req)
	r.last = resp
	return resp, err
}

func (r *recorder) accepts() bool { return r.last != nil && r.last.StatusCode/100 == 2 }

func (r *recorder) classify(err error) error {
	switch {
	case r.last == nil:
		return err
	case r.accepts():
		return &channel.Permanent{Err: err}
	}
	return channel.Classify(r.last, err)
}
