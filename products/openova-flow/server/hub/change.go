package hub

import (
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// change is a command with its place in the order of all changes: what becomes of it depends on this, on the changes before it and on nothing else.
type change struct {
	Command
	at          int64         // Unix milliseconds
	first, last int64         // the sequence numbers that it may use
	birth       func() string // makes the incarnation of a flow that comes to be with it, or the lease of a claim
}

// extra is how many messages the hub may add to a request: an upsert-rels that puts back, and a derived upsert-flow.
const extra = 2

// next gives a command the next place in a hub without a Log. Its sequence numbers never lag behind the clock, in microseconds: so a hub that starts
// later begins above them, unless the clock was set back. h.order is held.
func (h *Hub) next(c Command) change {
	now := h.cfg.Now()
	first := max(h.last.Load()+1, now.UnixMicro())
	return change{Command: c, at: now.UnixMilli(), first: first, last: first + int64(len(c.Post.Messages)) + extra, birth: newIncarnation}
}

// change has a command applied: in the order of the log, or, without one, in the order of the calls.
func (h *Hub) change(c Command) (Outcome, error) {
	if h.cfg.Log != nil {
		return h.cfg.Log.Append(c)
	}
	h.order.Lock()
	defer h.order.Unlock()
	return h.apply(h.next(c)), nil
}

// removal is change for a command that does nothing where there is nothing of its flow.
func (h *Hub) removal(c Command) (Outcome, error) {
	if h.cfg.Log != nil && !h.Known(c.Post.FlowID) { // it may be that this hub is behind
		if err := h.cfg.Log.Sync(); err != nil || !h.Known(c.Post.FlowID) {
			return Outcome{}, err
		}
	}
	return h.change(c)
}

// apply makes a change. h.order is held.
func (h *Hub) apply(c change) (out Outcome) {
	p := c.Post
	switch c.Kind {
	case record.KindPost:
		out.Receipt, out.Err = h.applyPost(c)
	case record.KindNumber:
		out.Receipt = Receipt{Seq: c.first, Incarnation: NoIncarnation}
	case record.KindDelete:
		out.Removed = h.remove(p.FlowID, c.first, func(*topic) bool { return true })
	case record.KindIdle:
		idle := func(t *topic) bool { return t.incarnation == p.IfIncarnation && t.spokeAt() == c.SilentSince }
		out.Removed = h.remove(p.FlowID, c.first, idle)
		h.Stats.Dropped.Add(int64(out.Removed))
	case record.KindHeard:
		h.with(p.FlowID, func(t *topic) { t.spoken = c.at })
	case record.KindClaim:
		t := h.lock(c.Claim.FlowID)
		out.Lease, out.Err = t.claim(c.Claim, c.at, c.birth)
		h.unlock(t)
	case record.KindDeleteRegion:
		h.with(p.FlowID, func(t *topic) {
			t.dropClaim(c.Region)
			if t.state == nil {
				return
			}
			if ids := t.state.RegionNodeIDs(c.Region); len(ids) > 0 {
				out.Removed = len(ids)
				c.Post.Messages = []*flow.Message{flow.DeleteNodes(ids...)}
				t.apply(c)
			}
		})
	}
	h.last.Store(c.last)
	return out
}

func (h *Hub) applyPost(c change) (Receipt, error) {
	p := c.Post
	t := h.lock(p.FlowID)
	defer h.unlock(t)
	if last := t.repeated(p); last != nil {
		t.renew(t.leased(p), c.at)
		return last.Receipt, nil
	}
	if err := t.conditions(p); err != nil {
		return Receipt{Incarnation: t.incarnation}, err
	}
	t.renew(t.leased(p), c.at)
	if t.state != nil || !onlyDeletes(p.Messages) {
		t.apply(c)
	}
	return Receipt{Seq: c.lastMessage(), Incarnation: t.incarnation}, nil
}

// lastMessage is the sequence number of the last message of a post.
func (c change) lastMessage() int64 { return c.first + int64(len(c.Post.Messages)) - 1 }
