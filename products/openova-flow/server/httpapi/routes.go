package httpapi

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// route is one place of the API: its name in metrics, and a handler for each method.
type route struct {
	name   string
	public bool    // it is for everybody, known or not
	get    handler // HEAD too
	post   handler
	put    handler
	del    handler
}

// nowhere is where there is nothing.
var nowhere = route{name: "none"}

// target is what a path names.
type target struct {
	flowID string // empty when it is none that is valid
	region string // percent-encoded
}

// handler answers a request of a caller that is known, or of anybody where the route is public.
type handler func(w http.ResponseWriter, r *http.Request, g *auth.Grant, at target)

// open is a handler that does not need to know the caller.
func open(f http.HandlerFunc) handler {
	return func(w http.ResponseWriter, r *http.Request, _ *auth.Grant, _ target) { f(w, r) }
}

// known is a handler of what is no flow's.
func known(f func(http.ResponseWriter, *http.Request, *auth.Grant)) handler {
	return func(w http.ResponseWriter, r *http.Request, g *auth.Grant, _ target) { f(w, r, g) }
}

// flowHandler answers a request of a caller about a flow.
type flowHandler func(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string)

// aboutFlow has a handler answer those who pass a check, where there is one: else the handler checks, which knows of more.
func (s *Server) aboutFlow(check func(*auth.Grant, string) error, f flowHandler) handler {
	return s.checked(check, func(w http.ResponseWriter, r *http.Request, g *auth.Grant, at target) { f(w, r, g, at.flowID) })
}

func (s *Server) checked(check func(*auth.Grant, string) error, f handler) handler {
	return func(w http.ResponseWriter, r *http.Request, g *auth.Grant, at target) {
		if at.flowID == "" {
			writeProblem(w, problem{Status: http.StatusBadRequest, Field: "flowId", Detail: "a flow id has " + flow.IDSyntax})
			return
		}
		if check != nil {
			if err := check(g, at.flowID); err != nil {
				s.deny(w, r, err)
				return
			}
		}
		f(w, r, g, at)
	}
}

// regionHandler answers a request of a caller about a region of a flow.
type regionHandler func(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID, region string)

func (s *Server) aboutRegion(check func(*auth.Grant, string) error, f regionHandler) handler {
	return s.checked(check, func(w http.ResponseWriter, r *http.Request, g *auth.Grant, at target) {
		region, err := url.PathUnescape(at.region)
		if err != nil || region == "" || !utf8.ValidString(region) {
			writeProblem(w, problem{Status: http.StatusBadRequest, Field: "region", Detail: "a region is not empty, and percent-encoded in the path"})
			return
		}
		f(w, r, g, at.flowID, region)
	})
}

// lay makes the routes.
func (s *Server) lay() {
	s.routes = map[string]*route{
		"/":          {name: "page", public: true, get: open(s.root)},
		"/healthz":   {name: "healthz", public: true, get: open(s.healthz)},
		"/readyz":    {name: "readyz", public: true, get: open(s.readyz)},
		"/metrics":   {name: "metrics", get: known(s.serveMetrics)},
		"/sign-in":   {name: "sign-in", public: true, get: open(s.signInPage), post: open(s.signIn)},
		"/sign-out":  {name: "sign-out", public: true, post: open(s.signOut)},
		"/v1/me":     {name: "me", get: known(s.me)},
		"/v1/flows":  {name: "flows", get: known(s.list)},
		"/v1/stream": {name: "streams", get: known(s.streamMany)},
	}
	read, remove := (*auth.Grant).CheckRead, (*auth.Grant).CheckDelete
	s.ofFlow = map[string]*route{
		"":          {name: "flow", del: s.aboutFlow(remove, s.deleteFlow)},
		"/events":   {name: "events", get: s.aboutFlow(read, s.events), post: s.aboutFlow(nil, s.post)},
		"/snapshot": {name: "snapshot", get: s.aboutFlow(read, s.snapshot)},
		"/stream":   {name: "stream", get: s.aboutFlow(read, s.stream)},
		"/rollouts": {name: "rollouts", get: s.aboutFlow(read, s.rollouts)},
		"/problems": {name: "problems", get: s.aboutFlow(read, s.problems)},
		"/regions/": {name: "region", put: s.aboutRegion(nil, s.claimRegion), del: s.aboutRegion(remove, s.deleteRegion)},
	}
	if s.cfg.Page != nil { // what the page is built of is no secret: everybody has it
		s.page = &route{name: "page", public: true, get: open(s.cfg.Page.ServeHTTP)}
	}
}

// find resolves a path by hand: net/http's mux cleans paths, which would turn an id such as "a//b", which is refused, into another path.
func (s *Server) find(r *http.Request) (rt *route, at target) {
	path := r.URL.EscapedPath()
	if rt = s.routes[path]; rt != nil {
		return rt, at
	}
	if !strings.HasPrefix(path, "/v1/") && s.page != nil {
		return s.page, at
	}
	rest, ok := strings.CutPrefix(path, "/v1/flows/")
	if !ok {
		return &nowhere, at
	}
	escaped, rest := cutBefore(rest, '/')
	if region, ok := strings.CutPrefix(rest, "/regions/"); ok && !strings.Contains(region, "/") {
		at.region, rest = region, "/regions/"
	}
	if rt = s.ofFlow[rest]; rt == nil {
		return &nowhere, target{}
	}
	if id, err := url.PathUnescape(escaped); err == nil && flow.ValidID(id) {
		at.flowID = id
	}
	return rt, at
}

// cutBefore cuts s before the first c.
func cutBefore(s string, c byte) (before, rest string) {
	if i := strings.IndexByte(s, c); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

func (rt *route) allow() string {
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

func (rt *route) handler(method string) handler {
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
