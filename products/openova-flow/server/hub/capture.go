package hub

import (
	"cmp"
	"encoding/json"
	"slices"
)

// capture is the state of the flows of a selection at one position of the journal: each flow as it was when it was captured, and its later changes.
type capture struct {
	flows  map[string]string // incarnation by id
	heads  map[*topic]int64
	events []event // of each flow, the messages after the reader's cursor if the ring has all of them, else a snapshot; then the later changes
	end    int64   // the position in the journal
}

// begin returns a reader's first delivery, or the one that replaces events that the journal no longer has.
func (s *selection) begin(r *Reader) Delivery {
	h := s.hub
	behind := h.last.Load() < h.restored.Load() // a restored flow is ahead of the log, so no frame may carry an id to resume from
	cursor := h.last.Load()
	c, ok := s.capture(r.cursor)
	if !ok { // the journal dropped events during the capture; a retry is cheap for flows that did not change
		if c, ok = s.capture(r.cursor); !ok {
			h.order.Lock()
			c, _ = s.capture(r.cursor)
			h.order.Unlock()
		}
	}
	newestSnapshot, last := int64(0), int64(0) // the greatest sequence number of a snapshot, and of any event or flow
	for _, e := range c.events {
		if last = max(last, e.seq); e.kind == snapshotEvent {
			newestSnapshot = max(newestSnapshot, e.seq)
		}
	}
	for _, seq := range c.heads {
		last = max(last, seq)
	}
	slices.SortStableFunc(c.events, func(a, b event) int { // snapshots first: a client may only resume from an id if it has all of them
		return cmp.Or(cmp.Compare(b.kind, a.kind), cmp.Compare(a.seq, b.seq))
	})
	if !behind && last > 0 {
		cursor = max(r.cursor, last)
	}
	flows, _ := json.Marshal(map[string]any{"flows": c.flows, "seq": cursor}) // strings and a number always marshal
	out := frameWriter{mark: s.Mark}
	out.buf = appendFrame(out.buf, 0, "flows", flows)
	for t := range c.heads {
		out.regions(t)
	}
	for i, e := range c.events {
		seq := e.seq
		switch newest := i == len(c.events)-1; {
		case behind, !newest && (e.kind == snapshotEvent || seq < newestSnapshot):
			seq = 0
		case newest:
			seq = last
		}
		if seq <= max(r.cursor, r.clientSeq) { // the client has this id or a greater one, from a flow that is now deleted
			seq = 0
		}
		out.event(seq, e)
		if e.kind != snapshotEvent {
			h.Stats.Delivered.Add(1)
			continue
		}
		h.Stats.Snapshots.Add(1)
		if r.resumes || !r.needsSnapshot {
			h.Stats.Resyncs.Add(1)
		}
	}
	r.needsSnapshot, r.resumes, r.live, r.at, r.cursor = false, false, true, c.end, cursor
	return Delivery{Frames: out.frames()}
}

// capture captures the flows one after the other, for a reader that has all messages up to cursor. ok is false if the journal dropped events that were
// pushed during the capture.
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

// add adds an event from during or after the capture of the flows.
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
