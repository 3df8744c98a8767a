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
func (s *Sender) Send(ctx context.Context, d channel.Delivery, _ channel.Memory) (err error) {
	n := &d.Notice
	if !s.Takes(n.Kind) || n.Phase != notice.Resolved || n.Rollout == nil || n.Until == 0 {
		return nil
	}
	token, err := s.Token.Read()
	if err != nil {
		return err
	}
	client, err := s.client(token)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && token != "" { // a collector may echo the token
			err = errors.New(strings.ReplaceAll(err.Error(), token, "[credential]"))
		}
	}()
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return fmt.Errorf("connect to the collector: %w", err)
	}
	defer func() {
		if e := exporter.Shutdown(ctx); err == nil && e != nil {
			err = fmt.Errorf("send the trace: %w", e)
		}
	}()
	for spans := range slices.Chunk(spansOf(n).Snapshots(), maxSpans) {
		if err := exporter.ExportSpans(ctx, spans); err != nil {
			return fmt.Errorf("send the trace: %w", err)
		}
	}
	return nil
}

// maxSpans is the maximum number of spans in a request. A collector takes 4 MiB by default, and the texts of a notice are bounded.
const maxSpans = 100

// client returns the client of one delivery. It does not retry: the outbox does.
func (s *Sender) client(token string) (otlptrace.Client, error) {
	headers := make(map[string]string)
	if token != "" {
		headers["authorization"] = "Bearer " + token
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, &channel.Permanent{Err: err}
	}
	if s.Protocol == GRPC {
		options := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(u.Host), otlptracegrpc.WithHeaders(headers), otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{})}
		if u.Scheme == "http" {
			options = append(options, otlptracegrpc.WithInsecure())
		}
		return otlptracegrpc.NewClient(options...), nil
	}
	options := []otlptracehttp.Option{otlptracehttp.WithEndpoint(u.Host), otlptracehttp.WithHeaders(headers), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}),
		otlptracehttp.WithHTTPClient(s.Client)}
	if u.Scheme == "http" {
		options = append(options, otlptracehttp.WithInsecure())
	}
	return otlptracehttp.NewClient(options...), nil
}
