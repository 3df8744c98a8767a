package mapping

import "github.com/openova-io/openova/products/openova-flow/server/flow"

// phase is what a controller is doing with an object, as far as one version of it shows.
type phase int

const (
	idle   phase = iota // nothing yet, or it waits for a dependency, a source or a value
	acting              // it works on the object
	done                // an action ended, well or badly
)

// evidence is what one version of an object shows of the controller's work.
type evidence struct {
	phase     phase
	outcome   string // of a done phase: succeeded, failed, or empty when a retry or a remediation follows
	stalled   bool
	gen       int64     // the generation that is, or was, worked on; 0 when unknown
	failures  int64     // failed attempts at that generation
	began     flow.Time // when the newest piece of work began
	witnessed bool      // began is from the controller's own condition, not from what the work left behind
	earliest  flow.Time // the earliest beginning of this run that the object still shows
	ended     flow.Time // when the outcome was reached; absent without one
	since     flow.Time // lastTransitionTime of Ready
}

// run is the work of a controller on one specification of an object, to success or failure. Retries and remediations belong to the run that
// they repair.
type run struct {
	exists     bool
	start, end flow.Time
	worked     flow.Time // when the newest piece of its work began
	lowerBound bool      // the beginning was not seen; it may be before start
	gen        int64
	outcome    string
	stalled    bool
	attempts   int64
	gaveUp     flow.Time // when the controller stalled with it
}

// next returns the run after one more version of the object. The same version again changes nothing.
//
// A run begins when the controller acts on another generation, or acts again after success or giving up. No run begins when it waits, is
// suspended, or becomes Ready again without an action.
func (r run) next(e evidence) run {
	switch e.phase {
	case acting:
		return r.act(e)
	case done:
		return r.conclude(e)
	}
	if !r.exists && !e.earliest.IsZero() { // it waits, and its history shows an earlier run
		return run{exists: true, start: e.earliest, end: e.ended, lowerBound: true, worked: e.earliest, gen: e.gen, outcome: e.outcome, attempts: e.failures}
	}
	return r
}

func (r run) act(e evidence) run {
	switch {
	case !r.exists:
		r = run{exists: true, start: e.earliest, lowerBound: e.failures > 0, gen: e.gen}
	case r.other(e), r.outcome == flow.StatusSucceeded, r.stalled:
		start := e.began
		if !after(start, later(r.worked, r.end)) { // began is that of earlier work
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
	case succeeded && after(e.began, r.end), r.other(e) && !(succeeded && e.outcome == flow.StatusSucceeded):
		r = r.unseen(e)
	}
	r.outcome, r.stalled, r.end = e.outcome, e.stalled, flow.Time{}
	if e.outcome != "" {
		r.end = e.ended
		if after(r.start, r.end) { // the condition of an earlier action
			r.end = later(e.since, r.start)
		}
	}
	if e.outcome == flow.StatusFailed && e.stalled {
		if !r.gaveUp.IsZero() && !after(e.began, r.gaveUp) { // a controller that restarts gives up again without a try
			r.end = r.gaveUp
		}
		r.gaveUp = r.end
	}
	r.attempts = max(r.attempts, e.failures)
	r.worked = later(r.worked, e.began)
	return r
}

// unseen returns the run after r when its beginning was not delivered, or when it ended without an action.
func (r run) unseen(e evidence) run {
	if after(e.began, later(r.worked, later(r.end, r.start))) {
		return run{exists: true, start: e.began, lowerBound: !e.witnessed || e.failures > 0, gen: e.gen}
	}
	start := e.ended
	if start.IsZero() {
		start = e.since
	}
	return run{exists: true, start: start, gen: e.gen}
}

// other reports whether e is known to be about another generation than r.
func (r run) other(e evidence) bool { return r.gen != e.gen && r.gen != 0 && e.gen != 0 }

// after reports whether a is an instant later than b. An absent b is before everything.
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
