package emit

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// backend is a flow server.
type backend interface {
	http.RoundTripper
	restart() // loses everything
}

// backends has a constructor for each kind of server.
var backends = map[string]func(limit serverLimits) backend{
	"fake server": func(l serverLimits) backend { f := &fakeServer{limits: l}; f.restart(); return f },
	"real server": func(l serverLimits) backend { r := &realServer{limits: l}; r.restart(); return r },
}

// serverLimits are the limits of a server; 0: the default of the real server, no limit of the fake one.
type serverLimits struct{ message, batch, nodes int }

func eachBackend(t *testing.T, limits serverLimits, f func(t *testing.T, b backend)) {
	for name, make := range backends {
		t.Run(name, func(t *testing.T) { f(t, make(limits)) })
	}
}

// realServer is the handler of the real server, without a socket.
type realServer struct {
	limits  serverLimits
	mu      sync.Mutex
	hub     *hub.Hub
	handler http.Handler
}

func (s *realServer) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hub = hub.New(hub.Config{MaxNodes: s.limits.nodes})
	s.handler = httpapi.New(s.hub, httpapi.Config{Logger: slog.New(slog.DiscardHandler), MaxMessageBytes: int64(s.limits.message), MaxBatchBytes: int64(s.limits.batch)})
}

func (s *realServer) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, req)
	return w.Result(), nil
}

// fakeServer implements POSTs, snapshots and the deletion of one flow, F, without claims.
type fakeServer struct {
	limits       serverLimits
	mu           sync.Mutex
	state        *flow.State // nil: the flow does not exist
	incarnation  string
	incarnations int // how many the flow has had
	seq          int64
	emitters     map[string]lastRequest
}

type lastRequest struct {
	epoch, n, seq int64
	body          [32]byte
}

func (s *fakeServer) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state, s.incarnation, s.emitters = nil, none, map[string]lastRequest{}
}

func (s *fakeServer) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := httptest.NewRecorder()
	switch req.Method + " " + req.URL.Path {
	case "GET /v1/flows/F/snapshot":
		s.snapshot(w, req)
	case "POST /v1/flows/F/events":
		s.post(w, req)
	case "DELETE /v1/flows/F":
		s.state, s.incarnation, s.emitters = nil, none, map[string]lastRequest{}
		w.WriteHeader(http.StatusNoContent)
	default:
		answerProblem(w, http.StatusNotFound, problem{})
	}
	return w.Result(), nil
}

func answerProblem(w http.ResponseWriter, status int, p problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(p)
}

func (s *fakeServer) snapshot(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Flow-Incarnation", s.incarnation)
	if s.state == nil {
		answerProblem(w, http.StatusNotFound, problem{})
		return
	}
	etag := fmt.Sprintf(`"%d"`, s.seq)
	w.Header().Set("ETag", etag)
	if req.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = io.WriteString(w, s.state.Snapshot().JSON())
}

func (s *fakeServer) post(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	if s.limits.batch > 0 && len(body) > s.limits.batch {
		answerProblem(w, http.StatusRequestEntityTooLarge, problem{})
		return
	}
	messages, err := flow.DecodeBatch("F", body, s.limits.message)
	if p := (problem{}); err != nil {
		var bad *flow.Error
		if errors.As(err, &bad) {
			p.Field, p.Line = bad.Field, bad.Line
		}
		status := http.StatusBadRequest
		if errors.Is(err, flow.ErrTooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		answerProblem(w, status, p)
		return
	}
	name, epoch, n := parseEmitter(req.Header.Get("Flow-Emitter"))
	last, known := s.emitters[name]
	newer := !known || epoch > last.epoch || epoch == last.epoch && n > last.n
	sum := sha256.Sum256(body)
	w.Header().Set("Flow-Incarnation", s.incarnation)
	want := req.Header.Get("Flow-If-Incarnation")
	switch {
	case known && epoch == last.epoch && n == last.n && sum == last.body:
		fmt.Fprintf(w, `{"seq":%d}`, last.seq)
		return
	case want != "" && want != s.incarnation:
		answerProblem(w, http.StatusPreconditionFailed, problem{})
		return
	case !newer:
		answerProblem(w, http.StatusConflict, problem{})
		return
	case s.full(messages, w):
		return
	}
	if s.state == nil {
		s.incarnations++
		s.state, s.incarnation = flow.NewState("F", 0), "incarnation-"+strconv.Itoa(s.incarnations)
	}
	for _, m := range messages {
		s.state.Apply(m)
		s.seq++
	}
	s.emitters[name] = lastRequest{epoch: epoch, n: n, seq: s.seq, body: sum}
	w.Header().Set("Flow-Incarnation", s.incarnation)
	fmt.Fprintf(w, `{"seq":%d}`, s.seq)
}

// full reports whether the messages exceed the limit of nodes. Then it answers 429, with the line of the first that does.
func (s *fakeServer) full(messages []*flow.Message, w http.ResponseWriter) bool {
	if s.limits.nodes == 0 {
		return false
	}
	after := flow.NewState("F", 0)
	if s.state != nil {
		after.Apply(s.state.Snapshot())
	}
	for i, m := range messages {
		after.Apply(m)
		if after.NodeCount() > s.limits.nodes {
			w.Header().Set("Retry-After", "5")
			answerProblem(w, http.StatusTooManyRequests, problem{Field: "nodes", Line: i + 1})
			return true
		}
	}
	return false
}

func parseEmitter(v string) (name string, epoch, n int64) {
	name, rest, _ := strings.Cut(v, ";")
	if _, err := fmt.Sscanf(rest, "epoch=%d;n=%d", &epoch, &n); err != nil {
		panic("malformed Flow-Emitter: " + v)
	}
	return name, epoch, n
}

// wire is the connection between the emitter and a backend. It records requests, and a test may break it.
type wire struct {
	backend
	mu       sync.Mutex
	posts    []posted
	checks   int                                         // answered GETs and PUTs
	requests int                                         // in flight
	faultOf  func(req *http.Request, body []byte) *fault // returns the fault of a request, nil if there is none
}

// posted is a POST that the server has answered, or a fault instead of the server.
type posted struct {
	at     time.Time
	header http.Header
	body   string
	status int
}

// fault is a failure of the connection.
type fault struct {
	delay  time.Duration // pause before anything else; ends early with the request's context
	err    error         // instead of an answer
	after  bool          // err occurs after the server has processed the request
	status int           // status of an answer that replaces the server's
	header map[string]string
	body   string
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(req.Body)
	req.Body = io.NopCloser(bytes.NewReader(body))
	w.mu.Lock()
	faultOf := w.faultOf
	w.requests++
	w.mu.Unlock()
	defer func() { w.mu.Lock(); defer w.mu.Unlock(); w.requests-- }()
	var f *fault
	if faultOf != nil {
		f = faultOf(req, body)
	}
	if f == nil {
		f = &fault{}
	}
	if f.delay > 0 {
		select {
		case <-time.After(f.delay):
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	if f.err != nil && !f.after {
		return nil, f.err
	}
	if f.status != 0 {
		h := http.Header{}
		for k, v := range f.header {
			h.Set(k, v)
		}
		w.record(req, body, f.status)
		return &http.Response{StatusCode: f.status, Header: h, Body: io.NopCloser(strings.NewReader(f.body))}, nil
	}
	res, err := w.backend.RoundTrip(req)
	if err == nil {
		w.record(req, body, res.StatusCode)
	}
	if f.err != nil {
		return nil, f.err
	}
	return res, err
}

func (w *wire) record(req *http.Request, body []byte, status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if req.Method == http.MethodPost {
		w.posts = append(w.posts, posted{at: time.Now(), header: req.Header.Clone(), body: string(body), status: status})
	} else {
		w.checks++
	}
}

// injectFaults sets the faults of later requests; nil repairs the connection.
func (w *wire) injectFaults(f func(req *http.Request, body []byte) *fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faultOf = f
}

func (w *wire) allPosts() []posted {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]posted(nil), w.posts...)
}

func (w *wire) inFlight() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests > 0
}

// checkCount returns the number of GETs and PUTs that were answered.
func (w *wire) checkCount() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.checks
}

// applied returns the POSTs that were answered with 200, also by a fault.
func (w *wire) applied() []posted {
	var out []posted
	for _, p := range w.allPosts() {
		if p.status == http.StatusOK {
			out = append(out, p)
		}
	}
	return out
}

// statuses returns the successive statuses of a node in the applied POSTs; "deleted" for its deletion.
func (w *wire) statuses(t *testing.T, id string) []string {
	var out []string
	for _, p := range w.applied() {
		messages, err := flow.DecodeBatch("F", []byte(p.body), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			for _, n := range m.Nodes {
				if n.ID == id {
					out = append(out, n.Status)
				}
			}
			for _, gone := range m.IDs {
				if gone == id {
					out = append(out, "deleted")
				}
			}
		}
	}
	return out
}

// get returns the backend's snapshot, without using the wire; nil if there is no flow.
func (w *wire) get(t *testing.T) *flow.Message {
	res := w.direct(t, http.MethodGet, "/snapshot", "")
	if res.StatusCode == http.StatusNotFound {
		return nil
	}
	body, _ := io.ReadAll(res.Body)
	m, err := flow.Decode("F", body)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// direct sends a request without using the wire.
func (w *wire) direct(t *testing.T, method, path, body string) *http.Response {
	req, err := http.NewRequest(method, "http://flow/v1/flows/F"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-ndjson")
		req.Header.Set("Flow-Emitter", "other;epoch=1;n="+strconv.FormatInt(time.Now().UnixNano(), 10))
	}
	res, err := w.backend.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode >= 400 && method != http.MethodGet {
		b, _ := io.ReadAll(res.Body)
		t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, b)
	}
	return res
}
