package hub

import (
	"slices"
	"sync"
)

// journal is the order over all flows: the last changes of those that a selection has. A position counts the events that were before it, ever.
type journal struct {
	maxEntries, maxBytes int

	// Written with h.order held too, so that whoever holds that need not lock to read. Nothing is locked while it is held.
	mu    sync.RWMutex
	list  []event // oldest first, from start on
	start int
	end   int64 // position after the newest
	bytes int
}

// event is a change of a flow.
type event struct {
	topic    *topic
	kind     eventKind
	seq      int64
	frame    []byte    // of a message, as in the ring: shared, it never changes
	data     int32     // where the message begins in it
	snapshot *snapshot // of a flow that came to be; encoded when somebody takes it
	partial  bool      // nothing may be resumed from it: a restored flow is ahead of it
}

type eventKind uint8

const (
	messageEvent  eventKind = iota
	snapshotEvent           // the flow came to be, or was restored
	deletedEvent
	regionsEvent // what is said of its regions changed; without a sequence number, and as good as gone once there is a later one of the flow
)

// perEvent is about how many bytes of a stream an event takes besides a message.
const perEvent = 64

func (e *event) size() int { return perEvent + len(e.frame) }

// event returns the event of a message. t.mu is held.
func (e *entry) event(t *topic) event {
	return event{topic: t, kind: messageEvent, seq: e.seq, frame: e.frame(), data: e.data - e.from}
}

// outdated reports whether a later event of the flow makes up for this one, at a position. j.mu is held.
func (e *event) outdated(position int64) bool {
	return e.topic.ended && e.kind != deletedEvent || e.kind == regionsEvent && e.topic.regionsAt != position
}

// oldest is the position of the oldest event. j.mu or h.order is held.
func (j *journal) oldest() int64 { return j.end - int64(len(j.list)-j.start) }

// from returns the events from a position on. It must not be less than oldest. j.mu or h.order is held.
func (j *journal) from(position int64) []event {
	return j.list[len(j.list)-int(j.end-position):]
}

// push adds an event. j.mu and h.order are held.
func (j *journal) push(e event) {
	j.list = append(j.list, e)
	j.end++
	j.bytes += e.size()
	for len(j.list)-j.start > j.maxEntries || j.bytes > j.maxBytes {
		j.bytes -= j.list[j.start].size()
		j.list[j.start] = event{}
		j.start++
	}
	if j.start > len(j.list)/2 && j.start > 16 {
		j.list = append(j.list[:0:0], j.list[j.start:]...)
		j.start = 0
	}
}

// publish puts an event of the flow into the journal, when somebody follows it among others. h.order and t.mu are held.
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
			if j.list[i].topic == t {
				j.list[i].snapshot = nil
			}
		}
	}
	j.push(e)
}

// publishWhole says that there is a flow, and what is known of its regions. h.order and t.mu are held.
func (t *topic) publishWhole() {
	if t.follows.Load() != nil {
		s := t.snapshot()
		t.publish(event{kind: snapshotEvent, snapshot: s, seq: s.head})
		t.publishRegions()
	}
}

// publishRegions says that something has changed of the regions of a flow. h.order and t.mu are held.
func (t *topic) publishRegions() {
	if t.state != nil {
		t.publish(event{kind: regionsEvent})
	}
}

// announce tells the selections that have the flow that its events stand in the journal, from position begin on, and wakes their readers. h.order
// and t.mu are held.
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

// follow adds a selection to those that have the flow, unless it is nil, and drops those that have no readers any more.
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
