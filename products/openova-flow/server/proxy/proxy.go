package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// Errors that Authorize and AuthorizeList may return, wrapped or not, for the status codes 401 and 404. Any other error gives 403. The error's text is
// neither sent nor logged.
var (
	ErrUnauthenticated = errors.New("unknown caller")
	ErrNotFound        = errors.New("unknown flow")
)

const answerTimeout = 15 * time.Second

// Config configures a Handler.
type Config struct {
	// Upstream is the absolute http or https URL of the flow server, without user, query and fragment. Its path is the server's base
	// path. Required.
	Upstream *url.URL

	// Authorize returns nil if a request may access a flow. It gets the caller's request, and may be called concurrently. It is called
	// when the request arrives, for the requested flows until one is denied; an open stream goes on even if Authorize would deny it later.
	// For a list it is called with each flow in upstream's answer. Required.
	Authorize func(r *http.Request, flowID string) error

	// AuthorizeList returns nil if a request may list flows. The list has the flows that Authorize allows. Without
	// AuthorizeList there is no list. It may be called concurrently.
	AuthorizeList func(r *http.Request) error

	// AllowIngest also allows requests of emitters: POST events, and claims of regions.
	AllowIngest bool

	// Token returns the bearer token for upstream. It is called for each request, perhaps concurrently; nil sends none.
	Token func() (string, error)

	// Transport reaches upstream; nil is NewTransport() with AnswerTimeout.
	Transport http.RoundTripper

	AnswerTimeout time.Duration // how long upstream may take to begin its answer; default: 15 s. Ignored with a Transport
	WriteTimeout  time.Duration // how long a caller may read no bytes before it is disconnected; default: 30 s
	Logger        *slog.Logger  // default: slog.Default()
}

func (c Config) validate() error {
	switch u := c.Upstream; {
	case u == nil:
		return errors.New("the upstream URL is missing")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.Opaque != "":
		return errors.New("the upstream URL must be absolute, http://host or https://host")
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		return errors.New("the upstream URL must have no user, query or fragment")
	case c.Authorize == nil:
		return errors.New("proxy.Config has no Authorize")
	}
	return nil
}

// Handler passes requests on. Its paths are those of the flow server: /v1/flows, /v1/stream and /v1/flows/{flowId}/…; mount it with http.StripPrefix.
type Handler struct {
	cfg     Config
	reverse *httputil.ReverseProxy
	closing context.Context
	close   context.CancelFunc
}

// NewTransport returns a new transport for Config.Transport, which the caller may change. It uses no proxy from the environment and no compression,
// which would delay frames, and gives an answer 15 s to begin.
func NewTransport() *http.Transport {
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: answerTimeout,
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   64,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true,
	}
}

// New returns a Handler. It starts nothing.
func New(cfg Config) (*Handler, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("flow proxy: %w", err)
	}
	if cfg.AnswerTimeout == 0 {
		cfg.AnswerTimeout = answerTimeout
	}
	if cfg.WriteTimeout == 0 {
		cfg.WriteTimeout = 30 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Transport == nil {
		t := NewTransport()
		t.ResponseHeaderTimeout = cfg.AnswerTimeout
		cfg.Transport = t
	}
	h := &Handler{cfg: cfg}
	h.closing, h.close = context.WithCancel(context.Background())
	h.reverse = &httputil.ReverseProxy{
		Rewrite:        func(*httputil.ProxyRequest) {}, // ServeHTTP makes the request with rewrite
		Transport:      upstream{cfg.Transport, cfg.Token},
		BufferPool:     new(buffers),
		ModifyResponse: checkAnswer,
		ErrorHandler:   h.fail,
		ErrorLog:       slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	return h, nil
}

// Close ends the open streams and refuses new ones, so that http.Server.Shutdown need not wait for them.
func (h *Handler) Close() { h.close() }

// resources are the served resources, with the methods that read and write them.
var resources = map[string]struct{ read, write []string }{
	"list": {read: reading}, "streams": {read: reading}, // streams of several flows
	"snapshot": {read: reading}, "stream": {read: reading}, "rollouts": {read: reading}, "revisions": {read: reading}, "problems": {read: reading},
	"events": {reading, []string{http.MethodPost}}, "regions": {read: reading}, "region": {write: []string{http.MethodPut}},
}

var reading = []string{http.MethodGet, http.MethodHead}

// maxNamedFlows is how many flows a stream may name, as at the flow server.
const maxNamedFlows = 256

// ServeHTTP answers a request. It panics with http.ErrAbortHandler if an answer can't be completed: because the caller has disconnected, upstream ends in
// the middle of an answer, or Close ends a stream. net/http then closes the connection, so that the caller sees that the answer is incomplete, and logs
// nothing. Middleware that recovers must panic with the same value.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at, ok := parsePath(r.URL.EscapedPath())
	allowed := slices.Clone(resources[at.resource].read)
	if h.cfg.AllowIngest {
		allowed = append(allowed, resources[at.resource].write...)
	}
	if !ok || len(allowed) == 0 || at.resource == "list" && h.cfg.AuthorizeList == nil {
		writeProblem(w, http.StatusNotFound, "unknown path")
		return
	}
	if at.resource == "streams" {
		at.flows = r.URL.Query()["flow"]
	}
	if n := len(at.flows); at.resource != "list" && (n < 1 || n > maxNamedFlows) {
		writeProblem(w, http.StatusBadRequest, fmt.Sprintf("name the flows of a stream, 1 to %d, as ?flow=a&flow=b", maxNamedFlows))
		return
	}
	if slices.ContainsFunc(at.flows, func(id string) bool { return !flow.ValidID(id) }) {
		writeProblem(w, http.StatusBadRequest, "a flow id has "+flow.IDSyntax)
		return
	}
	if !slices.Contains(allowed, r.Method) {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		writeProblem(w, http.StatusMethodNotAllowed, "allowed methods: "+strings.Join(allowed, ", "))
		return
	}
	if err := h.authorize(r, at); err != nil {
		refuse(w, at.resource, err)
		return
	}
	ctx := r.Context()
	switch at.resource {
	case "list":
		ctx = context.WithValue(ctx, listed{}, func(id string) bool { return h.cfg.Authorize(r, id) == nil })
	case "stream", "streams":
		if h.closing.Err() != nil {
			w.Header().Set("Retry-After", "1")
			writeProblem(w, http.StatusServiceUnavailable, "the service is shutting down")
			return
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(h.closing, cancel)()
	}
	out := &answerWriter{w, http.NewResponseController(w), h.cfg.WriteTimeout}
	h.reverse.ServeHTTP(out, h.rewrite(r.WithContext(ctx), at))
}

func (h *Handler) authorize(r *http.Request, at target) error {
	if at.resource == "list" {
		return h.cfg.AuthorizeList(r)
	}
	for _, id := range at.flows {
		if err := h.cfg.Authorize(r, id); err != nil {
			return err
		}
	}
	return nil
}

type target struct {
	resource string   // a key of resources
	flows    []string // the requested flows
	region   string
}

// parsePath parses the paths of the list, of streams of several flows, and /v1/flows/{flowId}/{resource}, where the resource may be regions with a
// region after it. It takes the escaped path, so that a slash in an id does not separate segments.
func parsePath(path string) (at target, ok bool) {
	switch path {
	case "/v1/flows":
		return target{resource: "list"}, true
	case "/v1/stream":
		return target{resource: "streams"}, true
	}
	rest, ok := strings.CutPrefix(path, "/v1/flows/")
	escaped, rest, found := strings.Cut(rest, "/")
	resource, rest, more := strings.Cut(rest, "/")
	_, known := resources[resource]
	flowID, err1 := url.PathUnescape(escaped)
	region, err2 := url.PathUnescape(rest)
	ofFlow := known && resource != "list" && resource != "streams" && resource != "region"
	if resource == "regions" && more {
		resource = "region"
	}
	one := more == (resource == "region") && !strings.Contains(rest, "/") && more == (region != "")
	return target{resource, []string{flowID}, region}, ok && found && ofFlow && one && err1 == nil && err2 == nil
}

// upstreamPath returns the target's path at the flow server, plain and escaped.
func (at target) upstreamPath() (path, escaped string) {
	switch at.resource {
	case "list":
		return "/v1/flows", "/v1/flows"
	case "streams":
		return "/v1/stream", "/v1/stream"
	}
	path, escaped = "/v1/flows/"+at.flows[0]+"/", "/v1/flows/"+escape(at.flows[0])+"/"
	if at.resource == "region" {
		return path + "regions/" + at.region, escaped + "regions/" + escape(at.region)
	}
	return path + at.resource, escaped + at.resource
}

// escape also escapes dots, because gateways may resolve the segments . and .. of a path.
func escape(segment string) string { return strings.ReplaceAll(url.PathEscape(segment), ".", "%2E") }

// requestHeaders and parameters are passed on from the caller's request, as are the flows of a stream of several. All others are dropped.
var (
	requestHeaders = []string{"Accept", "Content-Type", "Content-Encoding", "If-None-Match", "Last-Event-Id", "Flow-If-Incarnation", "Flow-Emitter", "Flow-Lease"}
	parameters     = []string{"lastEventId", "after", "limit", "region", "revision"}
)

func (h *Handler) rewrite(r *http.Request, at target) *http.Request {
	out := r.Clone(r.Context())
	base := h.cfg.Upstream
	path, escaped := at.upstreamPath()
	u := url.URL{Scheme: base.Scheme, Host: base.Host, Path: strings.TrimSuffix(base.Path, "/") + path, RawPath: strings.TrimSuffix(base.EscapedPath(), "/") + escaped}
	query, given := url.Values{}, r.URL.Query()
	for _, name := range parameters {
		if values, ok := given[name]; ok {
			query[name] = values
		}
	}
	if at.resource == "streams" {
		query["flow"] = at.flows
	}
	u.RawQuery = query.Encode()
	out.URL, out.Host = &u, base.Host
	out.Header = http.Header{"User-Agent": {"openova-flow-proxy"}}
	for _, name := range requestHeaders {
		if values := r.Header.Values(name); len(values) > 0 {
			out.Header[name] = values
		}
	}
	out.Trailer = nil
	return out
}

// upstream adds the credentials of the service, and drops trailers.
type upstream struct {
	next  http.RoundTripper
	token func() (string, error)
}

func (u upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	if u.token != nil {
		token, err := u.token()
		if err != nil {
			return nil, fmt.Errorf("token for the flow server: %w", err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := u.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer := *resp // net/http adds trailers to the original after the body
	return &answer, nil
}
