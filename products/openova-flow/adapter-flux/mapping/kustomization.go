package mapping

import (
	"cmp"
	"regexp"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// kustomizationFailed are the reasons of Ready=False that are failures.
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

// kustomization maps a Kustomization (kustomize.toolkit.fluxcd.io/v1).
//
// At every interval its controller sets Ready=Unknown/Progressing for a moment, even if the revision is already applied. The node keeps a
// previous Ready=True until the next result.
func (c Config) kustomization(o object, past *entry) (*entry, error) {
	e, err := c.dependent(o)
	if err != nil {
		return nil, err
	}
	ready, f := o.conditions["Ready"], e.facts
	f.applied, f.attempted, f.path = o.status.string("lastAppliedRevision"), o.status.string("lastAttemptedRevision"), o.spec.string("path")
	f.routine = f.wasReady(past)
	f.limit = max(duration(o.spec, "timeout", f.interval-30_000), 30_000)
	if d, ok := parseAfter(withTimeout, f.reconciling.message); ok {
		f.limit = d
	}
	f.retryInterval = duration(o.spec, "retryInterval", f.interval)
	c.kustomizationChecks(o, f)
	if ready.status == "Unknown" && past.ready.status == "True" && !o.stalled() &&
		o.observed == o.generation && f.applied == f.attempted {
		ready = past.ready
	}
	f.routine = f.routine && f.applied == f.attempted
	e.status, e.members, e.waits = kustomizationStatus(o, ready), c.members(o), o.spec.bool("wait")
	e.remember(past, ready)
	e.run = past.run.next(kustomizationEvidence(o, ready, e.status))
	e.describe(o, ready)
	put(e.meta, "revision", f.applied)
	put(e.meta, "attemptedRevision", f.attempted)
	put(e.meta, "originRevision", cut(o.status.string("lastAppliedOriginRevision"), maxRevision))
	put(e.meta, "path", f.path)
	if source := o.reference(o.spec["sourceRef"]); source.name != "" {
		e.source = source
	}
	return e, nil
}

// members returns the nodes whose health the Kustomization waits for by its own fields, each once: its inventory with spec.wait, otherwise
// spec.healthChecks.
func (c Config) members(o object) []string {
	if o.spec.bool("wait") {
		return union(c.inventory(o), nil)
	}
	ids, _ := c.healthChecks(o)
	return union(ids, nil)
}

// healthChecks returns the ids of the releases and Kustomizations in spec.healthChecks, and the names of the other objects. apiVersion is optional.
func (c Config) healthChecks(o object) (ids, others []string) {
	for _, item := range o.spec.list("healthChecks") {
		m, _ := item.(map[string]any)
		k, version := o.reference(item), fields(m).string("apiVersion")
		switch {
		case k.name == "":
		case (k.kind == kindHelmRelease || k.kind == kindKustomization) && (version == "" || Maps(version, k.kind)):
			ids = append(ids, c.id(k))
		default:
			others = append(others, k.kind+" "+k.namespace+"/"+k.name)
		}
	}
	return ids, others
}

// kustomizationChecks sets whether the Kustomization is running health checks now, the nodes that a failed check names, and the other objects in
// spec.healthChecks.
func (c Config) kustomizationChecks(o object, f *facts) {
	_, f.otherChecks = c.healthChecks(o)
	message := f.ready.message
	if f.ready.status == "Unknown" {
		if strings.HasPrefix(f.reconciling.message, "Running health checks") {
			f.checking = true
		}
		return
	}
	if f.ready.reason == "HealthCheckFailed" || f.ready.reason == "ReconciliationFailed" {
		for _, m := range unhealthy.FindAllStringSubmatch(message, -1) {
			f.checks = append(f.checks, c.id(key{m[1], m[2], m[3]}))
		}
	}
}

// unhealthy finds the nodes in the message of a failed health check.
var unhealthy = regexp.MustCompile(`\b(HelmRelease|Kustomization)/([\w.-]+)/([\w.-]+) status:`)

// kustomizationEvidence returns the evidence of runs in a Kustomization: from Ready and status.history. The newest entry of the history has the time of the
// first reconciliation of this revision with this result. Controllers before Flux 2.7 write no history.
func kustomizationEvidence(o object, ready condition, status string) evidence {
	e := evidence{stalled: o.stalled(), since: ready.since, gen: cmp.Or(ready.generation, o.generation)}
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

// firstReconciled returns when the reconciliation that first had the result in Ready began and ended. The history has the duration of the latest one
// only: if there were several, began is the same as ended. Without a matching entry of the history, began is absent, and ended is the time of Ready.
func firstReconciled(o object, ready condition) (began, ended flow.Time) {
	history := o.status.list("history")
	if len(history) == 0 {
		return flow.Time{}, ready.since
	}
	m, _ := history[0].(map[string]any)
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
