package httpapi

import (
	"net/http"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/internal/web"
)

// root answers with the page; with the description if there is no page, or if Accept names JSON and not HTML before it. A browser that is not signed in is
// sent to the sign-in page.
func (s *Server) root(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept")
	page := s.cfg.Page != nil && web.FirstAccepted(r.Header.Values("Accept"), typeJSON, "text/html") != typeJSON
	if _, err := s.cfg.Auth.Authenticate(r); err != nil {
		if page && strings.Contains(r.Header.Get("Accept"), "text/html") {
			s.toSignIn(w, r, err)
			return
		}
		s.deny(w, r, err)
		return
	}
	if page {
		s.cfg.Page.ServeHTTP(w, r)
		return
	}
	writeJSON(w, describe(s.cfg.Version))
}

func describe(version string) any {
	type endpoint struct {
		Method string `json:"method"`
		Path   string `json:"path"`
		Does   string `json:"does"`
	}
	return struct {
		Name          string     `json:"name"`
		Version       string     `json:"version"`
		SchemaVersion int        `json:"schemaVersion"`
		Endpoints     []endpoint `json:"endpoints"`
	}{"openova-flow-server", version, 1, []endpoint{
		{"POST", "/v1/flows/{flowId}/events", "fold one message (application/json) or several, one on each line (application/x-ndjson)"},
		{"GET", "/v1/flows/{flowId}/snapshot", "the folded state, with ?region=R that of one region; ETag and If-None-Match"},
		{"GET", "/v1/flows/{flowId}/stream", "Server-Sent Events; Last-Event-ID or ?lastEventId= resumes"},
		{"GET", "/v1/flows/{flowId}/events?after=N&limit=M", "the messages still held, and the state before the first of them"},
		{"GET", "/v1/flows/{flowId}/rollouts", "the rollouts, newest first"},
		{"GET", "/v1/flows/{flowId}/revisions", "the revisions of the sources, newest first, and how far each region is; with ?revision=R that commit, digest or tag, &limit=N"},
		{"GET", "/v1/flows/{flowId}/problems", "the present problems, one entry for each root cause, with ?region=R those that concern that region; application/json, text/plain or text/markdown"},
		{"DELETE", "/v1/flows/{flowId}", "delete the flow"},
		{"GET", "/v1/flows/{flowId}/regions", "the claims of the regions: which are stale, and since when"},
		{"PUT", "/v1/flows/{flowId}/regions/{region}", "claim a region for a cluster, or renew the claim"},
		{"DELETE", "/v1/flows/{flowId}/regions/{region}", "remove a region's nodes, their relationships, and its claim"},
		{"GET", "/v1/flows", "the flows that the caller may read"},
		{"GET", "/v1/stream?flow=a&flow=b", "Server-Sent Events of several flows, of all when none is named; the event is <flowId>/<type>, and Last-Event-ID resumes all"},
		{"GET", "/v1/me", "the caller's name and permissions"},
		{"POST", "/sign-in", "set a cookie with a token, for browsers; GET is the form"},
		{"POST", "/sign-out", "delete the cookie"},
		{"GET", "/healthz", "200 while the process lives"},
		{"GET", "/readyz", "200 when it can serve"},
		{"GET", "/metrics", "Prometheus text"},
		{"GET", "/", "the page; with Accept: application/json this description"},
	}}
}
