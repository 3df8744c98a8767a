package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/internal/web"
)

type middleware = func(http.Handler) http.Handler

// chain wraps h in middleware, the first outermost.
func chain(h http.Handler, all ...middleware) http.Handler {
	for _, m := range slices.Backward(all) {
		h = m(h)
	}
	return h
}

// strictTransport is shared between answers and never changed.
var strictTransport = []string{"max-age=31536000"}

// secured sets the security headers.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		web.Secure(w.Header())
		if r.TLS != nil {
			w.Header()["Strict-Transport-Security"] = strictTransport
		}
		next.ServeHTTP(w, r)
	})
}

// maxHeaderLines is how many lines the header of a request may have. A short line takes ten times its length in memory, and a stream of the portable
// writer keeps it.
const maxHeaderLines = 128

// limited bounds the header lines of a request, and the time that its body may take to arrive.
func (s *Server) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 { // also for a body that no handler reads: net/http reads it before it answers
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.cfg.ReadTimeout))
		}
		lines := 0
		for _, values := range r.Header {
			lines += len(values)
		}
		if lines > maxHeaderLines {
			writeProblem(w, problem{Status: http.StatusRequestHeaderFieldsTooLarge, Detail: fmt.Sprintf("a request may have %d header lines, this one has %d", maxHeaderLines, lines)})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// underBasePath removes the base path, and redirects to it if its final slash is missing. Health and metrics are also served at the root, where kubelet and
// Prometheus look.
func (s *Server) underBasePath(next http.Handler) http.Handler {
	if s.cfg.BasePath == "/" {
		return next
	}
	prefix := strings.TrimSuffix(s.cfg.BasePath, "/")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, ok := strings.CutPrefix(r.URL.EscapedPath(), prefix)
		switch path := r.URL.Path; {
		case path == "/healthz" || path == "/readyz" || path == "/metrics":
			next.ServeHTTP(w, r)
		case path == prefix:
			target := s.cfg.BasePath
			if r.URL.RawQuery != "" {
				target += "?" + r.URL.RawQuery
			}
			http.Redirect(w, r, target, http.StatusPermanentRedirect)
		case ok && strings.HasPrefix(rest, "/"):
			next.ServeHTTP(w, withPath(r, rest))
		default:
			writeProblem(w, problem{Status: http.StatusNotFound, Detail: "the server's paths begin with " + s.cfg.BasePath})
		}
	})
}

// emptySegment stands for an empty segment of a path. It is not UTF-8, so it is refused as a flow id and as a region.
const emptySegment = "%FF"

// literalSegments percent-encodes the segments . and .. of a path and replaces empty ones by emptySegment, because the mux would redirect such a path before
// any handler runs. It keeps an empty last segment outside /v1/. None of the results is a valid flow id. As a region, . and .. are taken literally, and
// emptySegment is refused. Elsewhere only the pattern / matches them.
func literalSegments(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.Path; r.URL.RawPath == "" && strings.HasPrefix(p, "/") && !strings.HasSuffix(p, "/") && !strings.Contains(p, "//") && !strings.Contains(p, "/.") {
			next.ServeHTTP(w, r) // the usual path has no such segment
			return
		}
		segments := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
		changed := !strings.HasPrefix(r.URL.Path, "/")
		for i, segment := range segments {
			switch {
			case segment == "." || segment == "..":
				segments[i] = strings.ReplaceAll(segment, ".", "%2E")
			case segment == "" && (i < len(segments)-1 || segments[0] == "v1"):
				segments[i] = emptySegment
			default:
				continue
			}
			changed = true
		}
		if changed {
			r = withPath(r, "/"+strings.Join(segments, "/"))
		}
		next.ServeHTTP(w, r)
	})
}

// withPath returns a copy of r with another path, given percent-encoded.
func withPath(r *http.Request, escaped string) *http.Request {
	other, u := *r, *r.URL
	u.Path, _ = url.PathUnescape(escaped) // cannot fail: escaped is made from EscapedPath
	u.RawPath = escaped
	other.URL, other.RequestURI = &u, escaped
	return &other
}

// named sets the name of the route in metrics and logs.
func named(route string) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.(*recorder).route = route
			next.ServeHTTP(w, r)
		})
	}
}

// localOnly applies auth.CheckLoopback if Config.Loopback is set.
func (s *Server) localOnly(next http.Handler) http.Handler {
	if !s.cfg.Loopback {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := auth.CheckLoopback(r, s.cfg.Origins...); err != nil {
			s.deny(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

const (
	exposedHeaders = "ETag, Flow-Incarnation, Retry-After, WWW-Authenticate"
	allowedHeaders = "Authorization, Content-Type, If-None-Match, Last-Event-ID, Flow-Emitter, Flow-If-Incarnation, Flow-Lease"
	allowedMethods = "GET, HEAD, POST, PUT, DELETE"
)

// shareWithOrigins lets pages of the configured origins read the answer (CORS protocol of the Fetch standard), and answers their preflight requests. They
// must send a token: browsers do not show them the answer to a request with a cookie.
func (s *Server) shareWithOrigins(next http.Handler) http.Handler {
	if len(s.cfg.Origins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		origin := r.Header["Origin"]
		if len(origin) != 1 || !slices.Contains(s.cfg.Origins, origin[0]) {
			next.ServeHTTP(w, r)
			return
		}
		h["Access-Control-Allow-Origin"] = origin
		h.Set("Access-Control-Expose-Headers", exposedHeaders)
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			next.ServeHTTP(w, r)
			return
		}
		h.Set("Access-Control-Allow-Methods", allowedMethods)
		h.Set("Access-Control-Allow-Headers", allowedHeaders)
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
	})
}

// wholeQuery refuses a query that net/url cannot parse completely. net/url would ignore the rest, which may be the part that limits the answer.
func wholeQuery(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "" {
			if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
				writeProblem(w, problem{Status: http.StatusBadRequest, Field: "query", Detail: "a query is name=value pairs, percent-encoded and separated by &: " + err.Error()})
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// handler answers a request; g is the grant of its caller.
type handler func(w http.ResponseWriter, r *http.Request, g *auth.Grant)

// authenticated calls f with the grant of the caller; below /v1/, only once the server has loaded its flows.
func (s *Server) authenticated(f handler) http.Handler {
	return wholeQuery(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g, err := s.cfg.Auth.Authenticate(r)
		switch {
		case err != nil:
			s.deny(w, r, err)
		case strings.HasPrefix(r.URL.Path, "/v1/") && !s.hub.LogStatus().Loaded:
			writeProblem(w, problem{Status: http.StatusServiceUnavailable, Detail: loading(s.hub.LogStatus()), RetryAfter: 1})
		default:
			f(w, r, g)
		}
	}))
}

// flowHandler is a handler for a flow; the id is valid.
type flowHandler func(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string)

// ofFlow calls f for a valid flow id if check allows the caller. With a nil check f must check the caller itself.
func (s *Server) ofFlow(check func(g *auth.Grant, flowID string) error, f flowHandler) handler {
	return func(w http.ResponseWriter, r *http.Request, g *auth.Grant) {
		flowID := flowOf(r)
		if flowID == "" {
			writeProblem(w, problem{Status: http.StatusBadRequest, Field: "flowId", Detail: "a flow id has " + flow.IDSyntax})
			return
		}
		if check != nil {
			if err := check(g, flowID); err != nil {
				s.deny(w, r, err)
				return
			}
		}
		f(w, r, g, flowID)
	}
}

// flowOf returns the flow id in the path of a request, "" when there is none or it is not valid.
func flowOf(r *http.Request) string {
	if id := r.PathValue("flowId"); flow.ValidID(id) {
		return id
	}
	return ""
}
