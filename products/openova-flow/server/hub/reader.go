package hub

import (
	"fmt"
	"strconv"
)

// deliverAtMost is about how many bytes one Take hands out.
const deliverAtMost = 256 << 10

// Reader follows one flow, whether the flow exists yet or not, or several as one. It is a cursor, used by one goroutine at a time.
// Close it.
type Reader struct {
	hub    *Hub
	from   source
	cursor int64  // the last number it has
	rev    int64  // what it was told of the regions last, or of how many; noRegions: nothing
	fresh  bool   // it takes what things are now next, not what has changed
	missed bool   // it came with a number
	start  *start // what it takes first, from several flows, while that is made
	waits  int64  // the number that has to settle before it can be made; 0: none
	closed bool
}

// source is what a Reader reads: one flow, or several as one.
type source interface {
	take(r *Reader) Delivery
	await(r *Reader, w *Waiter) bool
	cancel(w *Waiter)
	newest() (number, revision int64) // of the last message, and of what is said of the regions
	head() (seq int64, incarnation string)
	leave()
}

// Delivery is what a Reader takes at one time. At most one of Frames and Ended is set.
type Delivery struct {
	Frames [][]byte // finished frames, shared: not to be changed
	More   bool     // there is more to take at once
	Waits  bool     // there is something to take, but not before numbers settle
	Ended  bool     // the flow was deleted; nothing follows

	source   source // with after and upTo: what another reader that is at the same place may take as well
	after    int64
	upTo     int64
	messages int64
}

// Follow returns a Reader of a flow. With lastSeq, the number of the last message it has, it resumes there if nothing between
// was lost; without, and otherwise, it starts from a snapshot. It fails with a *LimitError when there are too many readers, and with an
// *UnavailableError when the number is from another hub of the Log, which this one can't catch up with.
func (h *Hub) Follow(flowID string, lastSeq int64, resume bool) (*Reader, error) {
	if err := h.CatchUp(lastSeq); err != nil {
		return nil, err
	}
	if err := h.admitReader(); err != nil {
		return nil, err
	}
	for {
		t := h.ensure(flowID)
		t.mu.Lock()
		if t.gone {
			t.mu.Unlock()
			continue
		}
		t.readers++
		r := &Reader{hub: h, from: t, rev: noRegions, fresh: true, missed: resume}
		if resume && t.holds(lastSeq) {
			r.fresh, r.cursor = false, lastSeq
		}
		t.mu.Unlock()
		return r, nil
	}
}

// MaxSubscribers is how many readers there may be.
func (h *Hub) MaxSubscribers() int { return h.cfg.MaxSubscribers }

func (h *Hub) admitReader() error {
	if h.Stats.Subscribers.Add(1) > int64(h.cfg.MaxSubscribers) {
		h.Stats.Subscribers.Add(-1)
		return &LimitError{Server: true,
			Detail: fmt.Sprintf("the server has %d streams open, which is its limit", h.cfg.MaxSubscribers)}
	}
	return nil
}

// Close ends the reading. It may be called more than once. It does not cancel a Waiter.
func (r *Reader) Close() {
	if !r.closed {
		r.closed = true
		r.hub.Stats.Subscribers.Add(-1)
		r.from.leave()
	}
}

// Take returns what follows the cursor and moves it. When there is nothing, it returns a Delivery with neither Frames nor Ended.
func (r *Reader) Take() Delivery { return r.from.take(r) }

// Adopt takes what another reader of the same source has taken, when this one is at the same place and nothing newer is there, and
// reports whether it did.
func (r *Reader) Adopt(d Delivery) bool {
	if d.source != r.from || r.fresh || r.cursor != d.after {
		return false
	}
	if number, revision := r.from.newest(); d.upTo != number || r.rev != revision {
		return false
	}
	r.cursor = d.upTo
	r.hub.Stats.Frames.Add(d.messages)
	return true
}

// Await is for a reader that has just had nothing to take: it arranges for w to be woken when there may be something. It returns
// false when there is already. Of readers of one source, those that had nothing later than r have nothing either when r has not; but
// for those whose Delivery said that it Waits: of these, when the first has to wait on, w is woken when any of them need not.
func (r *Reader) Await(w *Waiter) bool { return r.from.await(r, w) }

// Cancel ends what Await arranged at the reader's source.
func (r *Reader) Cancel(w *Waiter) { r.from.cancel(w) }

// Source identifies what the reader reads: two readers with equal sources read the same.
func (r *Reader) Source() any { return r.from }

// Incarnation returns the flow's present incarnation, NoIncarnation when it does not exist, and nothing for several flows.
func (r *Reader) Incarnation() string {
	_, incarnation := r.from.head()
	return incarnation
}

// Heartbeat returns a heartbeat frame: the number of the last message there is (0 while there was none), the time and, for one
// flow, its incarnation.
func (r *Reader) Heartbeat() []byte {
	head, incarnation := r.from.head()
	b := append(make([]byte, 0, 128), "event: heartbeat\ndata: {\"seq\":"...)
	b = strconv.AppendInt(b, head, 10)
	b = append(b, ",\"at\":"...)
	b = strconv.AppendInt(b, r.hub.nowMs(), 10)
	if incarnation != "" {
		b = append(b, ",\"incarnation\":"...)
		b = strconv.AppendQuote(b, incarnation)
	}
	return append(b, "}\n\n"...)
}

// holds reports whether the ring has every message after seq of the flow's present incarnation. A number of another flow, greater
// than the head, is as good as the head: numbers are the hub's. t.mu is held.
func (t *topic) holds(seq int64) bool {
	return t.state != nil && seq >= t.born && seq >= t.ring.evicted && seq <= t.hub.numbers.last.Load()
}

func (t *topic) take(r *Reader) Delivery {
	t.mu.RLock()
	if t.deleted {
		t.mu.RUnlock()
		return Delivery{Ended: true}
	}
	var regions [][]byte // they come before everything else, so that no node is seen without what is known of its region
	if rev := t.rev.Load(); r.rev != rev {
		r.rev = rev
		regions = [][]byte{t.regions()}
	}
	if t.state == nil || !r.fresh && r.cursor >= t.last {
		t.mu.RUnlock()
		return Delivery{Frames: regions}
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
		return Delivery{Frames: append(regions, s.frame)}
	}
	entries := t.ring.after(r.cursor)
	out, n := frames(entries, deliverAtMost)
	d := Delivery{Frames: out, More: n < len(entries), source: t, after: r.cursor, upTo: entries[n-1].seq, messages: int64(n)}
	if regions != nil { // which another reader may have already
		d.Frames, d.source = append(regions, out...), nil
	}
	r.cursor = d.upTo
	t.mu.RUnlock()
	stats.Frames.Add(int64(n))
	return d
}

func (t *topic) await(r *Reader, w *Waiter) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.deleted || r.rev != t.rev.Load() || t.state != nil && (r.fresh || r.cursor < t.last) {
		return false
	}
	t.waiters.add(w)
	return true
}

func (t *topic) newest() (number, revision int64) { return t.seen.Load(), t.rev.Load() }

func (t *topic) cancel(w *Waiter) { t.waiters.remove(w) }

func (t *topic) head() (int64, string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.last, t.incarnation
}

func (t *topic) leave() {
	t.mu.Lock()
	t.readers--
	empty := t.empty() && !t.gone
	t.mu.Unlock()
	if empty {
		t.hub.release(t)
	}
}
