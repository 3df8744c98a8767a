package hub

import (
	"fmt"
	"strconv"
)

// deliverAtMost is about how many bytes one Take hands out.
const deliverAtMost = 256 << 10

// Reader follows one flow, whether the flow exists yet or not. It is a cursor, used by one goroutine at a time. Close it.
type Reader struct {
	hub    *Hub
	topic  *topic
	cursor int64 // the last number it has
	fresh  bool  // it has nothing yet and takes a snapshot next
	missed bool  // it came with a number that can't be resumed from
	closed bool
}

// Delivery is what a Reader takes at one time. Exactly one of Frames, Deleted and Wait is set.
type Delivery struct {
	Frames  [][]byte        // finished frames, shared: not to be changed
	Deleted bool            // the flow was deleted; nothing follows
	Wait    <-chan struct{} // nothing to take now; closed when there may be
}

// Follow returns a Reader of a flow. With lastSeq, the number of the last message it has, it resumes there if nothing between
// was lost; without, and otherwise, it starts from a snapshot. It fails with a *LimitError when there are too many readers.
func (h *Hub) Follow(flowID string, lastSeq int64, resume bool) (*Reader, error) {
	if h.Stats.Subscribers.Add(1) > int64(h.cfg.MaxSubscribers) {
		h.Stats.Subscribers.Add(-1)
		return nil, &LimitError{Server: true,
			Detail: fmt.Sprintf("the server has %d streams open, which is its limit", h.cfg.MaxSubscribers)}
	}
	for {
		t := h.ensure(flowID)
		t.mu.Lock()
		if t.gone {
			t.mu.Unlock()
			continue
		}
		t.readers++
		r := &Reader{hub: h, topic: t, fresh: true, missed: resume}
		if resume && t.state != nil && lastSeq >= t.born && lastSeq >= t.ring.evicted && lastSeq <= t.head {
			r.fresh, r.cursor = false, lastSeq
		}
		t.mu.Unlock()
		return r, nil
	}
}

// Close ends the reading. It may be called more than once.
func (r *Reader) Close() {
	if r.closed {
		return
	}
	r.closed = true
	r.hub.Stats.Subscribers.Add(-1)
	t := r.topic
	t.mu.Lock()
	t.readers--
	empty := t.state == nil && t.readers == 0 && !t.gone
	t.mu.Unlock()
	if empty {
		r.hub.release(t)
	}
}

// Take returns what follows the cursor and moves it.
func (r *Reader) Take() Delivery {
	t := r.topic
	t.mu.RLock()
	if t.deleted {
		t.mu.RUnlock()
		return Delivery{Deleted: true}
	}
	if t.state == nil || !r.fresh && r.cursor == t.head {
		t.sleepers.Add(1)
		wait := t.wake
		t.mu.RUnlock()
		return Delivery{Wait: wait}
	}
	stats := &r.hub.Stats
	if r.fresh || r.cursor < t.ring.evicted {
		s := t.snapshot()
		t.mu.RUnlock()
		s.encode()
		stats.Snapshots.Add(1)
		if r.missed || !r.fresh {
			stats.Resyncs.Add(1)
		}
		r.fresh, r.missed, r.cursor = false, false, s.head
		return Delivery{Frames: [][]byte{s.frame}}
	}
	entries := t.ring.after(r.cursor)
	out, n := frames(entries, deliverAtMost)
	r.cursor = entries[n-1].seq
	t.mu.RUnlock()
	stats.Frames.Add(int64(n))
	return Delivery{Frames: out}
}

// Incarnation returns the flow's present incarnation, NoIncarnation when it does not exist.
func (r *Reader) Incarnation() string {
	r.topic.mu.RLock()
	defer r.topic.mu.RUnlock()
	return r.topic.incarnation
}

// Heartbeat returns a heartbeat frame: the head's number (0 while the flow does not exist), the time and the incarnation.
func (r *Reader) Heartbeat() []byte {
	t := r.topic
	t.mu.RLock()
	head, incarnation := t.head, t.incarnation
	t.mu.RUnlock()
	b := append(make([]byte, 0, 128), "event: heartbeat\ndata: {\"seq\":"...)
	b = strconv.AppendInt(b, head, 10)
	b = append(b, ",\"at\":"...)
	b = strconv.AppendInt(b, r.hub.nowMs(), 10)
	b = append(b, ",\"incarnation\":"...)
	b = strconv.AppendQuote(b, incarnation)
	return append(b, "}\n\n"...)
}
