package hub

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
)

// start is what a reader of several flows takes first: the flows as they were captured one after the other, each at its own
// number, and what has changed since up to one number that holds for all.
type start struct {
	resumes bool
	at      int64             // position of the merge when they were captured
	flows   map[string]string // incarnation by id
	heads   map[string]int64  // the number that each was captured at
	items   []item            // messages that follow the reader's number, where a flow's ring has them all, else snapshots
	until   int64             // the greatest of heads: once all up to it is settled, nothing before it can be missing
	whole   int64             // the greatest number of a snapshot: below it there is nothing to resume from
	upTo    int64             // the number that all of it is current to, with what has changed since
	before  [][]byte          // frames about the regions of flows
	after   [][]byte          // the same, of flows that have come to be since
}

// start returns what r takes first, or nil when that has to wait until numbers are settled. m.mu is held.
func (m *merge) start(r *Reader) *start {
	for {
		// Flows are captured once all that the reader has is merged: what comes up to there is not new to it.
		until := r.cursor
		if r.start != nil {
			until = r.start.until
		}
		if m.position < until {
			if !m.hold(until) {
				r.waits = until
				return nil
			}
			m.pull()
			continue
		}
		s := r.start
		if s == nil || s.at < m.ring.evicted {
			r.start = m.begin(r)
			continue
		}
		for _, e := range m.ring.after(s.at) {
			frame := e.frame()
			if e.seq > s.heads[flowOf(frame)] {
				s.items = append(s.items, item{seq: e.seq, frame: frame})
			}
		}
		s.upTo = m.position
		s.before, s.after = m.allRegions(s.flows)
		r.rev = m.rev.Load()
		r.start, r.waits, r.fresh, r.missed, r.cursor = nil, 0, false, false, m.position
		return s
	}
}

// flowOf returns the flow that a frame of a merge is of.
func flowOf(frame []byte) string {
	_, rest, _ := bytes.Cut(frame, []byte("event: "))
	id, _, _ := bytes.Cut(rest, []byte{'/'})
	return string(id)
}

// begin captures the flows for a reader.
func (m *merge) begin(r *Reader) *start {
	s := &start{resumes: r.missed || !r.fresh, at: m.position, flows: make(map[string]string), heads: make(map[string]int64)}
	for id, known := range m.members {
		t := known.topic
		t.mu.RLock()
		if t.deleted {
			t.mu.RUnlock()
			continue
		}
		s.flows[id], s.heads[id] = t.incarnation, t.last
		s.until = max(s.until, t.last)
		if t.holds(r.cursor) && (r.cursor <= known.after || r.cursor >= known.since) {
			for _, e := range t.ring.after(r.cursor) {
				s.items = append(s.items, item{seq: e.seq, flow: id, kind: e.kind(), message: e.text()})
			}
		} else {
			s.items = append(s.items, item{seq: t.last, flow: id, kind: "snapshot", snapshot: t.snapshot()})
			s.whole = max(s.whole, t.last)
		}
		t.mu.RUnlock()
	}
	return s
}

// rank puts snapshots first: all of them must be there before anything may be resumed from.
func (it item) rank() int64 {
	if it.snapshot != nil {
		return 0
	}
	return it.seq
}

// frames makes the frames of a start, without a lock.
func (s *start) frames(stats *Stats) [][]byte {
	slices.SortFunc(s.items, func(a, b item) int { return cmp.Compare(a.rank(), b.rank()) })
	flows, _ := json.Marshal(map[string]any{"flows": s.flows, "seq": s.upTo}) // strings and a number always marshal
	out := [][]byte{append(append([]byte("event: flows\ndata: "), flows...), "\n\n"...)}
	out = append(out, s.before...)
	for i, it := range s.items {
		number := it.seq
		if it.snapshot != nil || it.seq < s.whole || it.frame != nil && !hasNumber(it.frame) {
			number = 0
		}
		if number == 0 && i == len(s.items)-1 {
			number = s.upTo
		}
		switch {
		case it.snapshot != nil: // the state itself is shared with all who take it
			it.snapshot.encode()
			out = append(out, appendHead(nil, number, it.flow+"/"+it.kind), it.snapshot.tail())
			stats.Snapshots.Add(1)
			if s.resumes {
				stats.Resyncs.Add(1)
			}
			continue
		case it.frame == nil:
			out = append(out, appendFrame(nil, number, it.flow+"/"+it.kind, it.message))
		case number == it.seq && hasNumber(it.frame):
			out = append(out, it.frame)
		default:
			out = append(out, renumbered(it.frame, number))
		}
		stats.Frames.Add(1)
	}
	return append(out, s.after...)
}

// hasNumber reports whether a finished frame has a number.
func hasNumber(frame []byte) bool { return bytes.HasPrefix(frame, []byte("id: ")) }

// renumbered is a finished frame with another number, without one when that is 0.
func renumbered(frame []byte, number int64) []byte {
	rest := frame
	if hasNumber(frame) {
		_, rest, _ = bytes.Cut(frame, []byte{'\n'})
	}
	if number == 0 {
		return rest
	}
	return append(append(strconv.AppendInt([]byte("id: "), number, 10), '\n'), rest...)
}
