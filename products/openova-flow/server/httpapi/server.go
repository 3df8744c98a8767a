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

	"github.com/openova-io/openova/products/openova-flow/server/auth"
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
	BasePath        string        // prefix that everything is served under, starting and ending with /; "/"

	Auth     *auth.Authority // who may do what; auth.Unguarded()
	Loopback bool            // answer only to this machine's own programs and pages
	Origins  []string        // of the pages elsewhere that may read answers, as browsers send them
	Page     http.Handler    // what serves GET / and its assets; none: only the description
	Logger   *slog.Logger    // slog.Default()
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
	if c.BasePath == "" {
		c.BasePath = "/"
	}
	if c.Auth == nil {
		c.Auth = auth.Unguarded()
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
	opened   atomic.Int64 // streams, ever
	ingest   atomic.Int64 // bytes of bodies in flight
	history  places       // for answers about the past that are being made
	metrics  metrics
	refusals logLimiter
	denials  map[auth.Reason]*logLimiter // one for each, so that who is not known keeps nobody out of the log
	endings  logLimiter
	fan      *fan
}

// maxHistories is how many answers about the past may be under way at once; each holds a copy of what a flow still holds.
const maxHistories = 8

// New returns a Server over a hub. It is not ready until SetReady(true).
func New(h *hub.Hub, cfg Config) *Server {
	s := &Server{cfg: cfg.withDefaults(), hub: h, metrics: newMetrics()}
	s.denials = make(map[auth.Reason]*logLimiter)
	for _, reason := range auth.Reasons {
		s.denials[reason] = new(logLimiter)
	}
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
	name   string
	flowID string  // as it stands in the path; empty when there is none, or none that is valid
	public bool    // it is for everybody, known or not
	get    handler // HEAD too
	post   handler
	put    handler
	del    handler
}

func (rt route) allow() string {
	var methods []string
	if rt.get != nil {
		methods = append(methods, "GET", "HEAD")
	}
	if rt.post != nil {
		methods = append(methods, "POST")
	}
	if rt.put != nil {
		methods = append(methods, "PUT")
	}
	if rt.del != nil {
		methods = append(methods, "DELETE")
	}
	return strings.Join(methods, ", ")
}

func (rt route) handler(method string) handler {
	switch method {
	case http.MethodGet, http.MethodHead:
		return rt.get
	case http.MethodPost:
		return rt.post
	case http.MethodPut:
		return rt.put
	case http.MethodDelete:
		return rt.del
	}
	return nil
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	cw := &countingWriter{ResponseWriter: w, timeout: s.cfg.WriteTimeout}
	secure(w.Header(), r)
	if r.ContentLength != 0 { // net/http reads what of a body nobody wants, before it answers; it sets the deadline of the next request
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.cfg.ReadTimeout))
	}
	name := "none"
	if inside, ok := s.inside(r); ok {
		name = s.answer(cw, inside)
	} else if r.URL.Path+"/" == s.cfg.BasePath {
		http.Redirect(cw, r, s.cfg.BasePath, http.StatusPermanentRedirect)
	} else {
		writeProblem(cw, problem{Status: http.StatusNotFound, Detail: "everything is served under " + s.cfg.BasePath})
	}
	if !cw.handedOver {
		s.metrics.request(name, r.Method, cw.status())
	}
}

// inside returns a request as it is without the base path. Health and metrics are at the root besides, where kubelet and Prometheus look.
func (s *Server) inside(r *http.Request) (*http.Request, bool) {
	if s.cfg.BasePath == "/" {
		return r, true
	}
	switch r.URL.Path {
	case "/healthz", "/readyz", "/metrics":
		return r, true
	}
	prefix := strings.TrimSuffix(s.cfg.BasePath, "/")
	path, ok := strings.CutPrefix(r.URL.Path, prefix)
	raw, rawOK := strings.CutPrefix(r.URL.RawPath, prefix)
	if !ok || !strings.HasPrefix(path, "/") || !rawOK && r.URL.RawPath != "" {
		return nil, false
	}
	stripped := *r
	u := *r.URL
	u.Path, u.RawPath = path, raw
	stripped.URL = &u
	return &stripped, true
}

// answer answers a request and returns the name of its route.
func (s *Server) answer(w *countingWriter, r *http.Request) (name string) {
	rt, ok := s.find(r)
	shared := s.share(w.Header(), r)
	if err := s.reachable(r); err != nil {
		s.deny(w, r, err)
		return rt.name
	}
	handle := rt.handler(r.Method)
	switch {
	case !ok:
		writeProblem(w, problem{Status: http.StatusNotFound, Detail: "there is nothing at this path; GET / with Accept: application/json describes what there is"})
	case shared && isPreflight(r):
		preflight(w, rt)
	case handle == nil:
		w.Header().Set("Allow", rt.allow())
		writeProblem(w, problem{Status: http.StatusMethodNotAllowed, Detail: "allowed here: " + rt.allow()})
	case rt.public:
		handle(w, r, nil)
	default:
		g, err := s.cfg.Auth.Authenticate(r)
		switch {
		case err != nil:
			s.deny(w, r, err)
		case strings.HasPrefix(r.URL.Path, "/v1/") && !s.hub.LogStatus().Loaded:
			writeProblem(w, problem{Status: http.StatusServiceUnavailable, Detail: "the server is loading its flows", retryAfter: 1})
		default:
			handle(w, r, g)
		}
	}
	return rt.name
}

// find resolves a path by hand: net/http's mux cleans paths, which would turn the valid flow ids "." and ".." into something else.
func (s *Server) find(r *http.Request) (route, bool) {
	path := r.URL.EscapedPath()
	switch path {
	case "/healthz":
		return route{name: "healthz", public: true, get: open(s.healthz)}, true
	case "/readyz":
		return route{name: "readyz", public: true, get: open(s.readyz)}, true
	case "/metrics":
		return route{name: "metrics", get: s.serveMetrics}, true
	case "/v1/me":
		return route{name: "me", get: s.me}, true
	case "/v1/flows":
		return route{name: "flows", get: s.list}, true
	case "/v1/stream":
		return route{name: "streams", get: s.streamMany}, true
	case "/sign-in":
		return route{name: "sign-in", public: true, get: open(s.signInPage), post: open(s.signIn)}, true
	case "/sign-out":
		return route{name: "sign-out", public: true, post: open(s.signOut)}, true
	case "/":
		return route{name: "page", public: true, get: open(s.root)}, true
	}
	if rest, ok := strings.CutPrefix(path, "/v1/"); ok {
		return s.findFlow(strings.Split(rest, "/"))
	}
	if s.cfg.Page != nil { // what the page is built of is no secret: everybody has it
		return route{name: "page", public: true, get: open(s.cfg.Page.ServeHTTP)}, true
	}
	return route{name: "none"}, false
}

// flowHandler answers a request of a caller about a flow.
type flowHandler func(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string)

func (s *Server) findFlow(parts []string) (route, bool) {
	if len(parts) < 2 || parts[0] != "flows" {
		return route{name: "none"}, false
	}
	id, err := url.PathUnescape(parts[1])
	valid := err == nil && ValidFlowID(id)
	// with has a handler answer those who pass a check.
	with := func(check func(*auth.Grant, string) error, f flowHandler) handler {
		return func(w http.ResponseWriter, r *http.Request, g *auth.Grant) {
			if !valid {
				writeProblem(w, problem{Status: http.StatusBadRequest, Field: "flowId", Detail: "a flow id has 1 to 128 characters of A-Z a-z 0-9 . _ : -"})
				return
			}
			if err := check(g, id); err != nil {
				s.deny(w, r, err)
				return
			}
			f(w, r, g, id)
		}
	}
	read, remove := (*auth.Grant).CheckRead, (*auth.Grant).CheckDelete
	later := func(*auth.Grant, string) error { return nil } // the handler checks, which knows of more: messages, a region
	rt := route{name: "none"}
	if valid {
		rt.flowID = id
	}
	switch len(parts) {
	case 2:
		rt.name, rt.del = "flow", with(remove, s.deleteFlow)
	case 3:
		switch rt.name = parts[2]; rt.name {
		case "events":
			rt.get, rt.post = with(read, s.events), with(later, s.post)
		case "snapshot":
			rt.get = with(read, s.snapshot)
		case "stream":
			rt.get = with(read, s.stream)
		case "rollouts":
			rt.get = with(read, s.rollouts)
		default:
			return route{name: "none"}, false
		}
	case 4:
		if parts[2] != "regions" {
			return route{name: "none"}, false
		}
		region := func(f regionHandler) flowHandler {
			return func(w http.ResponseWriter, r *http.Request, g *auth.Grant, id string) {
				withRegion(w, r, g, id, parts[3], f)
			}
		}
		rt.name, rt.put, rt.del = "region", with(later, region(s.claimRegion)), with(remove, region(s.deleteRegion))
	default:
		return rt, false
	}
	return rt, true
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
