package hub

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"weak"
)

// Selection says which flows a stream of several has.
type Selection struct {
	Key   string                   // selections with equal keys have the same flows, and their streams the same frames
	Match func(flowID string) bool // must always answer the same
	Flows []string                 // all the flows that Match has; nil: there may be others
	Mark  string                   // ends the id of each frame, after the sequence number
}

// FollowMany returns a Reader of all the flows of a selection, those that are yet to come included. Each frame's event is the flow's
// id, a slash and the message's type. As sequence numbers are the hub's, the last one resumes all the flows: each from its ring, or, where
// that has lost something, from a snapshot. One that was given to none of the flows resumes nothing. It fails with a *LimitError when there are too
// many readers, and like Follow.
//
// The first frame after it starts, or starts anew because it fell behind, is `flows`, the flows that there are, with
// their incarnations. A frame that nothing may be resumed from, since what came before it is not yet complete, has no number, nor has one
// about the regions of a flow.
func (h *Hub) FollowMany(s Selection, lastSeq int64, resume bool) (*Reader, error) {
	if err := h.CatchUp(lastSeq); err != nil {
		return nil, err
	}
	if err := h.admitReader(); err != nil {
		return nil, err
	}
	shared := h.selections.enter(h, s)
	r := &Reader{hub: h, from: shared, fresh: true, missed: resume}
	if resume && lastSeq <= h.last.Load() {
		r.told = lastSeq
	}
	if resume && shared.gave(lastSeq) {
		r.cursor = lastSeq
	}
	return r, nil
}

// selections is those that somebody follows.
type selections struct {
	mu    sync.RWMutex // no topic is locked under it
	byKey map[string]*selection
}

// selection is a Selection with its readers. It has all changes of its flows from when attach has returned.
type selection struct {
	Selection
	hub     *Hub
	readers int // guarded by selections.mu
	once    sync.Once
	left    atomic.Bool // it has no readers any more, and none come
	waiters waiters

	// Of the journal, written with its lock held.
	end                atomic.Int64 // position after the last event of the flows
	quietFrom, quietTo int64        // between these positions there is no event of the flows, and after them come the last ones

	latest atomic.Pointer[weak.Pointer[Delivery]] // for the next reader at the same position
}

// enter returns the selection, for one more reader.
func (s *selections) enter(h *Hub, sel Selection) *selection {
	s.mu.Lock()
	shared := s.byKey[sel.Key]
	if shared == nil {
		shared = &selection{Selection: sel, hub: h}
		if s.byKey == nil {
			s.byKey = make(map[string]*selection)
		}
		s.byKey[sel.Key] = shared
	}
	shared.readers++
	s.mu.Unlock()
	shared.once.Do(func() { shared.each(func(t *topic) { t.follow(shared) }) })
	return shared
}

// store puts a new topic among the hub's, with the selections that have its flow: those that come later find it there. h.mu is held.
func (s *selections) store(t *topic) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, shared := range s.byKey {
		if shared.Match(t.id) {
			t.follow(shared)
		}
	}
	t.hub.topics.Store(t.id, t)
}

// wake wakes all who wait at a selection.
func (s *selections) wake() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, shared := range s.byKey {
		shared.waiters.wake()
	}
}

// leave ends one reader. Topics drop a selection without readers when they change, or the next one comes.
func (s *selection) leave() {
	all := &s.hub.selections
	all.mu.Lock()
	defer all.mu.Unlock()
	if s.readers--; s.readers == 0 {
		delete(all.byKey, s.Key)
		s.left.Store(true)
	}
}

// each calls f with the topics of the selection.
func (s *selection) each(f func(*topic)) {
	if s.Flows != nil {
		for _, id := range s.Flows {
			if t := s.hub.topic(id); t != nil {
				f(t)
			}
		}
		return
	}
	s.hub.topics.Range(func(id, v any) bool {
		if s.Match(id.(string)) {
			f(v.(*topic))
		}
		return true
	})
}

// gave reports whether a sequence number was given to one of the flows, as far as that is still known.
func (s *selection) gave(seq int64) (found bool) {
	s.each(func(t *topic) {
		if !found {
			t.mu.RLock()
			found = t.gave(seq)
			t.mu.RUnlock()
		}
	})
	if found {
		return true
	}
	j := &s.hub.journal
	j.mu.RLock()
	defer j.mu.RUnlock()
	return slices.ContainsFunc(j.from(j.oldest()), func(e event) bool { return e.seq == seq && e.kind != regionsEvent && s.Match(e.topic.id) })
}

func (s *selection) take(r *Reader) Delivery {
	if !r.fresh {
		if r.at >= s.end.Load() {
			return Delivery{}
		}
		if last := s.latest.Load(); last != nil {
			if d := last.Value(); d != nil && r.Adopt(*d) {
				return *d
			}
		}
		if d, ok := s.next(r); ok {
			return d
		}
	}
	return s.begin(r)
}

// next returns what follows the reader's position, or reports that the journal has lost something of it.
func (s *selection) next(r *Reader) (d Delivery, ok bool) {
	j := &s.hub.journal
	j.mu.RLock()
	d = Delivery{source: s, after: r.at, upTo: s.end.Load(), cursor: r.cursor}
	at := r.at
	if at >= s.quietFrom {
		at = max(at, s.quietTo)
	}
	if at < j.oldest() {
		j.mu.RUnlock()
		return d, false
	}
	var events []event
	size := 0
	for _, e := range j.from(at)[:d.upTo-at] {
		if at++; !s.Match(e.topic.id) || e.outdated(at-1) {
			continue
		}
		events = append(events, e)
		if size += e.size(); size >= deliverAtMost {
			d.More, d.upTo = at < d.upTo, at
			break
		}
	}
	j.mu.RUnlock()
	out := frameWriter{mark: s.Mark}
	for _, e := range events {
		if e.kind == regionsEvent {
			out.regions(e.topic)
			continue
		}
		seq := e.seq
		if e.partial {
			seq = 0
		} else {
			d.cursor = seq
		}
		out.event(seq, e)
		d.messages++
	}
	d.Frames = out.frames()
	r.at, r.cursor = d.upTo, d.cursor
	s.hub.Stats.Frames.Add(d.messages)
	shared := &d
	shared.keep = shared
	p := weak.Make(shared)
	s.latest.Store(&p)
	return d, true
}

func (s *selection) await(r *Reader, w *Waiter) bool {
	s.waiters.add(w)
	if r.fresh || r.at < s.end.Load() {
		s.waiters.remove(w)
		return false
	}
	return true
}

func (s *selection) newest() (place, revision int64) { return s.end.Load(), 0 }

func (s *selection) cancel(w *Waiter) { s.waiters.remove(w) }

func (s *selection) head() (int64, string) { return s.hub.last.Load(), "" }

// capture is the flows of a selection, each at a sequence number of its own, and what has changed since up to one position of the journal.
type capture struct {
	flows  map[string]string // incarnation by id
	heads  map[*topic]int64
	events []event // messages that follow the reader's cursor, where a flow's ring has them all, else snapshots
	end    int64   // the position
}

// begin returns what a reader takes first, or in place of what it has missed.
func (s *selection) begin(r *Reader) Delivery {
	h := s.hub
	behind := h.last.Load() < h.restored.Load() // the log has not come so far as one of the flows: nothing may be resumed from
	cursor := h.last.Load()
	c, ok := s.capture(r.cursor)
	if !ok { // the journal has lost what came meanwhile: what did not change is captured at no cost now
		if c, ok = s.capture(r.cursor); !ok {
			h.order.Lock()
			c, _ = s.capture(r.cursor)
			h.order.Unlock()
		}
	}
	whole, last := int64(0), int64(0) // the greatest sequence number of a snapshot, and of all
	for _, e := range c.events {
		if last = max(last, e.seq); e.kind == snapshotEvent {
			whole = max(whole, e.seq)
		}
	}
	for _, seq := range c.heads {
		last = max(last, seq)
	}
	slices.SortStableFunc(c.events, func(a, b event) int { // snapshots first: all of them must be there before anything may be resumed from
		return cmp.Or(cmp.Compare(b.kind, a.kind), cmp.Compare(a.seq, b.seq))
	})
	if !behind && last > 0 {
		cursor = max(r.cursor, last)
	}
	flows, _ := json.Marshal(map[string]any{"flows": c.flows, "seq": cursor}) // strings and a number always marshal
	out := frameWriter{mark: s.Mark}
	out.buf = append(append(append(out.buf, "event: flows\ndata: "...), flows...), "\n\n"...)
	for t := range c.heads {
		out.regions(t)
	}
	for i, e := range c.events {
		seq := e.seq
		switch newest := i == len(c.events)-1; {
		case behind, !newest && (e.kind == snapshotEvent || seq < whole):
			seq = 0
		case newest:
			seq = last
		}
		if seq <= max(r.cursor, r.told) { // the client has a greater one, of a flow that is deleted since
			seq = 0
		}
		out.event(seq, e)
		if e.kind != snapshotEvent {
			h.Stats.Frames.Add(1)
			continue
		}
		h.Stats.Snapshots.Add(1)
		if r.missed || !r.fresh {
			h.Stats.Resyncs.Add(1)
		}
	}
	r.fresh, r.missed, r.at, r.cursor = false, false, c.end, cursor
	return Delivery{Frames: out.frames()}
}

// capture captures the flows one after the other for a reader that has all up to cursor, or reports that the journal has lost something meanwhile.
func (s *selection) capture(cursor int64) (c capture, ok bool) {
	j := &s.hub.journal
	j.mu.RLock()
	from := j.end
	j.mu.RUnlock()
	c = capture{flows: make(map[string]string), heads: make(map[*topic]int64)}
	s.each(func(t *topic) {
		t.mu.RLock()
		defer t.mu.RUnlock()
		if t.state == nil {
			return
		}
		c.flows[t.id], c.heads[t] = t.incarnation, t.last
		if cursor < t.born || cursor < t.ring.evicted {
			s := t.snapshot()
			c.events = append(c.events, event{topic: t, kind: snapshotEvent, snapshot: s, seq: s.head})
			return
		}
		for _, e := range t.ring.after(cursor) {
			c.events = append(c.events, e.event(t))
		}
	})
	j.mu.RLock()
	defer j.mu.RUnlock()
	if from < j.oldest() {
		return c, false
	}
	c.end = j.end
	for _, e := range j.from(from) {
		if e.kind != regionsEvent && s.Match(e.topic.id) && !e.outdated(0) {
			c.add(e)
		}
	}
	return c, true
}

// add adds an event that came after the flows were captured, or while they were.
func (c *capture) add(e event) {
	head, known := c.heads[e.topic]
	switch {
	case e.kind == deletedEvent:
		if known {
			delete(c.flows, e.topic.id)
			c.drop(e.topic)
		}
	case known && e.seq <= head:
	case e.kind == snapshotEvent:
		c.drop(e.topic)
		c.flows[e.topic.id] = e.snapshot.incarnation
		fallthrough
	case known:
		c.heads[e.topic] = e.seq
		c.events = append(c.events, e)
	}
}

func (c *capture) drop(t *topic) {
	delete(c.heads, t)
	c.events = slices.DeleteFunc(c.events, func(e event) bool { return e.topic == t })
}

// frameWriter makes frames of events, with as few slices as possible.
type frameWriter struct {
	mark string
	out  [][]byte
	buf  []byte
}

// head appends what of a frame comes before its data. It has no id when seq is 0.
func (w *frameWriter) head(seq int64, t *topic, kind string) {
	if seq != 0 {
		w.buf = append(strconv.AppendInt(append(w.buf, "id: "...), seq, 10), w.mark...)
		w.buf = append(w.buf, '\n')
	}
	w.buf = append(append(append(append(append(w.buf, "event: "...), t.id...), '/'), kind...), "\ndata: "...)
}

func (w *frameWriter) event(seq int64, e event) {
	switch e.kind {
	case snapshotEvent: // the state itself is shared with all who take it
		e.snapshot.encode()
		w.head(seq, e.topic, "snapshot")
		w.out = append(w.out, w.buf, e.snapshot.tail())
		w.buf = nil
	case deletedEvent:
		w.head(seq, e.topic, "deleted")
		w.buf = append(w.buf, "{}\n\n"...)
	default:
		_, kind, _ := bytes.Cut(e.frame[:e.data], []byte("event: "))
		kind, _, _ = bytes.Cut(kind, []byte{'\n'})
		w.head(seq, e.topic, string(kind))
		w.buf = append(w.buf, e.frame[e.data:]...)
	}
}

// regions appends a frame about the regions of a flow as they are, unless the flow was deleted.
func (w *frameWriter) regions(t *topic) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if !t.deleted {
		w.head(0, t, "regions")
		w.buf = append(append(w.buf, t.regionsFrame().data...), "\n\n"...)
	}
}

func (w *frameWriter) frames() [][]byte {
	if len(w.buf) > 0 {
		w.out = append(w.out, w.buf)
	}
	return w.out
}
