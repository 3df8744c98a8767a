package httpapi

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
)

// deny answers a request with err, and counts and logs err if it is a denial.
func (s *Server) deny(w http.ResponseWriter, r *http.Request, err error) {
	s.noteDenial(w, r, err)
	writeProblem(w, problemOf(err))
}

// noteDenial counts err if it is a denial, and logs it, at most once a second for each caller and reason.
func (s *Server) noteDenial(w http.ResponseWriter, r *http.Request, err error) {
	var denial *auth.Denial
	if !errors.As(err, &denial) {
		return
	}
	s.metrics.denied[denial.Reason].Add(1)
	if missed, ok := s.denials[denial.Reason].allow(denial.Name, time.Now()); ok {
		peer, _, _ := net.SplitHostPort(r.RemoteAddr)
		s.cfg.Logger.Warn("access denied", "denial", denial, "method", methodLabel(r.Method), "route", w.(*recorder).route, "flow", flowOf(r), "peer", peer, "unlogged", missed)
	}
}

// audit logs a deletion or a sign-in. message is constant.
func (s *Server) audit(message string, g *auth.Grant, args ...any) {
	s.cfg.Logger.Info(message, append([]any{"by", g.Name()}, args...)...)
}

// me answers with the name and the permissions of the caller.
func (s *Server) me(w http.ResponseWriter, _ *http.Request, g *auth.Grant) {
	writeJSON(w, struct {
		Name     string   `json:"name"`
		Scopes   []string `json:"scopes"`
		SignedIn string   `json:"signedIn"` // bearer, cookie, proxy or none
	}{g.Name(), g.Scopes(), g.SignedIn()})
}
