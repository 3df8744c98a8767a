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
	Severity     Severity // the least of the first notice of a key
	After        int64    // how long something must last before it is opened
	ResolveAfter int64    // how long it must be over before it is resolved; not for rollouts and revisions with an Until
	UpdateEvery  int64    // the least time from a notice of a key to its next update, unless the severity rises
	// Quiet returns the end of the quiet hours that contain an instant, 0 if none do. Nil: no quiet hours. During quiet hours nothing is sent, except,
	// if Wake is set, what is opened as critical or becomes critical. Rollouts and revisions that have ended always wait until the quiet hours end.
	Quiet func(at int64) int64
	Wake  bool
	Page  string // base URL of the page, for links; empty: no links
}

// Entry is the part of a State for a key that is present, or was opened and not resolved. Times are Unix milliseconds.
type Entry struct {
	First int64   `json:"first"`          // when the key was first present
	Gone  int64   `json:"gone,omitempty"` // since when it is absent; 0: it is present
	Sent  int64   `json:"sent,omitempty"` // when Last was sent
	Last  *Notice `json:"told,omitempty"` // the last notice that was sent; nil: none
}

// State is what one look leaves for the next. The zero value is the state before the first look.
type State struct {
	Since   int64            // time of the first look: rollouts and revisions that ended before it are not sent
	Entries map[string]Entry // by key
	Ended   map[string]int64 // end of the newest handled rollout, by flow, and of the newest handled revision, by revisionsOf(flow)
}

// Change is the result of a look: the changes of a State, and the notices to send. Those of keys that are not found any more come first, then the others,
// the oldest first.
type Change struct {
	Since   int64
	Entries map[string]*Entry // nil: the entry is removed
	Ended   map[string]int64
	Notices []Notice
	Next    int64 // when to look again although nothing has changed; math.MaxInt64: never
	Held    bool  // a notice is due, and there was no room for it
}

// Empty reports whether the state stays as it is.
func (c *Change) Empty() bool {
	return c.Since == 0 && len(c.Entries) == 0 && len(c.Ended) == 0 && len(c.Notices) == 0
}

// Apply applies a change.
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

// Look compares the state with found, the merged notices of everything present at now (Unix milliseconds), and returns the change. It has at most
// room notices; other due notices wait. Look does not change s.
func (s *State) Look(limits Limits, now int64, found []Notice, room int) Change {
	l := &look{State: s, Limits: limits, now: now, since: s.Since, room: room,
		change: Change{Entries: make(map[string]*Entry), Ended: make(map[string]int64), Next: math.MaxInt64}}
	if s.Since == 0 {
		l.since, l.change.Since = now, now
	}
	if limits.Quiet != nil {
		l.quiet = limits.Quiet(now)
	}
	present := make(map[string]bool, len(found))
	for _, n := range found {
		present[n.Key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(s.Entries)) {
		if e := s.Entries[key]; !present[key] {
			l.absent(key, e)
		}
	}
	for _, n := range byTime(found) {
		l.present(n)
	}
	return l.change
}

// byTime returns the notices in the order of the beginnings of their subjects, or of the ends if they have ended.
func byTime(found []Notice) []Notice {
	sorted := slices.Clone(found)
	slices.SortStableFunc(sorted, func(a, b Notice) int {
		return cmp.Or(compareSince(cmp.Or(a.Until, a.Since), cmp.Or(b.Until, b.Since)), cmp.Compare(a.Key, b.Key))
	})
	return sorted
}

// look is one comparison of a State with the notices present.
type look struct {
	*State
	Limits
	now    int64
	since  int64
	quiet  int64 // when the quiet hours end; 0: there are none now
	room   int
	change Change
}

// lookAgain asks for another look at the instant at.
func (l *look) lookAgain(at int64) { l.change.Next = min(l.change.Next, at) }

// full reports whether there is no room for another notice. If so, it asks for another look.
func (l *look) full() bool {
	if len(l.change.Notices) < l.room {
		return false
	}
	l.change.Held = true
	l.lookAgain(l.now + 1000)
	return true
}

// absent handles an entry whose key is not found any more.
func (l *look) absent(key string, e Entry) {
	if e.Last == nil {
		l.change.Entries[key] = nil
		return
	}
	if e.Gone == 0 {
		e.Gone = l.now
		l.change.Entries[key] = &e
	}
	due := max(e.Gone+l.ResolveAfter, l.quiet)
	if l.now < due {
		l.lookAgain(due)
		return
	}
	if l.full() {
		return
	}
	n := *e.Last
	n.Until = e.Gone
	if n.Rollout != nil { // the last notice said running, so the server has lost the rollout
		r := *n.Rollout
		r.Outcome = "unknown"
		n.Rollout, n.Class, n.Sentence = &r, "unknown", "The server does not know this rollout any more."
	}
	if n.Revision != nil {
		n.Revision = n.Revision.forgotten()
		n.Sentence = n.Revision.Worst().Sentence
	}
	l.notify(Resolved, n, e)
	l.change.Entries[key] = nil
}

func (l *look) present(n Notice) {
	e, known := l.Entries[n.Key]
	if n.Until != 0 {
		l.ended(n, e, known)
		return
	}
	if n.Late && !known {
		return
	}
	changed := !known || e.Gone != 0
	if !known {
		e = Entry{First: l.now}
	}
	e.Gone = 0
	phase, due, rises, ignored := Opened, e.First+l.After, true, !n.Severity.AtLeast(l.Severity)
	if last := e.Last; last != nil {
		phase, due, ignored = Updated, e.Sent+l.UpdateEvery, n.same(last)
		if rises = n.Severity != last.Severity && n.Severity.AtLeast(last.Severity); rises {
			due = l.now
		}
	}
	if !(l.Wake && rises && n.Severity == Critical) {
		due = max(due, l.quiet)
	}
	switch {
	case ignored:
	case l.now < due:
		l.lookAgain(due)
	case l.full():
	default:
		l.notify(phase, n, e)
		return
	}
	if changed {
		l.change.Entries[n.Key] = &e
	}
}

// revisionsOf is the key of the revisions of a flow in State.Ended. Names of flows have no slash.
func revisionsOf(flow string) string { return "revision/" + flow }

// maxAhead, in milliseconds, is how far the clock of a cluster may be ahead. A later end is wrong, and State.Ended gets no later time:
// otherwise rollouts that really end before it would be ignored.
const maxAhead = 3_600_000

// ended handles a rollout or a revision that has ended. It does not wait for After or ResolveAfter.
func (l *look) ended(n Notice, e Entry, known bool) {
	key := n.Flows[0]
	if n.Kind == KindRevision {
		key = revisionsOf(key)
	}
	done, any := l.Ended[key]
	switch {
	case known:
	case n.Late, n.Until > l.now+maxAhead, any && n.Until <= done, !any && n.Until < l.since:
		return
	}
	if l.quiet > l.now {
		l.lookAgain(l.quiet)
		return
	}
	wanted := e.Last != nil || n.Severity.AtLeast(l.Severity)
	if wanted && l.full() || l.change.Held { // State.Ended must not pass an earlier end that waits for room
		if at, ok := l.change.Ended[key]; ok && n.Until <= at && wanted && !known { // nor an equal end, without an entry
			l.change.Entries[n.Key] = &Entry{First: l.now}
		}
		return
	}
	l.change.Ended[key] = max(done, l.change.Ended[key], min(n.Until, l.now+maxAhead))
	if wanted {
		l.notify(Resolved, n, e)
	}
	if wanted || known {
		l.change.Entries[n.Key] = nil
	}
}

// notify adds a notice to the change, and stores it in the entry of its key.
func (l *look) notify(phase Phase, n Notice, e Entry) {
	n.Phase, n.At, n.N = phase, l.now, 1
	n.Episode = n.Key + "@" + strconv.FormatInt(cmp.Or(e.First, n.Since), 10)
	if e.Last != nil {
		n.N = e.Last.N + 1
		if n.Since == 0 {
			n.Since = e.Last.Since
		}
	}
	if n.Since == 0 {
		n.Since = e.First
	}
	n.Since = min(n.Since, l.now) // the clock of a cluster may be ahead
	n.Link = n.link(l.Page, l.now)
	l.change.Notices = append(l.change.Notices, n)
	kept := n
	if kept.Rollout != nil { // the members are not compared
		r := *kept.Rollout
		r.Members = nil
		kept.Rollout = &r
	}
	e.Last, e.Sent, e.Gone = &kept, l.now, 0
	l.change.Entries[n.Key] = &e
}
