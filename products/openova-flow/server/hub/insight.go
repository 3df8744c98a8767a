package hub

import (
	"sync"
	"weak"

	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/record"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// judged is the graph of a flow at one head, read once for all who ask. The garbage collector takes it when nobody does.
type judged struct {
	head  int64
	graph func() *insight.Graph
}

// graphs has the last one of a flow.
type graphs struct {
	mu   sync.Mutex
	last weak.Pointer[judged]
}

// Insight returns a flow as it is judged now, when that is (Unix milliseconds), and its incarnation; or ErrNoFlow. Regions whose claim has
// expired are as they were when they were last seen. Reading the flow costs its size, and is done once for each head.
func (h *Hub) Insight(flowID string) (v *insight.View, now int64, incarnation string, err error) {
	t, err := h.read(flowID)
	if err != nil {
		return nil, 0, record.NoIncarnation, err
	}
	now, incarnation = h.nowMs(), t.incarnation
	heard, j := t.claimed.StaleHeard(), t.judged()
	t.mu.RUnlock()
	return j.graph().At(now, heard), now, incarnation, nil
}

// Condition is what goes on in a flow at one instant. Times are Unix milliseconds.
type Condition struct {
	View      *insight.View
	LastSeen  map[string]int64  // when each stale region was last seen
	Rollouts  []rollout.Rollout // newest first
	Unapplied map[string]int64  // see revision.Tracker.Unapplied
}

// Condition returns what goes on in a flow now, or ErrNoFlow. It costs what Insight does.
func (h *Hub) Condition(flowID string) (Condition, error) {
	t, err := h.read(flowID)
	if err != nil {
		return Condition{}, err
	}
	now, j := h.nowMs(), t.judged()
	c := Condition{LastSeen: t.claimed.StaleHeard(), Rollouts: t.rollouts.Rollouts(now), Unapplied: t.revisions.Unapplied()}
	t.mu.RUnlock()
	c.View = j.graph().At(now, c.LastSeen)
	return c, nil
}

// judged returns the one of the present head. t.mu is held, for reading at least, and there is a state. Reading is left for when the lock is released.
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
