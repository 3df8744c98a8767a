package mapping

import "github.com/openova-io/openova/products/openova-flow/server/flow"

// phase is the activity of the controller, as one version of the object shows it.
type phase int

const (
	idle   phase = iota // no action: not started, waiting, failed before an action, or being deleted
	acting              // it works on the object
	done                // an action succeeded or failed, or the controller has given up
)

// evidence has the facts about the controller's work in one version of an object.
type evidence struct {
	phase    phase
	outcome  string // succeeded or failed, as the node's status; empty while that is another. For phase idle: of the last run in the history, if it succeeded
	stalled  bool
	gen      int64     // the generation of the work; 0: unknown
	failures int64     // failed attempts at that generation
	began    flow.Time // start of the newest piece of work
	exact    bool      // began is the time of a condition that the controller set then, not of a later record
	earliest flow.Time // the earliest start of this run that the object still shows
	ended    flow.Time // when the outcome was reached; absent without one
	since    flow.Time // lastTransitionTime of Ready
}

// run is the work of a controller on one specification of an object, to success or failure. Retries and remediations belong to the run that
// they repair.
type run struct {
	exists     bool
	start, end flow.Time
	worked     flow.Time // start of the newest piece of its work
	lowerBound bool      // the start was not seen; the run may have begun before start
	gen        int64
	outcome    string
	stalled    bool
	attempts   int64
	gaveUp     flow.Time // when the controller gave up (Stalled)
}

// next returns the run after one more version of the object. The same version again changes nothing.
//
// A run begins when the controller acts on another generation, or acts again after success or giving up. No run begins when it waits, is
// suspended, or after success becomes Ready again without an action.
func (r run) next(e evidence) run {
	switch e.phase {
	case acting:
		return r.act(e)
	case done:
		return r.conclude(e)
	}
	if !r.exists && !e.earliest.IsZero() { // first seen idle, with an earlier run in its history
		return run{exists: true, start: e.earliest, end: e.ended, lowerBound: true, worked: e.earliest, gen: e.gen, outcome: e.outcome, attempts: e.failures}
	}
	return r
}

func (r run) act(e evidence) run {
	switch {
	case !r.exists:
		r = run{exists: true, start: e.earliest, lowerBound: e.failures > 0, gen: e.gen}
	case r.otherGeneration(e), r.outcome == flow.StatusSucceeded, r.stalled:
		start := e.began
		if !after(start, later(r.worked, r.end)) { // began belongs to earlier work
			start = e.since
		}
		r = run{exists: true, start: start, gen: e.gen}
	}
	r.outcome, r.end, r.stalled = "", flow.Time{}, false
	r.attempts = max(r.attempts, e.failures+1)
	r.worked = later(r.worked, e.began)
	return r
}

func (r run) conclude(e evidence) run {
	succeeded := r.outcome == flow.StatusSucceeded
	switch {
	case !r.exists:
		r = run{exists: true, start: e.earliest, lowerBound: !e.earliest.IsZero(), gen: e.gen}
	case succeeded && e.outcome == flow.StatusSucceeded && !after(e.began, r.end):
		return r // Ready again without an action
	case succeeded && after(e.began, r.end), r.otherGeneration(e) && !(succeeded && e.outcome == flow.StatusSucceeded):
		r = r.missed(e)
	}
	r.outcome, r.stalled, r.end = e.outcome, e.stalled, flow.Time{}
	if e.outcome != "" {
		r.end = e.ended
		if after(r.start, r.end) { // the condition is of an earlier action
			r.end = later(e.since, r.start)
		}
	}
	if e.outcome == flow.StatusFailed && e.stalled {
		if !r.gaveUp.IsZero() && !after(e.began, r.gaveUp) { // a restarted controller gives up again without an attempt
			r.end = r.gaveUp
		}
		r.gaveUp = r.end
	}
	r.attempts = max(r.attempts, e.failures)
	r.worked = later(r.worked, e.began)
	return r
}

// missed returns the run after r when the start of the new run was not delivered, or the new run ended without an action.
func (r run) missed(e evidence) run {
	if after(e.began, later(r.worked, later(r.end, r.start))) {
		return run{exists: true, start: e.began, lowerBound: !e.exact || e.failures > 0, gen: e.gen}
	}
	start := e.ended
	if start.IsZero() {
		start = e.since
	}
	return run{exists: true, start: start, gen: e.gen}
}

// otherGeneration reports whether e is certainly about another generation than r.
func (r run) otherGeneration(e evidence) bool { return r.gen != e.gen && r.gen != 0 && e.gen != 0 }

// after reports whether a is present and later than b. An absent b is before everything.
func after(a, b flow.Time) bool {
	if a.IsZero() {
		return false
	}
	return b.IsZero() || a.Ms() > b.Ms()
}

func later(a, b flow.Time) flow.Time {
	if after(b, a) {
		return b
	}
	return a
}

func earlier(a, b flow.Time) flow.Time {
	if a.IsZero() || !b.IsZero() && b.Ms() < a.Ms() {
		return b
	}
	return a
}
