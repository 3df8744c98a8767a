package mapping_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// artifact returns a HelmChart or a source with a Ready condition.
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

// TestArtifact_HelmChartOfAReleaseIsFound: the HelmChart of a release is found by status.helmChart, owner, labels or name, whichever object is created first.
func TestArtifact_HelmChartOfAReleaseIsFound(t *testing.T) {
	named := artifact(t, "HelmChart", "flux-system", "flux-system-bp-a", "True", "ChartPullSucceeded")
	odd := func(path []string, v any) *unstructured.Unstructured {
		return set(artifact(t, "HelmChart", "flux-system", "odd", "True", "ChartPullSucceeded"), v, path...)
	}
	owned := odd([]string{"metadata", "ownerReferences"}, []any{map[string]any{"kind": "HelmRelease", "name": "bp-a"}})
	labelled := odd([]string{"metadata", "labels"}, map[string]any{"helm.toolkit.fluxcd.io/name": "bp-a", "helm.toolkit.fluxcd.io/namespace": "flux-system"})
	inStatus := set(release(t, "bp-a"), "flux-system/odd", "status", "helmChart")
	for _, c := range []struct {
		name           string
		chart, release *unstructured.Unstructured
	}{
		{"by its name", named, release(t, "bp-a")},
		{"by its owner", owned, release(t, "bp-a")},
		{"by its labels", labelled, release(t, "bp-a")},
		{"by status.helmChart", artifact(t, "HelmChart", "flux-system", "odd", "True", "ChartPullSucceeded"), inStatus},
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
					t.Errorf("chart first %v: chart %s, want %s", chartFirst, got, want)
				}
				w.event(mapping.Deleted, c.chart)
				if got, want := chartOf(t, w, "fsn1/bp-a"), "bp-a@1.0.0 <nil>/<nil> <nil>"; got != want {
					t.Errorf("after the deletion: chart %s, want %s", got, want)
				}
			}
		})
	}
}

func TestArtifact_ChartOfAnotherReleaseChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a"))
	if changes := w.put(artifact(t, "HelmChart", "flux-system", "flux-system-bp-b", "True", "ChartPullSucceeded")); len(changes) != 0 {
		t.Errorf("changes %+v", changes)
	}
}

func TestArtifact_ChartMovesToItsNewOwner(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a"))
	w.put(release(t, "bp-b"))
	for _, owner := range []string{"bp-a", "bp-b"} {
		chart := artifact(t, "HelmChart", "flux-system", "odd", "True", "ChartPullSucceeded")
		w.put(set(chart, map[string]any{"helm.toolkit.fluxcd.io/name": owner}, "metadata", "labels"))
	}
	if got, want := chartOf(t, w, "fsn1/bp-a"), "bp-a@1.0.0 <nil>/<nil> <nil>"; got != want {
		t.Errorf("chart of the former owner: %s, want %s", got, want)
	}
	if got, want := chartOf(t, w, "fsn1/bp-b"), "bp-b@1.0.0 True/ChartPullSucceeded rev-1"; got != want {
		t.Errorf("chart of the owner: %s, want %s", got, want)
	}
}

// TestArtifact_RetryKeepsTheLastResult: Ready of a failing chart changes to Unknown during each retry, and back to the same result.
func TestArtifact_RetryKeepsTheLastResult(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a"))
	failing := artifact(t, "HelmChart", "flux-system", "flux-system-bp-a", "False", "NoSourceArtifact")
	trying := artifact(t, "HelmChart", "flux-system", "flux-system-bp-a", "Unknown", "Progressing")
	w.put(failing)
	for range 3 {
		if extra := len(w.put(trying)) + len(w.put(failing)); extra != 0 {
			t.Fatalf("a retry makes %d changes", extra)
		}
	}
	w.put(set(trying, int64(2), "metadata", "generation"))
	if got, want := chartOf(t, w, "fsn1/bp-a"), "bp-a@1.0.0 Unknown/Progressing rev-1"; got != want {
		t.Errorf("during the first try of another specification: chart %s, want %s", got, want)
	}
}

func TestArtifact_SourceIsFoundByChartSpecAndChartRef(t *testing.T) {
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
		t.Errorf("chart of the chartRef: %s, want %s", got, want)
	}
	wantMeta(t, w.must("fsn1/bp-oci"), map[string]any{"versionWanted": "1.2.3+sha", "chart": nil})
	changes := w.put(artifact(t, "HelmRepository", "flux-system", "charts", "False", "IndexationFailed"))
	if len(changes) != 1 || changes[0].Node.ID != "fsn1/HelmRepository/flux-system/charts" || changes[0].Node.Status != "failed" {
		t.Errorf("a source with two users changes %+v, want only its own node", changes)
	}
	w.event(mapping.Deleted, artifact(t, "HelmRepository", "flux-system", "charts", "", ""))
	if got, want := sourceOf(t, w, "fsn1/bp-a"), "HelmRepository flux-system/charts <nil>/<nil> <nil>"; got != want {
		t.Errorf("after the deletion: source %s, want %s", got, want)
	}
}

func TestArtifact_FormerSourceDoesNotAffectARelease(t *testing.T) {
	w := newWorld(t)
	r := release(t, "bp-a")
	w.put(r)
	set(r, map[string]any{"kind": "GitRepository", "name": "fleet"}, "spec", "chart", "spec", "sourceRef")
	w.put(r)
	if changes := w.put(artifact(t, "HelmRepository", "flux-system", "charts", "True", "Succeeded")); len(changes) != 2 || changes[0].Node.ID != "fsn1/HelmRepository/flux-system/charts" || changes[1].Edge.FromID != changes[0].Node.ID || changes[1].Edge.Type != "contains" {
		t.Errorf("the former source changes %+v, want only its own node and its edge to the region", changes)
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

func TestArtifact_CreatedAgainHasNoEarlierResult(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a"))
	w.put(artifact(t, "HelmChart", "flux-system", "flux-system-bp-a", "False", "Failed"))
	again := artifact(t, "HelmChart", "flux-system", "flux-system-bp-a", "Unknown", "Progressing")
	w.put(again)
	before := chartOf(t, w, "fsn1/bp-a")
	again.SetUID("another")
	w.put(again)
	if after := chartOf(t, w, "fsn1/bp-a"); before != "bp-a@1.0.0 False/Failed rev-1" || after != "bp-a@1.0.0 Unknown/Progressing rev-1" {
		t.Errorf("the chart is %s, created again %s", before, after)
	}
}

func TestArtifact_ChartThatTheReleaseNamesReplacesALabelledOne(t *testing.T) {
	w := newWorld(t)
	w.put(set(release(t, "bp-a"), "flux-system/named", "status", "helmChart"))
	w.put(set(artifact(t, "HelmChart", "flux-system", "odd", "True", "ChartPullSucceeded"), map[string]any{"helm.toolkit.fluxcd.io/name": "bp-a"}, "metadata", "labels"))
	w.put(set(artifact(t, "HelmChart", "flux-system", "named", "True", "ChartPullSucceeded"), "rev-2", "status", "artifact", "revision"))
	if got, want := chartOf(t, w, "fsn1/bp-a"), "bp-a@1.0.0 True/ChartPullSucceeded rev-2"; got != want {
		t.Errorf("the chart is %s, want %s", got, want)
	}
}

func TestArtifact_AnotherChartOfTheOwnerReplacesADeletedOne(t *testing.T) {
	owned := func(name string) *unstructured.Unstructured {
		chart := artifact(t, "HelmChart", "flux-system", name, "True", "ChartPullSucceeded")
		return set(chart, map[string]any{"helm.toolkit.fluxcd.io/name": "bp-a"}, "metadata", "labels")
	}
	for _, deleted := range []string{"one", "two"} {
		w := newWorld(t)
		w.put(release(t, "bp-a"))
		w.put(owned("one"))
		w.put(owned("two"))
		w.event(mapping.Deleted, owned(deleted))
		if got, want := chartOf(t, w, "fsn1/bp-a"), "bp-a@1.0.0 True/ChartPullSucceeded rev-1"; got != want {
			t.Errorf("without %s the chart is %s, want %s", deleted, got, want)
		}
	}
}

func TestArtifact_DeletedChartDatesTheNewerRevisionOfAnother(t *testing.T) {
	owned := func(name, revision string) *unstructured.Unstructured {
		chart := set(artifact(t, "HelmChart", "flux-system", name, "True", "ChartPullSucceeded"), revision, "status", "artifact", "revision")
		return set(chart, map[string]any{"helm.toolkit.fluxcd.io/name": "bp-a"}, "metadata", "labels")
	}
	w := newWorld(t)
	apply := func(at int, kind mapping.EventType, u *unstructured.Unstructured) {
		t.Helper()
		changes, err := w.Apply(mapping.Event{At: ms(at), Type: kind, Object: u})
		if err != nil {
			t.Fatal(err)
		}
		w.take(changes)
	}
	apply(1, mapping.Added, set(release(t, "bp-a", cond{"Ready", "True", "InstallSucceeded", "", 1, 1}), "1.0.0", "status", "lastAttemptedRevision"))
	apply(2, mapping.Added, owned("one", "1.0.0"))
	apply(3, mapping.Added, owned("two", "2.0.0"))
	apply(5000, mapping.Deleted, owned("one", "1.0.0"))
	wantMeta(t, w.must("fsn1/bp-a"), map[string]any{"behindSince": ms(5000)})
}

// TestSource_CreatedAgainKeepsItsUsersCurrent: between two lists a source was deleted and created again, so no deletion was delivered.
func TestSource_CreatedAgainKeepsItsUsersCurrent(t *testing.T) {
	fleet := func(uid, revision string) *unstructured.Unstructured {
		u := set(artifact(t, "GitRepository", "flux-system", "fleet", "True", "Succeeded"), revision, "status", "artifact", "revision")
		return set(u, uid, "metadata", "uid")
	}
	w := newWorld(t)
	w.put(fleet("1", "main@sha1:1"))
	k := kustomization(t, 1, "main@sha1:1", "main@sha1:1", cond{"Ready", "True", "ReconciliationSucceeded", "", 1, 1})
	w.put(set(k, map[string]any{"kind": "GitRepository", "name": "fleet"}, "spec", "sourceRef"))
	changes := w.put(fleet("2", "main@sha1:2"))
	if j := judgements(t, w.must("fsn1/Kustomization/flux-system/apps"))[0]; j["state"] != "waiting" {
		t.Errorf("the judgement is %v, want a wait for revision 2", j)
	}
	for _, c := range changes {
		if c.Node != nil && c.Node.ID == "fsn1/Kustomization/flux-system/apps" && judgements(t, *c.Node)[0]["state"] != "waiting" {
			t.Errorf("meanwhile it is sent as %s", c.Node.JSON())
		}
	}
	nodes, edges := w.State()
	whole := flow.NewState("bootstrap", 0)
	whole.Apply(flow.UpsertNodes(nodes...))
	whole.Apply(flow.UpsertRels(edges...))
	sameState(t, w.held, whole)
}

// TestArtifact_ChartByNameBeforeLabel: the chart with the default name takes precedence over one with a label, which anybody may set.
func TestArtifact_ChartByNameBeforeLabel(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a"))
	w.put(artifact(t, "HelmChart", "flux-system", "flux-system-bp-a", "True", "ChartPullSucceeded"))
	w.put(set(artifact(t, "HelmChart", "flux-system", "odd", "False", "Failed"), map[string]any{"helm.toolkit.fluxcd.io/name": "bp-a"}, "metadata", "labels"))
	if got := chartOf(t, w, "fsn1/bp-a"); got != "bp-a@1.0.0 True/ChartPullSucceeded rev-1" {
		t.Errorf("the chart is %s", got)
	}
}

func TestArtifact_OwnerOfAnotherKindIsIgnored(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a"))
	chart := artifact(t, "HelmChart", "flux-system", "odd", "True", "ChartPullSucceeded")
	w.put(set(chart, []any{map[string]any{"kind": "Deployment", "name": "bp-a"}}, "metadata", "ownerReferences"))
	if got, want := chartOf(t, w, "fsn1/bp-a"), "bp-a@1.0.0 <nil>/<nil> <nil>"; got != want {
		t.Errorf("the chart is %s, want %s", got, want)
	}
}

func TestEdges_NoneRemainOfDeletedNodes(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "dep"))
	u := set(release(t, "app"), []any{map[string]any{"name": "dep"}}, "spec", "dependsOn")
	w.put(u)
	w.put(set(u, []any{}, "spec", "dependsOn"))
	w.event(mapping.Deleted, u)
	w.event(mapping.Deleted, release(t, "dep"))
	if nodes, edges := w.State(); len(nodes) != 1 || len(edges) != 0 {
		t.Errorf("%d nodes and %d edges are left, want only the region", len(nodes), len(edges))
	}
}

// TestEdges_FollowTheSourceOfAHelmChart: a release that names a HelmChart by spec.chartRef has an edge from the chart's source, whichever object comes first.
func TestEdges_FollowTheSourceOfAHelmChart(t *testing.T) {
	const app = "fsn1/app"
	byRef := set(release(t, "app"), map[string]any{"chartRef": map[string]any{"kind": "HelmChart", "name": "shared"}}, "spec")
	chart := artifact(t, "HelmChart", "flux-system", "shared", "True", "ChartPullSucceeded")
	repository := artifact(t, "HelmRepository", "flux-system", "charts", "True", "Succeeded")
	git := artifact(t, "GitRepository", "flux-system", "fleet", "True", "Succeeded")
	for _, order := range [][]*unstructured.Unstructured{
		{byRef, chart, repository}, {byRef, repository, chart}, {chart, byRef, repository}, {chart, repository, byRef}, {repository, byRef, chart}, {repository, chart, byRef},
	} {
		w := newWorld(t)
		w.put(git)
		for _, u := range order {
			w.put(u)
		}
		wantEdges(t, w.edges(), "fsn1/HelmRepository/flux-system/charts finish-to-start "+app)
		w.put(set(chart.DeepCopy(), map[string]any{"kind": "GitRepository", "name": "fleet"}, "spec", "sourceRef"))
		wantEdges(t, w.edges(), "fsn1/GitRepository/flux-system/fleet finish-to-start "+app)
		w.event(mapping.Deleted, chart)
		wantEdges(t, w.edges())
	}
}

// TestEdges_DependencyThatIsTheSourceIsOneEdge: a dependency that is also the source, which no controller accepts, is one edge.
func TestEdges_DependencyThatIsTheSourceIsOneEdge(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "dep"))
	u := set(release(t, "app"), map[string]any{"chartRef": map[string]any{"kind": "HelmRelease", "name": "dep"}, "dependsOn": []any{map[string]any{"name": "dep"}}}, "spec")
	edges := 0
	for _, c := range w.put(u) {
		if c.Edge != nil && c.Edge.FromID == "fsn1/dep" {
			edges++
		}
	}
	if edges != 1 {
		t.Errorf("%d edges, want 1", edges)
	}
}

// TestArtifact_OCIRepositoryOfAChartIsFound: for spec.chart.kind OCIRepository, helm-controller creates one and names it in status.helmChart.
func TestArtifact_OCIRepositoryOfAChartIsFound(t *testing.T) {
	for status, want := range map[string]string{
		"":                          "OCIRepository flux-system/flux-system-bp-a",
		"OCIRepository/charts/odd":  "OCIRepository charts/odd",
		"flux-system/some-old-name": "OCIRepository flux-system/flux-system-bp-a",
	} {
		w := newWorld(t)
		w.put(set(set(release(t, "bp-a"), "OCIRepository", "spec", "chart", "kind"), status, "status", "helmChart"))
		if got := sourceOf(t, w, "fsn1/bp-a"); !strings.HasPrefix(got, want+" ") {
			t.Errorf("status.helmChart %q: it comes from %s, want %s", status, got, want)
		}
	}
}

func TestRelease_ReadyIsNotStalled(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		ready   string
		stalled any
	}{{"True", nil}, {"False", true}} {
		w.put(release(t, "bp-a", cond{"Ready", c.ready, "UpgradeFailed", "m", 2, 1}, cond{"Stalled", "True", "RetriesExceeded", "gave up", 1, 1}))
		if got := meta(t, w.must("fsn1/bp-a"))["stalled"]; got != c.stalled {
			t.Errorf("Ready %s with Stalled: stalled is %v", c.ready, got)
		}
	}
}

// TestSource_RoutineFetchKeepsItsStatus: the status of a source stays during a fetch at its interval, but not during a fetch after a change.
func TestSource_RoutineFetchKeepsItsStatus(t *testing.T) {
	at := func(status, reason string, generation int64) *unstructured.Unstructured {
		u := set(artifact(t, "GitRepository", "flux-system", "fleet", status, reason), "main@sha1:1", "status", "artifact", "revision")
		set(u, conditionList(cond{"Ready", status, reason, "", 10, generation}), "status", "conditions")
		return set(u, generation, "metadata", "generation")
	}
	w := newWorld(t)
	w.put(at("True", "Succeeded", 1))
	w.put(at("Unknown", "Progressing", 1))
	if n := w.must("fsn1/GitRepository/flux-system/fleet"); n.Status != "succeeded" || meta(t, n)["ready"] != "True" {
		t.Errorf("%s", n.JSON())
	}
	w.put(at("Unknown", "Progressing", 2))
	if n := w.must("fsn1/GitRepository/flux-system/fleet"); n.Status != "running" || meta(t, n)["ready"] != "Unknown" {
		t.Errorf("%s", n.JSON())
	}
}
