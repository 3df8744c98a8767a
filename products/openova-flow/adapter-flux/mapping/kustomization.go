package mapping

import (
	"regexp"
	"strings"
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
	deps, unwatched, err := c.dependencies(o)
	if err != nil {
		return nil, err
	}
	ready := o.conditions["Ready"]
	f := commonFacts(o)
	f.deps = deps
	f.applied, f.attempted, f.path = o.status.string("lastAppliedRevision"), o.status.string("lastAttemptedRevision"), o.spec.string("path")
	f.named = c.waitingFor(o, ready)
	f.routine = f.wasReady(past)
	f.limit = duration(o.spec, "timeout", max(f.interval-30_000, 30_000))
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
	e := &entry{
		key: o.key, id: c.KustomizationID(o.namespace, o.name), uid: o.uid, label: o.name, family: family(o), facts: f,
		status: kustomizationStatus(o, ready), deps: deps, applier: appliedBy(o), members: c.waitedFor(o), waits: o.spec.bool("wait"), meta: commonMeta(o, ready),
	}
	e.remember(past, ready)
	e.run = past.run.next(kustomizationEvidence(o, ready, e.status))
	if len(f.named) > 0 {
		e.meta["waitingFor"] = f.named
	}
	if len(unwatched) > 0 {
		e.meta["dependsOnUnwatched"] = unwatched
	}
	put(e.meta, "startedAtIsLowerBound", e.run.lowerBound)
	put(e.meta, "revision", f.applied)
	put(e.meta, "path", f.path)
	kubeConfig := o.spec.object("kubeConfig")
	f.remote = orElse(kubeConfig.object("secretRef").string("name"), kubeConfig.object("configMapRef").string("name"))
	put(e.meta, "targetCluster", f.remote)
	put(e.meta, "targetNamespace", o.spec.string("targetNamespace"))
	if ref := o.spec.object("sourceRef"); ref.string("name") != "" {
		e.source = key{ref.string("kind"), orElse(ref.string("namespace"), o.namespace), ref.string("name")}
	}
	return e, nil
}

// waitedFor are the nodes that the Kustomization itself names of those that it waits for: its inventory with spec.wait, else spec.healthChecks.
func (c Config) waitedFor(o object) []string {
	if o.spec.bool("wait") {
		return c.inventory(o)
	}
	ids, _ := c.healthChecks(o)
	return ids
}

// healthChecks are spec.healthChecks: the ids of those that are nodes, the names of the others.
func (c Config) healthChecks(o object) (ids, others []string) {
	for _, item := range o.spec.list("healthChecks") {
		m, _ := item.(map[string]any)
		ref := fields(m)
		k := key{ref.string("kind"), orElse(ref.string("namespace"), o.namespace), ref.string("name")}
		if k.kind == kindHelmRelease || k.kind == kindKustomization {
			ids = append(ids, c.id(k))
		} else if k.name != "" {
			others = append(others, k.kind+" "+k.namespace+"/"+k.name)
		}
	}
	return ids, others
}

// kustomizationChecks reads whose health the Kustomization waits for now, or what its failed check names.
func (c Config) kustomizationChecks(o object, f *facts) {
	_, f.unknown = c.healthChecks(o)
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

// unhealthy finds the nodes in the list of a health check's message.
var unhealthy = regexp.MustCompile(`\b(HelmRelease|Kustomization)/([\w.-]+)/([\w.-]+) status:`)

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
