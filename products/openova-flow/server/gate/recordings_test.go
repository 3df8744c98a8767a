package gate_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/gate"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/internal/recorded"
)

// TestGate_RecordedCases compares the result on each case of the adapter's test data with one written by hand.
func TestGate_RecordedCases(t *testing.T) {
	for _, c := range recorded.Cases(t) {
		t.Run(c.Name, func(t *testing.T) {
			for name, g := range c.Gates {
				if got := gate.New(gate.Ask{}).Look(gate.Look{State: gate.Read(c.Play(t).At(g.At)), At: g.At}).Result; got != g.Want {
					t.Errorf("%s: %s, want %s", name, got, g.Want)
				}
			}
		})
	}
}

type event struct {
	At     int64
	Type   string
	Object struct {
		Kind     string
		Metadata struct {
			Namespace, Name string
			Generation      int64
			Labels          map[string]string
		}
		Status struct {
			ObservedGeneration  int64
			LastAppliedRevision string
			Artifact            struct{ Revision string }
			Conditions          []struct {
				Type, Status       string
				ObservedGeneration int64
			}
		}
	}
}

// isReady reports whether the object is ready at its newest generation.
func (r *event) isReady() bool {
	for _, c := range r.Object.Status.Conditions {
		if c.Type == "Ready" && c.Status == "True" {
			return max(c.ObservedGeneration, r.Object.Status.ObservedGeneration) == r.Object.Metadata.Generation
		}
	}
	return false
}

// repairedBySecret are the releases that a person repaired with a Secret, which is not in the recordings.
var repairedBySecret = map[string]bool{"nosecret": true, "valref": true}

// TestGate_RecordedReleases waits for each release in recordings of real controllers. The gate of a release looks once a second. When its result has settled or
// is final, the test compares it with the objects: the gate must not pass a release that is not ready at its newest generation, and must not fail one that later
// becomes ready at the same generation without a change by a person. In the recordings, releases fail, are rolled back, retried and repaired, and are Ready
// for a while at an earlier generation.
func TestGate_RecordedReleases(t *testing.T) {
	for _, name := range []string{"kit-fsn1", "kit-hel1", "scenarios", "real-b-scenarios", "real-a-bootstrap"} {
		t.Run(name, func(t *testing.T) {
			events := recorded.Events[event](t, name)
			type truth struct {
				at, generation int64
				ready          bool
			}
			truths := make(map[gate.Name][]truth)
			var changes []int64 // when a person changed something
			first, last := events[0].At, events[len(events)-1].At
			for _, e := range events {
				o := e.Object
				if o.Kind != "HelmRelease" {
					continue
				}
				deleted := e.Type == "DELETED"
				s := truth{at: e.At, generation: o.Metadata.Generation, ready: !deleted && e.isReady()}
				n := gate.Name{Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}
				if before := truths[n]; len(before) == 0 || before[len(before)-1].generation != s.generation || deleted {
					changes = append(changes, e.At)
				}
				truths[n] = append(truths[n], s)
			}
			var passed, failed int
			p := recorded.Play(t, name+".events.jsonl")
			type waiter struct {
				g      *gate.Gate
				result string
				since  int64
			}
			waiters := make(map[gate.Name]*waiter)
			for n := range truths {
				waiters[n] = &waiter{g: gate.New(gate.Ask{Releases: []gate.Release{{Name: n}}})}
			}
			for now := first; now <= last+60_000; now += 1000 {
				state := gate.Read(p.At(now))
				for n, w := range waiters {
					a := w.g.Look(gate.Look{State: state, At: now})
					if a.Result != w.result {
						w.result, w.since = a.Result, now
					}
					unchangedFor := now - w.since
					if w.result == insight.Pending || unchangedFor != gate.DefaultSettle.Milliseconds() && !(a.Final && unchangedFor == 0) {
						continue
					}
					i := slices.IndexFunc(truths[n], func(s truth) bool { return s.at > now })
					if i < 0 {
						i = len(truths[n])
					}
					current := truths[n][i-1]
					if w.result == insight.Passed {
						passed++
						if !current.ready {
							t.Errorf("%v passed at +%.1fs; generation %d is not ready", n, float64(now-first)/1000, current.generation)
						}
						continue
					}
					failed++
					for _, s := range truths[n][i:] {
						if s.ready && s.generation == current.generation && !repairedBySecret[n.Name] && !slices.ContainsFunc(changes, func(at int64) bool { return at > now && at <= s.at }) {
							t.Errorf("%v failed at +%.1fs; generation %d is ready at +%.1fs", n, float64(now-first)/1000, current.generation, float64(s.at-first)/1000)
							break
						}
					}
				}
			}
			t.Logf("%d passed, %d failed", passed, failed)
			if passed == 0 {
				t.Error("none passed")
			}
		})
	}
}

// TestGate_RecordedRevisions waits for commits in the recordings, starting 20 s before they were fetched, at that time, and later. It compares the gate
// with the objects: the Kustomizations have applied the commit, and they and the releases that they applied are ready. The gate must not pass early, nor more
// than 2 s late.
func TestGate_RecordedRevisions(t *testing.T) {
	for _, tt := range []struct {
		name           string
		kustomizations []gate.Name // empty: all
		fetched        int64       // when the source had the commit, or the Kustomizations were created
		revision       string
	}{
		{"real-d-kustomizations", []gate.Name{{Namespace: "kz", Name: "pruneme"}}, 1795992388372, "e08691"},
		{"real-d-kustomizations", []gate.Name{{Namespace: "kz", Name: "okay"}}, 1795992388372, "e08691"},
		{"real-a-bootstrap", nil, 1795990771507, "0eb8e9"},
	} {
		events := recorded.Events[event](t, tt.name)
		fullRevision := ""
		for _, e := range events {
			if r := e.Object.Status.Artifact.Revision; strings.HasPrefix(r, "main@sha1:"+tt.revision) {
				fullRevision = r
			}
		}
		truth := func(now int64) bool {
			newest := make(map[string]event)
			for _, e := range events {
				if e.At > now {
					break
				}
				if k := e.Object.Kind; k != "HelmRelease" && k != "Kustomization" {
					continue
				}
				id := e.Object.Kind + e.Object.Metadata.Namespace + "/" + e.Object.Metadata.Name
				if newest[id] = e; e.Type == "DELETED" {
					delete(newest, id)
				}
			}
			for _, e := range newest {
				o := e.Object
				name := gate.Name{Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}
				if o.Kind == "HelmRelease" {
					name = gate.Name{Namespace: o.Metadata.Labels["kustomize.toolkit.fluxcd.io/namespace"], Name: o.Metadata.Labels["kustomize.toolkit.fluxcd.io/name"]}
				}
				if (len(tt.kustomizations) == 0 || slices.Contains(tt.kustomizations, name)) && (!e.isReady() || o.Kind == "Kustomization" && o.Status.LastAppliedRevision != fullRevision) {
					return false
				}
			}
			return len(newest) > 0
		}
		for _, offset := range []time.Duration{-20 * time.Second, 0, 5 * time.Second, 3 * time.Minute} {
			start := tt.fetched + offset.Milliseconds()
			p, g := recorded.Play(t, tt.name+".events.jsonl"), gate.New(gate.Ask{Revision: fullRevision[len("main@sha1:"):][:12], Kustomizations: tt.kustomizations})
			var passedSince, readySince int64 // of the gate, and of the objects
			for now := start; ; now += gate.DefaultPoll.Milliseconds() {
				if truth(now) && readySince == 0 {
					readySince = now
				}
				if a := g.Look(gate.Look{State: gate.Read(p.At(now)), At: now}); a.Result != passed {
					passedSince = 0
				} else if passedSince == 0 {
					passedSince = now
				}
				if passedSince != 0 && now-passedSince >= gate.ExactSettle.Milliseconds() {
					if !truth(now) || now-readySince > 2000 {
						t.Errorf("%s %v from %s: passed at %+d ms, ready at %+d ms", tt.name, tt.kustomizations, offset, now-tt.fetched, readySince-tt.fetched)
					}
					break
				}
				if now > start+5*60_000 {
					t.Errorf("%s %v from %s: %s, ready at %+d ms", tt.name, tt.kustomizations, offset, g.Look(gate.Look{State: gate.Read(p.At(now)), At: now}).Line(), readySince-tt.fetched)
					break
				}
			}
		}
	}
}
