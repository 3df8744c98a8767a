package mapping_test

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func dependingOn(t *testing.T, name string, deps ...string) *unstructured.Unstructured {
	list := []any{}
	for _, d := range deps {
		list = append(list, map[string]any{"name": d})
	}
	return set(release(t, name), list, "spec", "dependsOn")
}

// TestEdges_FromARemovedDependencyAreSentAgain: a subscriber removes the edges of a deleted node, so those to nodes that still depend on it are sent
// again.
func TestEdges_FromARemovedDependencyAreSentAgain(t *testing.T) {
	w := newWorld(t)
	w.put(dependingOn(t, "bp-a", "bp-base"))
	w.put(dependingOn(t, "bp-c", "bp-a"))
	w.put(dependingOn(t, "bp-b", "bp-a", "bp-base"))
	changes := w.event(mapping.Deleted, release(t, "bp-a"))
	if w.node("fsn1/bp-a") != nil {
		t.Error("the node still exists")
	}
	wantEdges(t, w.edges(), "fsn1/bp-a finish-to-start fsn1/bp-b", "fsn1/bp-a finish-to-start fsn1/bp-c", "fsn1/bp-base finish-to-start fsn1/bp-b")
	if len(changes) != 3 || changes[0].DeleteNode == "" || changes[1].Edge.ToID != "fsn1/bp-b" || changes[2].Edge.ToID != "fsn1/bp-c" {
		t.Errorf("the changes are %+v", changes)
	}
	if again := w.event(mapping.Deleted, release(t, "bp-a")); len(again) != 0 {
		t.Errorf("a second deletion changes %+v", again)
	}
	w.event(mapping.Deleted, release(t, "bp-b"))
	wantEdges(t, w.edges(), "fsn1/bp-a finish-to-start fsn1/bp-c")
}

func TestEdges_RemovedEdgeDoesNotComeBack(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a"))
	w.put(dependingOn(t, "bp-b", "bp-a"))
	w.put(dependingOn(t, "bp-b"))
	w.event(mapping.Deleted, release(t, "bp-a"))
	wantEdges(t, w.edges())
	w.put(dependingOn(t, "bp-c", "bp-b"))
	w.event(mapping.Deleted, dependingOn(t, "bp-c", "bp-b"))
	w.event(mapping.Deleted, release(t, "bp-b"))
	wantEdges(t, w.edges())
}

func TestApply_DeletionNeedsOnlyAName(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a"))
	w.event(mapping.Deleted, object(t, `{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{"name":"bp-a","namespace":"flux-system"}}`))
	if w.node("fsn1/bp-a") != nil {
		t.Error("the node still exists")
	}
}

func TestApply_MalformedObjectChangesNothing(t *testing.T) {
	for _, c := range []struct{ name, object, want string }{
		{"no spec", `{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{"name":"bp-a","namespace":"flux-system"}}`, ": spec "},
		{"spec a string", `{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{"name":"bp-a","namespace":"flux-system"},"spec":"x"}`, ": spec "},
		{"status a list", `{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{"name":"bp-a","namespace":"flux-system"},"spec":{},"status":[]}`, ": status "},
		{"conditions an object", `{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{"name":"bp-a","namespace":"flux-system"},"spec":{},"status":{"conditions":{}}}`, ": status.conditions "},
		{"conditions a string", `{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{"name":"bp-a","namespace":"flux-system"},"spec":{},"status":{"conditions":"Ready"}}`, ": status.conditions "},
		{"a condition a number", `{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{"name":"bp-a","namespace":"flux-system"},"spec":{},"status":{"conditions":[{},7]}}`, ": status.conditions[1] "},
		{"dependsOn a string", `{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{"name":"bp-a","namespace":"flux-system"},"spec":{"dependsOn":"bp-b"}}`, ": spec.dependsOn "},
		{"no name", `{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{},"spec":{}}`, "metadata.name"},
		{"no metadata", `{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","spec":{}}`, "metadata.name"},
		{"another kind", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`, `"ConfigMap"`},
		{"another group", `{"apiVersion":"example.com/v2","kind":"HelmRelease","metadata":{"name":"a"},"spec":{}}`, `"example.com/v2"`},
		{"a Kustomization without spec", `{"apiVersion":"kustomize.toolkit.fluxcd.io/v1","kind":"Kustomization","metadata":{"name":"a","namespace":"b"}}`, "Kustomization b/a: spec"},
		{"a HelmChart with a number as conditions", `{"apiVersion":"source.toolkit.fluxcd.io/v1","kind":"HelmChart","metadata":{"name":"a","namespace":"b"},"spec":{},"status":{"conditions":1}}`, "status.conditions"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.put(dependingOn(t, "bp-a", "bp-b"))
			before, edges := w.State()
			changes, err := w.Apply(mapping.Event{Type: mapping.Modified, Object: object(t, "%s", c.object)})
			if err == nil || !strings.Contains(err.Error(), c.want) || len(changes) != 0 {
				t.Fatalf("error is %v, %d changes", err, len(changes))
			}
			after, edgesAfter := w.State()
			if !slices.EqualFunc(before, after, func(a, b flow.Node) bool { return a.JSON() == b.JSON() }) ||
				!slices.EqualFunc(edges, edgesAfter, func(a, b flow.Relationship) bool { return a.JSON() == b.JSON() }) {
				t.Error("the state has changed")
			}
		})
	}
}

func TestApply_RejectsInvalidEvents(t *testing.T) {
	w := newWorld(t)
	if _, err := w.Apply(mapping.Event{Type: mapping.Added}); err == nil {
		t.Error("no error for an event without an object")
	}
	if _, err := w.Apply(mapping.Event{Type: "ERROR", Object: release(t, "bp-a")}); err == nil || w.node("fsn1/bp-a") != nil {
		t.Errorf("an event of type ERROR: %v", err)
	}
}

func TestApply_DoesNotModifyTheObject(t *testing.T) {
	for _, ev := range events(t, "kit-fsn1")[:300] {
		before := ev.Object.DeepCopy()
		w := newWorld(t)
		w.event(ev.Type, ev.Object)
		if !equalObjects(t, before, ev.Object) {
			t.Fatalf("Apply has changed %s", ev.Object.GetName())
		}
	}
}

func equalObjects(t *testing.T, a, b *unstructured.Unstructured) bool {
	t.Helper()
	x, err := a.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	y, err := b.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(x) == string(y)
}

func TestSeed_AppliesOnlyToObjectsThatAreNotMapped(t *testing.T) {
	w := newWorld(t)
	r := release(t, "bp-a", cond{"Ready", "True", "InstallSucceeded", "", 20, 1}, cond{"Reconciling", "True", "Progressing", "", 10, 1})
	w.put(r)
	w.Seed([]flow.Node{{ID: "fsn1/bp-a", Status: "succeeded", StartedAt: ms(1), EndedAt: ms(2), Meta: flow.Object(`{"uid":"uid-bp-a"}`)}})
	set(r, "2", "metadata", "resourceVersion")
	if changes := w.put(r); len(changes) != 0 {
		t.Errorf("a seed for a mapped object changes %s", changes[0].Node.JSON())
	}
	seeded := newWorld(t)
	seeded.Seed([]flow.Node{{ID: "fsn1/bp-a", Status: "succeeded", StartedAt: ms(1), EndedAt: ms(20), Meta: flow.Object(`{"uid":"uid-bp-a"}`)}})
	seeded.put(r)
	wantTimes(t, seeded.must("fsn1/bp-a"), ms(1), ms(20))
	seeded.event(mapping.Deleted, r)
	seeded.put(r)
	wantTimes(t, seeded.must("fsn1/bp-a"), ms(10), ms(20))
	for _, strange := range []string{``, `7`, `{"uid":7}`, `{"uid":"uid-bp-a","reasonSince":"x","runGeneration":[]}`} {
		w := newWorld(t)
		w.Seed([]flow.Node{{ID: "fsn1/bp-a", Status: "odd", Meta: flow.Object(strange)}})
		w.put(r)
		wantTimes(t, w.must("fsn1/bp-a"), ms(10), ms(20))
	}
}

// TestSeed_WorkAfterGivingUpIsAnotherRun: a release that was given up, according to the server's node, begins another run when its controller acts
// again.
func TestSeed_WorkAfterGivingUpIsAnotherRun(t *testing.T) {
	for stalled, start := range map[string]flow.Time{`true`: ms(70), `false`: ms(1)} {
		w := newWorld(t)
		w.Seed([]flow.Node{{
			ID: "fsn1/bp-a", Status: "failed", StartedAt: ms(1), EndedAt: ms(20),
			Meta: flow.Object(`{"uid":"uid-bp-a","runGeneration":1,"stalled":` + stalled + `}`),
		}})
		w.put(release(t, "bp-a", cond{"Ready", "Unknown", "Progressing", "", 70, 1}))
		wantTimes(t, w.must("fsn1/bp-a"), start, flow.Time{})
	}
}
