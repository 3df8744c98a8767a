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

// What Authorize returns, wrapped or not, to be answered with 401 or 404. Any other error is answered with 403. The error's text
// goes to nobody.
var (
	ErrUnauthenticated = errors.New("the caller is not known")
	ErrNotFound        = errors.New("the caller may not know of the flow")
)

const answerTimeout = 15 * time.Second

// Config says what is passed on, to where and for whom.
type Config struct {
	// Upstream is the absolute http or https URL of the flow server, without user, query and fragment; a path is the prefix that
	// it serves under. Required.
	Upstream *url.URL

	// Authorize decides whether a request may reach a flow; nil lets it pass. It sees the request as it came, and is called once
	// for each flow, so a stream outlives what it was allowed by. Required.
	Authorize func(r *http.Request, flowID string) error

	// AuthorizeList decides whether a request may list flows; nil lets it pass. The list has the flows that Authorize lets pass. Without
	// AuthorizeList there is no list.
	AuthorizeList func(r *http.Request) error

	// AllowIngest lets POST events pass besides what reads, and the claims of regions that emitters make.
	AllowIngest bool

	// Token returns the bearer token for upstream. It is called for each request; nil sends none.
	Token func() (string, error)

	// Transport reaches upstream; nil is NewTransport() with AnswerTimeout.
	Transport http.RoundTripper

	AnswerTimeout time.Duration // how long upstream may take to begin its answer; 15 s. Ignored with a Transport
	WriteTimeout  time.Duration // how long a caller may take no bytes before it is cut; 30 s
	Logger        *slog.Logger  // slog.Default()
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
		return errors.New("config has no Authorize, which decides who may reach which flow")
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

// NewTransport returns a transport fit to reach a flow server, for those who change something of it: no proxy of the environment,
// no compression that would hold frames back, and 15 s for an answer to begin.
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
		Rewrite:        func(*httputil.ProxyRequest) {}, // the request is made whole before
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

// resources are what is served, and how it may be read and written.
var resources = map[string]struct{ read, write []string }{
	"list": {read: reading}, "streams": {read: reading}, // of several flows
	"snapshot": {read: reading}, "stream": {read: reading}, "rollouts": {read: reading}, "revisions": {read: reading}, "problems": {read: reading},
	"events": {reading, []string{http.MethodPost}}, "regions": {read: reading}, "region": {write: []string{http.MethodPut}},
}

var reading = []string{http.MethodGet, http.MethodHead}

// maxNamedFlows is how many flows a stream of several may name, here as at the flow server.
const maxNamedFlows = 256

// ServeHTTP panics with http.ErrAbortHandler where an answer can't be completed: when the caller has gone, when upstream ends in the
// middle of an answer, and when Close ends a stream. net/http then ends the connection, so that the caller sees that something is missing, and
// logs nothing; middleware that recovers has to panic with it again.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at, ok := parsePath(r.URL.EscapedPath())
	allowed := slices.Clone(resources[at.resource].read)
	if h.cfg.AllowIngest {
		allowed = append(allowed, resources[at.resource].write...)
	}
	if !ok || len(allowed) == 0 || at.resource == "list" && h.cfg.AuthorizeList == nil {
		writeProblem(w, http.StatusNotFound, "there is nothing at this path")
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
		writeProblem(w, http.StatusMethodNotAllowed, "allowed here: "+strings.Join(allowed, ", "))
		return
	}
	if err := h.authorize(r, at); err != nil {
		refuse(w, err)
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
	out := &deadlineWriter{w, http.NewResponseController(w), h.cfg.WriteTimeout}
	defer out.clear()
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

// target is what a path names.
type target struct {
	resource string   // a key of resources
	flows    []string // that are asked for
	region   string
}

// parsePath takes apart the paths of the list, of the stream of several flows, and /v1/flows/{flowId}/{resource}, where the resource is regions with the
// region after it. It works on the escaped path, so that a slash in an id stays in it.
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

// upstreamPath is where the target is at the flow server, and the same escaped.
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

// escape escapes dots too, so that no gateway on the way takes the regions "." and ".." for steps in the path.
func escape(segment string) string { return strings.ReplaceAll(url.PathEscape(segment), ".", "%2E") }

// requestHeaders and parameters are all that a caller's request may carry upstream.
var (
	requestHeaders = []string{"Accept", "Content-Type", "Content-Encoding", "If-None-Match", "Last-Event-Id", "Flow-If-Incarnation", "Flow-Emitter", "Flow-Lease"}
	parameters     = []string{"lastEventId", "after", "limit", "region", "revision"}
)

// rewrite makes the request for upstream of what the caller asks.
func (h *Handler) rewrite(r *http.Request, at target) *http.Request {
	out := r.Clone(r.Context())
	base := h.cfg.Upstream
	path, escaped := at.upstreamPath()
	u := url.URL{Scheme: base.Scheme, Host: base.Host, Path: strings.TrimSuffix(base.Path, "/") + path, RawPath: strings.TrimSuffix(base.EscapedPath(), "/") + escaped}
	query, asked := url.Values{}, r.URL.Query()
	for _, name := range parameters {
		if values, ok := asked[name]; ok {
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
	answer := *resp // trailers, which come after the body, stay with the original
	return &answer, nil
}
