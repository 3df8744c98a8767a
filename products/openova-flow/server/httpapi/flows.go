package httpapi

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
)

// list answers with the flows that the caller may read.
func (s *Server) list(w http.ResponseWriter, r *http.Request, g *auth.Grant) {
	if err := g.CheckReader(); err != nil {
		s.deny(w, r, err)
		return
	}
	s.answerJSON(w, r, g, func() (any, string, error) { return map[string]any{"flows": s.hub.List(g.CanRead)}, "", nil })
}

// rollouts answers with the rollouts of a flow, newest first.
func (s *Server) rollouts(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string) {
	s.answerJSON(w, r, g, func() (any, string, error) {
		list, incarnation, err := s.hub.Rollouts(flowID)
		return map[string]any{"rollouts": list}, incarnation, err
	})
}

// events answers with messages that the ring has, and the folded state before the first of them.
func (s *Server) events(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string) {
	query := r.URL.Query()
	after, ok1 := queryInt(query, "after", 0)
	limit, ok2 := queryInt(query, "limit", 0)
	if !ok1 || !ok2 || query.Get("limit") != "" && limit < 1 {
		field := "after"
		if ok1 {
			field = "limit"
		}
		writeProblem(w, problem{Status: http.StatusBadRequest, Field: field, Detail: "after is a sequence number (0 or more), limit a number of messages (1 or more)"})
		return
	}
	if err := s.hub.CatchUp(after); err != nil {
		w.Header().Set(headerIncarnation, s.hub.Incarnation(flowID))
		writeProblem(w, problemOf(err))
		return
	}
	s.answerJSON(w, r, g, func() (any, string, error) {
		history, err := s.hub.History(flowID, after, int(min(limit, 1<<30)))
		return history, history.Incarnation, err
	})
}

// queryInt returns an integer parameter, and def if it is absent or empty; ok is false if it is no integer or negative.
func queryInt(query url.Values, name string, def int64) (n int64, ok bool) {
	text := query.Get(name)
	if text == "" {
		return def, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0
}

func (s *Server) deleteFlow(w http.ResponseWriter, _ *http.Request, g *auth.Grant, flowID string) {
	existed, err := s.hub.Delete(flowID)
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	s.audit("flow deleted", g, "flow", flowID, "existed", existed)
	w.WriteHeader(http.StatusNoContent)
}
