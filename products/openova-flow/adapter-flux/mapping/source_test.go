package mapping_test

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
)

// artifact is a HelmChart or a source with a Ready condition.
func artifact(t *testing.T, kind, namespace, name, status, reason string) *unstructured.Unstructured {
	return object(t, `{"apiVersion":"source.toolkit.fluxcd.io/v1","kind":%q,
		"metadata":{"name":%q,"namespace":%q,"uid":"uid-%s","generation":1},"spec":{"chart":"c","version":"3","sourceRef":{"kind":"HelmRepository","name":"charts"}},
		"status":{"artifact":{"revision":"rev-1"},"conditions":[{"type":"Ready","status":%q,"reason":%q,"message":"m","lastTransitionTime":%q}]}}`,
		kind, name, namespace, name, status, reason, sec(1))
}

func chartOf(t *testing.T, w *world, id string) string {
	t.Helper()
	c, _ := meta(t, w.must(id))["chart"].(map[string]any)
	return fmt.Sprint(c["name"], "@", c["version"], " ", c["ready"], "/", c["reason"], " ", c["revision"])
}

func sourceOf(t *testing.T, w *world, id string) string {
	t.Helper()
	s, _ := meta(t, w.must(id))["source"].(map[string]any)
	return fmt.Sprint(s["kind"], " ", s["namespace"], "/", s["name"], " ", s["ready"], "/", s["reason"], " ", s["revision"])
}

// A HelmChart finds its release by status.helmChart, by its owner, by its labels, or by its name; before or after the release has come.
func TestHelmChartFindsItsRelease(t *testing.T) {
	named := artifact(t, "HelmChart", "flux-system", "flux-system-bp-a", "True", "ChartPullSucceeded")
	odd := func(path []string, v any) *unstructured.Unstructured {
		return set(artifact(t, "HelmChart", "flux-system", "odd", "True", "ChartPullSucceeded"), v, path...)
	}
	owned := odd([]string{"metadata", "ownerReferences"}, []any{map[string]any{"kind": "HelmRelease", "name": "bp-a"}})
	labelled := odd([]string{"metadata", "labels"}, map[string]any{"helm.toolkit.fluxcd.io/name": "bp-a", "helm.toolkit.fluxcd.io/namespace": "flux-system"})
	told := set(release(t, "bp-a"), "flux-system/odd", "status", "helmChart")
	for _, c := range []struct {
		name           string
		chart, release *unstructured.Unstructured
	}{
		{"by its name", named, release(t, "bp-a")},
		{"by its owner", owned, release(t, "bp-a")},
		{"by its labels", labelled, release(t, "bp-a")},
		{"by status.helmChart", artifact(t, "HelmChart", "flux-system", "odd", "True", "ChartPullSucceeded"), told},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, chartFirst := range []bool{true, false} {
				w := newWorld(t)
				if chartFirst {
					w.put(c.chart)
				}
				w.put(c.release)
				if !chartFirst {
					before := w.must("fsn1/bp-a")
					changes := w.put(c.chart)
					after := w.must("fsn1/bp-a")
					if len(changes) != 1 || before.Status != after.Status || before.Family != after.Family {
						t.Errorf("the chart changes more than meta: %+v", changes)
					}
				}
				if got, want := chartOf(t, w, "fsn1/bp-a"), "bp-a@1.0.0 True/ChartPullSucceeded rev-1"; got != want {
					t.Errorf("chart first %v: it is %s, want %s", chartFirst, got, want)
				}
				w.event(mapping.Deleted, c.chart)
				if got, want := chartOf(t, w, "fsn1/bp-a"), "bp-a@1.0.0 <nil>/<nil> <nil>"; got != want {
					t.Errorf("deleted, it is %s, want %s", got, want)
				}
			}
		})
	}
}

func TestChartOfAnotherReleaseChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a"))
	if changes := w.put(artifact(t, "HelmChart", "flux-system", "flux-system-bp-b", "True", "ChartPullSucceeded")); len(changes) != 0 {
		t.Errorf("it changes %+v", changes)
	}
}

func TestChartThatIsGivenAwayLeavesItsRelease(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a"))
	w.put(release(t, "bp-b"))
	for _, owner := range []string{"bp-a", "bp-b"} {
		chart := artifact(t, "HelmChart", "flux-system", "odd", "True", "ChartPullSucceeded")
		w.put(set(chart, map[string]any{"helm.toolkit.fluxcd.io/name": owner}, "metadata", "labels"))
	}
	if got, want := chartOf(t, w, "fsn1/bp-a"), "bp-a@1.0.0 <nil>/<nil> <nil>"; got != want {
		t.Errorf("the release that had it is %s, want %s", got, want)
	}
	if got, want := chartOf(t, w, "fsn1/bp-b"), "bp-b@1.0.0 True/ChartPullSucceeded rev-1"; got != want {
		t.Errorf("the release that has it is %s, want %s", got, want)
	}
}

// A chart that keeps failing is tried again and again: Ready goes to Unknown and back to the same verdict.
func TestChartThatIsTriedAgainKeepsItsVerdict(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a"))
	failing := artifact(t, "HelmChart", "flux-system", "flux-system-bp-a", "False", "NoSourceArtifact")
	trying := artifact(t, "HelmChart", "flux-system", "flux-system-bp-a", "Unknown", "Progressing")
	w.put(failing)
	for range 3 {
		if extra := len(w.put(trying)) + len(w.put(failing)); extra != 0 {
			t.Fatalf("another try makes %d changes", extra)
		}
	}
	w.put(set(trying, int64(2), "metadata", "generation"))
	if got, want := chartOf(t, w, "fsn1/bp-a"), "bp-a@1.0.0 Unknown/Progressing rev-1"; got != want {
		t.Errorf("another specification being tried, it is %s, want %s", got, want)
	}
}

func TestSourceByChartSpecAndByChartRef(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a"))
	byRef := func(name, kind, namespace, ref string) *unstructured.Unstructured {
		return set(release(t, name), map[string]any{"chartRef": map[string]any{"kind": kind, "namespace": namespace, "name": ref}}, "spec")
	}
	w.put(set(byRef("bp-oci", "OCIRepository", "oci", "app"), "1.2.3+sha", "status", "lastAttemptedRevision"))
	w.put(byRef("bp-shared", "HelmChart", "", "shared"))
	w.put(artifact(t, "HelmRepository", "flux-system", "charts", "True", "Succeeded"))
	w.put(artifact(t, "OCIRepository", "oci", "app", "False", "OCIArtifactPullFailed"))
	w.put(artifact(t, "HelmChart", "flux-system", "shared", "True", "ChartPullSucceeded"))
	for id, want := range map[string]string{
		"fsn1/bp-a":      "HelmRepository flux-system/charts <nil>/<nil> <nil>",
		"fsn1/bp-oci":    "OCIRepository oci/app <nil>/<nil> <nil>",
		"fsn1/bp-shared": "HelmRepository flux-system/charts <nil>/<nil> <nil>",
	} {
		if got := sourceOf(t, w, id); got != want {
			t.Errorf("%s comes from %s, want %s", id, got, want)
		}
	}
	if got, want := chartOf(t, w, "fsn1/bp-shared"), "c@3 True/ChartPullSucceeded rev-1"; got != want {
		t.Errorf("the chart that is referred to is %s, want %s", got, want)
	}
	wantMeta(t, w.must("fsn1/bp-oci"), map[string]any{"versionWanted": "1.2.3+sha", "chart": nil})
	changes := w.put(artifact(t, "HelmRepository", "flux-system", "charts", "False", "IndexationFailed"))
	if len(changes) != 1 || changes[0].Node.ID != "fsn1/HelmRepository/flux-system/charts" || changes[0].Node.Status != "failed" {
		t.Errorf("a source that two releases use changes %+v, want its own node alone", changes)
	}
	w.event(mapping.Deleted, artifact(t, "HelmRepository", "flux-system", "charts", "", ""))
	if got, want := sourceOf(t, w, "fsn1/bp-a"), "HelmRepository flux-system/charts <nil>/<nil> <nil>"; got != want {
		t.Errorf("deleted, it is %s, want %s", got, want)
	}
}

// A release that moves to another source no longer hears of the one before.
func TestSourceThatIsLeftIsForgotten(t *testing.T) {
	w := newWorld(t)
	r := release(t, "bp-a")
	w.put(r)
	set(r, map[string]any{"kind": "GitRepository", "name": "fleet"}, "spec", "chart", "spec", "sourceRef")
	w.put(r)
	if changes := w.put(artifact(t, "HelmRepository", "flux-system", "charts", "True", "Succeeded")); len(changes) != 2 || changes[0].Node.ID != "fsn1/HelmRepository/flux-system/charts" || changes[1].Edge.FromID != changes[0].Node.ID || changes[1].Edge.Type != "contains" {
		t.Errorf("the source that it left changes %+v, want its own node and region alone", changes)
	}
	w.put(artifact(t, "GitRepository", "flux-system", "fleet", "True", "Succeeded"))
	if got, want := sourceOf(t, w, "fsn1/bp-a"), "GitRepository flux-system/fleet <nil>/<nil> <nil>"; got != want {
		t.Errorf("it comes from %s, want %s", got, want)
	}
}

func TestArtifact_LabelsNameAReleaseOfAnotherNamespace(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a"))
	w.put(set(artifact(t, "HelmChart", "charts", "odd", "True", "ChartPullSucceeded"),
		map[string]any{"helm.toolkit.fluxcd.io/name": "bp-a", "helm.toolkit.fluxcd.io/namespace": "flux-system"}, "metadata", "labels"))
	if got := chartOf(t, w, "fsn1/bp-a"); got != "bp-a@1.0.0 True/ChartPullSucceeded rev-1" {
		t.Errorf("the chart is %s", got)
	}
}

func TestArtifact_OneMadeAgainHasNoVerdictOfTheOneBefore(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a"))
	w.put(artifact(t, "HelmChart", "flux-system", "flux-system-bp-a", "False", "Failed"))
	again := artifact(t, "HelmChart", "flux-system", "flux-system-bp-a", "Unknown", "Progressing")
	w.put(again)
	before := chartOf(t, w, "fsn1/bp-a")
	again.SetUID("another")
	w.put(again)
	if after := chartOf(t, w, "fsn1/bp-a"); before != "bp-a@1.0.0 False/Failed rev-1" || after != "bp-a@1.0.0 Unknown/Progressing rev-1" {
		t.Errorf("the chart is %s, made again %s", before, after)
	}
}

func TestRelease_ThatIsReadyHasNotStalled(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		ready   string
		stalled any
	}{{"True", nil}, {"False", true}} {
		w.put(release(t, "bp-a", cond{"Ready", c.ready, "UpgradeFailed", "m", 2, 1}, cond{"Stalled", "True", "RetriesExceeded", "gave up", 1, 1}))
		if got := meta(t, w.must("fsn1/bp-a"))["stalled"]; got != c.stalled {
			t.Errorf("Ready %s beside Stalled: stalled is %v", c.ready, got)
		}
	}
}
