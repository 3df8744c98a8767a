package mapping

import (
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// failure is the bad end or the fault that an object has come to, over all tries at the same generation and revision.
type failure struct {
	since           flow.Time
	reason, message string
	generation      int64
	revision        string
}

// is reports whether there is a failure.
func (f failure) is() bool { return f.reason != "" }

// remember carries on what earlier versions of the object showed and this one does not. at is when this version was seen.
func (f *facts) remember(past *facts, at flow.Time) {
	if f.created.IsZero() {
		f.created = past.created
	}
	if f.created.IsZero() {
		f.created = at
	}
	if f.generation > f.observed && f.hasObserved && (f.ready.status == "True" || f.suspended) {
		f.changedSince = past.changedSince
		if f.changedSince.IsZero() {
			f.changedSince = at
		}
	}
	switch {
	case f.ready.status == "True" && past.readySince.IsZero():
		f.readySince = f.ready.since
	case f.ready.status == "True", f.routine: // a look that found nothing changes nothing
		f.readySince = past.readySince
	}
	f.stand(past.failure)
}

// wasReady reports whether the object was Ready at its present generation and revision, and tells facts that come after that.
func (f *facts) wasReady(past *entry) bool {
	f.readyGeneration, f.readyRevision = past.facts.readyGeneration, past.facts.readyRevision
	if f.ready.status == "True" {
		f.readyGeneration, f.readyRevision = f.conditionGeneration(f.ready), f.current()
		return false
	}
	if f.released.status == "True" && f.conditionGeneration(f.released) == f.generation && f.readyGeneration == 0 {
		f.readyGeneration, f.readyRevision = f.generation, f.current() // not seen, but the object still shows it
	}
	return f.readyGeneration != 0 && f.readyGeneration == f.generation && f.readyRevision == f.current() && f.stalled.status != "True"
}

// conditionGeneration is the generation that a condition speaks of.
func (f *facts) conditionGeneration(c condition) int64 {
	if c.generation != 0 {
		return c.generation
	}
	return f.generation
}

// ahead is the revision that the source has and the object has not taken up; empty when there is none, or nobody knows.
func (f *facts) ahead() string {
	current, from := f.current(), f.source
	if current == "" || f.ready.status != "True" {
		return ""
	}
	switch {
	case f.kind == kindKustomization:
	case f.kind != kindHelmRelease:
		return ""
	case f.chart.ready.status != "":
		from = f.chart
		current, _, _ = strings.Cut(current, "+")
		wanted, _, _ := strings.Cut(from.revision, "+")
		if from.ready.status == "True" && wanted != "" && wanted != current {
			return wanted
		}
		return ""
	default: // by chartRef: the chart's own version may be another than the tag
		_, digest, _ := strings.Cut(from.revision, "@")
		if f.digest == "" || digest == "" || digest == f.digest || from.ready.status != "True" {
			return ""
		}
		return from.revision
	}
	if from.ready.status == "True" && from.revision != "" && from.revision != current {
		return from.revision
	}
	return ""
}

// stand gives the failure that the object has come to: one of now, or one of before at the same generation and revision that is tried again.
func (f *facts) stand(before failure) {
	generation := f.conditionGeneration(f.ready)
	if before.generation != generation || before.revision != f.attempted && f.attempted != "" && before.revision != "" {
		before = failure{}
	}
	ready := f.ready
	switch {
	case ready.status == "True", ready.status == "", ready.reason == "DependencyNotReady":
	case f.stalled.status == "True", ready.status == "False" && !underWay[ready.reason]:
		f.failure = failure{before.since, ready.reason, ready.message, generation, f.attempted}
		if !before.is() || f.endedBadly(ready.reason) != f.endedBadly(before.reason) { // a fault of the input is another thing than a try that failed
			f.failure.since = ready.since
		}
	case before.is() && !f.endedBadly(before.reason) && f.beyondInput():
	default:
		f.failure = before
	}
}

// beyondInput reports whether the work under way has got past what its input can spoil.
func (f *facts) beyondInput() bool {
	return runsAction(f.ready.message) || f.ready.reason == "AwaitingTests" || strings.HasPrefix(f.reconciling.message, "Running health checks") ||
		strings.HasPrefix(f.reconciling.message, "Detecting drift")
}

func (f *facts) current() string {
	if f.kind == kindHelmRelease {
		return f.attempted
	}
	return f.applied
}
