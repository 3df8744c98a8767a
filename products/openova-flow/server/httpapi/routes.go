package httpapi

import (
	"net/http"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
)

// noRoute is the name in metrics and logs for requests that reach no route.
const noRoute = "none"

// routes returns the handler of all routes. Each has a pattern of net/http's mux, and a name for metrics and logs.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	names := make(map[string]string)
	route := func(pattern, name string, h http.Handler) {
		names[pattern] = name
		mux.Handle(pattern, chain(h, named(name), s.localOnly, s.shareWithOrigins))
	}
	public := func(f http.HandlerFunc) http.Handler { return f }
	read, remove := (*auth.Grant).CheckRead, (*auth.Grant).CheckDelete

	route("GET /{$}", "page", public(s.root))
	route("GET /healthz", "healthz", public(s.healthz))
	route("GET /readyz", "readyz", public(s.readyz))
	route("GET /metrics", "metrics", s.authenticated(s.serveMetrics))
	route("GET /sign-in", "sign-in", public(s.signInPage))
	route("POST /sign-in", "sign-in", public(s.signIn))
	route("POST /sign-out", "sign-out", public(s.signOut))
	route("GET /v1/me", "me", s.authenticated(s.me))
	route("GET /v1/flows", "flows", s.authenticated(s.list))
	route("GET /v1/stream", "streams", s.authenticated(s.streamMany))
	route("DELETE /v1/flows/{flowId}", "flow", s.authenticated(s.ofFlow(remove, s.deleteFlow)))
	route("POST /v1/flows/{flowId}/events", "events", s.authenticated(s.ofFlow(nil, s.post)))
	route("GET /v1/flows/{flowId}/events", "events", s.authenticated(s.ofFlow(read, s.events)))
	route("GET /v1/flows/{flowId}/snapshot", "snapshot", s.authenticated(s.ofFlow(read, s.snapshot)))
	route("GET /v1/flows/{flowId}/stream", "stream", s.authenticated(s.ofFlow(read, s.stream)))
	route("GET /v1/flows/{flowId}/rollouts", "rollouts", s.authenticated(s.ofFlow(read, s.rollouts)))
	route("GET /v1/flows/{flowId}/revisions", "revisions", s.authenticated(s.ofFlow(read, s.revisions)))
	route("GET /v1/flows/{flowId}/problems", "problems", s.authenticated(s.ofFlow(read, s.problems)))
	route("GET /v1/flows/{flowId}/regions", "regions", s.authenticated(s.ofFlow(read, s.regions)))
	route("PUT /v1/flows/{flowId}/regions/{region}", "region", s.authenticated(s.ofFlow(nil, s.claimRegion)))
	route("DELETE /v1/flows/{flowId}/regions/{region}", "region", s.authenticated(s.ofFlow(remove, s.deleteRegion)))
	route("/", noRoute, public(func(w http.ResponseWriter, r *http.Request) { s.unmatched(w, r, mux, names) }))
	return literalSegments(mux)
}

// unmatched answers a request without a route: with a file of the page, with 405 when the path has routes for other methods, else with 404.
func (s *Server) unmatched(w http.ResponseWriter, r *http.Request, mux *http.ServeMux, names map[string]string) {
	name, allowed := noRoute, []string(nil)
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete} {
		other := *r
		other.Method = method
		if _, pattern := mux.Handler(&other); pattern != "/" {
			name, allowed = names[pattern], append(allowed, method)
		}
	}
	if allowed == nil && s.cfg.Page != nil && !strings.HasPrefix(r.URL.Path, "/v1/") { // files of the page are public
		name, allowed = "page", []string{http.MethodGet, http.MethodHead}
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			named(name)(s.cfg.Page).ServeHTTP(w, r)
			return
		}
	}
	w.(*recorder).route = name
	if allowed == nil {
		writeProblem(w, problem{Status: http.StatusNotFound, Detail: "unknown path; GET / with Accept: application/json lists the known ones"})
		return
	}
	methods := strings.Join(allowed, ", ")
	w.Header().Set("Allow", methods)
	writeProblem(w, problem{Status: http.StatusMethodNotAllowed, Detail: "allowed methods: " + methods})
}
