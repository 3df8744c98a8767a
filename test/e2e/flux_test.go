package e2e

import (
	"maps"
	"strings"
	"time"

	"github.com/openova-io/openova/test/e2e/conductor"
	"github.com/openova-io/openova/test/e2e/plane"
)

// flux writes objects of one region with the statuses that Flux's controllers write: a source, its Kustomization apps, and the release web that the
// Kustomization applies.
type flux struct {
	*region
	kind       string // kind of the source
	url        string
	fetched    string // time of the source's artifact
	attempted  string // revision that the Kustomization attempted last
	applied    string
	suspended  bool  // whether the Kustomization is suspended
	suspends   int64 // how often suspended has changed
	observed   int64 // the generation of the Kustomization that its controller has observed
	generation int64 // generation of the release
	values     string
	status     plane.Object // status of the release
}

const (
	sourceName = "fleet"
	stamp      = time.RFC3339
)

func now() string { return time.Now().UTC().Format(stamp) }

func (f *flux) put(kind, apiVersion, name string, labels, spec, status plane.Object) {
	f.stage.t.Helper()
	meta := plane.Object{"namespace": "flux-system", "name": name}
	if labels != nil {
		meta["labels"] = labels
	}
	o := plane.Object{"apiVersion": apiVersion, "kind": kind, "metadata": meta, "spec": spec}
	if status != nil {
		o["status"] = status
	}
	f.stage.must(f.conductor.Apply(f.stage.ctx, conductor.Event{Type: "MODIFIED", Object: o}))
}

func condition(kind, status, reason, message string, generation int64) plane.Object {
	return plane.Object{"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now(), "observedGeneration": generation}
}

// fetch writes a source that has fetched a revision. For an OCI artifact, origin is the revision that it was built from.
func (f *flux) fetch(revision, origin string) {
	f.fetched = now()
	f.source(condition("Ready", "True", "Succeeded", "stored artifact for revision '"+revision+"'", 1), revision, origin)
}

// failFetch writes a source that has failed to fetch for two minutes, and still has its last artifact.
func (f *flux) failFetch(revision string) {
	f.stage.t.Helper()
	ready := condition("Ready", "False", "GitOperationFailed", "failed to checkout and determine revision: unable to clone: repository not found", 1)
	ready["lastTransitionTime"] = time.Now().Add(-2 * time.Minute).UTC().Format(stamp)
	f.source(ready, revision, "")
}

func (f *flux) source(ready plane.Object, revision, origin string) {
	f.stage.t.Helper()
	digest := revision[strings.LastIndexByte(revision, ':')+1:]
	artifact := plane.Object{"revision": revision, "lastUpdateTime": f.fetched, "path": "source/flux-system/fleet/" + digest + ".tar.gz", "url": "http://source-controller/" + digest + ".tar.gz",
		"digest": "sha256:" + (digest + digest + digest + digest)[:64], "size": 1}
	if origin != "" {
		artifact["metadata"] = plane.Object{"org.opencontainers.image.revision": origin}
	}
	ref := plane.Object{"branch": "main"}
	if f.kind == "OCIRepository" {
		ref = plane.Object{"tag": "latest"}
	}
	f.put(f.kind, "source.toolkit.fluxcd.io/v1", sourceName, nil, plane.Object{"interval": "1m", "url": f.url, "ref": ref},
		plane.Object{"observedGeneration": 1, "artifact": artifact, "conditions": []any{ready, condition("ArtifactInStorage", "True", "Succeeded", "stored artifact", 1)}})
}

// try writes a Kustomization that has begun to apply a revision.
func (f *flux) try(revision string) {
	f.stage.t.Helper()
	f.attempted, f.observed = revision, 1+f.suspends
	message := "Building manifests for revision " + revision + " with a timeout of 30s"
	f.kustomization(condition("Reconciling", "True", "Progressing", message, f.observed), condition("Ready", "Unknown", "Progressing", "Reconciliation in progress", f.observed))
}

// apply writes a Kustomization that has applied the revision it tried.
func (f *flux) apply() {
	f.stage.t.Helper()
	f.applied = f.attempted
	f.kustomization(condition("Ready", "True", "ReconciliationSucceeded", "Applied revision: "+f.applied, f.observed))
}

// suspend suspends or resumes the Kustomization. Its status stays that of the last applied revision; the controller observes that it is suspended.
func (f *flux) suspend(yes bool) {
	f.stage.t.Helper()
	f.suspended = yes
	f.suspends++ // each change adds a generation
	if yes {
		f.observed = 1 + f.suspends
	}
	f.kustomization(condition("Ready", "True", "ReconciliationSucceeded", "Applied revision: "+f.applied, f.observed))
}

func (f *flux) kustomization(conditions ...any) {
	f.stage.t.Helper()
	spec := plane.Object{"interval": "5m", "path": "./apps", "prune": true, "retryInterval": "15s", "timeout": "30s", "sourceRef": plane.Object{"kind": f.kind, "name": sourceName}}
	if f.suspended {
		spec["suspend"] = true
	}
	status := plane.Object{"observedGeneration": f.observed, "lastAttemptedRevision": f.attempted, "conditions": conditions}
	if f.applied != "" {
		status["lastAppliedRevision"] = f.applied
	}
	f.put("Kustomization", "kustomize.toolkit.fluxcd.io/v1", "apps", nil, spec, status)
}

// change writes new values into the release, as the Kustomization applies them. The release's controller has not observed them yet.
func (f *flux) change(values string) {
	f.stage.t.Helper()
	f.values, f.generation = values, f.generation+1
	f.release(f.status)
}

// upgrade writes a release whose upgrade has begun.
func (f *flux) upgrade() {
	f.stage.t.Helper()
	message := "Running 'upgrade' action with timeout of 30s"
	f.helm(f.generation-1, condition("Reconciling", "True", "Progressing", message, f.generation), condition("Ready", "Unknown", "Progressing", message, f.generation))
}

// upgraded writes a release whose upgrade has succeeded.
func (f *flux) upgraded() {
	f.stage.t.Helper()
	message := "Helm upgrade succeeded for release flux-system/web with chart web@1.0.0"
	f.helm(f.generation, condition("Ready", "True", "UpgradeSucceeded", message, f.generation), condition("Released", "True", "UpgradeSucceeded", message, f.generation))
}

// giveUp writes a release whose last attempt has failed.
func (f *flux) giveUp() {
	f.stage.t.Helper()
	message := "Helm upgrade failed for release flux-system/web with chart web@1.0.0: timeout waiting for: [Deployment/flux-system/web status: 'InProgress']"
	f.helm(f.generation, condition("Stalled", "True", "RetriesExceeded", "Failed to upgrade after 1 attempt(s)", f.generation), condition("Ready", "False", "UpgradeFailed", message, f.generation),
		condition("Released", "False", "UpgradeFailed", message, f.generation))
}

func (f *flux) helm(observed int64, conditions ...any) {
	f.stage.t.Helper()
	f.status = plane.Object{"observedGeneration": observed, "conditions": conditions, "lastAttemptedGeneration": f.generation, "lastAttemptedRevision": "1.0.0",
		"lastAttemptedReleaseAction": "upgrade", "helmChart": "flux-system/flux-system-web"}
	f.release(f.status)
}

func (f *flux) release(status plane.Object) {
	f.stage.t.Helper()
	labels := plane.Object{"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
	spec := plane.Object{"interval": "1m", "timeout": "30s", "values": plane.Object{"config": f.values},
		"chart": plane.Object{"spec": plane.Object{"chart": "web", "version": "1.0.0", "sourceRef": plane.Object{"kind": "HelmRepository", "name": "charts"}}}}
	f.put("HelmRelease", "helm.toolkit.fluxcd.io/v2", "web", labels, spec, maps.Clone(status))
}

// settle makes the source, the Kustomization and the release ready at a revision.
func (f *flux) settle(revision string) {
	f.stage.t.Helper()
	f.fetch(revision, "")
	f.try(revision)
	f.change(revision)
	f.apply()
	f.upgraded()
}
