package hub

import (
	"slices"

	"github.com/openova-io/openova/products/openova-flow/server/record"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// Rollout is a rollout with the revisions that caused it.
type Rollout struct {
	rollout.Rollout
	Revisions []string `json:"revisions,omitempty"` // ids, sorted; none if unknown
}

// Rollouts returns the rollouts of a flow, newest first, and the flow's incarnation; or ErrNoFlow.
func (h *Hub) Rollouts(flowID string) ([]Rollout, string, error) {
	t, err := h.read(flowID)
	if err != nil {
		return nil, record.NoIncarnation, err
	}
	defer t.mu.RUnlock()
	plain, runs := t.rollouts.Rollouts(h.nowMs()), t.revisions.Runs()
	list := make([]Rollout, len(plain))
	for i := range plain {
		list[i] = Rollout{plain[i], causes(&plain[i], runs)}
	}
	return list, t.incarnation, nil
}

// causes returns the revisions that caused a rollout: those that changed a member in the run that belongs to the rollout.
func causes(r *rollout.Rollout, runs map[revision.Run]string) (ids []string) {
	if len(runs) == 0 {
		return nil
	}
	for i := range r.Members {
		m := &r.Members[i]
		id := runs[revision.Run{Release: m.ID, StartedAt: m.StartedAt.Ms()}]
		if at, found := slices.BinarySearch(ids, id); id != "" && !found {
			ids = slices.Insert(ids, at, id)
		}
	}
	return ids
}

// Revisions has the revisions of a flow's sources, and how far each is applied. Its JSON is the answer of the API.
type Revisions struct {
	FlowID      string              `json:"flowId"`
	Incarnation string              `json:"incarnation"`
	Seq         int64               `json:"seq"`
	At          int64               `json:"at"` // Unix milliseconds
	Revisions   []revision.Revision `json:"revisions"`
}

// Revisions returns the newest limit revisions of a flow that match (nil: all), newest first; or ErrNoFlow. match gets them without regions.
// It evaluates the flow's graph, like Insight.
func (h *Hub) Revisions(flowID string, match func(*revision.Revision) bool, limit int) (Revisions, error) {
	t, err := h.read(flowID)
	if err != nil {
		return Revisions{FlowID: flowID, Incarnation: record.NoIncarnation}, err
	}
	out := Revisions{FlowID: flowID, Incarnation: t.incarnation, Seq: t.last, At: h.nowMs(), Revisions: t.revisions.Revisions(match, limit)}
	stale, judged, runs := t.claimed.StaleLastSeen(), t.judged(), t.revisions.Runs()
	rollouts := t.rollouts.Rollouts(out.At)
	t.mu.RUnlock()
	at := make(map[string]int, len(out.Revisions))
	for i := range out.Revisions {
		at[out.Revisions[i].ID] = i
	}
	for i := range rollouts {
		for _, id := range causes(&rollouts[i], runs) {
			if n, listed := at[id]; listed {
				out.Revisions[n].Rollouts = append(out.Revisions[n].Rollouts, rollouts[i].ID)
			}
		}
	}
	revision.Judge(out.Revisions, judged.graph().At(out.At, stale), func(region string) bool { _, is := stale[region]; return is })
	return out, nil
}
