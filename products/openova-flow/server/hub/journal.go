package hub

import (
	"slices"
	"sync"
)

// journal holds the last changes of all flows that are in a selection, in order. A position is the number of events ever pushed before it.
type journal struct {
	maxEntries, maxBytes int

	// A writer holds h.order and mu, so a reader needs only one of them. No other lock is taken while mu is held.
	mu    sync.RWMutex
	list  []event // oldest first, from start on
	start int
	end   int64 // position after the newest
	bytes int

	snapshots int64 // approximate bytes of the snapshots in list
	newest    int64 // those of the newest snapshot pushed, which do not count for maxBytes: a new flow may be larger
}

// event is a change of a flow.
type event struct {
	topic    *topic
	seq      int64
	at       int64     // of a message, the time of its change, Unix milliseconds
	frame    []byte    // of a message; shared with the ring, never changed
	snapshot *snapshot // of a created or restored flow; encoded by the first reader that takes it
	state    int64     // approximate bytes of snapshot
	data     int32     // offset of the message in frame, in bytes
	kind     eventKind
	partial  bool // sent without an id: a client must not resume from it, because a restored flow is ahead of it
}

type eventKind uint8

const (
	messageEvent  eventKind = iota
	snapshotEvent           // the flow was created or restored
	deletedEvent
	regionsEvent // the state of its regions changed; has no sequence number, and is replaced by the flow's next regionsEvent
)

// perEvent is the approximate number of bytes of an event without its frame.
const perEvent = 64

func (e *event) size() int { return perEvent + len(e.frame) }

// event returns the event of a message. t.mu is held.
func (e *entry) event(t *topic) event {
	return event{topic: t, kind: messageEvent, seq: e.seq, at: e.at, frame: e.frame(), data: e.data - e.from}
}

// outdated reports whether a later event of the flow replaces this one. position, where it is in the journal, matters only for a regionsEvent. j.mu is held.
func (e *event) outdated(position int64) bool {
	return e.topic.ended && e.kind != deletedEvent || e.kind == regionsEvent && e.topic.regionsAt != position
}

// oldest is the position of the oldest event. j.mu or h.order is held.
func (j *journal) oldest() int64 { return j.end - int64(len(j.list)-j.start) }

// from returns the events from a position on, which must be at least oldest. j.mu or h.order is held.
func (j *journal) from(position int64) []event {
	return j.list[len(j.list)-int(j.end-position):]
}

// push appends an event and drops the oldest beyond the limits. j.mu and h.order are held.
func (j *journal) push(e event) {
	j.list = append(j.list, e)
	j.end++
	j.bytes += e.size()
	if j.snapshots += e.state; e.state > 0 {
		j.newest = e.state
	}
	for len(j.list)-j.start > j.maxEntries || int64(j.bytes)+max(0, j.snapshots-j.newest) > int64(j.maxBytes) {
		j.bytes -= j.list[j.start].size()
		j.snapshots -= j.list[j.start].state
		j.list[j.start] = event{}
		j.start++
	}
	if j.start > len(j.list)/2 && j.start > 16 {
		j.list = append(j.list[:0:0], j.list[j.start:]...)
		j.start = 0
	}
}

// publish appends an event of the flow to the journal, if the flow is in a selection. h.order and t.mu are held.
func (t *topic) publish(e event) {
	if t.follows.Load() == nil {
		return
	}
	j := &t.hub.journal
	e.topic = t
	restored := t.hub.restored.Load()
	e.partial = e.seq < restored || e.seq == restored && t.hub.last.Load() < restored
	j.mu.Lock()
	defer j.mu.Unlock()
	switch e.kind {
	case regionsEvent:
		t.regionsAt = j.end
	case deletedEvent:
		t.ended = true
		for i := j.start; i < len(j.list); i++ {
			if old := &j.list[i]; old.topic == t {
				j.snapshots -= old.state
				old.snapshot, old.state = nil, 0
			}
		}
	}
	j.push(e)
}

// publishWhole publishes the snapshot of a new or restored flow, and its regions. h.order and t.mu are held.
func (t *topic) publishWhole() {
	if t.follows.Load() != nil {
		s := t.snapshot()
		t.publish(event{kind: snapshotEvent, snapshot: s, seq: s.head, state: t.state.Bytes()})
		t.publishRegions()
	}
}

// publishRegions publishes a change of the regions' state, if the flow exists. h.order and t.mu are held.
func (t *topic) publishRegions() {
	if t.state != nil {
		t.publish(event{kind: regionsEvent})
	}
}

// announce makes the flow's events from position begin on visible to the selections that have the flow, by setting their ends, and wakes their readers.
// h.order and t.mu are held.
func (t *topic) announce(begin int64) {
	j := &t.hub.journal
	if begin == j.end {
		return
	}
	left := false
	follows := *t.follows.Load()
	j.mu.Lock()
	for _, s := range follows {
		s.quietFrom, s.quietTo = s.end.Load(), begin
		s.end.Store(j.end)
		left = left || s.left.Load()
	}
	j.mu.Unlock()
	for _, s := range follows {
		s.waiters.wake()
	}
	if left {
		t.follow(nil)
	}
}

// follow adds s, if it is not nil, to the selections that the flow publishes to, and removes those without readers.
func (t *topic) follow(s *selection) {
	for {
		was := t.follows.Load()
		var now []*selection
		if was != nil {
			now = slices.DeleteFunc(slices.Clone(*was), func(o *selection) bool { return o == s || o.left.Load() })
		}
		if s != nil {
			now = append(now, s)
		}
		next := &now
		if len(now) == 0 {
			next = nil
		}
		if t.follows.CompareAndSwap(was, next) {
			return
		}
	}
}
