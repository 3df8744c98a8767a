package hub

import (
	"slices"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
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
	past        past // the state just before the first message of the ring
	ring        ring
	rollouts    *rollout.Tracker
	incarnation string
	born        int64 // number of the first message of this incarnation
	last        int64 // number of the last one
	updatedAt   int64
	pushed      pushed
	spoken      int64 // when an emitter spoke for it without a message, as far as the log says
	emitters    map[string]*lastWord
	claimed     *claimed // nil: nobody has claimed a region of it; the flow need not exist
	readers     int
	accounted   account

	waiters waiters
	merges  []*merge // streams of several flows that this one is part of

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

// releaseIfEmpty takes the topic out when it need not stay. t.mu is not held.
func (t *topic) releaseIfEmpty() {
	t.mu.Lock()
	empty := t.empty() && !t.gone
	t.mu.Unlock()
	if empty {
		t.hub.release(t)
	}
}

// apply folds a batch, frames it and wakes the readers. t.mu is held.
func (t *topic) apply(b batch) {
	if t.state == nil {
		t.create(b)
	}
	last := b.first
	var put []flow.Node
	var deleted []string
	back := putBack{regions: b.regions}
	for i, m := range b.messages {
		last = b.first + int64(i)
		if b.regions != nil {
			back.before(t.state, m)
		}
		if m.Type == flow.TypeSnapshot {
			put, deleted = nil, append(deleted, t.nodeIDs()...)
		}
		t.state.Apply(m)
		t.push(last, b.at, m)
		if put == nil {
			put = slices.Clip(m.Nodes) // which is all there is, mostly
		} else {
			put = append(put, m.Nodes...)
		}
		deleted = append(deleted, m.IDs...)
		t.hub.Stats.Messages[slices.Index(MessageTypes[:], m.Type)].Add(1)
	}
	if m := back.message(t.state); m != nil {
		last++
		t.state.Apply(m)
		t.push(last, b.at, m)
		t.hub.Stats.PutBack.Add(int64(len(m.Relationships)))
	}
	if m := t.state.Derive(b.at); m != nil {
		last++
		t.push(last, b.at, m)
		t.hub.Stats.Derived.Add(1)
	}
	put, deleted = t.settled(put, deleted)
	t.rollouts.Observe(t.state, b.at, put, deleted)
	t.last, t.updatedAt = last, b.at
	if b.stamp.Name != "" {
		if t.emitters == nil {
			t.emitters = make(map[string]*lastWord)
		}
		t.emitters[b.stamp.Name] = &lastWord{stamp: b.stamp, digest: b.digest, receipt: Receipt{Seq: b.last(), Incarnation: t.incarnation}}
	}
	t.heard.Store(b.at)
	t.snap.Store(nil)
	t.account()
	t.changed(b.place)
}

// changed tells whoever follows the topic that it has changed, and that the request which did it is done. t.mu is held.
func (t *topic) changed(p *place) {
	t.seen.Store(t.last)
	t.hub.changes.Add(1)
	for _, m := range t.merges {
		m.mark(t)
	}
	if p != nil {
		p.done()
	}
	t.waiters.wake()
	for _, m := range t.merges {
		m.waiters.wake()
	}
	t.hub.merges.settle()
}

// pushed is how many messages a topic has put into its ring since it began or was restored, and their bytes.
type pushed struct{ messages, bytes int64 }

func (t *topic) push(seq, at int64, m *flow.Message) {
	t.pushed.messages++
	t.pushed.bytes += int64(len(m.JSON()))
	e := entry{seq: seq, at: at}
	e.id, e.idLen = soleNode(m)
	push(&t.ring, e, seq, string(m.Type), m.JSON(), t.forget)
}

// forget takes a message that leaves the ring.
func (t *topic) forget(e entry) { t.past.add(e, t.nothing) }

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

// idsOf returns the ids of the nodes of a region, in order. t.mu is held.
func (t *topic) idsOf(region string) (ids []string) {
	if t.state == nil {
		return nil
	}
	t.state.EachNode(func(n flow.Node) bool {
		if n.Region == region {
			ids = append(ids, n.ID)
		}
		return true
	})
	slices.Sort(ids)
	return ids
}

func (t *topic) nodeIDs() []string {
	ids := make([]string, 0, t.state.NodeCount())
	t.state.EachNode(func(n flow.Node) bool { ids = append(ids, n.ID); return true })
	return ids
}

func (t *topic) create(b batch) {
	t.state = flow.NewState(t.id, b.at)
	t.ring = ring{maxEntries: t.hub.cfg.RingCapacity, maxBytes: t.hub.cfg.RingBytes}
	t.rollouts = rollout.NewTracker()
	t.incarnation, t.born = b.birth, b.first
	t.named.Store(&b.birth)
	t.hub.Stats.Flows.Add(1)
	t.hub.merges.join(t)
}

// drop ends the flow, which takes a number. h.mu and t.mu are held.
func (t *topic) drop(number func() (int64, *place)) {
	t.gone, t.deleted = true, true
	t.hub.Stats.Flows.Add(-1)
	t.state, t.past, t.rollouts, t.emitters = nil, past{}, nil, nil
	t.dropClaims()
	t.incarnation = NoIncarnation
	t.named.Store(nil)
	t.ring = ring{}
	t.snap.Store(nil)
	t.regionSnaps.drop()
	t.account()
	last, p := number()
	t.last = last
	t.changed(p)
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
		now.state += t.state.Bytes() + t.past.size() + t.ring.overhead() + t.rollouts.Bytes() + perEmitter*int64(len(t.emitters))
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
	s := Summary{ID: t.id, Status: f.Status, StartedAt: f.StartedAt, EndedAt: f.EndedAt, Counts: map[string]int{}, Regions: []string{},
		Seq: t.last, UpdatedAt: t.updatedAt, Incarnation: t.incarnation}
	regions := map[string]bool{}
	t.state.EachNode(func(n flow.Node) bool {
		s.Counts[n.Status]++
		if n.Region != "" && !regions[n.Region] {
			regions[n.Region] = true
			s.Regions = append(s.Regions, n.Region)
		}
		return true
	})
	slices.Sort(s.Regions)
	return s, true
}
