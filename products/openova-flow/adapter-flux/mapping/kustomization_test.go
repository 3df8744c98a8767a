package mapping_test

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func kustomization(t *testing.T, generation int, applied, attempted string, cs ...cond) *unstructured.Unstructured {
	k := object(t, `{"apiVersion":"kustomize.toolkit.fluxcd.io/v1","kind":"Kustomization",
		"metadata":{"name":"apps","namespace":"flux-system","uid":"k","generation":%d},"spec":{},
		"status":{"observedGeneration":%d,"lastAppliedRevision":%q,"lastAttemptedRevision":%q}}`, generation, generation, applied, attempted)
	return set(k, conditionList(cs...), "status", "conditions")
}

// TestKustomization_HealthChecksAreEdges: a health check is an edge, unless it has no name or there is an edge for a dependency. No node has an edge to itself.
func TestKustomization_HealthChecksAreEdges(t *testing.T) {
	w := newWorld(t)
	k := kustomization(t, 1, "", "", cond{"Ready", "True", "ReconciliationSucceeded", "", 1, 1})
	check := func(kind, name string) map[string]any { return map[string]any{"kind": kind, "name": name} }
	set(k, []any{check("HelmRelease", "app"), check("Kustomization", "apps"), check("Kustomization", "infra"), check("HelmRelease", "")}, "spec", "healthChecks")
	set(k, []any{map[string]any{"name": "infra"}}, "spec", "dependsOn")
	w.put(k)
	wantEdges(t, w.edges(), "fsn1/app finish-to-finish fsn1/Kustomization/flux-system/apps", "fsn1/Kustomization/flux-system/infra finish-to-start fsn1/Kustomization/flux-system/apps")
}

// TestKustomization_HealthChecksOfOtherGroupsAreNoEdges: other API groups have kinds with the same names.
func TestKustomization_HealthChecksOfOtherGroupsAreNoEdges(t *testing.T) {
	w := newWorld(t)
	check := func(version, kind string) map[string]any {
		return map[string]any{"apiVersion": version, "kind": kind, "name": kind}
	}
	w.put(set(kustomization(t, 1, "", ""), []any{check("helm.toolkit.fluxcd.io/v2", "HelmRelease"), check("example.com/v1", "HelmRelease"), check("kustomize.config.k8s.io/v1", "Kustomization")}, "spec", "healthChecks"))
	wantEdges(t, w.edges(), "fsn1/HelmRelease finish-to-finish fsn1/Kustomization/flux-system/apps")
}

// TestKustomization_InventoryOmitsOtherGroups: other API groups have kinds with the same names.
func TestKustomization_InventoryOmitsOtherGroups(t *testing.T) {
	w := newWorld(t)
	entry := func(id string) map[string]any { return map[string]any{"id": id, "v": "v1"} }
	k := set(kustomization(t, 1, "", ""), true, "spec", "wait")
	w.put(set(k, []any{entry("shop_app_helm.toolkit.fluxcd.io_HelmRelease"), entry("shop_app_example.com_HelmRelease"), entry("shop_more_kustomize.config.k8s.io_Kustomization"), entry("bad"), entry("shop__helm.toolkit.fluxcd.io_HelmRelease")}, "status", "inventory", "entries"))
	wantEdges(t, w.edges(), "fsn1/shop/app finish-to-finish fsn1/Kustomization/flux-system/apps")
	for i, id := range []string{"shop_app_example.com_HelmRelease", "shop_more_kustomize.config.k8s.io_Kustomization"} {
		w.put(set(k, []any{entry(id)}, "status", "inventory", "entries"))
		if got := w.edges(); len(got) != 1 {
			t.Errorf("entry %d: edges %q", i, got)
		}
	}
}

// TestKustomization_SourceIsTheGeneratorOfAMissingArtifact: for an ExternalArtifact that does not exist yet, its ArtifactGenerator is the source.
func TestKustomization_SourceIsTheGeneratorOfAMissingArtifact(t *testing.T) {
	w := newWorld(t)
	generator := object(t, `{"apiVersion":"source.extensions.fluxcd.io/v1beta1","kind":"ArtifactGenerator","metadata":{"name":"gen","namespace":"flux-system","uid":"g"},"spec":{"artifacts":[{"name":"made"}]}}`)
	made := artifact(t, "ExternalArtifact", "flux-system", "made", "True", "Succeeded")
	k := set(kustomization(t, 1, "", ""), map[string]any{"kind": "ExternalArtifact", "name": "made"}, "spec", "sourceRef")
	const artifactID, generatorID = "fsn1/ExternalArtifact/flux-system/made", "fsn1/ArtifactGenerator/flux-system/gen"
	others := generator.DeepCopy()
	set(others, []any{map[string]any{"name": "another"}}, "spec", "artifacts")
	for _, c := range []struct {
		name string
		do   func()
		want string
	}{
		{"no generator", func() { w.put(k) }, artifactID},
		{"only the generator exists", func() { w.put(generator) }, generatorID},
		{"the artifact exists", func() { w.put(made) }, artifactID},
		{"the artifact is deleted", func() { w.event(mapping.Deleted, made) }, generatorID},
		{"the generator makes only another artifact", func() { w.put(others) }, artifactID},
		{"the generator makes it again", func() { w.put(generator) }, generatorID},
		{"the generator is deleted", func() { w.event(mapping.Deleted, generator) }, artifactID},
	} {
		c.do()
		if got := judgements(t, w.must("fsn1/Kustomization/flux-system/apps"))[0]["source"]; got != c.want {
			t.Errorf("%s: source %v, want %s", c.name, got, c.want)
		}
	}
}

func TestKustomization_StatusFollowsReadyAndStalled(t *testing.T) {
	for _, c := range []struct {
		name   string
		conds  []cond
		status string
	}{
		{"none", nil, "pending"},
		{"True", []cond{{kind: "Ready", status: "True", reason: "ReconciliationSucceeded"}}, "succeeded"},
		{"Unknown", []cond{{kind: "Ready", status: "Unknown", reason: "Progressing"}}, "running"},
		{"waits", []cond{{kind: "Ready", status: "False", reason: "DependencyNotReady"}}, "running"},
		{"no artifact yet", []cond{{kind: "Ready", status: "False", reason: "ArtifactFailed"}}, "running"},
		{"cannot be built", []cond{{kind: "Ready", status: "False", reason: "BuildFailed"}}, "failed"},
		{"cannot be applied", []cond{{kind: "Ready", status: "False", reason: "ReconciliationFailed"}}, "failed"},
		{"not healthy", []cond{{kind: "Ready", status: "False", reason: "HealthCheckFailed"}}, "failed"},
		{"stalled", []cond{{kind: "Ready", status: "False", reason: "DependencyNotReady"}, {kind: "Stalled", status: "True", reason: "InvalidCELExpression"}}, "failed"},
		{"stalled, nothing else", []cond{{kind: "Stalled", status: "True", reason: "InvalidCELExpression"}}, "failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.put(kustomization(t, 1, "", "", c.conds...))
			if got := w.must("fsn1/Kustomization/flux-system/apps").Status; got != c.status {
				t.Errorf("status %s, want %s", got, c.status)
			}
			if got := w.must("fsn1").Status; got != c.status {
				t.Errorf("the region is %s, want %s", got, c.status)
			}
		})
	}
}

// TestKustomization_ThatAppliesItselfHasNoApplier: the first Kustomization of a cluster has its own name in its labels.
func TestKustomization_ThatAppliesItselfHasNoApplier(t *testing.T) {
	w := newWorld(t)
	k := kustomization(t, 1, "", "")
	w.put(set(k, map[string]any{"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}, "metadata", "labels"))
	wantMeta(t, w.must("fsn1/Kustomization/flux-system/apps"), map[string]any{"appliedBy": nil})
}

// TestKustomization_WaitsForObjectsWithItsLabels: with spec.wait, objects with the labels of a Kustomization block it from their first version on, as long
// as they have these labels.
func TestKustomization_WaitsForObjectsWithItsLabels(t *testing.T) {
	labelled := func(name, by string) *unstructured.Unstructured {
		return set(release(t, name), map[string]any{"kustomize.toolkit.fluxcd.io/name": by, "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}, "metadata", "labels")
	}
	waiting := func(name string, wait bool) *unstructured.Unstructured {
		k := set(kustomization(t, 1, "", ""), wait, "spec", "wait")
		k.SetName(name)
		return k
	}
	const toApps, toInfra = "fsn1/app finish-to-finish fsn1/Kustomization/flux-system/apps", "fsn1/app finish-to-finish fsn1/Kustomization/flux-system/infra"
	w := newWorld(t)
	for i, step := range []struct {
		event mapping.EventType
		put   *unstructured.Unstructured
		want  []string
	}{
		{mapping.Added, labelled("app", "apps"), nil},
		{mapping.Added, waiting("apps", true), []string{toApps}},
		{mapping.Added, waiting("infra", true), []string{toApps}},
		{mapping.Modified, labelled("app", "infra"), []string{toInfra}},
		{mapping.Modified, labelled("app", ""), nil},
		{mapping.Modified, labelled("app", "apps"), []string{toApps}},
		{mapping.Modified, waiting("apps", false), nil},
		{mapping.Modified, waiting("apps", true), []string{toApps}},
		{mapping.Deleted, labelled("app", "apps"), nil},
		{mapping.Added, labelled("app", "apps"), []string{toApps}},
	} {
		w.event(step.event, step.put)
		if t.Run(fmt.Sprint("step ", i+1), func(t *testing.T) { wantEdges(t, w.edges(), step.want...) }); t.Failed() {
			return
		}
	}
}

// TestKustomization_NewRevisionStartsARun: so does a new generation, but not a check of the applied revision.
func TestKustomization_NewRevisionStartsARun(t *testing.T) {
	progressing := func(at int) cond { return cond{"Ready", "Unknown", "Progressing", "", at, 1} }
	done := func(at int) cond { return cond{"Ready", "True", "ReconciliationSucceeded", "", at, 1} }
	w := newWorld(t)
	for i, s := range []struct {
		k          *unstructured.Unstructured
		status     string
		start, end flow.Time
	}{
		{kustomization(t, 1, "", "r1", progressing(10)), "running", ms(10), flow.Time{}},
		{kustomization(t, 1, "r1", "r1", done(20)), "succeeded", ms(10), ms(20)},
		{kustomization(t, 1, "r1", "r1", progressing(80)), "succeeded", ms(10), ms(20)},
		{kustomization(t, 1, "r1", "r1", done(81)), "succeeded", ms(10), ms(20)},
		{kustomization(t, 1, "r1", "r2", progressing(140)), "running", ms(140), flow.Time{}},
		{kustomization(t, 1, "r1", "r2", cond{"Ready", "False", "HealthCheckFailed", "", 150, 1}), "failed", ms(140), ms(150)},
		{kustomization(t, 1, "r1", "r2", progressing(160)), "running", ms(140), flow.Time{}},
		{kustomization(t, 1, "r2", "r2", done(170)), "succeeded", ms(140), ms(170)},
		{set(kustomization(t, 2, "r2", "r2", cond{"Ready", "Unknown", "Progressing", "", 200, 2}), int64(1), "status", "observedGeneration"),
			"running", ms(200), flow.Time{}},
	} {
		w.put(s.k)
		n := w.must("fsn1/Kustomization/flux-system/apps")
		if n.Status != s.status {
			t.Errorf("step %d: status %s, want %s", i+1, n.Status, s.status)
		}
		wantTimes(t, n, s.start, s.end)
	}
}

// TestKustomization_HistoryHasTheTimesOfAnUnseenRun: for a run that was not seen, status.history has the time when its revision was first applied, however often it was
// checked since.
func TestKustomization_HistoryHasTheTimesOfAnUnseenRun(t *testing.T) {
	entry := func(reason string, first, total int, took string) []any {
		return []any{
			map[string]any{
				"lastReconciledStatus": reason, "firstReconciled": sec(first), "lastReconciled": sec(first + 600*(total-1)),
				"lastReconciledDuration": took, "totalReconciliations": int64(total),
			},
			map[string]any{"lastReconciledStatus": "ReconciliationSucceeded", "firstReconciled": sec(1), "totalReconciliations": int64(1)},
		}
	}
	ready := cond{"Ready", "True", "ReconciliationSucceeded", "", 4000, 1}
	for _, c := range []struct {
		name       string
		history    any
		ready      cond
		start, end flow.Time
		lowerBound any
	}{
		{"no history", nil, ready, flow.Time{}, ms(4000), nil},
		{"once", entry("ReconciliationSucceeded", 100, 1, "2.5s"), ready, flow.At(ms(100).Ms() - 2500), ms(100), true},
		{"many times", entry("ReconciliationSucceeded", 100, 6, "2.5s"), ready, ms(100), ms(100), true},
		{"another outcome", entry("HealthCheckFailed", 100, 1, "2.5s"), ready, flow.Time{}, ms(4000), nil},
		{"failed", entry("HealthCheckFailed", 100, 3, "30s"), cond{"Ready", "False", "HealthCheckFailed", "", 4000, 1}, ms(100), ms(4000), true},
		{"in the future", entry("ReconciliationSucceeded", 5000, 1, "2.5s"), ready, flow.Time{}, ms(4000), nil},
		{"of a wrong type", []any{7}, ready, flow.Time{}, ms(4000), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.put(set(kustomization(t, 1, "r1", "r1", c.ready), c.history, "status", "history"))
			n := w.must("fsn1/Kustomization/flux-system/apps")
			wantTimes(t, n, c.start, c.end)
			wantMeta(t, n, map[string]any{"startedAtIsLowerBound": c.lowerBound})
		})
	}
}
