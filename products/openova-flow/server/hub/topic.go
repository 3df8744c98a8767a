package hub

import (
	"slices"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/record"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// topic is one flow id: the flow, when there is one, and those who follow it or wait for it to come to be.
type topic struct {
	id  string
	hub *Hub

	mu          sync.RWMutex
	gone        bool // taken out of the hub; whoever finds it so looks the id up again
	deleted     bool // gone because the flow was deleted
	waits       bool // it is counted as one that has claims and no state
	state       *flow.State
	past        *flow.State // just before the first message of the ring; nil while the ring has had all
	ring        ring
	rollouts    *rollout.Tracker
	incarnation string
	born        int64 // number of the first message of this incarnation
	last        int64 // number of the last one
	updatedAt   int64
	pushed      struct{ messages, bytes int64 } // into the ring, since the flow began or was restored
	spoken      int64                           // when an emitter spoke for it without a message, as far as the log says
	emitters    map[string]*record.LastWord
	claimed     *claimed // nil: nobody has claimed a region of it; the flow need not exist
	readers     int
	accounted   account

	waiters   waiters
	regionsAt int64                        // position of the last event about its regions; guarded by the journal, like:
	ended     bool                         // of its events only the last one counts
	follows   atomic.Pointer[[]*selection] // the selections that have the flow; the list is never changed

	heard   atomic.Int64           // when an emitter last spoke for it
	seen    atomic.Int64           // last, for who does not hold mu
	named   atomic.Pointer[string] // incarnation, for who does not hold mu; nil while there is none
	rev     atomic.Int64           // tells what is said of the regions apart; changed with mu held
	snap    atomic.Pointer[snapshot]
	judged  atomic.Pointer[weak.Pointer[judged]]
	judging sync.Mutex // held while the graph is read; before mu
	snapMu  sync.Mutex

	regionSnaps regionSnapshots
}

// account is what of Stats stems from one topic.
type account struct{ nodes, rels, state, entries, bytes int64 }

func newTopic(h *Hub, id string) *topic {
	return &topic{id: id, hub: h, incarnation: NoIncarnation}
}

// empty reports whether there is nothing for which the topic has to stay. t.mu is held.
func (t *topic) empty() bool { return t.state == nil && t.readers == 0 && len(t.claims()) == 0 }

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
			put = slices.Clip(m.Nodes) // which is all there is, mostly
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
	put, deleted = t.settled(put, deleted)
	t.rollouts.Observe(t.state, c.at, put, deleted)
	t.last, t.updatedAt = last, c.at
	if p.Stamp.Name != "" {
		if t.emitters == nil {
			t.emitters = make(map[string]*record.LastWord)
		}
		t.emitters[p.Stamp.Name] = &record.LastWord{Stamp: p.Stamp, Digest: p.Digest, Receipt: Receipt{Seq: c.lastMessage(), Incarnation: t.incarnation}}
	}
	t.heard.Store(c.at)
	t.snap.Store(nil)
	t.account()
	if created {
		t.publishWhole()
	}
	t.changed(begin)
}

// changed tells whoever follows the topic that it has changed; its events stand in the journal from position begin on. h.order and t.mu are held.
func (t *topic) changed(begin int64) {
	t.seen.Store(t.last)
	t.hub.changes.Add(1)
	t.waiters.wake()
	t.announce(begin)
}

func (t *topic) push(seq, at int64, m *flow.Message) entry {
	t.pushed.messages++
	t.pushed.bytes += int64(len(m.JSON()))
	return t.ring.push(seq, at, string(m.Type), m.JSON(), t.forget)
}

// forget takes a message that leaves the ring.
func (t *topic) forget(e entry) {
	if t.past == nil {
		t.past = t.nothing()
	}
	t.past.Apply(e.message(t.id))
}

// nothing is the state before the first message.
func (t *topic) nothing() *flow.State { return flow.NewState(t.id, t.state.Arrival()) }

// settled reduces what a batch put and deleted to what holds after it.
func (t *topic) settled(put []flow.Node, deleted []string) ([]flow.Node, []string) {
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

// spokeAt returns when somebody last spoke for the flow, as far as all hubs of a log know. t.mu is held.
func (t *topic) spokeAt() int64 { return max(t.updatedAt, t.spoken) }

func (t *topic) create(c change) {
	t.state = flow.NewState(t.id, c.at)
	t.ring = ring{maxEntries: t.hub.cfg.RingCapacity, maxBytes: t.hub.cfg.RingBytes}
	t.rollouts = rollout.NewTracker()
	birth := c.birth()
	t.incarnation, t.born = birth, c.first
	t.named.Store(&birth)
	t.hub.Stats.Flows.Add(1)
}

// drop ends the flow, which takes a sequence number. h.order, h.mu and t.mu are held.
func (t *topic) drop(seq int64) {
	t.gone, t.deleted = true, true
	t.hub.Stats.Flows.Add(-1)
	t.state, t.past, t.rollouts, t.emitters = nil, nil, nil, nil
	t.dropClaims()
	t.incarnation = NoIncarnation
	t.named.Store(nil)
	t.ring = ring{}
	t.snap.Store(nil)
	t.regionSnaps.drop()
	t.account()
	t.last = seq
	begin := t.hub.journal.end
	t.publish(event{kind: deletedEvent, seq: seq})
	t.changed(begin)
}

// perEmitter is about how many bytes the last word of an emitter takes, its name included.
const perEmitter = 400

// account brings the hub's sums up to date with this topic.
func (t *topic) account() {
	now := account{state: perClaim * int64(len(t.claims()))}
	if waits := t.state == nil && len(t.claims()) > 0; waits != t.waits {
		if t.waits = waits; waits {
			t.hub.Stats.waiting.Add(1)
		} else {
			t.hub.Stats.waiting.Add(-1)
		}
	}
	if t.state != nil {
		now.state += t.state.Bytes() + t.ring.overhead() + t.rollouts.Bytes() + perEmitter*int64(len(t.emitters))
		if t.past != nil {
			now.state += t.past.Bytes()
		}
		now.nodes, now.rels = int64(t.state.NodeCount()), int64(t.state.RelCount())
		now.entries, now.bytes = int64(len(t.ring.live())), int64(t.ring.bytes)
	}
	was := t.accounted
	s := &t.hub.Stats
	move(&s.Nodes, was.nodes, now.nodes)
	move(&s.Relationships, was.rels, now.rels)
	move(&s.StateBytes, was.state, now.state)
	move(&s.RingEntries, was.entries, now.entries)
	move(&s.RingBytes, was.bytes, now.bytes)
	t.accounted = now
}

// move brings a part of a sum from what it was to what it is now. Processors share the sums, so what has not changed is not written.
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
