package hub

import (
	"weak"

	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

// judged is the graph of a flow at one head. It is kept for as long as the garbage collector leaves it.
type judged struct {
	head        int64
	incarnation string
	graph       *insight.Graph
}

// Insight returns a flow as it is judged now, when that is (Unix milliseconds), and its incarnation; or ErrNoFlow. Regions whose claim has
// expired are as they were when they were last seen. Reading the flow costs its size, and is done once for each head.
func (h *Hub) Insight(flowID string) (v *insight.View, now int64, incarnation string, err error) {
	t := h.topic(flowID)
	if t == nil {
		return nil, 0, NoIncarnation, ErrNoFlow
	}
	t.judging.Lock() // who asks meanwhile has the same graph
	defer t.judging.Unlock()
	t.mu.RLock()
	if t.state == nil {
		t.mu.RUnlock()
		return nil, 0, NoIncarnation, ErrNoFlow
	}
	now, incarnation = h.nowMs(), t.incarnation
	heard := make(map[string]int64)
	for _, c := range t.claims() {
		if c.stale {
			heard[c.region] = c.heard
		}
	}
	head := t.last
	kept := t.judged.Load()
	if kept != nil {
		if j := kept.Value(); j != nil && j.head == head && j.incarnation == incarnation {
			t.mu.RUnlock()
			return j.graph.At(now, heard), now, incarnation, nil
		}
	}
	m := t.state.Collect()
	t.mu.RUnlock()
	j := &judged{head: head, incarnation: incarnation, graph: insight.Read(m)}
	p := weak.Make(j)
	t.judged.Store(&p)
	return j.graph.At(now, heard), now, incarnation, nil
}
