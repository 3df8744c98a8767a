package hub

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/record"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// topic has the state of one flow id: the flow if it exists, its claims and its readers. With claims or readers it also exists without a flow.
type topic struct {
	id  string
	hub *Hub

	mu          sync.RWMutex
	gone        bool // removed from the hub: the id must be looked up again
	deleted     bool // gone because the flow was deleted
	state       *flow.State
	past        *flow.Base // state before the first message in the ring; nil while the ring has all messages
	ring        ring
	rollouts    *rollout.Tracker
	revisions   *revision.Tracker
	incarnation string
	born        int64 // first sequence number of this incarnation
	last        int64 // sequence number of the last message
	updatedAt   int64
	pushed      struct{ messages, bytes int64 } // appended to the ring since the flow was created or restored
	renewedAt   int64                           // last renewal of a claim, or activity without a message, in an applied command
	emitters    map[string]*record.LastRequest
	claimed     claimed // claims of its regions, even if the flow does not exist
	readers     int
	accounted   account

	waiters   waiters
	regionsAt int64                        // journal position of its last regionsEvent; guarded by the journal's mutex
	ended     bool                         // the flow was deleted: only its deletedEvent counts; guarded by the journal's mutex
	follows   atomic.Pointer[[]*selection] // the selections that contain the flow; the list is immutable

	activeAt        atomic.Int64           // when an emitter was last active, as far as this hub knows
	headSeq         atomic.Int64           // last, for readers without mu
	headIncarnation atomic.Pointer[string] // incarnation, for readers without mu
	snap            atomic.Pointer[snapshot]
	snapMu          sync.Mutex

	regionSnaps regionSnapshots
	graphs      graphs
}

// account has the shares of one topic in the gauges of Stats.
type account struct{ flows, waiting, fresh, stale, nodes, rels, state, entries, bytes int64 }

func newTopic(h *Hub, id string) *topic {
	return &topic{id: id, hub: h, incarnation: record.NoIncarnation}
}

func (h *Hub) topic(flowID string) *topic {
	if t, ok := h.topics.Load(flowID); ok {
		return t.(*topic)
	}
	return nil
}

// read returns the topic of an existing flow with its mutex locked for reading, or ErrNoFlow with nothing locked.
func (h *Hub) read(flowID string) (*topic, error) {
	if t := h.topic(flowID); t != nil {
		t.mu.RLock()
		if t.state != nil {
			return t, nil
		}
		t.mu.RUnlock()
	}
	return nil, ErrNoFlow
}

// ensure returns the topic of a flow and creates it if needed.
func (h *Hub) ensure(flowID string) *topic {
	if t := h.topic(flowID); t != nil {
		return t
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.topic(flowID); t != nil {
		return t
	}
	t := newTopic(h, flowID)
	h.selections.store(t)
	return t
}

// lock returns the topic of a flow with its lock held, and creates it if needed. unlock releases it.
func (h *Hub) lock(flowID string) *topic {
	for {
		t := h.ensure(flowID)
		t.mu.Lock()
		if !t.gone {
			return t
		}
		t.mu.Unlock()
	}
}

// unlock releases the lock of a topic, and removes the topic if it is empty.
func (h *Hub) unlock(t *topic) {
	empty := t.empty() && !t.gone
	t.mu.Unlock()
	if empty {
		h.release(t)
	}
}

func (h *Hub) release(t *topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.empty() && !t.gone {
		t.gone = true
		h.topics.Delete(t.id)
	}
}

// empty reports whether the topic can be removed: no flow, readers or claims. t.mu is held.
func (t *topic) empty() bool { return t.state == nil && t.readers == 0 && t.claimed.Len() == 0 }

// apply folds the messages of a change, frames them and wakes the readers. h.order and t.mu are held.
func (t *topic) apply(c change) {
	begin, created, p := t.hub.journal.end, t.state == nil, c.Post
	if created {
		t.create(c)
	}
	last := c.first
	var put []flow.Node
	var deleted []string
	back := flow.PutBack{Regions: p.Regions}
	push := func(m *flow.Message) {
		if e := t.push(last, c.at, m); !created {
			t.publish(e.event(t))
		}
	}
	for i, m := range p.Messages {
		last = c.first + int64(i)
		if p.Regions != nil {
			back.Before(t.state, m)
		}
		if m.Type == flow.TypeSnapshot {
			put, deleted = nil, append(deleted, t.state.NodeIDs()...)
		}
		t.state.Apply(m)
		push(m)
		if put == nil {
			put = slices.Clip(m.Nodes) // usually the only message with nodes
		} else {
			put = append(put, m.Nodes...)
		}
		deleted = append(deleted, m.IDs...)
		t.hub.Stats.Messages[slices.Index(MessageTypes[:], m.Type)].Add(1)
	}
	if m := back.Message(t.state); m != nil {
		last++
		t.state.Apply(m)
		push(m)
		t.hub.Stats.PutBack.Add(int64(len(m.Relationships)))
	}
	if m := t.state.Derive(c.at); m != nil {
		last++
		push(m)
		t.hub.Stats.Derived.Add(1)
	}
	put, deleted = t.netEffect(put, deleted)
	t.rollouts.Observe(t.state, c.at, put, deleted)
	t.revisions.Observe(c.at, put, deleted)
	t.last, t.updatedAt = last, c.at
	t.noteEmitter(c)
	t.activeAt.Store(c.at)
	t.snap.Store(nil)
	t.account()
	if created {
		t.publishWhole()
	}
	t.changed(begin)
}

// noteEmitter stores the last request of an emitter, so that repeated and older requests are recognized. t.mu is held.
func (t *topic) noteEmitter(c change) {
	p := c.Post
	if p.Stamp.Name == "" {
		return
	}
	if t.emitters == nil {
		t.emitters = make(map[string]*record.LastRequest)
	}
	region, _ := t.claimed.Leased(p.Lease, p.Regions)
	t.emitters[p.Stamp.Name] = &record.LastRequest{Stamp: p.Stamp, Digest: p.Digest, Receipt: record.Receipt{Seq: c.lastMessage(), Incarnation: t.incarnation}, Region: region}
}

// changed notifies readers and selections of the topic; its events are in the journal from position begin on. h.order and t.mu are held.
func (t *topic) changed(begin int64) {
	t.headSeq.Store(t.last)
	t.hub.changes.Add(1)
	t.waiters.wake()
	t.announce(begin)
}

func (t *topic) push(seq, at int64, m *flow.Message) entry {
	t.pushed.messages++
	t.pushed.bytes += int64(len(m.JSON()))
	return t.ring.push(seq, at, m, t.forget)
}

// forget folds a message that leaves the ring into past.
func (t *topic) forget(e entry) {
	t.past = t.base()
	t.past.Apply(e.text(), e.seg.buf[e.node:e.node+e.nodeLen])
}

// base is the state before the first message in the ring.
func (t *topic) base() *flow.Base {
	if t.past != nil {
		return t.past
	}
	return flow.NewBase(flow.NewState(t.id, t.state.Arrival()))
}

func (t *topic) netEffect(put []flow.Node, deleted []string) ([]flow.Node, []string) {
	if len(put) == 1 && len(deleted) == 0 {
		return put, nil
	}
	final := make([]flow.Node, 0, len(put))
	seen := make(map[string]bool, len(put))
	for _, n := range slices.Backward(put) {
		if now, ok := t.state.Node(n.ID); ok && !seen[n.ID] {
			seen[n.ID] = true
			final = append(final, now)
		}
	}
	slices.Reverse(final)
	deleted = slices.DeleteFunc(deleted, func(id string) bool { _, ok := t.state.Node(id); return ok })
	return final, deleted
}

// lastActivity returns the time of the last message, renewal, or activity in an applied command. It is the same in all hubs of a log. t.mu is held.
func (t *topic) lastActivity() int64 { return max(t.updatedAt, t.renewedAt) }

func (t *topic) create(c change) {
	t.state = flow.NewState(t.id, c.at)
	t.ring = ring{maxEntries: t.hub.cfg.RingCapacity, maxBytes: t.hub.cfg.RingBytes}
	t.rollouts, t.revisions = rollout.NewTracker(), revision.NewTracker()
	incarnation := c.birth()
	t.incarnation, t.born = incarnation, c.first
	t.headIncarnation.Store(&incarnation)
}

// drop deletes the flow at a sequence number. h.order, h.mu and t.mu are held.
func (t *topic) drop(seq int64) {
	t.gone, t.deleted = true, true
	t.state, t.past, t.rollouts, t.revisions, t.emitters = nil, nil, nil, nil, nil
	t.replaceClaims(claims.Set{})
	t.incarnation = record.NoIncarnation
	t.headIncarnation.Store(nil)
	t.ring = ring{}
	t.snap.Store(nil)
	t.regionSnaps.drop()
	t.account()
	t.last = seq
	begin := t.hub.journal.end
	t.publish(event{kind: deletedEvent, seq: seq})
	t.changed(begin)
}

// perEmitter is the approximate memory for an emitter, in bytes.
const perEmitter = 400

// account brings the topic's shares in the hub's Stats up to date. t.mu is held.
func (t *topic) account() {
	now := account{state: perClaim * int64(t.claimed.Len())}
	now.fresh, now.stale = t.claimed.Count()
	switch {
	case t.state == nil && t.claimed.Len() > 0:
		now.waiting = 1
	case t.state != nil:
		now.flows = 1
		now.state += t.state.Bytes() + t.ring.overhead() + t.rollouts.Bytes() + t.revisions.Bytes() + perEmitter*int64(len(t.emitters))
		if t.past != nil {
			now.state += t.past.Bytes()
		}
		now.nodes, now.rels = int64(t.state.NodeCount()), int64(t.state.RelCount())
		now.entries, now.bytes = int64(len(t.ring.live())), int64(t.ring.bytes)
	}
	was := t.accounted
	s := &t.hub.Stats
	move(&s.Flows, was.flows, now.flows)
	move(&s.waiting, was.waiting, now.waiting)
	move(&s.RegionsFresh, was.fresh, now.fresh)
	move(&s.RegionsStale, was.stale, now.stale)
	move(&s.Nodes, was.nodes, now.nodes)
	move(&s.Relationships, was.rels, now.rels)
	move(&s.StateBytes, was.state, now.state)
	move(&s.RingEntries, was.entries, now.entries)
	move(&s.RingBytes, was.bytes, now.bytes)
	t.accounted = now
}

// move replaces a topic's share of a sum. It does not write an unchanged share, since all processors share the sums.
func move(sum *atomic.Int64, was, now int64) {
	if was != now {
		sum.Add(now - was)
	}
}

func (t *topic) summary() (Summary, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.state == nil {
		return Summary{}, false
	}
	f := t.state.Flow()
	return Summary{ID: t.id, Status: f.Status, StartedAt: f.StartedAt, EndedAt: f.EndedAt, Counts: t.state.Statuses(), Regions: t.state.Regions(),
		Seq: t.last, UpdatedAt: t.updatedAt, Incarnation: t.incarnation}, true
}
