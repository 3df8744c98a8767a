package mapping_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/emit"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func containsEdge(e string) bool { return strings.Contains(e, " contains ") }

var readyRows = []struct {
	name   string
	conds  []cond
	status string
}{
	{"no conditions", nil, "pending"},
	{"only Reconciling", []cond{{kind: "Reconciling", status: "True", reason: "Progressing"}}, "pending"},
	{"True", []cond{{kind: "Ready", status: "True", reason: "InstallSucceeded"}}, "succeeded"},
	{"True, upgraded", []cond{{kind: "Ready", status: "True", reason: "UpgradeSucceeded"}}, "succeeded"},
	{"True, any reason", []cond{{kind: "Ready", status: "True", reason: "InstallFailed"}}, "succeeded"},
	{"True, Stalled left over", []cond{{kind: "Ready", status: "True", reason: "TestSucceeded"}, {kind: "Stalled", status: "True", reason: "RetriesExceeded"}}, "succeeded"},
	{"True, Reconciling", []cond{{kind: "Reconciling", status: "True", reason: "Progressing"}, {kind: "Ready", status: "True", reason: "InstallSucceeded"}}, "succeeded"},
	{"False InstallFailed", []cond{{kind: "Ready", status: "False", reason: "InstallFailed"}}, "failed"},
	{"False UpgradeFailed", []cond{{kind: "Ready", status: "False", reason: "UpgradeFailed"}}, "failed"},
	{"False RetriesExhausted", []cond{{kind: "Ready", status: "False", reason: "RetriesExhausted"}}, "failed"},
	{"False, Stalled", []cond{{kind: "Ready", status: "False", reason: "RollbackSucceeded"}, {kind: "Stalled", status: "True", reason: "RetriesExceeded"}}, "failed"},
	{"Unknown, Stalled", []cond{{kind: "Ready", status: "Unknown", reason: "Progressing"}, {kind: "Stalled", status: "True", reason: "RetriesExceeded"}}, "failed"},
	{"no Ready, Stalled", []cond{{kind: "Stalled", status: "True", reason: "InvalidCELExpression"}}, "failed"},
	{"False Progressing", []cond{{kind: "Ready", status: "False", reason: "Progressing"}}, "running"},
	{"False DependencyNotReady", []cond{{kind: "Ready", status: "False", reason: "DependencyNotReady"}}, "running"},
	{"False SourceNotReady", []cond{{kind: "Ready", status: "False", reason: "SourceNotReady"}}, "running"},
	{"False ArtifactFailed", []cond{{kind: "Ready", status: "False", reason: "ArtifactFailed"}}, "running"},
	{"False ValuesError", []cond{{kind: "Ready", status: "False", reason: "ValuesError"}}, "running"},
	{"False RollbackSucceeded", []cond{{kind: "Ready", status: "False", reason: "RollbackSucceeded"}}, "running"},
	{"False UninstallSucceeded", []cond{{kind: "Ready", status: "False", reason: "UninstallSucceeded"}}, "running"},
	{"False TestFailed", []cond{{kind: "Ready", status: "False", reason: "TestFailed"}}, "running"},
	{"False, Stalled False", []cond{{kind: "Ready", status: "False", reason: "TestFailed"}, {kind: "Stalled", status: "False", reason: "InstallFailed"}}, "running"},
	{"False without a reason", []cond{{kind: "Ready", status: "False"}}, "running"},
	{"Unknown Progressing", []cond{{kind: "Ready", status: "Unknown", reason: "Progressing"}}, "running"},
	{"Unknown AwaitingTests", []cond{{kind: "Ready", status: "Unknown", reason: "AwaitingTests"}}, "running"},
	{"Unknown InstallFailed", []cond{{kind: "Ready", status: "Unknown", reason: "InstallFailed"}}, "running"},
	{"an unknown status", []cond{{kind: "Ready", status: "Maybe", reason: "InstallFailed"}}, "running"},
}

func TestRelease_StatusFollowsReady(t *testing.T) {
	for _, row := range readyRows {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			w.put(release(t, "bp-a", row.conds...))
			if got := w.must("fsn1/bp-a").Status; got != row.status {
				t.Errorf("status is %q, want %q", got, row.status)
			}
			slices.Reverse(row.conds)
			w.put(release(t, "bp-a", row.conds...))
			if got := w.must("fsn1/bp-a").Status; got != row.status {
				t.Errorf("with its conditions in the other order the status is %q, want %q", got, row.status)
			}
		})
	}
}

// TestRelease_StatusDoesNotDependOnThePreviousOne goes from each row to each row. The times must stay consistent.
func TestRelease_StatusDoesNotDependOnThePreviousOne(t *testing.T) {
	for _, from := range readyRows {
		for _, to := range readyRows {
			t.Run(from.name+" to "+to.name, func(t *testing.T) {
				w := newWorld(t)
				first := at(10, from.conds)
				w.put(release(t, "bp-a", first...))
				before := w.must("fsn1/bp-a")
				w.put(release(t, "bp-a", at(20, to.conds)...))
				n := w.must("fsn1/bp-a")
				if n.Status != to.status {
					t.Errorf("status is %q, want %q", n.Status, to.status)
				}
				if w.must("fsn1").Status != to.status {
					t.Errorf("the region is %q, its only release %q", w.must("fsn1").Status, to.status)
				}
				final := to.status == "succeeded" || to.status == "failed"
				if !final && !n.EndedAt.IsZero() {
					t.Errorf("status %s with endedAt %s", n.Status, clock(n.EndedAt))
				}
				if final && n.EndedAt.IsZero() {
					t.Errorf("status %s without endedAt", n.Status)
				}
				if !n.EndedAt.IsZero() && !n.StartedAt.IsZero() && n.EndedAt.Ms() < n.StartedAt.Ms() {
					t.Errorf("endedAt %s is before startedAt %s", clock(n.EndedAt), clock(n.StartedAt))
				}
				if !before.StartedAt.IsZero() && n.StartedAt.IsZero() {
					t.Errorf("startedAt %s was removed", clock(before.StartedAt))
				}
			})
		}
	}
}

func at(second int, conds []cond) []cond {
	out := slices.Clone(conds)
	for i := range out {
		out[i].at = second
	}
	return out
}

func TestEdges_FollowChangedDependencies(t *testing.T) {
	w := newWorld(t)
	r := release(t, "bp-grafana")
	set(r, []any{
		map[string]any{"name": "bp-loki"},
		map[string]any{"name": "bp-mimir", "namespace": "flux-system"},
		map[string]any{"name": "bp-loki"},
		map[string]any{"name": "postgres", "namespace": "data"},
	}, "spec", "dependsOn")
	w.put(r)
	wantEdges(t, w.edges(),
		"fsn1/bp-loki finish-to-start fsn1/bp-grafana",
		"fsn1/bp-mimir finish-to-start fsn1/bp-grafana",
		"fsn1/data/postgres finish-to-start fsn1/bp-grafana")
	for _, e := range w.held.Snapshot().Relationships {
		if e.Type == flow.FinishToStart && e.Condition != flow.OnSuccess {
			t.Errorf("the edge from %s has condition %q", e.FromID, e.Condition)
		}
	}
	set(r, []any{map[string]any{"name": "bp-tempo"}, map[string]any{"name": "bp-loki"}}, "spec", "dependsOn")
	changes := w.put(r)
	wantEdges(t, w.edges(), "fsn1/bp-loki finish-to-start fsn1/bp-grafana", "fsn1/bp-tempo finish-to-start fsn1/bp-grafana")
	if len(changes) != 3 {
		t.Errorf("%d changes for one new and two removed edges", len(changes))
	}
}

func TestEdges_DependencyDefaultsToTheReleasesNamespace(t *testing.T) {
	w := newWorld(t)
	r := set(release(t, "app"), "shop", "metadata", "namespace")
	set(r, []any{map[string]any{"name": "db"}, map[string]any{"name": "bp-cilium", "namespace": "flux-system"}}, "spec", "dependsOn")
	w.put(r)
	wantEdges(t, w.edges(), "fsn1/shop/db finish-to-start fsn1/shop/app", "fsn1/bp-cilium finish-to-start fsn1/shop/app")
}

func TestFamily_LabelElsePartOfElseName(t *testing.T) {
	for _, c := range []struct {
		name   string
		labels map[string]any
		want   string
	}{
		{"bp-loki", map[string]any{"catalyst.openova.io/family": "observability", "app.kubernetes.io/part-of": "x"}, "observability"},
		{"bp-loki", map[string]any{"app.kubernetes.io/part-of": "monitoring"}, "monitoring"},
		{"bp-loki", map[string]any{"catalyst.openova.io/family": "", "app.kubernetes.io/part-of": "monitoring"}, "monitoring"},
		{"bp-loki", nil, "loki"},
		{"loki", nil, "loki"},
		{"my-bp-loki", nil, "my-bp-loki"},
		{"bp-", nil, "bp-"},
		{"bp-loki", map[string]any{"catalyst.openova.io/family": 7}, "loki"},
	} {
		t.Run(fmt.Sprint(c.name, c.labels), func(t *testing.T) {
			w := newWorld(t)
			r := release(t, c.name)
			if c.labels != nil {
				set(r, c.labels, "metadata", "labels")
			}
			w.put(r)
			n := w.must("fsn1/" + c.name)
			if n.Family != c.want || n.Label != c.name || n.Region != "fsn1" || n.FlowID != "bootstrap" {
				t.Errorf("family %q, label %q, region %q, flow %q", n.Family, n.Label, n.Region, n.FlowID)
			}
		})
	}
}

func TestConfig_IDsOmitOnlyTheNamespaceOfFlux(t *testing.T) {
	for _, c := range []struct {
		namespaces []string
		namespace  string
		id         string
	}{
		{nil, "flux-system", "hel1/x"},
		{nil, "shop", "hel1/shop/x"},
		{[]string{"shop"}, "shop", "hel1/shop/x"},
		{[]string{"shop", "flux-system"}, "flux-system", "hel1/x"},
		{[]string{"shop", "flux-system"}, "shop", "hel1/shop/x"},
		{[]string{"shop", "data"}, "shop", "hel1/shop/x"},
		{[]string{"shop", "data"}, "data", "hel1/data/x"},
	} {
		config := mapping.Config{Region: "hel1", Namespaces: c.namespaces}
		if got := config.ReleaseID(c.namespace, "x"); got != c.id {
			t.Errorf("%v: %s/x is %q, want %q", c.namespaces, c.namespace, got, c.id)
		}
	}
	if got := (mapping.Config{Region: "hel1"}).KustomizationID("flux-system", "apps"); got != "hel1/Kustomization/flux-system/apps" {
		t.Errorf("the Kustomization is %q", got)
	}
}

// TestCluster_DependencyInANamespaceThatIsNotWatched: whether an excluded object exists is unknown, so it is not a node to wait for.
func TestCluster_DependencyInANamespaceThatIsNotWatched(t *testing.T) {
	for _, kind := range []string{"HelmRelease", "Kustomization"} {
		c := mapping.NewCluster(mapping.Config{FlowID: "f", Region: "r", Namespaces: []string{"flux-system"}})
		u := release(t, "app", cond{"Ready", "False", "DependencyNotReady", "dependency 'infra/db' is not ready", 1, 1})
		if kind == "Kustomization" {
			u.SetAPIVersion("kustomize.toolkit.fluxcd.io/v1")
			u.SetKind(kind)
		}
		set(u, []any{map[string]any{"name": "db", "namespace": "infra"}, map[string]any{"name": "here"}, map[string]any{"name": ""}, map[string]any{"name": "db", "namespace": "infra"}}, "spec", "dependsOn")
		changes, err := c.Apply(mapping.Event{Type: mapping.Added, Object: u})
		if err != nil {
			t.Fatal(err)
		}
		var edges []string
		for _, change := range changes {
			if change.Edge != nil && change.Edge.Type != flow.Contains {
				edges = append(edges, change.Edge.FromID)
			}
			if change.Node == nil || change.Node.ID == "r" {
				continue
			}
			var m struct {
				DependsOnUnwatched, WaitingFor []string
				Judgement                      struct{ Needs, Named []string }
			}
			if err := json.Unmarshal([]byte(change.Node.Meta), &m); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(m.DependsOnUnwatched, []string{"infra/db"}) || m.WaitingFor != nil || len(m.Judgement.Needs) != 1 || m.Judgement.Named != nil {
				t.Errorf("%s: %s", kind, change.Node.Meta)
			}
		}
		if len(edges) != 1 || strings.Contains(edges[0], "infra") {
			t.Errorf("%s: edges from %q", kind, edges)
		}
	}
}

func TestCluster_ResourceSetHasNoEdgeFromUnwatchedObjects(t *testing.T) {
	w := newWorld(t, "flux-system")
	w.put(object(t, `{"apiVersion":"fluxcd.controlplane.io/v1","kind":"ResourceSet","metadata":{"name":"apps","namespace":"flux-system","uid":"1"},"spec":{"dependsOn":[
		{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","name":"db","namespace":"infra"},
		{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","name":"here","namespace":"flux-system"}]}}`))
	var from []string
	for _, r := range w.held.Snapshot().Relationships {
		if r.Type != flow.Contains {
			from = append(from, r.FromID)
		}
	}
	if !slices.Equal(from, []string{"fsn1/here"}) {
		t.Errorf("edges from %q", from)
	}
}

// TestEdges_RepeatedReferenceIsOneEdge names an object twice in spec.dependsOn of a ResourceSet, and in spec.healthChecks of a Kustomization.
func TestEdges_RepeatedReferenceIsOneEdge(t *testing.T) {
	w := newWorld(t)
	const twice = `{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","name":"db"},{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","name":"db"}`
	for _, o := range []string{
		`{"apiVersion":"fluxcd.controlplane.io/v1","kind":"ResourceSet","metadata":{"name":"apps","namespace":"flux-system","uid":"1"},"spec":{"dependsOn":[` + twice + `]}}`,
		`{"apiVersion":"kustomize.toolkit.fluxcd.io/v1","kind":"Kustomization","metadata":{"name":"apps","namespace":"flux-system","uid":"2"},"spec":{"healthChecks":[` + twice + `]}}`,
	} {
		u, edges := object(t, "%s", o), 0
		for _, c := range w.put(u) {
			if c.Edge != nil && c.Edge.FromID == "fsn1/db" {
				edges++
			}
		}
		if edges != 1 {
			t.Errorf("%s sends %d edges, want 1", u.GetKind(), edges)
		}
	}
	if _, rels := w.State(); len(rels) != 4 { // two of them to the region
		t.Errorf("relationships are %v", rels)
	}
}

// TestCluster_DependencyThatMayNotBeReadIsNotWatched: without permission for a kind or namespace it is unknown whether its objects exist.
func TestCluster_DependencyThatMayNotBeReadIsNotWatched(t *testing.T) {
	w := newWorld(t)
	needs := func() []string {
		var m struct {
			Judgement struct{ Needs []string }
		}
		if err := json.Unmarshal([]byte(w.must("fsn1/app").Meta), &m); err != nil {
			t.Fatal(err)
		}
		return m.Judgement.Needs
	}
	u := release(t, "app", cond{"Ready", "False", "DependencyNotReady", "dependency 'infra/db' is not ready", 1, 1})
	w.put(set(u, []any{map[string]any{"name": "db", "namespace": "infra"}}, "spec", "dependsOn"))
	forbidden := func(kind, namespace string) mapping.RegionInfo {
		return mapping.RegionInfo{NotWatched: []mapping.NotWatched{{Kind: kind, Namespace: namespace, Why: "no permission to list"}}}
	}
	for _, c := range []struct {
		name    string
		info    mapping.RegionInfo
		watched bool
	}{
		{"all is watched", mapping.RegionInfo{}, true},
		{"another kind", forbidden("Kustomization", ""), true},
		{"another namespace", forbidden("HelmRelease", "shop"), true},
		{"the namespace", forbidden("HelmRelease", "infra"), false},
		{"the kind", forbidden("HelmRelease", ""), false},
		{"all again", mapping.RegionInfo{}, true},
	} {
		w.take(w.SetInfo(c.info))
		want, unwatched, edges := []string{"fsn1/infra/db"}, any(nil), []string{"fsn1/infra/db finish-to-start fsn1/app"}
		if !c.watched {
			want, unwatched, edges = nil, []string{"infra/db"}, nil
		}
		if got := needs(); !slices.Equal(got, want) {
			t.Errorf("%s: needs %q, want %q", c.name, got, want)
		}
		waitingFor := any(nil)
		if want != nil {
			waitingFor = want
		}
		wantMeta(t, w.must("fsn1/app"), map[string]any{"dependsOnUnwatched": unwatched, "waitingFor": waitingFor})
		wantEdges(t, w.edges(), edges...)
	}
}

func TestCluster_PostsNoSecretThatAMessageQuotes(t *testing.T) {
	w := newWorld(t)
	for _, kind := range []string{"HelmRelease", "Kustomization", "GitRepository"} {
		u := release(t, "app", cond{"Ready", "False", "InstallFailed", "failed to fetch https://user:hunter22@example.com/x?token=hunter22: password=hunter22", 1, 1},
			cond{"Stalled", "True", "RetriesExceeded", "gave up: bearer hunter22hunter22", 1, 1})
		u.SetKind(kind)
		u.SetAPIVersion(map[string]string{"HelmRelease": "helm.toolkit.fluxcd.io/v2", "Kustomization": "kustomize.toolkit.fluxcd.io/v1", "GitRepository": "source.toolkit.fluxcd.io/v1"}[kind])
		if text := string(emit.Encode(w.put(u))); text == "" || strings.Contains(text, "hunter") {
			t.Errorf("%s: %s", kind, text)
		}
	}
}

func TestConfig_WatchesTheListedNamespacesElseAll(t *testing.T) {
	all, some := mapping.Config{}, mapping.Config{Namespaces: []string{"shop", "data"}}
	if !all.Watches("anything") || !some.Watches("data") || some.Watches("flux-system") {
		t.Error("want all namespaces without a list, else those in the list")
	}
}

// TestRegion_NodeExistsFromTheStart: its status is pending until it has members.
func TestRegion_NodeExistsFromTheStart(t *testing.T) {
	w := newWorld(t)
	n := w.must("fsn1")
	if n.Status != "pending" || n.Label != "fsn1" || n.Region != "fsn1" {
		t.Errorf("the region is %s", n.JSON())
	}
	wantTimes(t, n, flow.Time{}, flow.Time{})
	wantMeta(t, n, map[string]any{"kind": "Region", "namespaces": []string{"*"}, "clusterUID": nil, "notWatched": nil})
	if again := w.Start(); len(again) != 0 {
		t.Errorf("a second Start makes %d changes", len(again))
	}
	w.take(w.SetInfo(mapping.RegionInfo{ClusterUID: "c-1", NotWatched: []mapping.NotWatched{{Kind: "Kustomization", Why: "no permission"}}}))
	wantMeta(t, w.must("fsn1"), map[string]any{"clusterUID": "c-1", "notWatched": []any{map[string]any{"kind": "Kustomization", "why": "no permission"}}})
	wantMeta(t, newWorld(t, "shop", "data").must("fsn1"), map[string]any{"namespaces": []string{"shop", "data"}})
}

func TestRegion_HasTheWorstStatusOfItsMembers(t *testing.T) {
	w := newWorld(t)
	states := map[string]cond{
		"succeeded": {kind: "Ready", status: "True", reason: "InstallSucceeded", at: 50},
		"pending":   {kind: "Reconciling", status: "True", at: 50},
		"running":   {kind: "Ready", status: "Unknown", reason: "Progressing", at: 50},
		"failed":    {kind: "Ready", status: "False", reason: "InstallFailed", at: 50},
	}
	w.put(release(t, "z", states["succeeded"]))
	for _, worst := range []string{"succeeded", "pending", "running", "failed", "running", "pending", "succeeded"} {
		w.put(release(t, "a", states[worst]))
		if got := w.must("fsn1").Status; got != worst {
			t.Errorf("with members succeeded and %s the region is %s", worst, got)
		}
	}
	w.event(mapping.Deleted, release(t, "a"))
	w.event(mapping.Deleted, release(t, "z"))
	if got := w.must("fsn1").Status; got != "pending" {
		t.Errorf("an empty region is %s", got)
	}
}

func TestRegion_ContainsEveryMember(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a"))
	w.put(set(release(t, "b"), "shop", "metadata", "namespace"))
	want := []string{"fsn1/bp-a contains fsn1", "fsn1/shop/b contains fsn1"}
	if got := w.edges(); !slices.Equal(got, want) {
		t.Errorf("edges are %q, want %q", got, want)
	}
}
