package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// maxNamedFlows is how many flows one stream may name.
const maxNamedFlows = 256

// streamMany answers with a stream of several flows: those that ?flow= names, or all that the caller may read. The event of a frame about one flow begins
// with its id: <flow id>/<message type>, <flow id>/regions or <flow id>/deleted. The events heartbeat and flows have no flow id.
func (s *Server) streamMany(w http.ResponseWriter, r *http.Request, g *auth.Grant) {
	ids := r.URL.Query()["flow"]
	selection, check, err := s.selectionOf(ids, g)
	if err != nil {
		s.deny(w, r, err)
		return
	}
	last, resume := lastEventID(r, selection.Mark)
	reader, err := s.subscribe(r, g, func() (*hub.Reader, error) { return s.hub.FollowMany(selection, last, resume) })
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	s.writeStream(w, r, s.caller(r, g), reader, s.cfg.Auth.Open(g, check))
}

// markOf returns the mark that ends the event ids of a stream of all flows that a caller may read: a hash of its patterns. After these have changed, old
// ids resume nothing at any replica, because the caller lacks the state of the flows that are new to it. A caller that may read all flows has no mark.
func markOf(readable []string) string {
	if slices.Equal(readable, []string{"*"}) {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(readable, "|")))
	return "." + hex.EncodeToString(sum[:6])
}

// selectionOf returns the requested selection, and a function that checks whether a later grant of the caller still allows the stream. It fails if the
// ids are invalid or the caller may not read one of the flows. Equal selections share frames, whoever the callers are.
func (s *Server) selectionOf(ids []string, g *auth.Grant) (hub.Selection, func(*auth.Grant) error, error) {
	if err := g.CheckReader(); err != nil {
		return hub.Selection{}, nil, err
	}
	if len(ids) == 0 {
		readable := strings.Join(g.Readable(), "|")
		check := func(now *auth.Grant) error {
			if err := now.CheckReader(); err != nil {
				return err
			}
			if strings.Join(now.Readable(), "|") != readable {
				return &auth.Denial{Reason: auth.Flow, Name: now.Name(), Detail: "the flows that the credential is for have changed"}
			}
			return nil
		}
		return hub.Selection{Key: readable, Match: g.CanRead, Mark: markOf(g.Readable())}, check, nil
	}
	if len(ids) > maxNamedFlows {
		return hub.Selection{}, nil, problem{Status: http.StatusBadRequest, Field: "flow", Detail: fmt.Sprintf("a stream may name %d flows; name none to follow all", maxNamedFlows)}
	}
	for i, id := range ids {
		if !flow.ValidID(id) {
			return hub.Selection{}, nil, problem{Status: http.StatusBadRequest, Field: fmt.Sprintf("flow[%d]", i), Detail: "a flow id has " + flow.IDSyntax}
		}
	}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	check := func(g *auth.Grant) error {
		for _, id := range ids {
			if err := g.CheckRead(id); err != nil {
				return err
			}
		}
		return nil
	}
	match := func(id string) bool { _, found := slices.BinarySearch(ids, id); return found }
	return hub.Selection{Key: "=" + strings.Join(ids, ","), Match: match, Flows: ids}, check, check(g)
}
