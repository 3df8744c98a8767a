package mapping_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// latest has the newest version of every object, as an API server does.
type latest map[string]mapping.Event

func (l latest) see(ev mapping.Event) {
	k := ev.Object.GetKind() + "/" + ev.Object.GetNamespace() + "/" + ev.Object.GetName()
	if ev.Type == mapping.Deleted {
		delete(l, k)
		return
	}
	l[k] = mapping.Event{At: ev.At, Type: mapping.Added, Object: ev.Object}
}

// restart returns an adapter that starts with the current objects, and with held as the server's nodes.
func (l latest) restart(t *testing.T, region string, held []flow.Node) *replay {
	r := newReplay(t, region)
	r.cluster.Seed(held)
	r.take(0, r.cluster.Start())
	keys := make([]string, 0, len(l))
	for k := range l {
		keys = append(keys, k)
	}
	slices.Sort(keys) // charts before releases
	for _, k := range keys {
		r.apply(l[k])
	}
	return r
}

// TestCluster_KeepsNothingOfDeletedObjects: objects that come and go for years must not take memory.
func TestCluster_KeepsNothingOfDeletedObjects(t *testing.T) {
	for _, rec := range recordings {
		for name, order := range map[string]func([]string){"charts first": slices.Sort[[]string], "charts last": func(k []string) { slices.Sort(k); slices.Reverse(k) }} {
			r, now := newReplay(t, rec.region), latest{}
			for _, ev := range events(t, rec.file) {
				r.apply(ev)
				now.see(ev)
			}
			keys := slices.Collect(maps.Keys(now))
			order(keys)
			for _, k := range keys {
				r.apply(mapping.Event{Type: mapping.Deleted, Object: now[k].Object})
			}
			for what, n := range r.cluster.Held() {
				if n != 0 {
					t.Errorf("%s, %s: %d %s", rec.file, name, n, what)
				}
			}
			if nodes, rels := r.cluster.State(); len(nodes) != 1 || len(rels) != 0 {
				t.Errorf("%s, %s: %d nodes and %d relationships are left", rec.file, name, len(nodes), len(rels))
			}
		}
	}
}

// TestCluster_KeepsNoInstantsOfFormerRuns has one release that starts first, and another one with a thousand later runs.
func TestCluster_KeepsNoInstantsOfFormerRuns(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "first", cond{"Ready", "Unknown", "Progressing", "Running 'install' action with timeout of 5m0s", 1, 1}))
	w.put(release(t, "first", cond{"Ready", "True", "InstallSucceeded", "", 2, 1}))
	for i := range 1001 {
		w.put(release(t, "busy", cond{"Ready", "Unknown", "Progressing", "Running 'upgrade' action with timeout of 5m0s", 10*i + 10, 1}))
		w.put(release(t, "busy", cond{"Ready", "True", "UpgradeSucceeded", "", 10*i + 15, 1}))
	}
	if n := w.Instants(); n > 200 {
		t.Errorf("%d instants of 2 releases", n)
	}
	wantTimes(t, w.must("fsn1"), ms(1), ms(10_015))
	w.event(mapping.Deleted, release(t, "first"))
	wantTimes(t, w.must("fsn1"), ms(10_010), ms(10_015))
}

// TestBehindSince_BeginsAgain: behindSince is the latest time when the release fell behind, not the first.
func TestBehindSince_BeginsAgain(t *testing.T) {
	c := newWorld(t).Cluster
	since := func(at int, wanted, is string) any {
		for _, u := range []*unstructured.Unstructured{
			set(artifact(t, "HelmChart", "flux-system", "flux-system-app", "True", "X"), wanted, "status", "artifact", "revision"),
			set(release(t, "app", cond{"Ready", "True", "UpgradeSucceeded", "", 1, 1}), is, "status", "lastAttemptedRevision"),
		} {
			if _, err := c.Apply(mapping.Event{Type: mapping.Modified, Object: u, At: ms(at)}); err != nil {
				t.Fatal(err)
			}
		}
		nodes, _ := c.State()
		return meta(t, nodes[slices.IndexFunc(nodes, func(n flow.Node) bool { return n.ID == "fsn1/app" })])["behindSince"]
	}
	if got := since(100, "2.0.0", "1.0.0"); got != float64(ms(100).Ms()) {
		t.Errorf("behind since %v", got)
	}
	if got := since(200, "2.0.0", "2.0.0"); got != nil {
		t.Errorf("not behind, since %v", got)
	}
	if got := since(300, "3.0.0", "2.0.0"); got != float64(ms(300).Ms()) {
		t.Errorf("behind again since %v", got)
	}
}

// TestSeed_BehindSinceOutlivesTheProcess: an object does not show since when it is behind its chart.
func TestSeed_BehindSinceOutlivesTheProcess(t *testing.T) {
	behind := set(release(t, "app", cond{"Ready", "True", "UpgradeSucceeded", "", 1, 1}), "1.0.0", "status", "lastAttemptedRevision")
	chart := set(artifact(t, "HelmChart", "flux-system", "flux-system-app", "True", "X"), "2.0.0", "status", "artifact", "revision")
	since := func(c *mapping.Cluster, at int) any {
		for _, u := range []*unstructured.Unstructured{chart, behind} {
			if _, err := c.Apply(mapping.Event{Type: mapping.Added, Object: u, At: ms(at)}); err != nil {
				t.Fatal(err)
			}
		}
		nodes, _ := c.State()
		return meta(t, nodes[slices.IndexFunc(nodes, func(n flow.Node) bool { return n.ID == "fsn1/app" })])["behindSince"]
	}
	first, second := newWorld(t), newWorld(t)
	want := since(first.Cluster, 100)
	held, _ := first.State()
	second.Seed(held)
	if got := since(second.Cluster, 500); got != want || got != float64(ms(100).Ms()) {
		t.Errorf("behind since %v, want %v", got, want)
	}
}

// TestSeed_OfAMappedObjectIsIgnored: an object that is already mapped does not continue from a node that comes later, even if it is deleted and
// created again.
func TestSeed_OfAMappedObjectIsIgnored(t *testing.T) {
	w := newWorld(t)
	u := release(t, "app", cond{"Ready", "Unknown", "Progressing", "Running 'install' action with timeout of 5m0s", 10, 1})
	w.put(u)
	older := w.must("fsn1/app")
	older.StartedAt = ms(1)
	w.Seed([]flow.Node{older})
	w.event(mapping.Deleted, u)
	w.put(u)
	wantTimes(t, w.must("fsn1/app"), ms(10), flow.Time{})
}

// TestSeed_RestartChangesNothing: after a restart at any time an adapter reports the same nodes as before. The only exception is the result of a chart that
// is being retried at that time.
func TestSeed_RestartChangesNothing(t *testing.T) {
	for _, rec := range recordings {
		t.Run(rec.file, func(t *testing.T) {
			live, now := newReplay(t, rec.region), latest{}
			live.take(0, live.cluster.Start())
			for i, ev := range events(t, rec.file) {
				live.apply(ev)
				now.see(ev)
				if i%10 != 0 {
					continue
				}
				held, _ := live.cluster.State()
				again := now.restart(t, rec.region, held)
				nodes, _ := again.cluster.State()
				if len(nodes) != len(held) {
					t.Fatalf("after event %d a restart results in %d nodes, want %d", i, len(nodes), len(held))
				}
				for j, n := range nodes {
					if got, want := withoutChart(n), withoutChart(held[j]); got != want {
						t.Fatalf("after event %d a restart results in\n%s\nwant\n%s", i, got, want)
					}
				}
			}
		})
	}
}

func withoutChart(n flow.Node) string {
	s := n.JSON()
	if i := strings.Index(s, `"chart":{`); i >= 0 {
		s = s[:i] + s[i+strings.Index(s[i:], "}"):]
	}
	return s
}

// TestSeed_RestartWithoutNodesUsesTheHistory: without the server's nodes, a run starts with its last attempt in status.history. That is at most a second later
// than in the conditions of that time. The conditions still have its end.
func TestSeed_RestartWithoutNodesUsesTheHistory(t *testing.T) {
	for _, rec := range recordings[:2] {
		t.Run(rec.file, func(t *testing.T) {
			live, now := play(t, rec.file, rec.region), latest{}
			for _, ev := range events(t, rec.file) {
				now.see(ev)
			}
			want, _ := live.cluster.State()
			nodes, _ := now.restart(t, rec.region, nil).cluster.State()
			if len(nodes) != len(want) {
				t.Fatalf("%d nodes, want %d", len(nodes), len(want))
			}
			for i, n := range nodes {
				if late := n.StartedAt.Ms() - want[i].StartedAt.Ms(); late < 0 || late > 1000 || n.EndedAt != want[i].EndedAt {
					wantTimes(t, n, want[i].StartedAt, want[i].EndedAt)
				}
				if n.ID != rec.region {
					wantMeta(t, n, map[string]any{"startedAtIsLowerBound": true})
				}
			}
		})
	}
}

// TestRecordings_SecondReplayEndsTheSame replays to a server that still has the final state of the previous replay.
func TestRecordings_SecondReplayEndsTheSame(t *testing.T) {
	for _, rec := range recordings {
		t.Run(rec.file, func(t *testing.T) {
			first := play(t, rec.file, rec.region)
			held, _ := first.cluster.State()
			second := newReplay(t, rec.region)
			second.held = first.held
			second.cluster.Seed(held)
			want := first.held.Snapshot().JSON()
			second.take(0, second.cluster.Start())
			for _, ev := range events(t, rec.file) {
				second.apply(ev)
			}
			if got := second.held.Snapshot().JSON(); got != want {
				t.Errorf("final state\n%s\nof the second replay\n%s", want, got)
			}
		})
	}
}
