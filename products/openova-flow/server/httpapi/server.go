package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// Config is what a Server is made of. The zero value of a field means its default.
type Config struct {
	MaxMessageBytes int64         // of one message; 1 MiB
	MaxBatchBytes   int64         // of one NDJSON body; 16 MiB
	MaxIngestBytes  int64         // of all bodies being read and applied at one moment; 128 MiB
	StreamMode      string        // StreamAuto or StreamPortable; StreamAuto
	Heartbeat       time.Duration // longest silence of a stream; 15 s
	WriteTimeout    time.Duration // how long a stream may take no bytes before it is cut; 30 s
	ReadTimeout     time.Duration // how long a body may take to arrive; 30 s
	Version         string        // of the build, for metrics and the description
	Page            http.Handler  // what serves GET / and its assets; none: only the description
	Logger          *slog.Logger  // slog.Default()
}

func (c Config) withDefaults() Config {
	if c.MaxMessageBytes == 0 {
		c.MaxMessageBytes = 1 << 20
	}
	if c.MaxBatchBytes == 0 {
		c.MaxBatchBytes = 16 << 20
	}
	if c.MaxIngestBytes == 0 {
		c.MaxIngestBytes = 128 << 20
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = 15 * time.Second
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = 30 * time.Second
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = 30 * time.Second
	}
	if c.StreamMode == "" {
		c.StreamMode = StreamAuto
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Server is an http.Handler over a hub.
type Server struct {
	cfg      Config
	hub      *hub.Hub
	ready    atomic.Bool
	opened   atomic.Int64  // streams, ever
	ingest   atomic.Int64  // bytes of bodies in flight
	history  chan struct{} // a place for each answer about the past that is being made
	metrics  metrics
	refusals logLimiter
	fan      *fan
}

// maxHistories is how many answers about the past may be under way at once; each holds a copy of what a flow still holds.
const maxHistories = 8

// New returns a Server over a hub. It is not ready until SetReady(true).
func New(h *hub.Hub, cfg Config) *Server {
	s := &Server{cfg: cfg.withDefaults(), hub: h, metrics: newMetrics(), history: make(chan struct{}, maxHistories)}
	s.fan = newFan(s)
	return s
}

// SetReady turns /readyz on or off.
func (s *Server) SetReady(ready bool) { s.ready.Store(ready) }

// Shutdown waits until the streams that were taken away from net/http have ended, which they do by themselves once the hub is closed.
// When ctx is done first it cuts them off. It is for after http.Server.Shutdown.
func (s *Server) Shutdown(ctx context.Context) { s.fan.shutdown(ctx) }

// route is one place of the API: its name in metrics, and a handler for each method.
type route struct {
	name string
	get  http.HandlerFunc // HEAD too
	post http.HandlerFunc
	del  http.HandlerFunc
}

func (rt route) allow() string {
	var methods []string
	if rt.get != nil {
		methods = append(methods, "GET", "HEAD")
	}
	if rt.post != nil {
		methods = append(methods, "POST")
	}
	if rt.del != nil {
		methods = append(methods, "DELETE")
	}
	return strings.Join(methods, ", ")
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	cw := &countingWriter{ResponseWriter: w, timeout: s.cfg.WriteTimeout}
	rt, ok := s.find(r)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	var handler http.HandlerFunc
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		handler = rt.get
	case http.MethodPost:
		handler = rt.post
	case http.MethodDelete:
		handler = rt.del
	}
	switch {
	case !ok:
		writeProblem(cw, problem{Status: http.StatusNotFound, Detail: "there is nothing at this path; GET / with Accept: application/json describes what there is"})
	case handler == nil:
		w.Header().Set("Allow", rt.allow())
		writeProblem(cw, problem{Status: http.StatusMethodNotAllowed, Detail: "allowed here: " + rt.allow()})
	case strings.HasPrefix(r.URL.Path, "/v1/") && !s.hub.LogStatus().Loaded:
		writeProblem(cw, problem{Status: http.StatusServiceUnavailable, Detail: "the server is loading its flows", retryAfter: 1})
	default:
		handler(cw, r)
	}
	if !cw.handedOver {
		s.metrics.request(rt.name, r.Method, cw.status())
	}
}

// find resolves a path by hand: net/http's mux cleans paths, which would turn the valid flow ids "." and ".." into something else.
func (s *Server) find(r *http.Request) (route, bool) {
	path := r.URL.EscapedPath()
	switch path {
	case "/healthz":
		return route{name: "healthz", get: s.healthz}, true
	case "/readyz":
		return route{name: "readyz", get: s.readyz}, true
	case "/metrics":
		return route{name: "metrics", get: s.serveMetrics}, true
	case "/v1/flows":
		return route{name: "flows", get: s.list}, true
	case "/v1/stream":
		return route{name: "streams", get: s.streamMany}, true
	case "/":
		return route{name: "page", get: s.root}, true
	}
	if rest, ok := strings.CutPrefix(path, "/v1/"); ok {
		return s.findFlow(strings.Split(rest, "/"))
	}
	if s.cfg.Page != nil {
		return route{name: "page", get: s.cfg.Page.ServeHTTP}, true
	}
	return route{name: "none"}, false
}

func (s *Server) findFlow(parts []string) (route, bool) {
	if len(parts) < 2 || parts[0] != "flows" {
		return route{name: "none"}, false
	}
	with := func(f func(http.ResponseWriter, *http.Request, string)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			id, err := url.PathUnescape(parts[1])
			if err != nil || !ValidFlowID(id) {
				writeProblem(w, problem{Status: http.StatusBadRequest, Field: "flowId", Detail: "a flow id has 1 to 128 characters of A-Z a-z 0-9 . _ : -"})
				return
			}
			f(w, r, id)
		}
	}
	switch len(parts) {
	case 2:
		return route{name: "flow", del: with(s.deleteFlow)}, true
	case 3:
		switch parts[2] {
		case "events":
			return route{name: "events", get: with(s.events), post: with(s.post)}, true
		case "snapshot":
			return route{name: "snapshot", get: with(s.snapshot)}, true
		case "stream":
			return route{name: "stream", get: with(s.stream)}, true
		case "rollouts":
			return route{name: "rollouts", get: with(s.rollouts)}, true
		}
	case 4:
		if parts[2] == "regions" {
			return route{name: "region", del: with(func(w http.ResponseWriter, r *http.Request, id string) {
				s.deleteRegion(w, r, id, parts[3])
			})}, true
		}
	}
	return route{name: "none"}, false
}

// ValidFlowID reports whether id may be a flow's.
func ValidFlowID(id string) bool {
	if len(id) < 1 || len(id) > 128 {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '_', c == ':', c == '-':
		default:
			return false
		}
	}
	return true
}

// countingWriter remembers the status for the metrics. A large answer goes out under a deadline that moves with progress, so that
// one that nobody reads does not stay in memory.
type countingWriter struct {
	http.ResponseWriter
	timeout time.Duration
	code    int

	handedOver bool // the connection belongs to the fan, which counts the request when it ends
}

func (w *countingWriter) Write(b []byte) (int, error) {
	if len(b) <= writeAtMost {
		return w.ResponseWriter.Write(b)
	}
	rc := http.NewResponseController(w.ResponseWriter)
	n, err := writeMoving(w.ResponseWriter, rc, w.timeout, b)
	if errors.Is(err, http.ErrNotSupported) { // a writer without a connection, as in a test
		m, err := w.ResponseWriter.Write(b[n:])
		return n + m, err
	}
	return n, err
}

func (w *countingWriter) WriteHeader(code int) {
	if w.code == 0 && code >= 200 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *countingWriter) status() int {
	if w.code == 0 {
		return http.StatusOK
	}
	return w.code
}

// Unwrap lets http.ResponseController reach the connection.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
