package emit

import (
	"slices"
	"time"
)

// standbyTime is how much older than the newest change a kept change of a process that does not lead may be. It is longer than the time until the
// Lease of a dead leader expires.
const standbyTime = time.Minute

// standby has the recent changes of the region in a process that does not lead, so that it can send transitions that the leader has
// not sent.
type standby struct {
	base *regionState // the region before log
	log  []change     // in the order of Put
}

func newStandby(base *regionState) standby { return standby{base: base} }

// put adds a change, and folds into base those that are more than standbyTime older, and the oldest if there are more than limit.
func (s *standby) put(c change, limit int) {
	s.log = append(s.log, c)
	for len(s.log) > limit || c.at.Sub(s.log[0].at) > standbyTime {
		s.base.apply(s.log[0])
		s.log = s.log[1:]
	}
}

// startFrom starts the outbox, which must be empty, with the standby's changes.
func (o *outbox) startFrom(s standby) {
	for i := range s.log {
		s.log[i].beforeTerm = true
	}
	o.base, o.log = s.base, s.log
	o.limit = len(o.log) + o.backlog
}

// skipKnown removes the changes that the server already has: for each element, all up to the last one that results in the server's state. If none does,
// and the server does not have the state of base either, it removes all changes of the element from before the term.
func (o *outbox) skipKnown(server *regionState) {
	if o.base == nil {
		return
	}
	from := map[key]int{} // index of the first change that the server does not have
	term := slices.IndexFunc(o.log, func(c change) bool { return !c.beforeTerm })
	if term < 0 {
		term = len(o.log)
	}
	for i, c := range o.log {
		at, found := from[c.key]
		if !found && o.base.values[c.key] != server.values[c.key] {
			at = term
		}
		if c.json == server.values[c.key] {
			at = i + 1
		}
		from[c.key] = at
	}
	kept := o.log[:0]
	for i, c := range o.log {
		if i >= from[c.key] {
			kept = append(kept, c)
		}
	}
	o.log, o.base = kept, nil
}
