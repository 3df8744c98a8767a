package hub

import (
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// change is a command with its position in the order of all changes. Its effect depends only on its fields and on the changes before it.
type change struct {
	record.Command
	at          int64         // Unix milliseconds
	first, last int64         // first and last of the sequence numbers reserved for it
	birth       func() string // makes the incarnation of a created flow, or the lease of a claim
}

// extra is how many messages the hub may add to a request: an upsert-rels that restores foreign relationships, and a derived upsert-flow.
const extra = 2

// next makes a command the next change of a hub without a Log. Its sequence numbers are at least the time in microseconds, so that after a restart
// the hub continues above all earlier ones, unless the clock was set back. h.order is held.
func (h *Hub) next(c record.Command) change {
	now := h.cfg.Now()
	first := max(h.last.Load()+1, now.UnixMicro())
	return change{Command: c, at: now.UnixMilli(), first: first, last: first + int64(len(c.Post.Messages)) + extra, birth: newIncarnation}
}

// change applies a command: in the order of the Log or, without one, in the order of the calls.
func (h *Hub) change(c record.Command) (Outcome, error) {
	if h.cfg.Log != nil {
		return h.cfg.Log.Append(c)
	}
	h.order.Lock()
	defer h.order.Unlock()
	return h.apply(h.next(c)), nil
}

// removal is like change, but puts no command for an unknown flow into the Log: the command would have no effect.
func (h *Hub) removal(c record.Command) (Outcome, error) {
	if h.cfg.Log != nil && !h.Known(c.Post.FlowID) { // this hub may be behind the log
		if err := h.cfg.Log.Sync(); err != nil || !h.Known(c.Post.FlowID) {
			return Outcome{}, err
		}
	}
	return h.change(c)
}

// h.order is held.
func (h *Hub) apply(c change) (out Outcome) {
	began := time.Now()
	defer func() { h.Stats.Apply.Observe(time.Since(began)) }()
	p := c.Post
	switch c.Kind {
	case record.KindPost:
		out.Receipt, out.Err = h.applyPost(c)
	case record.KindNumber:
		out.Receipt = record.Receipt{Seq: c.first, Incarnation: record.NoIncarnation}
	case record.KindDelete:
		out.Removed = h.remove(p.FlowID, c.first, func(*topic) bool { return true })
	case record.KindIdle:
		idle := func(t *topic) bool { return t.incarnation == p.IfIncarnation && t.lastActivity() == c.LastActivity }
		out.Removed = h.remove(p.FlowID, c.first, idle)
		h.Stats.Dropped.Add(int64(out.Removed))
	case record.KindActivity:
		h.with(p.FlowID, func(t *topic) { t.renewedAt = c.at })
	case record.KindClaim:
		t := h.lock(c.Claim.FlowID)
		out.Lease, out.Err = t.claim(c)
		h.unlock(t)
	case record.KindDeleteRegion:
		h.with(p.FlowID, func(t *topic) {
			t.claimed.Drop(c.Region)
			t.claimsChanged()
			if t.state == nil {
				return
			}
			t.forgetEmitters(c.Region)
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

func (h *Hub) applyPost(c change) (record.Receipt, error) {
	p := c.Post
	t := h.lock(p.FlowID)
	defer h.unlock(t)
	if last := t.repeated(p); last != nil {
		t.renew(p, c.at)
		return last.Receipt, nil
	}
	if err := t.preconditions(p); err != nil {
		return record.Receipt{Incarnation: t.incarnation}, err
	}
	t.renew(p, c.at)
	if t.state != nil || !onlyDeletes(p.Messages) {
		t.apply(c)
	}
	return record.Receipt{Seq: c.lastMessage(), Incarnation: t.incarnation}, nil
}

// lastMessage is the sequence number of the last message of a post, not counting those that the hub adds.
func (c change) lastMessage() int64 { return c.first + int64(len(c.Post.Messages)) - 1 }
