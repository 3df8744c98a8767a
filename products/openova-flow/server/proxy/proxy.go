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
	// for each, so a stream outlives what it was allowed by. Required.
	Authorize func(r *http.Request, flowID string) error

	// AllowIngest lets POST events pass besides what reads, and the claims of regions that emitters make.
	AllowIngest bool

	// Token returns the bearer token for upstream. It is called for each request; nil sends none.
	Token func() (string, error)

	// Transport reaches upstream; nil is NewTransport() with AnswerTimeout.
	Transport http.RoundTripper

	AnswerTimeout time.Duration // how long upstream may take to begin its answer; 15 s. A Transport of one's own has its own
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

// Handler passes requests on. Its paths are those of the flow server, /v1/flows/{flowId}/…; mount it with http.StripPrefix.
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
		ModifyResponse: checkAnswer,
		ErrorHandler:   h.fail,
		ErrorLog:       slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	return h, nil
}

// Close ends the open streams and refuses new ones, so that http.Server.Shutdown need not wait for them.
func (h *Handler) Close() { h.close() }

// resources are what a flow has, and how it may be read and written.
var resources = map[string]struct{ read, write []string }{
	"snapshot": {read: reading}, "stream": {read: reading}, "rollouts": {read: reading}, "problems": {read: reading},
	"events": {reading, []string{http.MethodPost}}, "regions": {write: []string{http.MethodPut}},
}

var reading = []string{http.MethodGet, http.MethodHead}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	flowID, resource, region, ok := parsePath(r.URL.EscapedPath())
	allowed := slices.Clone(resources[resource].read)
	if h.cfg.AllowIngest {
		allowed = append(allowed, resources[resource].write...)
	}
	if !ok || len(allowed) == 0 {
		writeProblem(w, http.StatusNotFound, "there is nothing at this path")
		return
	}
	if !flow.ValidID(flowID) {
		writeProblem(w, http.StatusBadRequest, "a flow id has "+flow.IDSyntax)
		return
	}
	if !slices.Contains(allowed, r.Method) {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		writeProblem(w, http.StatusMethodNotAllowed, "allowed here: "+strings.Join(allowed, ", "))
		return
	}
	if err := h.cfg.Authorize(r, flowID); err != nil {
		refuse(w, err)
		return
	}
	ctx := r.Context()
	if resource == "stream" {
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
	h.reverse.ServeHTTP(out, h.rewrite(r.WithContext(ctx), flowID, resource, region))
}

// parsePath takes /v1/flows/{flowId}/{resource} apart, where the resource is regions with the region after it. It works on the escaped
// path, so that a slash in an id stays in it.
func parsePath(path string) (flowID, resource, region string, ok bool) {
	rest, ok := strings.CutPrefix(path, "/v1/flows/")
	escaped, rest, found := strings.Cut(rest, "/")
	resource, rest, more := strings.Cut(rest, "/")
	_, known := resources[resource]
	flowID, err1 := url.PathUnescape(escaped)
	region, err2 := url.PathUnescape(rest)
	one := more == (resource == "regions") && !strings.Contains(rest, "/") && more == (region != "")
	return flowID, resource, region, ok && found && known && one && err1 == nil && err2 == nil
}

// requestHeaders and parameters are all that a caller's request may carry upstream.
var (
	requestHeaders = []string{"Accept", "Content-Type", "Content-Encoding", "If-None-Match", "Last-Event-Id", "Flow-If-Incarnation", "Flow-Emitter", "Flow-Lease"}
	parameters     = []string{"lastEventId", "after", "limit", "region"}
)

// rewrite makes the request for upstream of what the caller asks.
func (h *Handler) rewrite(r *http.Request, flowID, resource, region string) *http.Request {
	out := r.Clone(r.Context())
	base := h.cfg.Upstream
	u := url.URL{Scheme: base.Scheme, Host: base.Host, Path: strings.TrimSuffix(base.Path, "/")}
	prefix := strings.TrimSuffix(base.EscapedPath(), "/")
	// A dot is escaped so that no gateway on the way takes the regions "." and ".." for steps in the path.
	u.Path, u.RawPath = u.Path+"/v1/flows/"+flowID+"/"+resource, prefix+"/v1/flows/"+strings.ReplaceAll(url.PathEscape(flowID), ".", "%2E")+"/"+resource
	if region != "" {
		u.Path, u.RawPath = u.Path+"/"+region, u.RawPath+"/"+strings.ReplaceAll(url.PathEscape(region), ".", "%2E")
	}
	query, asked := url.Values{}, r.URL.Query()
	for _, name := range parameters {
		if values, ok := asked[name]; ok {
			query[name] = values
		}
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
