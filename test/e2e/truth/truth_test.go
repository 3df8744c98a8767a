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
	var o map[string]any
	text := fmt.Sprintf(`{"metadata":{"namespace":%q,"name":%q},"spec":{"dependsOn":[%s]},"status":{"conditions":[%s]}}`, namespace, name, dependsOn, conditions)
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestStatus(t *testing.T) {
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

func TestEdgesRespectNamespaces(t *testing.T) {
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

func TestHistoryKeepsWhatIsOver(t *testing.T) {
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
		t.Error("the edges that were are not those that are told")
	}
}
