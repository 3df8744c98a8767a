package mapping

import "github.com/openova-io/openova/products/openova-flow/server/flow"

// phase is what a controller is doing with an object, as far as one version of it shows.
type phase int

const (
	idle   phase = iota // nothing yet, or it waits: for a dependency, a source, a value
	acting              // it works on it now
	done                // an action ended, one way or the other
)

// evidence is what one version of an object shows of the controller's work.
type evidence struct {
	phase     phase
	outcome   string // of a done phase: succeeded, failed, or empty when a retry or a remediation follows
	stalled   bool
	gen       int64     // the generation that is, or was, worked on; 0 when unknown
	failures  int64     // failed attempts at that generation
	began     flow.Time // when the newest piece of work began
	witnessed bool      // began is when the controller itself says that it took the work up, not what the work left behind
	earliest  flow.Time // the earliest beginning of this run that the object still shows
	ended     flow.Time // when the outcome was reached; absent without one
	since     flow.Time // lastTransitionTime of Ready
}

// run is one time that a controller takes an object from a specification to success or failure. Retries and remediations belong
// to the run that they repair.
type run struct {
	exists     bool
	start, end flow.Time
	worked     flow.Time // when the newest piece of its work began
	lowerBound bool      // the run was found under way or over; it may have begun before start
	gen        int64
	outcome    string
	stalled    bool
	attempts   int64
	gaveUp     flow.Time // when the controller stalled with it
}

// next folds one version of the object into the run. Folding the same version again changes nothing.
//
// A run begins when the controller acts on another generation, or acts again after it had succeeded or given up. Waiting, a
// suspension, and a Ready that comes back with no action taken begin none.
func (r run) next(e evidence) run {
	switch e.phase {
	case acting:
		return r.act(e)
	case done:
		return r.conclude(e)
	}
	if !r.exists && !e.earliest.IsZero() { // it waits now, and an earlier run is on record
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
		if !after(start, later(r.worked, r.end)) { // a record of what was done before
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
		return r // Ready came back, and nothing had been done
	case succeeded && after(e.began, r.end), r.other(e) && !(succeeded && e.outcome == flow.StatusSucceeded):
		r = r.unseen(e)
	}
	r.outcome, r.stalled, r.end = e.outcome, e.stalled, flow.Time{}
	if e.outcome != "" {
		r.end = e.ended
		if after(r.start, r.end) { // an action's condition that is older than the run says nothing of its end
			r.end = later(e.since, r.start)
		}
	}
	if e.outcome == flow.StatusFailed && e.stalled {
		if !r.gaveUp.IsZero() && !after(e.began, r.gaveUp) { // a controller that starts gives up anew without having tried
			r.end = r.gaveUp
		}
		r.gaveUp = r.end
	}
	r.attempts = max(r.attempts, e.failures)
	r.worked = later(r.worked, e.began)
	return r
}

// unseen is the run after r whose beginning was not delivered, or that ended with no action taken.
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

// other reports whether e is about another generation than r. Not knowing is no reason to think so.
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
