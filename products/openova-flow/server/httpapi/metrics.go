package httpapi

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// Metric describes one metric family of /metrics.
type Metric struct{ Name, Type, Help string }

// Metrics is what /metrics tells, in its order. The documentation's table is checked against it.
var Metrics = []Metric{
	{"openova_flow_build_info", "gauge", "Always 1; the labels say version and Go version."},
	{"openova_flow_http_requests_total", "counter", "Requests answered, by route, method and code. A stream counts when it ends."},
	{"openova_flow_messages_total", "counter", "Messages applied, by type."},
	{"openova_flow_messages_refused_total", "counter", "POST requests that were refused whole, by status code."},
	{"openova_flow_access_refused_total", "counter", "Requests turned away for who makes them, by reason."},
	{"openova_flow_streams_revoked_total", "counter", "Streams ended because their credential no longer allowed them."},
	{"openova_flow_derived_messages_total", "counter", "upsert-flow messages that the server made itself."},
	{"openova_flow_relationships_put_back_total", "counter", "Relationships put back after a deletion by a caller whose they are not."},
	{"openova_flow_frames_sent_total", "counter", "Messages handed to streams, snapshots not among them."},
	{"openova_flow_stream_bytes_total", "counter", "Bytes written to streams."},
	{"openova_flow_snapshots_sent_total", "counter", "Snapshot frames handed to streams."},
	{"openova_flow_resyncs_total", "counter", "Snapshot frames in place of messages that a stream had missed."},
	{"openova_flow_limit_hits_total", "counter", "Requests that reached a limit (429 and 503)."},
	{"openova_flow_flows_dropped_total", "counter", "Flows dropped after the idle timeout."},
	{"openova_flow_state_saves_total", "counter", "Times the state was written to FLOW_SERVER_STATE_FILE."},
	{"openova_flow_state_save_failures_total", "counter", "Times that failed; the file is then as it was before."},
	{"openova_flow_state_saved_timestamp_seconds", "gauge", "When it was written last, Unix time; 0: not since the start."},
	{"openova_flow_state_set_aside_total", "counter", "State files that could not be used at the start and were renamed."},
	{"openova_flow_flows", "gauge", "Flows."},
	{"openova_flow_nodes", "gauge", "Nodes of all flows."},
	{"openova_flow_relationships", "gauge", "Relationships of all flows."},
	{"openova_flow_state_bytes", "gauge", "About how much memory the flows take, their rings' frames not among it."},
	{"openova_flow_ring_messages", "gauge", "Messages held for resume."},
	{"openova_flow_ring_bytes", "gauge", "Bytes of the frames held for resume."},
	{"openova_flow_subscribers", "gauge", "Open streams."},
	{"openova_flow_regions", "gauge", "Claimed regions of all flows, by state: fresh or stale."},
	{"openova_flow_region_claims_refused_total", "counter", "Claims of a region that another cluster has."},
	{"openova_flow_ingest_bytes", "gauge", "Bytes of request bodies being read or applied."},
	{"openova_flow_answer_bytes", "gauge", "Bytes of large answers and deliveries that readers have not taken yet."},
	{"openova_flow_answers_cut_total", "counter", "Large answers and deliveries cut off because others needed their room."},
	{"openova_flow_tokens_file_failing", "gauge", "1 while the tokens file can't be read, so that an older one is in force."},
	{"openova_flow_goroutines", "gauge", "Goroutines of the process."},
	{"openova_flow_heap_bytes", "gauge", "Bytes of live and not yet collected heap objects."},
}

type requestKey struct {
	route, method string
	code          int
}

type metrics struct {
	mu          sync.RWMutex
	requests    map[requestKey]*atomic.Int64
	refusals    map[int]*atomic.Int64
	streamBytes atomic.Int64
	limitHits   atomic.Int64
	denied      map[auth.Reason]*atomic.Int64 // all reasons are there from the start
	revoked     atomic.Int64
}

func newMetrics() metrics {
	denied := make(map[auth.Reason]*atomic.Int64)
	for _, reason := range auth.Reasons {
		denied[reason] = new(atomic.Int64)
	}
	return metrics{requests: make(map[requestKey]*atomic.Int64), refusals: make(map[int]*atomic.Int64), denied: denied}
}

// methodLabel is a method as metrics and the log have it: nobody makes them longer.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

func (m *metrics) request(route, method string, code int) {
	increment(m, m.requests, requestKey{route, methodLabel(method), code})
	if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable && route != "readyz" {
		m.limitHits.Add(1)
	}
}

func (m *metrics) refused(code int) { increment(m, m.refusals, code) }

func increment[K comparable](m *metrics, counters map[K]*atomic.Int64, key K) {
	m.mu.RLock()
	c := counters[key]
	m.mu.RUnlock()
	if c == nil {
		m.mu.Lock()
		if c = counters[key]; c == nil {
			c = new(atomic.Int64)
			counters[key] = c
		}
		m.mu.Unlock()
	}
	c.Add(1)
}

// serveMetrics writes the Prometheus text exposition format 0.0.4. It has sums over all flows, so it is for whoever may read them all.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request, g *auth.Grant) {
	if err := g.CheckReadAll(); err != nil {
		s.deny(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	var b strings.Builder
	for _, m := range Metrics {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", m.Name, m.Help, m.Name, m.Type)
		for _, v := range s.samples(m.Name) {
			b.WriteString(m.Name + v.labels + " " + strconv.FormatInt(v.value, 10) + "\n")
		}
	}
	_, _ = io.WriteString(w, b.String())
}

type sample struct {
	labels string
	value  int64
}

func (s *Server) samples(name string) []sample {
	st := &s.hub.Stats
	one := func(v int64) []sample { return []sample{{value: v}} }
	switch strings.TrimPrefix(name, "openova_flow_") {
	case "build_info":
		return []sample{{fmt.Sprintf(`{version=%q,go=%q}`, s.cfg.Version, runtime.Version()), 1}}
	case "http_requests_total":
		return s.metrics.requestSamples()
	case "messages_total":
		var out []sample
		for i, t := range hub.MessageTypes {
			out = append(out, sample{fmt.Sprintf(`{type=%q}`, string(t)), st.Messages[i].Load()})
		}
		return out
	case "messages_refused_total":
		return s.metrics.refusalSamples()
	case "access_refused_total":
		var out []sample
		for _, reason := range auth.Reasons {
			out = append(out, sample{fmt.Sprintf(`{reason=%q}`, string(reason)), s.metrics.denied[reason].Load()})
		}
		return out
	case "streams_revoked_total":
		return one(s.metrics.revoked.Load())
	case "tokens_file_failing":
		if s.cfg.Auth.Failing() {
			return one(1)
		}
		return one(0)
	case "derived_messages_total":
		return one(st.Derived.Load())
	case "relationships_put_back_total":
		return one(st.PutBack.Load())
	case "frames_sent_total":
		return one(st.Frames.Load())
	case "stream_bytes_total":
		return one(s.metrics.streamBytes.Load())
	case "snapshots_sent_total":
		return one(st.Snapshots.Load())
	case "resyncs_total":
		return one(st.Resyncs.Load())
	case "limit_hits_total":
		return one(s.metrics.limitHits.Load())
	case "flows_dropped_total":
		return one(st.Dropped.Load())
	case "state_saves_total":
		return one(st.Saves.Load())
	case "state_save_failures_total":
		return one(st.SaveFailures.Load())
	case "state_saved_timestamp_seconds":
		return one(st.SavedAt.Load())
	case "state_set_aside_total":
		return one(st.StatesSetAside.Load())
	case "flows":
		return one(st.Flows.Load())
	case "nodes":
		return one(st.Nodes.Load())
	case "relationships":
		return one(st.Relationships.Load())
	case "state_bytes":
		return one(st.StateBytes.Load())
	case "ring_messages":
		return one(st.RingEntries.Load())
	case "ring_bytes":
		return one(st.RingBytes.Load())
	case "subscribers":
		return one(st.Subscribers.Load())
	case "regions":
		return []sample{{`{state="fresh"}`, st.RegionsFresh.Load()}, {`{state="stale"}`, st.RegionsStale.Load()}}
	case "region_claims_refused_total":
		return one(st.ClaimsRefused.Load())
	case "ingest_bytes":
		return one(s.ingest.Load())
	case "answer_bytes":
		bytes, _ := s.answers.counted()
		return one(bytes)
	case "answers_cut_total":
		_, cuts := s.answers.counted()
		return one(cuts)
	case "goroutines":
		return one(int64(runtime.NumGoroutine()))
	case "heap_bytes":
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		return one(int64(mem.HeapAlloc))
	}
	return nil
}

func (m *metrics) requestSamples() []sample {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make([]sample, 0, len(m.requests))
	for k, c := range m.requests {
		out = append(out, sample{fmt.Sprintf(`{route=%q,method=%q,code="%d"}`, k.route, k.method, k.code), c.Load()})
	}
	return sorted(out)
}

func (m *metrics) refusalSamples() []sample {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make([]sample, 0, len(m.refusals))
	for code, c := range m.refusals {
		out = append(out, sample{fmt.Sprintf(`{code="%d"}`, code), c.Load()})
	}
	return sorted(out)
}

func sorted(s []sample) []sample {
	slices.SortFunc(s, func(a, b sample) int { return strings.Compare(a.labels, b.labels) })
	return s
}

// logLimiter lets one line a second through, so that a broken emitter cannot flood the log.
type logLimiter struct {
	mu     sync.Mutex
	last   time.Time
	missed int
}

func (l *logLimiter) allow(now time.Time) (missed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.last) < time.Second {
		l.missed++
		return 0, false
	}
	missed, l.missed, l.last = l.missed, 0, now
	return missed, true
}

// maxLimited is how many callers have a limiter of their own. All of a tokens file do; a proxy may name any number of users.
const maxLimited = 4096

// logLimiters are a logLimiter for each caller, so that none keeps another out of the log. Those that are not known share one.
type logLimiters struct {
	mu sync.Mutex
	by map[string]*logLimiter // by name
}

func (l *logLimiters) allow(caller string, now time.Time) (missed int, ok bool) {
	return l.of(caller).allow(now)
}

func (l *logLimiters) of(caller string) *logLimiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil {
		l.by = make(map[string]*logLimiter)
	}
	if l.by[caller] == nil && len(l.by) >= maxLimited {
		caller = ""
	}
	if l.by[caller] == nil {
		l.by[caller] = new(logLimiter)
	}
	return l.by[caller]
}
