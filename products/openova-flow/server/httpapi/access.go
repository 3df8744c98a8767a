package httpapi

import (
	"errors"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
)

// deny answers a caller that may not do what it asks, counts that and says so in the log.
func (s *Server) deny(w http.ResponseWriter, r *http.Request, err error) {
	s.noteRefusal(r, err)
	writeProblem(w, problemOf(err))
}

// noteRefusal counts a refusal and logs who was turned away and why, never what it showed of itself.
func (s *Server) noteRefusal(r *http.Request, err error) {
	var refusal *auth.Refusal
	if !errors.As(err, &refusal) {
		return
	}
	s.metrics.denied[refusal.Reason].Add(1)
	if missed, ok := s.denials[refusal.Reason].allow(refusal.Name, time.Now()); ok {
		rt, at := s.find(r)
		peer, _, _ := net.SplitHostPort(r.RemoteAddr)
		s.cfg.Logger.Warn("access refused", "refusal", refusal, "method", methodLabel(r.Method), "route", rt.name, "flow", at.flowID, "peer", peer, "unlogged", missed)
	}
}

// audit logs what a caller has done away with.
func (s *Server) audit(did string, g *auth.Grant, args ...any) {
	s.cfg.Logger.Info(did, append([]any{"by", g.Name()}, args...)...)
}

// reachable returns nil unless a request comes from where a server without access control must not be reached from.
func (s *Server) reachable(r *http.Request) error {
	if !s.cfg.Loopback {
		return nil
	}
	return auth.CheckLoopback(r, s.cfg.Origins...)
}

// Headers that every answer has. The lists are shared and never changed.
var (
	nosniff    = []string{"nosniff"}
	noReferrer = []string{"no-referrer"}
	nothing    = []string{"default-src 'none'; frame-ancestors 'none'"} // of what a page may do: an answer is none
	sameOrigin = []string{"same-origin"}
	onlyTLS    = []string{"max-age=31536000"}
)

// Secure sets the headers that keep browsers from taking an answer for more than it is.
func Secure(h http.Header) {
	h["X-Content-Type-Options"] = nosniff
	h["Referrer-Policy"] = noReferrer
	h["Content-Security-Policy"] = nothing
	h["Cross-Origin-Opener-Policy"] = sameOrigin
	h["Cross-Origin-Resource-Policy"] = sameOrigin
}

const (
	exposedHeaders = "ETag, Flow-Incarnation, Retry-After, WWW-Authenticate"
	allowedHeaders = "Authorization, Content-Type, If-None-Match, Last-Event-ID, Flow-Emitter, Flow-If-Incarnation, Flow-Lease"
)

// share lets pages of the origins that are listed read the answer (the Fetch standard, section 3.2), and reports whether this is one.
// They send tokens themselves: no cookie is taken from them.
func (s *Server) share(h http.Header, r *http.Request) bool {
	if len(s.cfg.Origins) == 0 {
		return false
	}
	h.Add("Vary", "Origin")
	origin := r.Header["Origin"]
	if len(origin) != 1 || !slices.Contains(s.cfg.Origins, origin[0]) {
		return false
	}
	h["Access-Control-Allow-Origin"] = origin
	h.Set("Access-Control-Expose-Headers", exposedHeaders)
	return true
}

// isPreflight reports whether a browser asks what a page of another origin may send.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

func preflight(w http.ResponseWriter, rt *route) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", rt.allow())
	h.Set("Access-Control-Allow-Headers", allowedHeaders)
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

// me tells a caller who it is taken for.
func (s *Server) me(w http.ResponseWriter, _ *http.Request, g *auth.Grant) {
	writeJSON(w, struct {
		Name     string   `json:"name"`
		Scopes   []string `json:"scopes"`
		SignedIn string   `json:"signedIn"` // bearer, cookie, proxy or none
	}{g.Name(), g.Scopes(), g.SignedIn()})
}
