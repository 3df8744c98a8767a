package httpapi

import (
	"fmt"
	"net/http"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
)

// shownRevisions is the default limit of an answer.
const shownRevisions = 100

// revisions answers with the revisions of a flow's sources, newest first: at most limit, and with the parameter revision only those that match it.
func (s *Server) revisions(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string) {
	query := r.URL.Query()
	limit, ok := queryInt(query, "limit", shownRevisions)
	if !ok || limit < 1 || limit > revision.Keep {
		writeProblem(w, problem{Status: http.StatusBadRequest, Field: "limit", Detail: fmt.Sprintf("limit is a number of revisions, from 1 to %d", revision.Keep)})
		return
	}
	var match func(*revision.Revision) bool
	if query.Has("revision") {
		want, err := revision.ParseName(query.Get("revision"))
		if n := len(query["revision"]); n != 1 {
			err = fmt.Errorf("%d revisions; allowed: one", n)
		}
		if err != nil {
			writeProblem(w, problem{Status: http.StatusBadRequest, Field: "revision", Detail: err.Error()})
			return
		}
		match = func(r *revision.Revision) bool { return r.Is(want) }
	}
	s.answerJSON(w, r, g, func() (any, string, error) {
		answer, err := s.hub.Revisions(flowID, match, int(limit))
		for i := range answer.Revisions {
			if one := &answer.Revisions[i]; one.Commit != "" {
				one.CommitURL = s.cfg.CommitLinks.Commit(one.Source.URL, one.Commit)
			}
		}
		return answer, answer.Incarnation, err
	})
}
