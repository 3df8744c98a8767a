package e2e

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/openova-io/openova/test/e2e/conductor"
	"github.com/openova-io/openova/test/e2e/plane"
	"github.com/openova-io/openova/test/e2e/subscriber"
	"github.com/openova-io/openova/test/e2e/truth"
)

// recorded has the names of the recordings of real controllers, by region.
var recorded = map[string][]string{"fsn1": {"real-a-bootstrap"}, "hel1": {"real-b-scenarios", "real-d-kustomizations"}}

// recordedProblems has the root causes at the end of the recordings, by node id, with the other nodes of each problem and those that it blocks.
var recordedProblems = map[string][]string{
	"hel1/lab/nochart":                 {}, // its chart has no such version
	"hel1/lab/nosecret":                {}, // its target cluster is gone
	"hel1/kz/hrbad":                    {"hel1/Kustomization/kz/hrwait"},
	"hel1/Bucket/kz/bkt":               {"hel1/Kustomization/kz/bucket"},
	"hel1/GitRepository/kz/dead":       {"hel1/Kustomization/kz/deadsource"},
	"hel1/Kustomization/kz/badapply":   {},
	"hel1/Kustomization/kz/badbuild":   {},
	"hel1/Kustomization/kz/celks":      {},
	"hel1/Kustomization/kz/depmissing": {},
	"hel1/Kustomization/kz/nopath":     {},
	"hel1/Kustomization/kz/nosource":   {},
	"hel1/Kustomization/kz/suspks":     {"hel1/Kustomization/kz/depsusp"}, // suspended
	"hel1/Kustomization/kz/unhealthy":  {"hel1/Kustomization/kz/depsick"},
}

// final returns the objects at the end of a recording, with the fields that package truth reads.
func final(t *testing.T, file string) (list []plane.Object) {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + file + ".final.json")
	if err == nil {
		err = json.Unmarshal(raw, &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestControllerRecordings_ShowEveryStatusAndProblem(t *testing.T) {
	scenario(t, "recordings of real controllers: a bootstrap by Kustomizations, 22 releases with remediation, 15 Kustomizations of which 13 end not ready", func(t *testing.T) string {
		s := newStage(t)
		want := truth.NewView()
		var ends []func()
		for _, r := range s.both() {
			r.startAdapter().ready()
			var events []conductor.Event
			var last []plane.Object
			for _, file := range recorded[r.name] {
				played, err := conductor.Read(recordings + file + ".jsonl")
				s.must(err)
				begins := played[0].At
				for _, e := range played {
					e.At -= begins
					events = append(events, e)
				}
				last = append(last, final(t, file)...)
			}
			for _, o := range last {
				if o["kind"] == "Bucket" { // not in the recording
					s.must(r.conductor.Apply(s.ctx, conductor.Event{Type: "ADDED", Object: o}))
				}
			}
			slices.SortStableFunc(events, func(a, b conductor.Event) int { return int(a.At - b.At) })
			want.Add(r.name, last)
			ends = append(ends, r.play(12, events))
		}
		for _, end := range ends {
			end()
		}
		took := s.converge()
		s.must(same("the snapshot", subscriber.Fold(s.snapshot()), want))
		s.checkShown()
		s.complete()
		s.problems(recordedProblems)
		return "converged " + took.Round(time.Millisecond).String() + " after the last write"
	})
}

func (s *stage) problems(want map[string][]string) {
	s.t.Helper()
	body, err := get("http://" + s.addr + "/v1/flows/" + flowID + "/problems")
	s.must(err)
	var answer struct {
		Problems []struct {
			ID     string
			IDs    []string
			Blocks []string
		}
	}
	s.must(json.Unmarshal([]byte(body), &answer))
	got := map[string][]string{}
	for _, p := range answer.Problems {
		got[p.ID] = append(p.IDs[1:], p.Blocks...)
		slices.Sort(got[p.ID])
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		s.t.Errorf("the problems are %q, want %q\n%s", got, want, body)
	}
}
