package hub

import (
	"slices"
	"sync"
	"sync/atomic"
	"weak"
)

// Selection is the set of flows of a merged stream.
type Selection struct {
	Key   string                   // selections with equal keys have the same flows, and their streams the same frames
	Match func(flowID string) bool // must always give the same answer
	Flows []string                 // all flows that match; nil: unknown
	Mark  string                   // ends the id of each frame, after the sequence number
}

// FollowMany returns a Reader of all flows of a selection, also of future ones. A frame's event is the flow's id, a slash and the message's type.
// Sequence numbers are of the whole hub, so the last one resumes all flows: each from its ring or, if that has evicted later messages, with a snapshot. A
// number that belongs to none of the flows resumes nothing. FollowMany fails like Follow.
//
// The first frame, also after the reader fell behind the journal, is `flows`: the existing flows with their incarnations. A frame has no id if a client
// must not resume from it. The frames `flows` and regions never have one.
func (h *Hub) FollowMany(s Selection, lastSeq int64, resume bool) (*Reader, error) {
	if err := h.CatchUp(lastSeq); err != nil {
		return nil, err
	}
	if err := h.admitReader(); err != nil {
		return nil, err
	}
	shared := h.selections.enter(h, s)
	r := &Reader{hub: h, from: shared, needsSnapshot: true, resumes: resume}
	if resume && lastSeq <= h.last.Load() {
		r.clientSeq = lastSeq
	}
	if resume && shared.hasSeq(lastSeq) {
		r.cursor = lastSeq
	}
	return r, nil
}

// selections has the selections with readers.
type selections struct {
	mu    sync.RWMutex // no topic is locked under it
	byKey map[string]*selection
}

// selection is a Selection with its readers. Each of its flows publishes all changes once topic.follow has returned.
type selection struct {
	Selection
	hub     *Hub
	readers int // guarded by selections.mu
	once    sync.Once
	left    atomic.Bool // the last reader has left; it is not used again
	waiters waiters

	// Positions in the journal, written with its lock held.
	end                atomic.Int64 // position after the last event of one of the flows
	quietFrom, quietTo int64        // a reader at or after quietFrom needs no event before quietTo

	latest atomic.Pointer[weak.Pointer[Delivery]] // the last delivery, for the next reader at the same position
}

// enter returns the selection and counts one more reader.
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

// store adds a new topic to the hub and to the selections that match it. h.mu is held.
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

func (s *selections) wake() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, shared := range s.byKey {
		shared.waiters.wake()
	}
}

// leave removes one reader. A topic drops a selection without readers at its next change, or when it gets another selection.
func (s *selection) leave() {
	all := &s.hub.selections
	all.mu.Lock()
	defer all.mu.Unlock()
	if s.readers--; s.readers == 0 {
		delete(all.byKey, s.Key)
		s.left.Store(true)
	}
}

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

// hasSeq reports whether a sequence number belongs to one of the flows, according to the rings and the journal.
func (s *selection) hasSeq(seq int64) (found bool) {
	s.each(func(t *topic) {
		if !found {
			t.mu.RLock()
			found = t.hasSeq(seq)
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
	if !r.needsSnapshot {
		if r.at >= s.end.Load() {
			r.live = true
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

// next returns the events after the reader's position; ok is false if some of them have left the journal.
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
		switch e.kind {
		case snapshotEvent:
			d.snapshots++
		case messageEvent:
			d.messages++
		}
		if d.Since == 0 && r.live {
			d.Since = e.at
		}
	}
	d.Frames = out.frames()
	r.at, r.cursor, r.live = d.upTo, d.cursor, r.live || !d.More
	s.hub.Stats.Delivered.Add(d.messages)
	s.hub.Stats.Snapshots.Add(d.snapshots)
	shared := &d
	shared.keep = shared
	p := weak.Make(shared)
	s.latest.Store(&p)
	return d, true
}

func (s *selection) await(r *Reader, w *Waiter) bool {
	s.waiters.add(w)
	if r.needsSnapshot || r.at < s.end.Load() {
		s.waiters.remove(w)
		return false
	}
	return true
}

func (s *selection) newest() (at, rev int64) { return s.end.Load(), 0 }

func (s *selection) cancel(w *Waiter) { s.waiters.remove(w) }

func (s *selection) head() (int64, string) { return s.hub.last.Load(), "" }
