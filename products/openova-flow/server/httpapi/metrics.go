package httpapi

import (
	"cmp"
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/internal/prom"
)

// family is a row of the table of metrics: name, type, help and the function that collects its samples.
type family prom.Family

// families are the server's own metrics, in the order of /metrics. docs/metrics.md has them as a table, which a test compares.
func (s *Server) families() []family {
	m, h := s.metrics, &s.hub.Stats
	return []family{
		{"openova_flow_build_info", "gauge", "Always 1; the labels say version and Go version.", func(out *prom.Samples) { out.Add(1, "version", s.cfg.Version, "go", runtime.Version()) }},
		{"openova_flow_http_requests_total", "counter", "Requests answered, by route, method and code. A stream counts when it ends.", m.collectRequests},
		{"openova_flow_http_request_duration_seconds", "histogram", "Time to answer a request, by route and class of code (2xx). Streams are left out.", m.collectDurations},
		{"openova_flow_messages_total", "counter", "Messages applied, by type, without derived messages and restored relationships.", func(out *prom.Samples) {
			for i, t := range hub.MessageTypes {
				out.Add(float64(h.Messages[i].Load()), "type", string(t))
			}
		}},
		{"openova_flow_messages_refused_total", "counter", "Requests to post messages that were refused as a whole, by status code. Those refused before the caller's permissions are checked do not count.", m.collectRefusals},
		{"openova_flow_apply_duration_seconds", "histogram", "Time to apply a change. All changes wait for it: they have one order.", func(out *prom.Samples) { out.Histogram(h.Apply) }},
		{"openova_flow_delivery_lag_seconds", "histogram", "Time from when a message was applied until it was written to a subscriber that was up to date before. Of each delivery, the oldest message counts. Resolution 1 ms.", func(out *prom.Samples) { out.Histogram(m.lag) }},
		{"openova_flow_access_refused_total", "counter", "Denied requests, by reason.", m.collectDenied},
		{"openova_flow_streams_revoked_total", "counter", "Streams ended because their credential no longer allowed them.", prom.Int(&m.revoked)},
		{"openova_flow_derived_messages_total", "counter", "upsert-flow messages that the server made itself.", prom.Int(&h.Derived)},
		{"openova_flow_relationships_put_back_total", "counter", "Foreign relationships restored after a deletion by a caller bound to regions.", prom.Int(&h.PutBack)},
		{"openova_flow_frames_sent_total", "counter", "Messages handed to streams, without snapshots.", prom.Int(&h.Delivered)},
		{"openova_flow_stream_bytes_total", "counter", "Bytes written to streams.", prom.Int(&m.streamBytes)},
		{"openova_flow_snapshots_sent_total", "counter", "Snapshot frames handed to streams.", prom.Int(&h.Snapshots)},
		{"openova_flow_resyncs_total", "counter", "Snapshot frames in place of messages that a stream had missed.", prom.Int(&h.Resyncs)},
		{"openova_flow_limit_hits_total", "counter", "Requests answered with 429 or 503, except those to /readyz.", prom.Int(&m.limitHits)},
		{"openova_flow_flows_dropped_total", "counter", "Flows dropped after the idle timeout.", prom.Int(&h.Dropped)},
		{"openova_flow_state_saves_total", "counter", "Times the state was written to FLOW_SERVER_STATE_FILE.", prom.Int(&h.Saves)},
		{"openova_flow_state_save_failures_total", "counter", "Failed writes of FLOW_SERVER_STATE_FILE; the file stays as it was.", prom.Int(&h.SaveFailures)},
		{"openova_flow_state_saved_timestamp_seconds", "gauge", "When FLOW_SERVER_STATE_FILE was last written, Unix time; 0: not since the start.", prom.Int(&h.SavedAt)},
		{"openova_flow_state_set_aside_total", "counter", "State files that could not be used at the start and were renamed.", prom.Int(&h.StatesSetAside)},
		{"openova_flow_flows", "gauge", "Flows.", prom.Int(&h.Flows)},
		{"openova_flow_nodes", "gauge", "Nodes of all flows.", prom.Int(&h.Nodes)},
		{"openova_flow_relationships", "gauge", "Relationships of all flows.", prom.Int(&h.Relationships)},
		{"openova_flow_state_bytes", "gauge", "Approximate memory of the flows, without the frames of their rings.", prom.Int(&h.StateBytes)},
		{"openova_flow_ring_messages", "gauge", "Messages held for resume.", prom.Int(&h.RingEntries)},
		{"openova_flow_ring_bytes", "gauge", "Bytes of the frames held for resume.", prom.Int(&h.RingBytes)},
		{"openova_flow_subscribers", "gauge", "Open streams.", prom.Int(&h.Subscribers)},
		{"openova_flow_regions", "gauge", "Claimed regions of all flows, by state: fresh or stale.", func(out *prom.Samples) {
			out.Add(float64(h.RegionsFresh.Load()), "state", "fresh")
			out.Add(float64(h.RegionsStale.Load()), "state", "stale")
		}},
		{"openova_flow_region_claims_refused_total", "counter", "Claims of a region that another cluster holds.", prom.Int(&h.ClaimsRefused)},
		{"openova_flow_ingest_bytes", "gauge", "Bytes of memory reserved for request bodies being read or applied.", prom.Value(s.bodies.total)},
		{"openova_flow_answer_bytes", "gauge", "Bytes of large answers and deliveries that clients have not read yet.", prom.Value(func() int64 { bytes, _ := s.unread.Stats(); return bytes })},
		{"openova_flow_answers_cut_total", "counter", "Large answers and deliveries cut off because others needed their room.", prom.Value(func() int64 { _, cuts := s.unread.Stats(); return cuts })},
		{"openova_flow_tokens_file_failing", "gauge", "1 while the tokens file is unreadable or invalid, so that its previous content is in force.", prom.Value(s.tokensFailing)},
	}
}

func (s *Server) tokensFailing() int {
	if s.cfg.Auth.Failing() {
		return 1
	}
	return 0
}

type requestKey struct {
	route, method string
	code          int
}

type durationKey struct{ route, class string }

type metrics struct {
	requests    prom.Vec[requestKey, atomic.Int64]
	durations   prom.Vec[durationKey, prom.Histogram]
	refusals    prom.Vec[int, atomic.Int64]   // by status code
	denied      map[auth.Reason]*atomic.Int64 // has all reasons from the start
	lag         *prom.Histogram
	streamBytes atomic.Int64
	limitHits   atomic.Int64
	revoked     atomic.Int64
}

func newMetrics() *metrics {
	m := &metrics{denied: make(map[auth.Reason]*atomic.Int64), lag: newHistogram()}
	m.durations.New = newHistogram
	for _, reason := range auth.Reasons {
		m.denied[reason] = new(atomic.Int64)
	}
	return m
}

func newHistogram() *prom.Histogram {
	return prom.NewHistogram(time.Millisecond, 5*time.Millisecond, 10*time.Millisecond, 25*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond,
		250*time.Millisecond, 500*time.Millisecond, time.Second, 2500*time.Millisecond, 5*time.Second, 10*time.Second)
}

// methodLabel returns a method for metrics and the log. Unknown methods have one label, so that callers can't
// add labels.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

func (m *metrics) request(route, method string, code int) {
	m.requests.Of(requestKey{route, methodLabel(method), code}).Add(1)
	if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable && route != "readyz" {
		m.limitHits.Add(1)
	}
}

// observeDuration records the duration of an answer, except of a stream, which depends on the client.
func (m *metrics) observeDuration(route string, code int, d time.Duration) {
	if (route == "stream" || route == "streams") && code == http.StatusOK {
		return
	}
	class := "5xx"
	if code >= 200 && code < 500 {
		class = [...]string{"2xx", "3xx", "4xx"}[code/100-2]
	}
	m.durations.Of(durationKey{route, class}).Observe(d)
}

func (m *metrics) refused(code int) { m.refusals.Of(code).Add(1) }

func (m *metrics) collectRequests(out *prom.Samples) {
	m.requests.Each(func(a, b requestKey) int {
		return cmp.Or(cmp.Compare(a.route, b.route), cmp.Compare(a.method, b.method), cmp.Compare(a.code, b.code))
	}, func(k requestKey, n *atomic.Int64) {
		out.Add(float64(n.Load()), "route", k.route, "method", k.method, "code", strconv.Itoa(k.code))
	})
}

func (m *metrics) collectDurations(out *prom.Samples) {
	m.durations.Each(func(a, b durationKey) int {
		return cmp.Or(cmp.Compare(a.route, b.route), cmp.Compare(a.class, b.class))
	},
		func(k durationKey, h *prom.Histogram) { out.Histogram(h, "route", k.route, "code", k.class) })
}

func (m *metrics) collectRefusals(out *prom.Samples) {
	m.refusals.Each(cmp.Compare[int], func(code int, n *atomic.Int64) { out.Add(float64(n.Load()), "code", strconv.Itoa(code)) })
}

func (m *metrics) collectDenied(out *prom.Samples) {
	for _, reason := range auth.Reasons {
		out.Add(float64(m.denied[reason].Load()), "reason", string(reason))
	}
}

// serveMetrics writes /metrics. It requires permission to read all flows: the metrics are sums over all, or name flows and nodes.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request, g *auth.Grant) {
	if err := g.CheckReadAll(); err != nil {
		s.deny(w, r, err)
		return
	}
	var all []prom.Family
	for _, f := range s.families() {
		all = append(all, prom.Family(f))
	}
	if s.hub.LogStatus().Loaded { // while loading, flows are out of date
		all = append(all, s.flows.Families()...)
	}
	w.Header().Set("Content-Type", prom.ContentType)
	_ = prom.Write(w, append(all, prom.Runtime()...)) // fails only if the client is gone
}
