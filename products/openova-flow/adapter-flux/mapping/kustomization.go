package mapping

import (
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// kustomizationFailed are the reasons of a Ready=False of a Kustomization (kustomize.toolkit.fluxcd.io/v1) that mean that its
// manifests could not be built, applied, pruned, or did not become healthy. Every other one waits or is tried again.
var kustomizationFailed = map[string]bool{
	"BuildFailed": true, "ReconciliationFailed": true, "PruneFailed": true, "HealthCheckFailed": true,
}

func kustomizationStatus(o object, ready condition) string {
	switch {
	case ready.status == "True":
		return flow.StatusSucceeded
	case o.conditions.is("Stalled"), ready.status == "False" && kustomizationFailed[ready.reason]:
		return flow.StatusFailed
	case ready == condition{}:
		return flow.StatusPending
	}
	return flow.StatusRunning
}

// kustomization reads a Kustomization (kustomize.toolkit.fluxcd.io/v1).
//
// At every interval its controller says Ready=Unknown/Progressing for a moment, also when the revision is the one that is applied.
// Nothing happens then, so the Ready of before stands until there is another verdict.
func (c Config) kustomization(o object, past *entry) (*entry, error) {
	deps, err := dependencies(o, c.KustomizationID)
	if err != nil {
		return nil, err
	}
	ready := o.conditions["Ready"]
	applied := o.status.string("lastAppliedRevision")
	if ready.status == "Unknown" && past.ready.status == "True" && !o.stalled() &&
		o.observed == o.generation && applied == o.status.string("lastAttemptedRevision") {
		ready = past.ready
	}
	e := &entry{
		id: c.KustomizationID(o.namespace, o.name), uid: o.uid, label: o.name, family: family(o),
		status: kustomizationStatus(o, ready), deps: deps, meta: commonMeta(o, ready),
	}
	e.remember(past, ready)
	e.run = past.run.next(kustomizationEvidence(o, ready, e.status))
	if ids := waitingFor(o, ready, c.KustomizationID); len(ids) > 0 {
		e.meta["waitingFor"] = ids
	}
	put(e.meta, "startedAtIsLowerBound", e.run.lowerBound)
	put(e.meta, "appliedBy", c.appliedBy(o, e.id))
	put(e.meta, "revision", applied)
	put(e.meta, "path", o.spec.string("path"))
	if ref := o.spec.object("sourceRef"); ref.string("name") != "" {
		e.source = key{ref.string("kind"), orElse(ref.string("namespace"), o.namespace), ref.string("name")}
	}
	return e, nil
}

// kustomizationEvidence reads what a Kustomization shows of the controller's work: Ready, and status.history, whose newest entry says when this
// revision first came to this outcome. Controllers before Flux 2.7 keep no history.
func kustomizationEvidence(o object, ready condition, status string) evidence {
	e := evidence{stalled: o.stalled(), since: ready.since, gen: generationOf(o, ready)}
	switch {
	case !o.deletedAt.IsZero():
	case status == flow.StatusSucceeded:
		e.phase, e.outcome = done, status
		e.earliest, e.ended = firstReconciled(o, ready)
	case status == flow.StatusFailed:
		e.phase, e.outcome = done, status
		e.earliest, _ = firstReconciled(o, ready)
		e.ended = ready.since
		if !kustomizationFailed[ready.reason] {
			e.ended = o.conditions["Stalled"].since
		}
	case ready.status == "Unknown", ready.reason == "Progressing":
		e.phase, e.began, e.earliest = acting, ready.since, ready.since
	}
	return e
}

// firstReconciled is when the outcome that Ready shows was first come to, and when the work for it began as far as is known: an entry holds the
// duration of its last reconciliation alone.
func firstReconciled(o object, ready condition) (began, ended flow.Time) {
	past := o.status.list("history")
	if len(past) == 0 {
		return flow.Time{}, ready.since
	}
	m, _ := past[0].(map[string]any)
	newest := fields(m)
	first := newest.time("firstReconciled")
	if newest.string("lastReconciledStatus") != ready.reason || first.IsZero() || after(first, ready.since) {
		return flow.Time{}, ready.since
	}
	took, err := time.ParseDuration(newest.string("lastReconciledDuration"))
	if total, _ := newest.int("totalReconciliations"); total == 1 && err == nil {
		return flow.At(first.Ms() - took.Milliseconds()), first
	}
	return first, first
}
