package truth_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/openova-io/openova/test/e2e/truth"
)

func release(t *testing.T, namespace, name, conditions, dependsOn string) map[string]any {
	t.Helper()
	text := fmt.Sprintf(`{"kind":"HelmRelease","metadata":{"namespace":%q,"name":%q},"spec":{"dependsOn":[%s]},"status":{"conditions":[%s]}}`, namespace, name, dependsOn, conditions)
	return object(t, text)
}

func object(t *testing.T, text string) (o map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestStatus_OfReleases(t *testing.T) {
	for conditions, want := range map[string]string{
		``:                                       "pending",
		`{"type":"Reconciling","status":"True"}`: "pending",
		`{"type":"Ready","status":"Unknown","reason":"Progressing"}`:                                                      "running",
		`{"type":"Ready","status":"False","reason":"DependencyNotReady"}`:                                                 "running",
		`{"type":"Ready","status":"False","reason":"InstallFailed"}`:                                                      "failed",
		`{"type":"Ready","status":"False","reason":"UpgradeFailed"}`:                                                      "failed",
		`{"type":"Ready","status":"False","reason":"RetriesExhausted"}`:                                                   "failed",
		`{"type":"Ready","status":"Unknown","reason":"InstallFailed"}`:                                                    "running",
		`{"type":"Stalled","status":"True"},{"type":"Ready","status":"False","reason":"RollbackSucceeded"}`:               "failed",
		`{"type":"Ready","status":"True","reason":"InstallSucceeded"},{"type":"Stalled","status":"True"}`:                 "succeeded",
		`{"type":"Ready","status":"False","reason":"SourceNotReady"},{"type":"Stalled","status":"False","reason":"None"}`: "running",
	} {
		if got := truth.Status(release(t, "a", "b", conditions, "")); got != want {
			t.Errorf("%s is %q, want %q", conditions, got, want)
		}
	}
}

func TestStatus_OfOtherKinds(t *testing.T) {
	for _, c := range []struct{ kind, ready, reason, want string }{
		{"Kustomization", "False", "HealthCheckFailed", "failed"},
		{"Kustomization", "False", "InstallFailed", "running"},
		{"Kustomization", "False", "ArtifactFailed", "running"},
		{"GitRepository", "False", "GitOperationFailed", "failed"},
		{"GitRepository", "Unknown", "Progressing", "running"},
		{"GitRepository", "", "", "running"},
	} {
		o := object(t, fmt.Sprintf(`{"kind":%q,"status":{"conditions":[{"type":"Ready","status":%q,"reason":%q}]}}`, c.kind, c.ready, c.reason))
		if got := truth.Status(o); got != c.want {
			t.Errorf("%+v is %q", c, got)
		}
	}
}

func TestView_EdgesOfSourcesAndOfKustomizationsThatWait(t *testing.T) {
	all := []map[string]any{
		object(t, `{"kind":"Kustomization","metadata":{"namespace":"a","name":"waits"},"spec":{"wait":true,"sourceRef":{"kind":"GitRepository","name":"there","namespace":"b"}}}`),
		object(t, `{"kind":"Kustomization","metadata":{"namespace":"a","name":"not"},"spec":{"sourceRef":{"kind":"GitRepository","name":"gone"}}}`),
		object(t, `{"kind":"GitRepository","metadata":{"namespace":"b","name":"there"}}`),
	}
	for _, by := range []string{"waits", "not"} {
		all = append(all, object(t, `{"kind":"HelmRelease","metadata":{"namespace":"a","name":"of-`+by+`","labels":{"kustomize.toolkit.fluxcd.io/name":"`+by+`","kustomize.toolkit.fluxcd.io/namespace":"a"}}}`))
	}
	v := truth.NewView()
	v.Add("r", all)
	want := map[truth.Edge]bool{
		{From: "r/GitRepository/b/there", Type: "finish-to-start", To: "r/Kustomization/a/waits"}: true,
		{From: "r/a/of-waits", Type: "finish-to-finish", To: "r/Kustomization/a/waits"}:           true,
	}
	for id := range v.Status {
		if id != "r" {
			want[truth.Edge{From: id, Type: "contains", To: "r"}] = true
		}
	}
	if !reflect.DeepEqual(v.Edges, want) {
		t.Errorf("%v, want %v", v.Edges, want)
	}
}

func TestHistory_StatusHoldsDuringARecheck(t *testing.T) {
	h := truth.NewHistory("r")
	for _, ready := range []string{"True", "Unknown", "True"} {
		h.Saw(object(t, `{"kind":"Kustomization","metadata":{"namespace":"a","name":"b"},"status":{"conditions":[{"type":"Ready","status":"`+ready+`"}]}}`))
	}
	if got := h.Series()["r/Kustomization/a/b"]; !reflect.DeepEqual(got, []string{"succeeded"}) {
		t.Errorf("%q", got)
	}
}

func TestEdges_DependenciesInNamespaces(t *testing.T) {
	got := truth.Edges("r", release(t, "team", "app", "", `{"name":"db"},{"name":"net","namespace":"flux-system"}`))
	want := []truth.Edge{
		{From: "r/team/app", Type: "contains", To: "r"},
		{From: "r/team/db", Type: "finish-to-start", To: "r/team/app"},
		{From: "r/net", Type: "finish-to-start", To: "r/team/app"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestHistory_KeepsPastStatuses(t *testing.T) {
	h := truth.NewHistory("r")
	ok := `{"type":"Ready","status":"True"}`
	h.Saw(release(t, "flux-system", "a", "", `{"name":"b"}`))
	h.Saw(release(t, "flux-system", "a", ok, ""))
	h.Saw(release(t, "flux-system", "a", ok, ""))
	h.Lost(release(t, "flux-system", "a", "", ""))
	want := map[string][]string{"r": {"pending", "succeeded", "pending"}, "r/a": {"pending", "succeeded", truth.Gone}}
	if got := h.Series(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if !h.HadEdge(truth.Edge{From: "r/b", Type: "finish-to-start", To: "r/a"}) || h.HadEdge(truth.Edge{From: "r/c", Type: "finish-to-start", To: "r/a"}) {
		t.Error("HadEdge is wrong for an edge that existed, or for one that did not")
	}
}
