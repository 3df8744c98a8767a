package revision_test

import (
	"maps"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
)

// TestTracker_UnappliedSinceEarliestSource has three sources in a region, and one in another that no Kustomization uses.
func TestTracker_UnappliedSinceEarliestSource(t *testing.T) {
	tracker := revision.NewTracker()
	of := func(name, revision string) string {
		return `"namespace":"flux-system","source":{"kind":"GitRepository","namespace":"flux-system","name":"` + name + `"},"revision":"` + revision + `"`
	}
	put := func(id, region, meta string) {
		tracker.Observe(50, []flow.Node{{ID: id, FlowID: "F", Region: region, Meta: flow.Object(meta)}}, nil)
	}
	repository := func(region, name, revision, at string) {
		put(region+"/GitRepository/flux-system/"+name, region, `{"kind":"GitRepository","namespace":"flux-system","url":"https://git.example.com/`+name+`","revision":"`+revision+`","updatedAt":`+at+`}`)
	}
	expect := func(when string, want map[string]int64) {
		t.Helper()
		if got := tracker.Unapplied(); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		put("r1/Kustomization/flux-system/"+name, "r1", `{"kind":"Kustomization",`+of(name, "main@sha1:0")+`}`)
	}
	expect("without sources", map[string]int64{})
	repository("r1", "a", "main@sha1:1", "300")
	repository("r1", "b", "main@sha1:2", "200")
	repository("r1", "c", "main@sha1:3", "400")
	repository("r2", "a", "main@sha1:1", "100")
	expect("not applied", map[string]int64{"r1": 200})
	put("r1/Kustomization/flux-system/b", "r1", `{"kind":"Kustomization",`+of("b", "main@sha1:2")+`}`)
	expect("b is applied", map[string]int64{"r1": 300})
	for name, revision := range map[string]string{"a": "main@sha1:1", "c": "main@sha1:3"} {
		put("r1/Kustomization/flux-system/"+name, "r1", `{"kind":"Kustomization",`+of(name, revision)+`}`)
	}
	expect("all are applied", map[string]int64{})
}
