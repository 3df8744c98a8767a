package hub

import (
	"cmp"
	"container/list"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// Selection says which flows a stream of several has.
type Selection struct {
	Key   string                   // selections with equal keys have the same flows
	Match func(flowID string) bool // must always answer the same
	Named bool                     // by who asks, who may name any: so that these keep out no others there may be fewer of them
}

const (
	maxMerges    = 128     // selections that are followed at one moment, and
	maxNamed     = 96      // how many of them may be named
	mergeEntries = 4096    // messages that a merge holds for its readers, and
	mergeBytes   = 1 << 20 // bytes of their frames; what it has lost is still in the rings of the flows
)

// FollowMany returns a Reader of all the flows of a selection, those that are yet to come included. Each frame's event is the flow's
// id, a slash and the message's type. As numbers are the hub's, the last one resumes all the flows: each from its ring, or, where
// that has lost something, from a snapshot. It fails with a *LimitError when there are too many readers or selections, and
// like Follow.
//
// The first frame after it starts, or starts anew because it fell behind, is `flows`, the flows that there are, with
// their incarnations. A frame that nothing may be resumed from, since what came before it is not yet complete, has no number, nor has one
// about the regions of a flow. So what comes before the snapshot of a flow that came to be before it has none either.
func (h *Hub) FollowMany(s Selection, lastSeq int64, resume bool) (*Reader, error) {
	if err := h.CatchUp(lastSeq); err != nil {
		return nil, err
	}
	if err := h.admitReader(); err != nil {
		return nil, err
	}
	m, err := h.merges.enter(h, s)
	if err != nil {
		h.Stats.Subscribers.Add(-1)
		return nil, err
	}
	r := &Reader{hub: h, from: m, rev: noRegions, fresh: true, missed: resume}
	if resume && lastSeq <= h.numbers.last.Load() {
		r.cursor = lastSeq
	}
	return r, nil
}

// merges is the selections that somebody follows.
type merges struct {
	mu    sync.RWMutex // taken with a topic's lock held: no topic is locked under it
	byKey map[string]*merge
	held  atomic.Int32 // how many of them wait for numbers to settle
}

// enter returns the merge of a selection, for one more reader.
func (s *merges) enter(h *Hub, sel Selection) (*merge, error) {
	s.mu.Lock()
	m := s.byKey[sel.Key]
	if m == nil {
		if len(s.byKey) == maxMerges || sel.Named && s.named() == maxNamed {
			s.mu.Unlock()
			return nil, &LimitError{Server: true, Detail: "the server is followed by as many different selections of flows as it can"}
		}
		m = &merge{hub: h, selection: sel, dirty: make(map[*topic]bool), unsaid: make(map[*topic]bool), late: make(map[*topic]bool), members: make(map[string]*member),
			ring: ring{maxEntries: mergeEntries, maxBytes: mergeBytes}}
		if s.byKey == nil {
			s.byKey = make(map[string]*merge)
		}
		s.byKey[sel.Key] = m
	}
	m.readers++
	s.mu.Unlock()
	m.once.Do(m.attach)
	return m, nil
}

// named is how many of the selections are. s.mu is held.
func (s *merges) named() (n int) {
	for _, m := range s.byKey {
		if m.selection.Named {
			n++
		}
	}
	return n
}

// join makes a flow that comes to be part of the merges that select it. t.mu is held.
func (s *merges) join(t *topic) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, m := range s.byKey {
		if m.selection.Match(t.id) && !slices.Contains(t.merges, m) {
			t.merges = append(t.merges, m)
		}
	}
}

// settle wakes the merges that hold something back until all smaller numbers are done.
func (s *merges) settle() {
	if s.held.Load() == 0 {
		return
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, m := range s.byKey {
		if m.holds.CompareAndSwap(true, false) {
			s.held.Add(-1)
			m.waiters.wake()
		}
	}
}

// wake wakes all who wait at a merge.
func (s *merges) wake() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, m := range s.byKey {
		m.waiters.wake()
	}
}

// merge is several flows as one stream, in the order of the numbers. Readers share its frames.
type merge struct {
	hub       *Hub
	selection Selection
	readers   int // guarded by merges.mu
	once      sync.Once
	waiters   waiters
	holds     atomic.Bool
	seen      atomic.Int64 // the last number in the ring, for who does not hold mu
	rev       atomic.Int64 // goes up with each flow whose regions have changed; changed with mu held

	marks  sync.Mutex // taken with a topic's lock held: guards only what follows, and nothing is locked under it
	dirty  map[*topic]bool
	unsaid map[*topic]bool // of whose regions there is something to say

	mu       sync.Mutex
	members  map[string]*member
	late     map[*topic]bool // changed, and not all of it merged yet
	captured int64           // the greatest number of a snapshot that was captured
	ring     ring
	regions  list.List // of *member, by rev
	joined   int64     // the greatest number of the snapshot of a flow that came to be: who has not had it, need not know of its regions
	position int64     // every number up to it is in the ring or was
	wanted   int64     // the number that somebody waits for to settle
}

// member is a flow of a merge, and how far it has been merged.
type member struct {
	topic  *topic
	merged int64
	fresh  *snapshot // what is to be merged first
	after  int64     // what such a snapshot is in place of comes after this number, and
	since  int64     // is up to this one: who is between them lacks it
	joins  bool      // what of its regions is unsaid is said with that
	rev    int64     // of the merge, when its regions last changed
	at     *list.Element
}

// attach makes the flows that there are part of the merge.
func (m *merge) attach() {
	m.hub.topics.Range(func(_, v any) bool {
		t := v.(*topic)
		if !m.selection.Match(t.id) {
			return true
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.state != nil && !slices.Contains(t.merges, m) {
			t.merges = append(t.merges, m)
			m.members[t.id] = &member{topic: t, merged: t.last}
		}
		return true
	})
}

func (m *merge) leave() {
	s := &m.hub.merges
	s.mu.Lock()
	m.readers--
	last := m.readers == 0
	if last {
		delete(s.byKey, m.selection.Key)
		if m.holds.CompareAndSwap(true, false) {
			s.held.Add(-1)
		}
	}
	s.mu.Unlock()
	if !last {
		return
	}
	m.hub.topics.Range(func(_, v any) bool {
		t := v.(*topic)
		t.mu.Lock()
		t.merges = slices.DeleteFunc(t.merges, func(o *merge) bool { return o == m })
		t.mu.Unlock()
		return true
	})
}

// mark notes that a flow has changed. t.mu is held.
func (m *merge) mark(t *topic) {
	m.marks.Lock()
	m.dirty[t] = true
	m.marks.Unlock()
}

// item is a frame to be: a message of a flow, or a snapshot of it; or one that is finished.
type item struct {
	seq        int64
	flow, kind string
	message    []byte
	snapshot   *snapshot
	after      int64 // of a snapshot: what it is in place of comes after this number
	frame      []byte
}

func (it item) text() []byte {
	if it.snapshot != nil {
		it.snapshot.encode()
		return it.snapshot.json
	}
	return it.message
}

// pull brings in what has changed and is settled. m.mu is held.
func (m *merge) pull() {
	for {
		settled := max(m.position, m.hub.numbers.settled()) // first: what is done by then has been marked
		m.marks.Lock()
		if len(m.dirty) > 0 {
			maps.Copy(m.late, m.dirty)
			clear(m.dirty)
		}
		m.markedRegions()
		m.marks.Unlock()
		for t := range m.late {
			m.capture(t)
		}
		if m.captured > settled { // a snapshot is in order only where all before it is
			if !m.hold(m.captured) {
				return
			}
			continue
		}
		round, ok := m.collect(settled)
		if !ok {
			continue
		}
		numbers := numbersOf(round)
		for i, it := range round {
			push(&m.ring, entry{seq: it.seq}, numbers[i], it.flow+"/"+it.kind, it.text(), nil)
		}
		m.position = settled
		if len(round) > 0 {
			m.seen.Store(round[len(round)-1].seq)
		}
		if len(m.late) == 0 || !m.hold(settled+1) {
			return
		}
	}
}

// numbersOf returns the numbers that items, in their order, go out with; 0 for one that is not to be resumed from, since a snapshot that
// comes after it holds what is older.
func numbersOf(items []item) []int64 {
	numbers := make([]int64, len(items))
	complete := int64(math.MaxInt64) // up to where all that comes later is not missing before
	for i := len(items) - 1; i >= 0; i-- {
		if items[i].seq <= complete {
			numbers[i] = items[i].seq
		}
		if items[i].snapshot != nil {
			complete = min(complete, items[i].after)
		}
	}
	return numbers
}

// hold asks to be woken when a request is done, unless number until is settled already; it then reports true.
func (m *merge) hold(until int64) (settled bool) {
	m.wanted = max(m.wanted, until)
	if m.holds.CompareAndSwap(false, true) {
		m.hub.merges.held.Add(1)
	}
	return m.hub.numbers.settled() >= until
}

// capture takes a snapshot of a flow that is new to the merge, or that has lost what the merge has not seen yet.
func (m *merge) capture(t *topic) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	known := m.members[t.id]
	if t.deleted || known != nil && known.topic == t && known.merged >= t.ring.evicted {
		return
	}
	now := &member{topic: t, joins: true, merged: t.born - 1}
	if known != nil && known.topic == t {
		now = known
	}
	if now.fresh == nil {
		now.after = now.merged
	}
	now.merged, now.since, now.fresh = t.last, t.last, t.snapshot()
	if known != now {
		m.forgetRegions(known)
	}
	m.members[t.id] = now
	m.captured = max(m.captured, t.last)
}

// news is what is new of a flow.
type news struct {
	topic *topic
	items []item
	upTo  int64 // number that they are up to
	more  bool  // there is more, not settled
	gone  bool  // the flow was deleted
}

// collect returns what is new up to number settled, in order, and leaves among the late the flows that have more. It reports false,
// having changed nothing, when a flow has lost what is wanted of it since it was captured.
func (m *merge) collect(settled int64) (items []item, ok bool) {
	all := make([]news, 0, len(m.late))
	for t := range m.late {
		n, ok := m.newsOf(t, settled)
		if !ok {
			return nil, false
		}
		all = append(all, n)
	}
	for _, n := range all {
		if !n.more {
			delete(m.late, n.topic)
		}
		if known := m.members[n.topic.id]; known != nil && known.topic == n.topic {
			if known.joins && known.fresh != nil {
				m.joined = max(m.joined, known.merged)
				m.changedRegions(known)
			}
			known.merged, known.fresh = n.upTo, nil
			if n.gone {
				m.forgetRegions(known)
				delete(m.members, n.topic.id)
			}
			items = append(items, n.items...)
		}
	}
	slices.SortFunc(items, func(a, b item) int { return cmp.Compare(a.seq, b.seq) })
	return items, true
}

func (m *merge) newsOf(t *topic, settled int64) (n news, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n.topic = t
	known := m.members[t.id]
	if t.deleted {
		if n.more = t.last > settled; !n.more {
			n.gone, n.upTo = true, t.last
			n.items = []item{{seq: t.last, flow: t.id, kind: "deleted", message: []byte("{}")}}
		}
		return n, true
	}
	if known == nil || known.topic != t || known.merged < t.ring.evicted {
		return n, false
	}
	n.upTo = known.merged
	if known.fresh != nil {
		n.items = append(n.items, item{seq: known.merged, flow: t.id, kind: "snapshot", snapshot: known.fresh, after: known.after})
	}
	for _, e := range t.ring.after(known.merged) {
		if n.more = e.seq > settled; n.more {
			break
		}
		n.items = append(n.items, item{seq: e.seq, flow: t.id, kind: e.kind(), message: e.text()})
		n.upTo = e.seq
	}
	return n, true
}

func (m *merge) take(r *Reader) Delivery {
	m.mu.Lock()
	m.pull()
	if r.fresh || r.cursor < m.ring.evicted {
		begun := m.start(r)
		m.mu.Unlock()
		if begun == nil {
			return Delivery{Waits: true}
		}
		return Delivery{Frames: begun.frames(&r.hub.Stats)}
	}
	defer m.mu.Unlock()
	if frames := m.newRegions(r); frames != nil {
		return Delivery{Frames: frames, More: true}
	}
	entries := m.ring.after(r.cursor)
	if len(entries) == 0 {
		return Delivery{}
	}
	out, n := frames(entries, deliverAtMost)
	d := Delivery{Frames: out, More: n < len(entries), source: m, after: r.cursor, upTo: entries[n-1].seq, messages: int64(n)}
	r.cursor = d.upTo
	r.hub.Stats.Frames.Add(int64(n))
	return d
}

func (m *merge) await(r *Reader, w *Waiter) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.marks.Lock()
	defer m.marks.Unlock()
	if len(m.dirty) > 0 || len(m.unsaid) > 0 || m.has(r) {
		return false
	}
	m.waiters.add(w)
	if wanted := max(m.wanted, r.waits); m.position < wanted && m.hold(wanted) { // settled since somebody asked
		m.waiters.remove(w)
		return false
	}
	return true
}

// has reports whether there is something for r to take. m.mu is held.
func (m *merge) has(r *Reader) bool {
	if r.waits > 0 {
		return m.position >= r.waits
	}
	return !r.fresh && (r.rev != m.rev.Load() || r.cursor < m.position && len(m.ring.after(r.cursor)) > 0)
}

func (m *merge) newest() (number, revision int64) { return m.seen.Load(), m.rev.Load() }

func (m *merge) cancel(w *Waiter) { m.waiters.remove(w) }

func (m *merge) head() (int64, string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.position, ""
}
