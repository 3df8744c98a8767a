package hub

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
)

// deliverAtMost is the approximate number of bytes of messages after which one Take stops. A snapshot is delivered whole, and so is all that
// selection.begin returns.
const deliverAtMost = 256 << 10

// Reader is the cursor of a subscriber in one flow, which need not exist yet, or in a selection. One goroutine at a time may use it. It must be closed.
type Reader struct {
	hub           *Hub
	from          source
	at            int64 // for one flow, the cursor; for a selection, a position in the journal
	cursor        int64 // for a selection, the cursor
	clientSeq     int64 // for a selection, lastSeq of FollowMany unless that is above LastSeq
	rev           int64 // for one flow, claimed.rev at the last regions frame; noRegions: none yet
	needsSnapshot bool  // for one flow, a snapshot comes before the next message; for a selection, the next delivery is that of begin
	resumes       bool  // the client sent a cursor, so its first snapshots are resyncs
	live          bool  // it was up to date once; later messages count for the delivery lag
	closed        bool
}

// source is what a Reader reads: a topic or a selection.
type source interface {
	take(r *Reader) Delivery
	await(r *Reader, w *Waiter) bool
	cancel(w *Waiter)
	newest() (at, rev int64) // the at and rev of a Reader that is up to date
	head() (seq int64, incarnation string)
	leave()
}

// Delivery is the result of one Take. At most one of Frames and Ended is set.
type Delivery struct {
	Frames [][]byte // complete frames; shared with other readers, so do not change them
	More   bool     // there may be more frames: call Take again
	Ended  bool     // the flow was deleted: end the stream
	Since  int64    // time of the oldest message's change, Unix milliseconds; 0 for snapshots and for messages before the reader was up to date

	source    source // whose readers may adopt the delivery; nil: none
	after     int64  // at of a Reader before the delivery
	upTo      int64  // and after it
	cursor    int64
	messages  int64
	snapshots int64     // of created and restored flows
	keep      *Delivery // keeps selection.latest alive while a reader holds a copy
}

// Follow returns a Reader of a flow. With resume, lastSeq is the sequence number of the last message that the client has: the reader continues after it if
// the ring has all later messages. Otherwise it starts with a snapshot. Follow fails with a *LimitError if there are too many readers, and with an
// *UnavailableError if lastSeq is from another hub of the Log and this one can't catch up.
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
	r := &Reader{hub: h, from: t, rev: noRegions, needsSnapshot: true, resumes: resume}
	if resume && t.hasSeq(lastSeq) {
		r.needsSnapshot, r.at = false, lastSeq
	}
	return r, nil
}

// MaxSubscribers is the limit for open readers.
func (h *Hub) MaxSubscribers() int { return h.cfg.MaxSubscribers }

func (h *Hub) admitReader() error {
	if h.Stats.Subscribers.Add(1) > int64(h.cfg.MaxSubscribers) {
		h.Stats.Subscribers.Add(-1)
		return &LimitError{Server: true,
			Detail: fmt.Sprintf("the server is at its limit of %d open streams; close some, or raise FLOW_SERVER_MAX_SUBSCRIBERS", h.cfg.MaxSubscribers)}
	}
	return nil
}

// Close ends the reader. It may be called more than once. It does not cancel a Waiter.
func (r *Reader) Close() {
	if !r.closed {
		r.closed = true
		r.hub.Stats.Subscribers.Add(-1)
		r.from.leave()
	}
}

// Take returns the frames after the cursor, up to about deliverAtMost bytes, and moves the cursor. If there are none, neither Frames nor Ended is set.
func (r *Reader) Take() Delivery { return r.from.take(r) }

// Adopt takes over the delivery of another reader of the same source, if both were at the same position and the delivery makes this one up to date. It
// reports whether it did.
func (r *Reader) Adopt(d Delivery) bool {
	if d.source != r.from || r.needsSnapshot || r.at != d.after {
		return false
	}
	if at, rev := r.from.newest(); d.upTo != at || r.rev != rev {
		return false
	}
	r.at, r.cursor, r.live = d.upTo, max(r.cursor, d.cursor), true
	r.hub.Stats.Delivered.Add(d.messages)
	r.hub.Stats.Snapshots.Add(d.snapshots)
	return true
}

// Await arranges that w is woken once there may be frames. Call it after a Take without More. It returns false if Take may have something to return already.
// One Waiter serves several readers of a source after such Takes: call Await only of the reader whose Take came first.
func (r *Reader) Await(w *Waiter) bool { return r.from.await(r, w) }

// Cancel undoes Await: w is not woken any more by the reader's source, except by a wake that has already begun.
func (r *Reader) Cancel(w *Waiter) { r.from.cancel(w) }

// Key identifies the source. Readers with equal keys may adopt each other's deliveries and share a Waiter.
func (r *Reader) Key() any { return r.from }

// Incarnation returns the flow's current incarnation, NoIncarnation if the flow does not exist, and "" for a selection.
func (r *Reader) Incarnation() string {
	_, incarnation := r.from.head()
	return incarnation
}

// Heartbeat returns a heartbeat frame: the sequence number of the flow's last message (0: none yet), or for a selection the greatest of the hub; the time;
// and for one flow its incarnation.
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

// hasSeq reports whether a reader can resume after seq: seq is of the present incarnation, and the ring has every later message. t.mu is held.
func (t *topic) hasSeq(seq int64) bool {
	return t.state != nil && seq >= t.born && (seq == t.ring.evicted || t.ring.has(seq))
}

func (t *topic) take(r *Reader) Delivery {
	t.mu.RLock()
	if t.deleted {
		t.mu.RUnlock()
		return Delivery{Ended: true}
	}
	var regions [][]byte // before snapshots and messages, so that a client has the state of a region before its nodes
	if rev := t.claimed.rev.Load(); r.rev != rev {
		r.rev = rev
		regions = [][]byte{t.regions().frame}
	}
	if t.state == nil || !r.needsSnapshot && r.at >= t.last {
		t.mu.RUnlock()
		r.live = true
		return Delivery{Frames: regions}
	}
	stats := &r.hub.Stats
	if r.needsSnapshot || r.at < t.ring.evicted {
		s := t.snapshot()
		t.mu.RUnlock()
		s.encode()
		stats.Snapshots.Add(1)
		if r.resumes || !r.needsSnapshot {
			stats.Resyncs.Add(1)
		}
		r.needsSnapshot, r.resumes, r.live, r.at = false, false, true, s.head
		return Delivery{Frames: append(regions, s.frame)}
	}
	entries := t.ring.after(r.at)
	out, n := frames(entries, deliverAtMost)
	d := Delivery{Frames: out, More: n < len(entries), source: t, after: r.at, upTo: entries[n-1].seq, messages: int64(n)}
	if regions != nil { // it must not be adopted: another reader may already have the regions frame
		d.Frames, d.source = append(regions, out...), nil
	}
	if r.live {
		d.Since = entries[0].at
	}
	r.at, r.live = d.upTo, r.live || !d.More
	t.mu.RUnlock()
	stats.Delivered.Add(int64(n))
	return d
}

func (t *topic) await(r *Reader, w *Waiter) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.deleted || r.rev != t.claimed.rev.Load() || t.state != nil && (r.needsSnapshot || r.at < t.last) {
		return false
	}
	t.waiters.add(w)
	return true
}

func (t *topic) newest() (at, rev int64) { return t.headSeq.Load(), t.claimed.rev.Load() }

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

// Waiter is woken when there may be frames to take. Set Wake, then pass it to Reader.Await of one source at a time.
type Waiter struct {
	// Wake is called when there may be frames, once for all Awaits since the last call, unless Cancel comes first. It is called from any goroutine,
	// perhaps with locks of the hub held: it must not block or call the hub.
	Wake func()

	waits bool
}

type waiters struct {
	mu   sync.Mutex
	list []*Waiter
}

func (l *waiters) add(w *Waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !w.waits {
		w.waits = true
		l.list = append(l.list, w)
	}
}

func (l *waiters) remove(w *Waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.waits {
		w.waits = false
		at := slices.Index(l.list, w)
		l.list = slices.Delete(l.list, at, at+1)
	}
}

// fewWaiters is how many waiters the goroutine of a change wakes itself. More are woken by another goroutine, so that ingest does not wait.
const fewWaiters = 16

func (l *waiters) wake() {
	l.mu.Lock()
	list := l.list
	l.list = nil
	for _, w := range list {
		w.waits = false
	}
	l.mu.Unlock()
	if len(list) > fewWaiters {
		go wake(list)
	} else {
		wake(list)
	}
}

func wake(list []*Waiter) {
	for _, w := range list {
		w.Wake()
	}
}
