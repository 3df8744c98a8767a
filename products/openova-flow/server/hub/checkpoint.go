package hub

import (
	"io"
	"maps"
	"slices"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/record"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// Checkpoint returns the state of a flow, nil when there is nothing of it. It holds the flow's lock only to collect.
func (h *Hub) Checkpoint(flowID string) *Checkpoint {
	t := h.topic(flowID)
	if t == nil {
		return nil
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.state == nil && len(t.claims()) == 0 {
		return nil
	}
	heard := t.heard.Load()
	if h.cfg.Log != nil {
		heard = t.spoken // what only this hub has heard is not the log's
	}
	if t.state == nil {
		return &Checkpoint{FlowID: t.id, Incarnation: NoIncarnation, Heard: heard, Claims: t.savedClaims()}
	}
	return &Checkpoint{
		FlowID: t.id, Incarnation: t.incarnation, Seq: t.last,
		Born: t.born, UpdatedAt: t.updatedAt, Heard: heard,
		Image: t.state.Image(), Rollouts: t.rollouts.Memory(), Emitters: maps.Clone(t.emitters), Claims: t.savedClaims(),
	}
}

// Save writes all flows to w, each as it is when its turn comes, by their ids. It holds one of them in memory at a time.
func (h *Hub) Save(w io.Writer) error {
	var ids []string
	h.topics.Range(func(id, _ any) bool { ids = append(ids, id.(string)); return true })
	slices.Sort(ids)
	out := record.NewStateWriter(w)
	for _, id := range ids {
		if c := h.Checkpoint(id); c != nil {
			if err := out.Write(c); err != nil {
				return err
			}
		}
	}
	return out.Close(h.Number())
}

// ReadState is record.ReadState of what this hub could have saved. What is larger is ErrLargeState, and read no further than it takes to know.
func (h *Hub) ReadState(r io.Reader) (*SavedState, error) {
	return record.ReadLimitedState(r, h.cfg.MaxFlowBytes, h.cfg.MaxStateBytes+h.cfg.MaxStateBytes/4)
}

// Number returns the greatest sequence number that was given out.
func (h *Hub) Number() int64 { return h.last.Load() }

// Restore makes the flows of a saved state exactly what they were, their incarnations and numbers included. It is for replicas of one
// log: who restores must go on with what came after, and the hub must not have given out greater numbers of its own. A flow that is
// there already is replaced, unless it is as far or further. Limits are not looked at.
func (h *Hub) Restore(s *SavedState) {
	h.order.Lock()
	defer h.order.Unlock()
	later := s.Number >= h.last.Load()
	h.raise(s.Number)
	for _, c := range s.Flows {
		h.restore(c, false, later)
	}
}

// raise makes every sequence number from now on greater than one that was given out before, or elsewhere. h.order is held.
func (h *Hub) raise(to int64) { h.last.Store(max(h.last.Load(), to)) }

// Load is for a hub without flows: it makes those of a saved state again. What was confirmed since they were saved is gone, so each gets
// a new incarnation, by which emitters know, and a number above all that were given out, which no reader can resume below. Each counts as
// heard now, since nobody could speak for it meanwhile, and each of its regions as stale. Limits are not looked at.
func (h *Hub) Load(s *SavedState) {
	h.order.Lock()
	defer h.order.Unlock()
	h.raise(s.Number + record.Unsaved)
	for _, c := range s.Flows {
		h.restore(c, true, true)
	}
}

// Replace makes a flow exactly what a checkpoint says, whatever it is now. It is for who follows a Log: the checkpoint has what came up to
// some entry, and what comes after is applied to it.
func (h *Hub) Replace(c *Checkpoint) {
	h.order.Lock()
	defer h.order.Unlock()
	t := h.lock(c.FlowID)
	defer h.unlock(t)
	if c.Incarnation != NoIncarnation {
		t.restore(c, false)
		return
	}
	t.restoreClaims(c.Claims, false)
	t.spoken = c.Heard
	t.heard.Store(c.Heard)
}

// restore makes a flow what a checkpoint says; later tells that the whole hub is, by now, not further than that. h.order is held.
func (h *Hub) restore(c *Checkpoint, anew, later bool) {
	t := h.lock(c.FlowID)
	defer h.unlock(t)
	switch {
	case c.Incarnation != NoIncarnation && (t.state == nil || c.Seq > t.last):
		t.restore(c, anew)
	case later || len(t.claims()) == 0: // claims are renewed without a number
		t.restoreClaims(c.Claims, anew)
		t.spoken = max(t.spoken, c.Heard)
		t.heard.Store(max(t.heard.Load(), c.Heard))
	}
}

// stateOf puts a flow's state together. The FlowInstance is derived again: a version that counts the leaves in another way may have written it.
func stateOf(c *Checkpoint) *flow.State {
	s := c.Image.State(c.FlowID)
	s.Derive(c.UpdatedAt)
	return s
}

// restore makes the topic what the checkpoint says. h.order and t.mu are held.
func (t *topic) restore(c *Checkpoint, anew bool) {
	if t.state == nil {
		t.hub.Stats.Flows.Add(1)
	}
	t.state, t.past = stateOf(c), stateOf(c)
	t.rollouts = rollout.Resume(c.Rollouts, t.state)
	t.emitters = maps.Clone(c.Emitters)
	t.restoreClaims(c.Claims, anew)
	t.incarnation, t.born, t.last, t.updatedAt = c.Incarnation, c.Born, c.Seq, c.UpdatedAt
	t.heard.Store(c.Heard)
	t.spoken = c.Heard
	if anew {
		t.incarnation = newIncarnation()
		t.born = t.hub.last.Add(1)
		t.last = t.born
		t.heard.Store(t.hub.nowMs())
	}
	t.ring = ring{maxEntries: t.hub.cfg.RingCapacity, maxBytes: t.hub.cfg.RingBytes, evicted: t.last}
	t.pushed.messages, t.pushed.bytes = 0, 0
	name := t.incarnation
	t.named.Store(&name)
	t.snap.Store(nil)
	t.account()
	t.hub.restored.Store(max(t.hub.restored.Load(), t.last))
	begin := t.hub.journal.end
	t.publishWhole()
	t.changed(begin)
}
