package emit

import "time"

// standbyTime is how far back a process that does not lead knows the transitions: longer than a Lease lasts after its leader's end.
const standbyTime = time.Minute

// standby is what a process that does not lead has seen of its region, so that no transition is lost between the last POST of the leader before and
// its own first.
type standby struct {
	base *image   // the region as it was before log
	log  []change // in the order in which they were put
}

func newStandby(base *image) standby { return standby{base: base} }

// put takes a change, and forgets those that are too old, or more than most.
func (s *standby) put(c change, most int) {
	s.log = append(s.log, c)
	for len(s.log) > most || c.at.Sub(s.log[0].at) > standbyTime {
		s.base.apply(s.log[0])
		s.log = s.log[1:]
	}
}

// follow makes the outbox go on from where the server is, as far as the standby has seen that. What the server has is not known before a
// comparison.
func (o *outbox) follow(s standby) {
	o.base, o.log, o.kept = s.base, s.log, len(s.log)
	o.limit = len(o.log) + o.backlog
}

// skip takes out of the log what the server has already: of each element all up to the state that the server has of it. When the server has none
// of the states that were seen, nothing that was put before the term counts.
func (o *outbox) skip(server *image) {
	if o.base == nil {
		return
	}
	from := map[key]int{} // the index of the first change that the server does not have
	for i, c := range o.log {
		at, met := from[c.key]
		if !met && o.base.values[c.key] != server.values[c.key] {
			at = o.kept
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
