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
	at     int64 // the sequence number that it has; of several flows, its position in the journal
	cursor int64 // of several flows, the sequence number that it has
	told   int64 // of several flows, the sequence number that the client came with
	rev    int64 // of one flow, what it was told of the regions last; noRegions: nothing
	fresh  bool  // it takes what things are now next, not what has changed
	missed bool  // it came with a number
	closed bool
}

// source is what a Reader reads: one flow, or several as one.
type source interface {
	take(r *Reader) Delivery
	await(r *Reader, w *Waiter) bool
	cancel(w *Waiter)
	newest() (place, revision int64) // where a reader is that has all, and of what is said of the regions
	head() (seq int64, incarnation string)
	leave()
}

// Delivery is what a Reader takes at one time. At most one of Frames and Ended is set.
type Delivery struct {
	Frames [][]byte // finished frames, shared: not to be changed
	More   bool     // there is more to take at once
	Ended  bool     // the flow was deleted; nothing follows

	source   source // with after and upTo: what another reader that is at the same place may take as well
	after    int64
	upTo     int64
	cursor   int64
	messages int64
	keep     *Delivery // the one that other readers find, while anybody holds this one
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
	t := h.lock(flowID)
	defer h.unlock(t)
	t.readers++
	r := &Reader{hub: h, from: t, rev: noRegions, fresh: true, missed: resume}
	if resume && t.gave(lastSeq) {
		r.fresh, r.at = false, lastSeq
	}
	return r, nil
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
	if d.source != r.from || r.fresh || r.at != d.after {
		return false
	}
	if number, revision := r.from.newest(); d.upTo != number || r.rev != revision {
		return false
	}
	r.at, r.cursor = d.upTo, max(r.cursor, d.cursor)
	r.hub.Stats.Frames.Add(d.messages)
	return true
}

// Await is for a reader that has just had nothing to take: it arranges for w to be woken when there may be something. It returns
// false when there is already. When r has nothing, no reader of the same source has that had nothing later than r.
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

// gave reports whether seq was given to a message of the flow's present incarnation and the ring has every message after it. t.mu is held.
func (t *topic) gave(seq int64) bool {
	return t.state != nil && seq >= t.born && (seq == t.ring.evicted || t.ring.has(seq))
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
	if t.state == nil || !r.fresh && r.at >= t.last {
		t.mu.RUnlock()
		return Delivery{Frames: regions}
	}
	stats := &r.hub.Stats
	if r.fresh || r.at < t.ring.evicted {
		s := t.snapshot()
		t.mu.RUnlock()
		s.encode()
		stats.Snapshots.Add(1)
		if r.missed || !r.fresh {
			stats.Resyncs.Add(1)
		}
		r.fresh, r.missed, r.at = false, false, s.head
		return Delivery{Frames: append(regions, s.frame)}
	}
	entries := t.ring.after(r.at)
	out, n := frames(entries, deliverAtMost)
	d := Delivery{Frames: out, More: n < len(entries), source: t, after: r.at, upTo: entries[n-1].seq, messages: int64(n)}
	if regions != nil { // which another reader may have already
		d.Frames, d.source = append(regions, out...), nil
	}
	r.at = d.upTo
	t.mu.RUnlock()
	stats.Frames.Add(int64(n))
	return d
}

func (t *topic) await(r *Reader, w *Waiter) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.deleted || r.rev != t.rev.Load() || t.state != nil && (r.fresh || r.at < t.last) {
		return false
	}
	t.waiters.add(w)
	return true
}

func (t *topic) newest() (place, revision int64) { return t.seen.Load(), t.rev.Load() }

func (t *topic) cancel(w *Waiter) { t.waiters.remove(w) }

func (t *topic) head() (int64, string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.last, t.incarnation
}

func (t *topic) leave() {
	t.mu.Lock()
	t.readers--
	t.hub.unlock(t)
}
