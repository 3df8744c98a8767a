package notice

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
)

// Limits say when a notice is due. Times are milliseconds.
type Limits struct {
	Severity     Severity // the least that is opened
	After        int64    // how long something must last before it is opened
	ResolveAfter int64    // how long it must be over before it is resolved; of rollouts the server says so itself
	UpdateEvery  int64    // the least time between two updates of a key
	// Quiet returns when the quiet hours that an instant is in end, 0 if it is in none. Nothing is told meanwhile, except what is opened as critical if
	// Wake is set. Nil: no quiet hours.
	Quiet func(at int64) int64
	Wake  bool
	Page  string // base URL of the page, for links; empty: no links
}

// Entry is what a Desk knows of a key that is there, or was told and not resolved.
type Entry struct {
	First int64   `json:"first"`          // when it was first there
	Gone  int64   `json:"gone,omitempty"` // since when it is not there any more; 0: it is there
	Sent  int64   `json:"sent,omitempty"` // when it was last told
	Told  *Notice `json:"told,omitempty"` // as it was sent last; nil: not sent yet
}

// State is what a Desk knows of the past. The zero value is that of a desk that has never looked.
type State struct {
	Since   int64            // when it first looked: rollouts that ended before are not told
	Entries map[string]Entry // by key
	Ended   map[string]int64 // by flow, when the newest rollout ended that has been dealt with
}

// Change is the outcome of a look: what a State becomes, and the notices that are then told. Notices are in the order in which they are due.
type Change struct {
	Since   int64
	Entries map[string]*Entry // nil: the entry goes
	Ended   map[string]int64
	Notices []Notice
	Next    int64 // when something may be due although nothing changes; math.MaxInt64 if nothing is
}

// Empty reports whether the state stays as it is.
func (c *Change) Empty() bool {
	return c.Since == 0 && len(c.Entries) == 0 && len(c.Ended) == 0 && len(c.Notices) == 0
}

// Apply makes the state what a change says.
func (s *State) Apply(c Change) {
	s.Since = cmp.Or(c.Since, s.Since)
	if s.Entries == nil {
		s.Entries, s.Ended = make(map[string]Entry), make(map[string]int64)
	}
	for key, e := range c.Entries {
		if e == nil {
			delete(s.Entries, key)
		} else {
			s.Entries[key] = *e
		}
	}
	maps.Copy(s.Ended, c.Ended)
}

// Look returns what changes at an instant (Unix milliseconds) at which the merged list found is all that there is. It does not change s.
func (s *State) Look(limits Limits, now int64, found []Notice) Change {
	d := &desk{State: s, Limits: limits, now: now, since: s.Since,
		change: Change{Entries: make(map[string]*Entry), Ended: make(map[string]int64), Next: math.MaxInt64}}
	if s.Since == 0 {
		d.since, d.change.Since = now, now
	}
	if limits.Quiet != nil {
		d.quiet = limits.Quiet(now)
	}
	there := make(map[string]bool, len(found))
	for _, n := range found {
		there[n.Key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(s.Entries)) {
		if e := s.Entries[key]; !there[key] {
			d.gone(key, e)
		}
	}
	for _, n := range byTime(found) {
		d.there(n)
	}
	return d.change
}

// byTime returns the notices in the order in which what they are about began, rollouts that have ended by their end.
func byTime(found []Notice) []Notice {
	sorted := slices.Clone(found)
	slices.SortStableFunc(sorted, func(a, b Notice) int {
		return cmp.Or(compareSince(cmp.Or(a.Until, a.Since), cmp.Or(b.Until, b.Since)), cmp.Compare(a.Key, b.Key))
	})
	return sorted
}

// desk is one look.
type desk struct {
	*State
	Limits
	now    int64
	since  int64
	quiet  int64 // when the quiet hours end; 0: there are none now
	change Change
}

// wait asks for another look at an instant.
func (d *desk) wait(until int64) { d.change.Next = min(d.change.Next, until) }

// gone deals with a key that was there and is not any more.
func (d *desk) gone(key string, e Entry) {
	if e.Told == nil {
		d.change.Entries[key] = nil
		return
	}
	if e.Gone == 0 {
		e.Gone = d.now
		d.change.Entries[key] = &e
	}
	due := max(e.Gone+d.ResolveAfter, d.quiet)
	if d.now < due {
		d.wait(due)
		return
	}
	n := *e.Told
	n.Until = e.Gone
	if n.Rollout != nil { // the server has forgotten it
		r := *n.Rollout
		r.Outcome = "unknown"
		n.Rollout, n.Class, n.Sentence = &r, "unknown", "The server does not know this rollout any more."
	}
	d.tell(Resolved, n, e)
	d.change.Entries[key] = nil
}

// there deals with what there is.
func (d *desk) there(n Notice) {
	e, known := d.Entries[n.Key]
	if n.Kind == KindRollout && n.Until != 0 {
		d.ended(n, e, known)
		return
	}
	changed := !known || e.Gone != 0
	if !known {
		e = Entry{First: d.now}
	}
	e.Gone = 0
	switch {
	case e.Told == nil:
		due := e.First + d.After
		if !(d.Wake && n.Severity == Critical) {
			due = max(due, d.quiet)
		}
		switch {
		case !n.Severity.AtLeast(d.Severity):
		case d.now < due:
			d.wait(due)
		default:
			d.tell(Opened, n, e)
			return
		}
	case !n.same(e.Told):
		due := max(e.Sent+d.UpdateEvery, d.quiet)
		if d.now >= due {
			d.tell(Updated, n, e)
			return
		}
		d.wait(due)
	}
	if changed {
		d.change.Entries[n.Key] = &e
	}
}

// ended deals with a rollout that has ended. It is told at once, if it is new to the desk.
func (d *desk) ended(n Notice, e Entry, known bool) {
	flow := n.Flows[0]
	done, any := d.Ended[flow]
	if at, now := d.change.Ended[flow]; now {
		done, any = at, true
	}
	switch {
	case known:
	case any && n.Since <= done, !any && n.Until < d.since:
		return
	}
	if d.quiet > d.now {
		d.wait(d.quiet)
		return
	}
	d.change.Ended[flow] = max(done, n.Until)
	if known {
		d.change.Entries[n.Key] = nil
	}
	if e.Told != nil || n.Severity.AtLeast(d.Severity) {
		d.tell(Resolved, n, e)
		d.change.Entries[n.Key] = nil
	}
}

// tell adds a notice, and keeps it in the entry of its key.
func (d *desk) tell(phase Phase, n Notice, e Entry) {
	n.Phase, n.At, n.N = phase, d.now, 1
	n.Episode = n.Key + "@" + strconv.FormatInt(cmp.Or(e.First, n.Since), 10)
	if e.Told != nil {
		n.N = e.Told.N + 1
		if n.Since == 0 {
			n.Since = e.Told.Since
		}
	}
	if n.Since == 0 {
		n.Since = e.First
	}
	n.Link = n.link(d.Page, d.now)
	d.change.Notices = append(d.change.Notices, n)
	kept := n
	if kept.Rollout != nil { // the members are not compared
		r := *kept.Rollout
		r.Members = nil
		kept.Rollout = &r
	}
	e.Told, e.Sent, e.Gone = &kept, d.now, 0
	d.change.Entries[n.Key] = &e
}
