package standin

import (
	"io"
	"net/http"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector takes traces by OTLP over HTTP, at most 4 MiB at once as over gRPC.
type Collector struct {
	base
	traces map[string]map[string]*tracepb.Span // by trace id and span id
}

// ServeHTTP takes spans.
func (s *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unavailable(w) {
		return
	}
	var in collector.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(body, &in) != nil {
		s.fault("%s %s: %v", r.Method, r.URL.Path, err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if len(body) > 4<<20 {
		s.fault("%d bytes at once", len(body))
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	if s.traces == nil {
		s.traces = make(map[string]map[string]*tracepb.Span)
	}
	for _, rs := range in.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, span := range ss.Spans {
				id := string(span.TraceId)
				if s.traces[id] == nil {
					s.traces[id] = make(map[string]*tracepb.Span)
				}
				s.traces[id][string(span.SpanId)] = span
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// Traces returns the spans of each trace, by span id. A span that was sent again replaces the earlier one.
func (s *Collector) Traces() (all []map[string]*tracepb.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, spans := range s.traces {
		all = append(all, spans)
	}
	return all
}
