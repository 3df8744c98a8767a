package emit

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// outbox has the changes that the server has not confirmed. While compared is true and no comparison is running, want is the fold of confirmed, the
// sent batch and the log. It is not safe for concurrent use.
type outbox struct {
	backlog   int
	confirmed *regionState
	want      *regionState
	sent      *batch   // sent, without an answer so far; its changes are not in log
	log       []change // in the order of Put
	limit     int      // length of log above which it collapses
	held      map[key]hold
	compared  bool // compared with the server since the last reset or distrust
	collapsed int  // number of changes removed by collapsing

	putMeanwhile map[key]bool // elements that were put since the running comparison began; true: deleted, if only for a time. nil if none is running

	base *regionState // the region before log, as this process saw it before its term; nil after the comparison
}

// hold is an element that the server has rejected. It is sent again at a time, or when it changes.
type hold struct {
	change
	until time.Time     // zero: until it changes
	delay time.Duration // duration of the last hold
	tried bool          // it was released or has changed, and is sent again
}

func newOutbox(backlog int) *outbox {
	o := &outbox{backlog: backlog, held: map[key]hold{}}
	o.reset()
	return o
}

// reset removes everything except the held elements and the counter.
func (o *outbox) reset() {
	o.confirmed, o.want = newRegionState(), newRegionState()
	o.sent, o.log, o.limit = nil, nil, o.backlog
	o.compared, o.putMeanwhile = false, nil
	o.base = nil
}

func (o *outbox) put(c change) {
	if o.putMeanwhile != nil {
		o.putMeanwhile[c.key] = o.putMeanwhile[c.key] || c.deletes()
	}
	if h, ok := o.held[c.key]; ok {
		switch {
		case !h.tried && h.json == c.json:
			return
		case h.until.IsZero():
			delete(o.held, c.key)
		default:
			h.tried = true
			o.held[c.key] = h
		}
	}
	if c.deletes() && c.key.node != "" {
		for k := range o.held {
			if k.rel.FromID == c.key.node || k.rel.ToID == c.key.node {
				delete(o.held, k)
			}
		}
	}
	// Before a comparison the server's state is unknown, so no change is redundant.
	if !o.compared || o.putMeanwhile != nil || o.want.apply(c) {
		o.log = append(o.log, c)
	}
	if len(o.log) > o.limit && o.putMeanwhile == nil {
		o.collapse()
	}
}

// collapse keeps the newest change of each element, unless it has no effect. Of a node that was created again, it also keeps the deletion, if there is one, and
// the last change of the former object. The log, with the comparison if one is due, leads to the same state as before.
func (o *outbox) collapse() {
	before := len(o.log)
	kept := make([]change, 0, before)
	seen := map[key]*newest{}
	for _, c := range slices.Backward(o.log) {
		s := seen[c.key]
		if s == nil {
			s = &newest{deleted: c.deletes(), last: c}
			if c.key.node == "" && (deletedLater(seen, c.key.rel.FromID) || deletedLater(seen, c.key.rel.ToID)) {
				continue // the later deletion of its node removes it
			}
			seen[c.key] = s
			kept = append(kept, c)
			continue
		}
		if c.key.node != "" && s.keeps(c) {
			kept = append(kept, c)
		}
	}
	slices.Reverse(kept)
	o.log = o.redundant(kept)
	o.limit = len(o.log) + o.backlog
	o.collapsed += before - len(o.log)
}

// newest has what collapse keeps of one key, from the end of the log.
type newest struct {
	last    change // the newest change
	deleted bool   // a deletion is kept
	former  bool   // the last change of the earlier object is kept
}

func (s *newest) keeps(c change) bool {
	switch {
	case s.last.deletes():
		return false
	case c.deletes():
		keep := !s.deleted
		s.deleted = true
		return keep
	case s.former || !s.deleted && (c.uid == "" || s.last.uid == "" || c.uid == s.last.uid):
		return false
	}
	s.former = true
	return true
}

// deletedLater reports whether a later change that is kept deletes a node.
func deletedLater(seen map[key]*newest, id string) bool {
	s := seen[key{node: id}]
	return s != nil && s.deleted
}

// redundant removes changes from log that have no effect on the server. Before a comparison the server's state is unknown, so it removes only deletions of
// elements that log does not leave in place; the comparison deletes them if the server has them.
func (o *outbox) redundant(log []change) []change {
	if !o.compared {
		last := map[key]string{}
		for _, c := range log {
			last[c.key] = c.json
		}
		return slices.DeleteFunc(log, func(c change) bool { return c.deletes() && last[c.key] == "" })
	}
	m := o.confirmed.clone()
	if o.sent != nil {
		for _, c := range o.sent.changes {
			m.apply(c)
		}
	}
	return slices.DeleteFunc(log, func(c change) bool { return !m.apply(c) })
}

// take returns the batch that is sent, or makes the next one; nil if nothing is left to send.
func (o *outbox) take(lim limits) *batch {
	if o.sent == nil && len(o.log) > 0 {
		o.sent = makeBatch(o.log, lim)
		if o.log = o.log[len(o.sent.changes):]; len(o.log) == 0 {
			o.limit = o.backlog
		}
	}
	return o.sent
}

// confirm records that the server has applied the sent batch.
func (o *outbox) confirm() {
	for _, c := range o.sent.changes {
		o.confirmed.apply(c)
		if o.held[c.key].tried {
			delete(o.held, c.key)
		}
	}
	o.sent = nil
}

// putBack returns the sent batch to the front of the log.
func (o *outbox) putBack() {
	if o.sent == nil {
		return
	}
	o.log = slices.Concat(o.sent.changes, o.log) // a new list, so that changes of the log do not affect the batch
	o.sent = nil
}

// distrust records that the server may have lost what it confirmed.
func (o *outbox) distrust() {
	o.putBack()
	o.compared = false
}

// setAside returns the sent batch to the log, without the rejected changes. Unless a newer change of the element follows, they
// are held until an instant, or, if that is zero, until the element changes.
func (o *outbox) setAside(refused []change, until time.Time, delay time.Duration) {
	o.putBack()
	out := map[key]change{}
	for _, r := range refused {
		out[r.key] = r
	}
	newer := map[key]bool{}
	o.log = slices.DeleteFunc(o.log, func(c change) bool {
		r, ok := out[c.key]
		if ok && r.json == c.json {
			delete(out, c.key)
			return true
		}
		newer[c.key] = !ok
		return false
	})
	for _, r := range refused {
		if !newer[r.key] {
			o.held[r.key] = hold{change: r, until: until, delay: delay}
		}
	}
	o.want = o.confirmed.clone()
	o.log = slices.DeleteFunc(o.log, func(c change) bool { return !o.want.apply(c) })
}

// unknown returns the changes whose element the server does not have, or all if it has all.
func (o *outbox) unknown(changes []change) []change {
	var out []change
	for _, c := range changes {
		if _, ok := o.confirmed.values[c.key]; !ok {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return changes
	}
	return out
}

// release puts the elements whose hold has ended into the log. It returns the end of the next hold, zero if there is none.
func (o *outbox) release(now time.Time) (next time.Time) {
	for k, h := range o.held {
		switch {
		case h.until.IsZero() || h.tried:
		case h.until.After(now):
			if next.IsZero() || h.until.Before(next) {
				next = h.until
			}
		default:
			h.tried = true
			o.held[k] = h
			if o.want.apply(h.change) {
				o.log = append(o.log, h.change)
			}
		}
	}
	return next
}

// settled reports whether the server has confirmed everything, except finally rejected elements.
func (o *outbox) settled() bool {
	for _, h := range o.held {
		if !h.until.IsZero() && !h.tried {
			return false
		}
	}
	return o.compared && o.pending() == 0
}

func (o *outbox) pending() int {
	n := len(o.log)
	if o.sent != nil {
		n += len(o.sent.changes)
	}
	return n
}

func fromMapping(c mapping.Change, at time.Time) change {
	switch {
	case c.Node != nil:
		return nodeChange(*c.Node, at)
	case c.Edge != nil:
		return change{key: key{rel: c.Edge.Key()}, json: c.Edge.JSON(), at: at}
	case c.DeleteEdge != nil:
		return change{key: key{rel: *c.DeleteEdge}, at: at}
	}
	return change{key: key{node: c.DeleteNode}, at: at}
}

func nodeChange(n flow.Node, at time.Time) change {
	var meta struct {
		UID string `json:"uid"`
	}
	_ = json.Unmarshal([]byte(n.Meta), &meta) // a node without a UID is valid
	return change{key: key{node: n.ID}, json: n.JSON(), uid: meta.UID, at: at}
}
