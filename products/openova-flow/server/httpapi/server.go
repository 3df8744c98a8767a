package httpapi

import (
	"context"
	"fmt"
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
	MaxAnswerBytes  int64         // of all large answers and deliveries that readers have not taken yet; 256 MiB
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
	if c.MaxAnswerBytes == 0 {
		c.MaxAnswerBytes = 256 << 20
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
	ingest   atomic.Int64  // bytes of bodies in flight
	bodies   places        // the same, where there is access control
	turns    turns         // of those who have answers made
	answers  *answers      // that are being written
	slowest  time.Duration // bytes a second that a reader has to take; slowest
	streams  places        // for those that are open, where there is access control
	metrics  metrics
	refusals logLimiters // of messages
	claims   logLimiters // that were refused
	denials  map[auth.Reason]*logLimiters
	endings  logLimiters // of streams
	fan      *fan

	routes, ofFlow map[string]*route // by path, and those of a flow by what follows its id
	page           *route            // of what else there is, when there is a page
}

// New returns a Server over a hub. It is not ready until SetReady(true).
func New(h *hub.Hub, cfg Config) *Server {
	s := &Server{cfg: cfg.withDefaults(), hub: h, metrics: newMetrics(), slowest: slowest}
	s.denials = make(map[auth.Reason]*logLimiters)
	for _, reason := range auth.Reasons {
		s.denials[reason] = new(logLimiters)
	}
	s.answers = newAnswers(s.cfg.MaxAnswerBytes)
	s.fan = newFan(s)
	s.lay()
	return s
}

// SetReady turns /readyz on or off.
func (s *Server) SetReady(ready bool) { s.ready.Store(ready) }

// Shutdown waits until the streams that were taken away from net/http have ended, which they do by themselves once the hub is closed.
// When ctx is done first it cuts them off. It is for after http.Server.Shutdown.
func (s *Server) Shutdown(ctx context.Context) { s.fan.shutdown(ctx) }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	cw := &countingWriter{ResponseWriter: w, timeout: s.cfg.WriteTimeout}
	name := s.enter(cw, r)
	if cw.reader != nil {
		s.run(cw, r)
	}
	if !cw.handedOver {
		s.metrics.request(name, r.Method, cw.status())
	}
}

// enter answers a request, but for a stream that is left in w, and returns the name of its route.
func (s *Server) enter(w *countingWriter, r *http.Request) (name string) {
	Secure(w.Header())
	if r.TLS != nil {
		w.Header()["Strict-Transport-Security"] = onlyTLS
	}
	if r.ContentLength != 0 { // net/http reads what of a body nobody wants, before it answers; it sets the deadline of the next request
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.cfg.ReadTimeout))
	}
	if lines := headerLines(r); lines > maxHeaderLines {
		writeProblem(w, problem{Status: http.StatusRequestHeaderFieldsTooLarge, Detail: fmt.Sprintf("a request may have %d header lines, this one has %d", maxHeaderLines, lines)})
		return nowhere.name
	}
	if inside, ok := s.inside(r); ok {
		return s.answer(w, inside)
	}
	if r.URL.Path+"/" == s.cfg.BasePath {
		http.Redirect(w, r, s.cfg.BasePath, http.StatusPermanentRedirect)
	} else {
		writeProblem(w, problem{Status: http.StatusNotFound, Detail: "everything is served under " + s.cfg.BasePath})
	}
	return nowhere.name
}

// maxHeaderLines is how many lines the headers of a request may have. Each short one takes ten times its text in memory, for as long as a stream of
// the portable path is open.
const maxHeaderLines = 128

func headerLines(r *http.Request) (n int) {
	for _, values := range r.Header {
		n += len(values)
	}
	return n
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
	rt, at := s.find(r)
	shared := s.share(w.Header(), r)
	if err := s.reachable(r); err != nil {
		s.deny(w, r, err)
		return rt.name
	}
	handle := rt.handler(r.Method)
	switch {
	case !rt.public && !validQuery(r.URL.RawQuery): // of which net/url would leave out a part, and with it what keeps an answer small
		writeProblem(w, problem{Status: http.StatusBadRequest, Field: "query", Detail: "the query is name=value, percent-encoded, with & between"})
	case rt == &nowhere:
		writeProblem(w, problem{Status: http.StatusNotFound, Detail: "there is nothing at this path; GET / with Accept: application/json describes what there is"})
	case shared && isPreflight(r):
		preflight(w, rt)
	case handle == nil:
		w.Header().Set("Allow", rt.allow())
		writeProblem(w, problem{Status: http.StatusMethodNotAllowed, Detail: "allowed here: " + rt.allow()})
	case rt.public:
		handle(w, r, nil, at)
	default:
		g, err := s.cfg.Auth.Authenticate(r)
		switch {
		case err != nil:
			s.deny(w, r, err)
		case strings.HasPrefix(r.URL.Path, "/v1/") && !s.hub.LogStatus().Loaded:
			writeProblem(w, problem{Status: http.StatusServiceUnavailable, Detail: "the server is loading its flows", retryAfter: 1})
		default:
			handle(w, r, g, at)
		}
	}
	return rt.name
}

func validQuery(query string) bool {
	if query == "" {
		return true
	}
	_, err := url.ParseQuery(query)
	return err == nil
}

// countingWriter remembers the status for the metrics. A large answer goes out under a deadline that moves with progress, so that
// one that nobody reads does not stay in memory.
type countingWriter struct {
	http.ResponseWriter
	timeout time.Duration
	code    int

	handedOver bool // the connection belongs to the fan, which counts the request when it ends

	// A stream that is to be run: whose it is, its reader, and the caller's session. It is run from a shallow stack, which it keeps.
	who     string
	reader  *hub.Reader
	session *auth.Session
}

func (w *countingWriter) Write(b []byte) (int, error) {
	if len(b) <= writeAtMost {
		return w.ResponseWriter.Write(b)
	}
	out := deadline{rc: http.NewResponseController(w.ResponseWriter)}
	return writeMoving(w.ResponseWriter, &out, w.timeout, w.timeout+time.Duration(len(b))*time.Second/slowest, b)
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
