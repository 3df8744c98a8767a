package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// maxNamedFlows is how many flows one stream may name. One that names none has all.
const maxNamedFlows = 256

// streamMany follows several flows by one connection: those that are named by ?flow=, or all. The event of a frame is the flow's id,
// a slash and the message's type.
func (s *Server) streamMany(w http.ResponseWriter, r *http.Request) {
	ids := r.URL.Query()["flow"]
	selection, p := selectionOf(ids)
	if p.Status != 0 {
		writeProblem(w, p)
		return
	}
	last, resume := lastEventID(r)
	reader, err := s.hub.FollowMany(selection, last, resume)
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	s.follow(w, r, reader)
}

func selectionOf(ids []string) (hub.Selection, problem) {
	if len(ids) == 0 {
		return hub.Selection{Key: "*", Match: func(string) bool { return true }}, problem{}
	}
	if len(ids) > maxNamedFlows {
		return hub.Selection{}, problem{Status: http.StatusBadRequest, Field: "flow", Detail: fmt.Sprintf("a stream may name %d flows; name none to follow all", maxNamedFlows)}
	}
	for i, id := range ids {
		if !ValidFlowID(id) {
			return hub.Selection{}, problem{Status: http.StatusBadRequest, Field: fmt.Sprintf("flow[%d]", i), Detail: "a flow id has 1 to 128 characters of A-Z a-z 0-9 . _ : -"}
		}
	}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	match := func(id string) bool { _, found := slices.BinarySearch(ids, id); return found }
	return hub.Selection{Key: strings.Join(ids, ","), Match: match}, problem{}
}
