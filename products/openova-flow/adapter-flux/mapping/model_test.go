package mapping_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// anyObject returns a random version of one of a few objects that refer to each other.
func anyObject(t *testing.T, rng *rand.Rand) *unstructured.Unstructured {
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	ready := cond{"Ready", pick("True", "False", "Unknown"), pick("InstallSucceeded", "InstallFailed", "Progressing", "DependencyNotReady", "SourceNotReady"),
		pick("", "dependency 'flux-system/b' is not ready", "timeout waiting for: [HelmRelease/flux-system/a status: 'Failed']"), rng.IntN(50), int64(1 + rng.IntN(2))}
	labels := map[string]any{}
	if rng.IntN(2) == 0 {
		labels["kustomize.toolkit.fluxcd.io/name"] = pick("k", "l")
	}
	var u *unstructured.Unstructured
	switch rng.IntN(6) {
	case 0, 1:
		u = release(t, pick("a", "b"), ready)
		u.Object["spec"].(map[string]any)["dependsOn"] = []any{map[string]any{"name": pick("a", "b", "none")}}
		switch rng.IntN(4) {
		case 0:
			set(u, map[string]any{"chartRef": map[string]any{"kind": pick("HelmChart", "OCIRepository"), "name": pick("chart", "odd")}}, "spec")
		case 1:
			set(u, "flux-system/"+pick("chart", "odd"), "status", "helmChart")
		}
		set(u, pick("1.0.0", "2.0.0"), "status", "lastAttemptedRevision")
	case 2:
		u = kustomization(t, 1, pick("1.0.0", "2.0.0"), pick("1.0.0", "2.0.0"), ready)
		u.SetName(pick("k", "l"))
		set(u, rng.IntN(2) == 0, "spec", "wait")
		set(u, map[string]any{"kind": pick("OCIRepository", "ExternalArtifact"), "name": pick("chart", "odd")}, "spec", "sourceRef")
		set(u, []any{map[string]any{"id": "flux-system_" + pick("a", "b") + "_helm.toolkit.fluxcd.io_HelmRelease"}}, "status", "inventory", "entries")
		set(u, []any{map[string]any{"kind": "HelmRelease", "name": pick("a", "b")}}, "spec", "healthChecks")
	case 3, 4:
		u = artifact(t, pick("HelmChart", "HelmRepository", "OCIRepository", "ExternalArtifact"), "flux-system", pick("chart", "odd", "charts"), pick("True", "False", "Unknown"), "X")
		set(u, pick("1.0.0", "2.0.0"), "status", "artifact", "revision")
		set(u, map[string]any{"kind": pick("HelmRepository", "OCIRepository"), "name": pick("charts", "odd")}, "spec", "sourceRef")
		if rng.IntN(3) == 0 {
			labels["helm.toolkit.fluxcd.io/name"] = pick("a", "b")
		}
	default:
		name := pick("chart", "odd") // an artifact has at most one generator, the one of its name
		u = object(t, `{"apiVersion":"source.extensions.fluxcd.io/v1beta1","kind":"ArtifactGenerator","metadata":{"name":%q,"namespace":"flux-system","uid":"g"},"spec":{"artifacts":[{"name":%q}]}}`,
			name, pick(name, "another"))
	}
	set(u, labels, "metadata", "labels")
	return set(u, fmt.Sprint("uid-", rng.IntN(2)), "metadata", "uid")
}

// related returns the facts of a node that depend only on the current versions of objects.
func related(t *testing.T, n flow.Node) string {
	t.Helper()
	m := meta(t, n)
	chart, _ := m["chart"].(map[string]any)
	j, _ := m["judgement"].(map[string]any)
	return fmt.Sprint(n.ID, chart["name"], chart["version"], chart["revision"], m["source"], m["appliedBy"], m["waitingFor"], j["source"], j["needs"], j["named"], j["checks"])
}

// TestModel_MessagesFoldToTheState applies random versions, deletions and facts of the region. After each, the messages must fold to the state. In the end,
// relationships and related facts must not depend on the order of the events, and a deletion of all objects must leave nothing.
func TestModel_MessagesFoldToTheState(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 11))
		w := newWorld(t)
		var seen []*unstructured.Unstructured
		now := latest{}
		for step := range 60 {
			u := anyObject(t, rng)
			seen = append(seen, u)
			kind := mapping.Modified
			if rng.IntN(4) == 0 {
				kind = mapping.Deleted
			}
			if rng.IntN(15) == 0 {
				w.take(w.SetInfo(mapping.RegionInfo{NotWatched: []mapping.NotWatched{{Kind: []string{"HelmRelease", "Kustomization", "OCIRepository"}[rng.IntN(3)]}}}))
			}
			if rng.IntN(15) == 0 {
				w.take(w.SetClockOffset(int64(rng.IntN(2)) * 60_000))
			}
			if rng.IntN(20) == 0 {
				w.take(w.SetInfo(down([]string{"helm-controller-leader-election", "source-controller-leader-election"}[:rng.IntN(3)]...)))
			}
			w.event(kind, u)
			now.see(mapping.Event{Type: kind, Object: u})
			if again := w.event(kind, u); len(again) > 0 {
				t.Fatalf("seed %d, step %d: the same event again makes %d changes", seed, step, len(again))
			}
			nodes, edges := w.State()
			whole := flow.NewState("bootstrap", 0)
			whole.Apply(flow.UpsertNodes(nodes...))
			if len(edges) > 0 {
				whole.Apply(flow.UpsertRels(edges...))
			}
			if got, want := w.held.Snapshot().JSON(), whole.Snapshot().JSON(); got != want {
				t.Fatalf("seed %d, step %d, %s %s:\n%s\nwant\n%s", seed, step, kind, u.GetKind(), got, want)
			}
		}
		fresh := newWorld(t)
		for _, ev := range now {
			fresh.put(ev.Object)
		}
		w.take(w.SetInfo(mapping.RegionInfo{}))
		w.take(w.SetClockOffset(0))
		if got, want := w.edges(), fresh.edges(); !slices.Equal(got, want) {
			t.Errorf("seed %d: edges are\n%q\nwant\n%q", seed, got, want)
		}
		for _, n := range fresh.held.Snapshot().Nodes {
			if n.ID == "fsn1" {
				continue
			}
			if got, want := related(t, w.must(n.ID)), related(t, n); got != want {
				t.Errorf("seed %d:\n%s\nwant\n%s", seed, got, want)
			}
		}
		for _, u := range seen {
			w.event(mapping.Deleted, u)
		}
		for what, n := range w.Held() {
			if n != 0 {
				t.Errorf("seed %d: %d %s are left", seed, n, what)
			}
		}
	}
}
