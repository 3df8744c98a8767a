package mapping_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

func down(leases ...string) mapping.RegionInfo {
	var info mapping.RegionInfo
	for _, l := range leases {
		info.Down = append(info.Down, mapping.Controller{Lease: l, Renewed: ms(300)})
	}
	return info
}

// problems returns the problems of the flow, as the server computes them, the given seconds after day.
func (w *world) problems(at int) []insight.Problem {
	return insight.Read(w.held.Snapshot()).At(ms(at).Ms(), nil).Problems()
}

func TestController_DownIsOneProblemForAllWaitingNodes(t *testing.T) {
	w := newWorld(t)
	created := func(u *unstructured.Unstructured) *unstructured.Unstructured {
		set(u, sec(0), "metadata", "creationTimestamp")
		return set(u, "1m", "spec", "interval")
	}
	w.put(created(release(t, "new")))
	w.put(created(release(t, "ready", cond{"Ready", "True", "InstallSucceeded", "", 10, 1})))
	w.put(created(release(t, "failed", cond{"Ready", "False", "InstallFailed", "no", 10, 1}, cond{"Stalled", "True", "RetriesExceeded", "no", 10, 1})))
	w.put(created(release(t, "busy", cond{"Ready", "Unknown", "Progressing", "Running 'install' action with timeout of 1m", 10, 1})))
	source := object(t, `{"apiVersion":"source.toolkit.fluxcd.io/v1","kind":"GitRepository","metadata":{"name":"git","namespace":"flux-system","uid":"g","creationTimestamp":%q},"spec":{"interval":"1m"}}`, sec(0))
	w.put(source)
	without := w.held.Snapshot().JSON()

	w.take(w.SetInfo(down("helm-controller-leader-election")))
	n := w.must("fsn1/Controller/flux-system/helm-controller")
	if n.Label != "helm-controller" || n.Status != "failed" {
		t.Errorf("%s", n.JSON())
	}
	wantMeta(t, n, map[string]any{"kind": "Controller", "namespace": "flux-system", "auxiliary": true, "lease": "helm-controller-leader-election", "renewedAt": ms(300)})
	got := w.problems(400)
	if len(got) != 3 {
		t.Fatalf("%d problems, want the controller, the release that failed and the source", len(got))
	}
	p := got[slices.IndexFunc(got, func(p insight.Problem) bool { return p.ID == n.ID })]
	if want := []string{n.ID, "fsn1/busy", "fsn1/new"}; p.Class != "controller-down" || p.State != insight.Broken || p.Since != ms(300) || !slices.Equal(p.IDs, want) {
		t.Errorf("%s %s since %s: %q, want %q", p.Class, p.State, clock(p.Since), p.IDs, want)
	}
	for _, part := range []string{"helm-controller of fsn1", "2026-03-01 12:05 UTC", "HelmRelease"} {
		if !strings.Contains(p.Sentence, part) {
			t.Errorf("the sentence %q has no %q", p.Sentence, part)
		}
	}
	if want := []string{"kubectl", "-n", "flux-system", "describe", "deployment", "helm-controller"}; !slices.Equal(p.Command, want) {
		t.Errorf("the command is %q, want %q", p.Command, want)
	}
	if again := w.SetInfo(down("helm-controller-leader-election")); len(again) > 0 {
		t.Errorf("the same info again makes %d changes", len(again))
	}

	w.take(w.SetInfo(mapping.RegionInfo{}))
	if got := w.held.Snapshot().JSON(); got != without {
		t.Errorf("renewed again, the region is\n%s\nwant\n%s", got, without)
	}
}

// TestController_DownIsACheckOfNodesThatWaitForIt: only nodes that wait for their controller alone have it among their checks. Nodes that failed before keep their
// cause.
func TestController_DownIsACheckOfNodesThatWaitForIt(t *testing.T) {
	failed, trying := cond{"Ready", "False", "InstallFailed", "no", 10, 1}, cond{"Ready", "Unknown", "Progressing", "", 20, 1}
	ready := cond{"Ready", "True", "InstallSucceeded", "", 10, 1}
	for name, c := range map[string]struct {
		versions []*unstructured.Unstructured
		awaits   bool
	}{
		"new":                    {[]*unstructured.Unstructured{release(t, "app")}, true},
		"working":                {[]*unstructured.Unstructured{release(t, "app", trying)}, true},
		"ready":                  {[]*unstructured.Unstructured{release(t, "app", ready)}, false},
		"changed":                {[]*unstructured.Unstructured{set(set(release(t, "app", ready), int64(2), "metadata", "generation"), int64(1), "status", "observedGeneration")}, true},
		"failed":                 {[]*unstructured.Unstructured{release(t, "app", failed)}, false},
		"failed and tried again": {[]*unstructured.Unstructured{release(t, "app", failed), release(t, "app", trying)}, false},
		"suspended":              {[]*unstructured.Unstructured{set(release(t, "app"), true, "spec", "suspend")}, false},
		"given up":               {[]*unstructured.Unstructured{release(t, "app", trying, cond{"Stalled", "True", "InvalidCELExpression", "", 20, 1})}, false},
		"waiting":                {[]*unstructured.Unstructured{release(t, "app", cond{"Ready", "False", "DependencyNotReady", "dependency 'a/b' is not ready", 10, 1})}, false},
		"deleted":                {[]*unstructured.Unstructured{set(release(t, "app", ready), sec(30), "metadata", "deletionTimestamp")}, true},
	} {
		w := newWorld(t)
		w.take(w.SetInfo(down("helm-controller-leader-election")))
		for _, u := range c.versions {
			w.put(u)
		}
		if got := judgements(t, w.must("fsn1/app"))[0]["checks"] != nil; got != c.awaits {
			t.Errorf("%s: awaits its controller: %t", name, got)
		}
	}
}

// TestController_DownWithoutObjectsHasNoNode: a Lease remains after its controller was uninstalled. Without objects of its kinds this is no problem.
func TestController_DownWithoutObjectsHasNoNode(t *testing.T) {
	w := newWorld(t)
	const id = "fsn1/Controller/flux-system/source-watcher"
	generator := object(t, `{"apiVersion":"source.extensions.fluxcd.io/v1beta1","kind":"ArtifactGenerator","metadata":{"name":"gen","namespace":"flux-system","uid":"g"},"spec":{}}`)
	w.take(w.SetInfo(down("source-watcher-leader-election")))
	w.put(release(t, "app"))
	for _, c := range []struct {
		kind mapping.EventType
		want bool
	}{{mapping.Added, true}, {mapping.Deleted, false}, {mapping.Added, true}} {
		if before := w.node(id) != nil; before == c.want {
			t.Errorf("a node exists before the %s: %t", c.kind, before)
		}
		w.event(c.kind, generator)
	}
	if w.node(id) == nil {
		t.Error("the controller has no node")
	}
}

func TestController_DownBeforeItsObjectsIsAProblem(t *testing.T) {
	w := newWorld(t)
	w.take(w.SetInfo(down("helm-controller-leader-election")))
	w.put(set(release(t, "new"), sec(0), "metadata", "creationTimestamp"))
	if got := w.problems(3600); len(got) != 1 || got[0].Class != "controller-down" {
		t.Errorf("problems are %+v", got)
	}
}

func TestController_DownShardDoesNotAffectOthers(t *testing.T) {
	w := newWorld(t)
	w.put(set(release(t, "new"), sec(0), "metadata", "creationTimestamp"))
	w.take(w.SetInfo(down("helm-controller-leader-election-1a2b3c")))
	n := w.must("fsn1/Controller/flux-system/helm-controller-1a2b3c")
	if n.Label != "helm-controller-1a2b3c" {
		t.Errorf("%s", n.JSON())
	}
	got := map[string]insight.Problem{}
	for _, p := range w.problems(3600) {
		got[p.ID] = p
	}
	if p := got[n.ID]; len(p.IDs) != 1 || !slices.Contains(p.Command, "helm-controller-leader-election-1a2b3c") || !strings.Contains(p.Sentence, "shard") {
		t.Errorf("the problem of the shard is %+v", p)
	}
	if p := got["fsn1/new"]; p.Class != "not-picked-up" {
		t.Errorf("the problem of a release is %+v", p)
	}
}

func TestIsControllerLease_RecognizesControllersOfMappedKinds(t *testing.T) {
	for lease, want := range map[string]bool{
		"helm-controller-leader-election": true, "kustomize-controller-leader-election": true, "source-controller-leader-election": true,
		"helm-controller-leader-election-1a2b3c": true, "source-watcher-leader-election": true, "flux-operator": true,
		"notification-controller-leader-election": false, "openova-flow-adapter-flux-0123456789": false, "helm-controller-leader-electionX": false, "": false,
	} {
		if got := mapping.IsControllerLease(lease); got != want {
			t.Errorf("%q: %t", lease, got)
		}
	}
}

// TestShard_WithoutAControllerIsNotServed: an object of a shard without a controller has its own sentence, unless no object of the kind has been observed. Then the
// controller itself may be missing.
func TestShard_WithoutAControllerIsNotServed(t *testing.T) {
	w := newWorld(t)
	sharded := func(name, shard string, cs ...cond) *unstructured.Unstructured {
		u := set(release(t, name, cs...), sec(0), "metadata", "creationTimestamp")
		set(u, "1m", "spec", "interval")
		return set(u, shard, "metadata", "labels", "sharding.fluxcd.io/key")
	}
	class := func(at int) string {
		var m struct{ Judgement json.RawMessage }
		if err := json.Unmarshal([]byte(w.must("fsn1/app").Meta), &m); err != nil {
			t.Fatal(err)
		}
		n := flow.Node{Meta: flow.Object(`{"judgement":` + string(m.Judgement) + `}`)}
		return insight.Judge(&n).At(ms(at).Ms()).Class
	}
	w.put(sharded("app", "shard9"))
	w.put(sharded("new", "shard1"))
	if got := class(300); got != "not-picked-up" {
		t.Errorf("without any observed release: %q", got)
	}
	w.put(sharded("served", "shard1", cond{"Ready", "True", "InstallSucceeded", "", 10, 1}))
	if got := class(300); got != "shard-not-served" {
		t.Errorf("while another shard is served: %q", got)
	}
	if got := class(100); got != "not-started" {
		t.Errorf("after 100 s: %q", got)
	}
	p := w.problems(300)
	for _, one := range p {
		if one.ID == "fsn1/app" && (!strings.Contains(one.Sentence, "shard9") || !slices.Equal(one.Command, []string{"kubectl", "-n", "flux-system", "get", "helmrelease", "app", "-o", "jsonpath={.metadata.labels}"})) {
			t.Errorf("%q %q", one.Sentence, one.Command)
		}
		if one.ID == "fsn1/new" && one.Class != "not-picked-up" {
			t.Errorf("while its shard is served: %q", one.Class)
		}
	}
	if len(p) != 2 {
		t.Errorf("%d problems, want 2", len(p))
	}
	w.put(sharded("other", "shard9", cond{"Ready", "True", "InstallSucceeded", "", 10, 1}))
	if got := class(300); got != "not-picked-up" {
		t.Errorf("while the shard is served: %q", got)
	}
}
