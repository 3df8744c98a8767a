package mapping

import (
	"cmp"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// failure is the current failure of an object. All attempts at the same generation and revision share it.
type failure struct {
	since           flow.Time
	reason, message string
	generation      int64
	revision        string
}

func (f failure) exists() bool { return f.reason != "" }

// remember carries over facts of earlier versions of the object. at is when this version was seen.
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
	f.setFailure(past.failure)
	continuous := !past.readySince.IsZero() || f.released.status == "True" // a failure removes readySince; a release first seen after its success has none
	f.routine = f.routine && !f.failure.exists() && continuous
	switch {
	case f.ready.status == "True" && past.readySince.IsZero():
		f.readySince = f.ready.since
	case f.ready.status == "True", f.routine:
		f.readySince = past.readySince
	}
}

// wasReady reports whether the object was Ready at its current generation and revision, is not Ready now, and has not stalled. It sets readyGeneration
// and readyRevision.
func (f *facts) wasReady(past *entry) bool {
	f.readyGeneration, f.readyRevision = past.facts.readyGeneration, past.facts.readyRevision
	if f.ready.status == "True" {
		f.readyGeneration, f.readyRevision = cmp.Or(f.ready.generation, f.generation), f.current()
		return false
	}
	if f.released.status == "True" && cmp.Or(f.released.generation, f.generation) == f.generation && f.readyGeneration == 0 {
		f.readyGeneration, f.readyRevision = f.generation, f.current() // it has been Ready, though no version with Ready=True was seen
	}
	return f.readyGeneration != 0 && f.readyGeneration == f.generation && f.readyRevision == f.current() && f.stalled.status != "True"
}

// ahead returns the revision of the source, or of the chart, that a ready object has not applied; empty if there is none, or it is unknown.
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
	default: // without a HelmChart: the chart's version may differ from the tag, so digests are compared
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

// setFailure sets the failure, if there is one: a new one or, during a retry, the earlier one of the same generation and revision.
func (f *facts) setFailure(before failure) {
	generation := cmp.Or(f.ready.generation, f.generation)
	if before.generation != generation || before.revision != f.attempted && f.attempted != "" && before.revision != "" {
		before = failure{}
	}
	ready := f.ready
	switch {
	case ready.status == "True", ready.status == "", ready.reason == "DependencyNotReady":
	case f.stalled.status == "True", ready.status == "False" && !underWay[ready.reason]:
		f.failure = failure{before.since, ready.reason, ready.message, generation, f.attempted}
		if !before.exists() || f.attemptFailed(ready.reason) != f.attemptFailed(before.reason) { // an error before an attempt and a failed attempt are different failures
			f.failure.since = ready.since
		}
	case before.exists() && !f.attemptFailed(before.reason) && f.beyondInput():
	default:
		f.failure = before
	}
}

// beyondInput reports whether the current work has passed the steps that fail for a wrong input.
func (f *facts) beyondInput() bool {
	return runsAction(f.ready.message) || f.ready.reason == "AwaitingTests" || strings.HasPrefix(f.reconciling.message, "Running health checks") ||
		strings.HasPrefix(f.reconciling.message, "Detecting drift")
}

// current returns the last attempted revision of a release, and the last applied revision of another object.
func (f *facts) current() string {
	if f.kind == kindHelmRelease {
		return f.attempted
	}
	return f.applied
}
