package hub

import (
	"sync"
	"weak"

	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/record"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// judged is the graph of a flow at one head, shared by all callers.
type judged struct {
	head  int64
	graph func() *insight.Graph
}

// graphs has the last judged graph of a flow, weakly: the garbage collector may take it when nobody uses it.
type graphs struct {
	mu   sync.Mutex
	last weak.Pointer[judged]
}

// Insight returns the judged flow, the time of the judgement (Unix milliseconds), and the flow's incarnation; or ErrNoFlow. A stale region is judged at the
// time when it was last seen. The graph takes time in proportion to the flow's size. Calls at the same head share it while it is
// in memory (graphs).
func (h *Hub) Insight(flowID string) (v *insight.View, now int64, incarnation string, err error) {
	t, err := h.read(flowID)
	if err != nil {
		return nil, 0, record.NoIncarnation, err
	}
	now, incarnation = h.nowMs(), t.incarnation
	seen, j := t.claimed.StaleLastSeen(), t.judged()
	t.mu.RUnlock()
	return j.graph().At(now, seen), now, incarnation, nil
}

// Overview is the judged state of a flow at one time. Times are Unix milliseconds.
type Overview struct {
	View      *insight.View
	LastSeen  map[string]int64  // when each stale region was last seen
	Rollouts  []rollout.Rollout // newest first
	Unapplied map[string]int64  // see revision.Tracker.Unapplied
}

// Overview returns the present Overview of a flow, or ErrNoFlow. It costs as much as Insight.
func (h *Hub) Overview(flowID string) (Overview, error) {
	t, err := h.read(flowID)
	if err != nil {
		return Overview{}, err
	}
	now, j := h.nowMs(), t.judged()
	o := Overview{LastSeen: t.claimed.StaleLastSeen(), Rollouts: t.rollouts.Rollouts(now), Unapplied: t.revisions.Unapplied()}
	t.mu.RUnlock()
	o.View = j.graph().At(now, o.LastSeen)
	return o, nil
}

// judged returns the judged graph of the current head, which is computed when it is first used. t.mu is held, at least for reading, and there is a state.
func (t *topic) judged() *judged {
	t.graphs.mu.Lock()
	defer t.graphs.mu.Unlock()
	j := t.graphs.last.Value()
	if j == nil || j.head != t.last {
		j = &judged{head: t.last}
		m := t.state.Collect()
		j.graph = sync.OnceValue(func() *insight.Graph { return insight.Read(m) })
		t.graphs.last = weak.Make(j)
	}
	return j
}
