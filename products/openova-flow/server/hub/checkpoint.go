package hub

import (
	"io"
	"maps"
	"slices"

	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/record"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// Checkpoint returns the checkpoint of a flow, nil if the flow neither exists nor has claims.
func (h *Hub) Checkpoint(flowID string) *record.Checkpoint {
	t := h.topic(flowID)
	if t == nil {
		return nil
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.state == nil && t.claimed.Len() == 0 {
		return nil
	}
	at := t.activeAt.Load()
	if h.cfg.Log != nil {
		at = t.renewedAt // checkpoints of a log must not contain activity that only this hub knows
	}
	if t.state == nil {
		return &record.Checkpoint{FlowID: t.id, Incarnation: record.NoIncarnation, LastActivity: at, Claims: t.claimed.Saved()}
	}
	return &record.Checkpoint{
		FlowID: t.id, Incarnation: t.incarnation, Seq: t.last,
		Born: t.born, UpdatedAt: t.updatedAt, LastActivity: at,
		Content: t.state.Content(), Rollouts: t.rollouts.Memory(), Revisions: t.revisions.Memory(), Emitters: maps.Clone(t.emitters), Claims: t.claimed.Saved(),
	}
}

// Save writes the checkpoints of all flows, and of claims without a flow, to w, sorted by id. They may be from different times, since it holds one in
// memory at a time.
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
	return out.Close(h.LastSeq())
}

// ReadState reads what Save wrote. It fails with record.ErrLargeState if the file is larger than that of a full hub: about 125 % of MaxStateBytes (full), a
// twentieth more with long ids, and one last request of at most maxRequest bytes.
func (h *Hub) ReadState(r io.Reader, maxRequest int64) (*record.SavedState, error) {
	return record.ReadLimitedState(r, h.cfg.MaxStateBytes+h.cfg.MaxStateBytes/2+2*maxRequest)
}

// LastSeq returns the greatest sequence number reserved so far.
func (h *Hub) LastSeq() int64 { return h.last.Load() }

// RaiseLastSeq makes LastSeq at least seq, which was assigned before a restart or by another hub of the log. Without a Log, later sequence numbers are
// greater.
func (h *Hub) RaiseLastSeq(seq int64) {
	h.order.Lock()
	defer h.order.Unlock()
	h.last.Store(max(h.last.Load(), seq))
}

// Load restores the flows of a saved state in a hub without flows. Messages confirmed after the save are lost. So each flow gets a new incarnation,
// which makes emitters compare and send again, and a sequence number above all assigned ones, below which no reader can resume. Each flow counts as
// active now, since no emitter could reach it meanwhile, and each of its regions is stale; so are claims of flows that do not exist. Limits are not
// checked.
func (h *Hub) Load(s *record.SavedState) {
	h.RaiseLastSeq(s.LastSeq + record.Unsaved)
	for _, c := range s.Flows {
		h.restore(c, true)
	}
}

// Replace sets a flow to a checkpoint, with its incarnation and sequence numbers. It is for a hub with a Log: the checkpoint contains all entries of the
// flow up to some entry; later ones are then applied to it. A flow of another incarnation must be deleted before, which ends its readers. Limits are not
// checked.
func (h *Hub) Replace(c *record.Checkpoint) { h.restore(c, false) }

func (h *Hub) restore(c *record.Checkpoint, restarted bool) {
	h.order.Lock()
	defer h.order.Unlock()
	t := h.lock(c.FlowID)
	defer h.unlock(t)
	if c.Incarnation != record.NoIncarnation {
		t.restore(c, restarted)
		return
	}
	t.replaceClaims(claims.Restore(c.Claims, t.hub.nowMs(), restarted))
	t.renewedAt = c.LastActivity
	t.activeAt.Store(c.LastActivity)
	if restarted {
		t.activeAt.Store(h.nowMs())
	}
}

// stateOf returns the folded state in a checkpoint. It derives the FlowInstance again, because another version may have derived it differently.
func stateOf(c *record.Checkpoint) *flow.State {
	s := c.Content.State(c.FlowID)
	s.Derive(c.UpdatedAt)
	return s
}

// restore sets the topic to the checkpoint. After a restart it gets a new incarnation and a new sequence number (Load). h.order and t.mu are held.
func (t *topic) restore(c *record.Checkpoint, restarted bool) {
	t.state, t.past = stateOf(c), flow.NewBase(stateOf(c))
	t.rollouts = rollout.Resume(c.Rollouts, t.state)
	t.revisions = revision.Resume(c.Revisions, t.state, c.UpdatedAt)
	t.emitters = maps.Clone(c.Emitters)
	t.replaceClaims(claims.Restore(c.Claims, t.hub.nowMs(), restarted))
	t.incarnation, t.born, t.last, t.updatedAt = c.Incarnation, c.Born, c.Seq, c.UpdatedAt
	t.activeAt.Store(c.LastActivity)
	t.renewedAt = c.LastActivity
	if restarted {
		t.incarnation = newIncarnation()
		t.born = t.hub.last.Add(1)
		t.last = t.born
		t.activeAt.Store(t.hub.nowMs())
	}
	t.ring = ring{maxEntries: t.hub.cfg.RingCapacity, maxBytes: t.hub.cfg.RingBytes, evicted: t.last}
	t.pushed.messages, t.pushed.bytes = 0, 0
	name := t.incarnation
	t.headIncarnation.Store(&name)
	t.snap.Store(nil)
	t.regionSnaps.drop()
	t.account()
	t.hub.restored.Store(max(t.hub.restored.Load(), t.last))
	begin := t.hub.journal.end
	t.publishWhole()
	t.changed(begin)
}
