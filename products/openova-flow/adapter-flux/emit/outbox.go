package emit

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// outbox holds what the server has not confirmed. Once it has been compared with the server, want is always what confirmed, the
// batch under way and the log fold into. It is not safe for concurrent use.
type outbox struct {
	backlog   int
	confirmed *image
	want      *image
	sent      *batch   // under way; its changes are not in log
	log       []change // in the order in which they were put
	limit     int      // the length of log that makes it collapse next
	held      map[key]hold
	compared  bool         // with the server, since it was reset
	since     map[key]bool // put since a comparison began; true: deleted. nil when none is under way
	collapsed int          // changes that collapsing took out, ever

	base *image // the region before the log, as this process saw it when it did not lead; nil once the server was compared
	kept int    // how many of the log were put then
}

// hold is an element that the server would not take as it is. It is not sent again before its time, or before it changes.
type hold struct {
	change
	until time.Time     // zero: until it changes
	delay time.Duration // how long it was held last
	tried bool          // it is on its way again
}

func newOutbox(backlog int) *outbox {
	o := &outbox{backlog: backlog, held: map[key]hold{}}
	o.reset()
	return o
}

// reset forgets everything but the elements that the server will not take.
func (o *outbox) reset() {
	o.confirmed, o.want = newImage(), newImage()
	o.sent, o.log, o.limit = nil, nil, o.backlog
	o.compared, o.since = false, nil
	o.base = nil
}

func (o *outbox) put(c change) {
	if o.since != nil {
		o.since[c.key] = o.since[c.key] || c.deletes()
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
	// What the server has is not known before a comparison, so nothing may be taken for told already.
	if !o.compared || o.since != nil || o.want.apply(c) {
		o.log = append(o.log, c)
	}
	if len(o.log) > o.limit && o.since == nil {
		o.collapse()
	}
}

// collapse keeps of each relationship the newest, and of each node the newest, the deletion before it, and the last of the object
// that was there before. The log folds into the same as before.
func (o *outbox) collapse() {
	before := len(o.log)
	kept := make([]change, 0, before)
	seen := map[key]*newest{}
	for _, c := range slices.Backward(o.log) {
		s := seen[c.key]
		if s == nil {
			s = &newest{deleted: c.deletes(), last: c}
			if c.key.node == "" && (gone(seen, c.key.rel.FromID) || gone(seen, c.key.rel.ToID)) {
				continue // its node's deletion, later on, takes it along
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

// newest is what a collapse has kept of one key, going backwards.
type newest struct {
	last    change // the newest of all
	deleted bool   // a deletion is kept
	former  bool   // the last of the object before is kept
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

func gone(seen map[key]*newest, id string) bool {
	s := seen[key{node: id}]
	return s != nil && s.deleted
}

// redundant drops from log what changes nothing at the server. Before a comparison that is not known, but then the comparison
// deletes what has to go.
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

// take makes the next batch, or returns the one that is under way. There is none when nothing is left to send.
func (o *outbox) take(lim limits) *batch {
	if o.sent == nil && len(o.log) > 0 {
		o.sent = makeBatch(o.log, lim)
		if o.log = o.log[len(o.sent.changes):]; len(o.log) == 0 {
			o.limit = o.backlog
		}
	}
	return o.sent
}

// confirm says that the server has applied the batch under way.
func (o *outbox) confirm() {
	for _, c := range o.sent.changes {
		o.confirmed.apply(c)
		if o.held[c.key].tried {
			delete(o.held, c.key)
		}
	}
	o.sent = nil
}

// putBack says that the batch under way was not applied as it is.
func (o *outbox) putBack() {
	if o.sent == nil {
		return
	}
	o.log = append(o.sent.changes, o.log...)
	o.sent = nil
}

// distrust says that the server may not have what it confirmed.
func (o *outbox) distrust() {
	o.putBack()
	o.compared = false
}

// setAside puts the batch under way back without some of its changes. Those that nothing newer follows are held until the given
// instant, or, when it is zero, until they change.
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

// unknown returns those of the changes whose element the server does not have; all of them when it has them all.
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

// release puts the elements whose time has come into the log again, and returns when the next will be due (zero: none).
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

// settled reports whether the server has confirmed everything that it does not refuse for good.
func (o *outbox) settled() bool {
	for _, h := range o.held {
		if !h.until.IsZero() && !h.tried {
			return false
		}
	}
	return o.compared && o.pending() == 0
}

// pending counts the changes that are not confirmed.
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
	_ = json.Unmarshal([]byte(n.Meta), &meta) // a node without a UID is no error
	return change{key: key{node: n.ID}, json: n.JSON(), uid: meta.UID, at: at}
}
