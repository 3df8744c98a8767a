package revision_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
)

// with returns a copy of a node with changed keys of its meta; nil removes a key.
func with(n flow.Node, other map[string]any) flow.Node {
	var meta map[string]any
	_ = json.Unmarshal([]byte(n.Meta), &meta)
	for key, value := range other {
		if meta[key] = value; value == nil {
			delete(meta, key)
		}
	}
	text, _ := json.Marshal(meta)
	n.Meta = flow.Object(text)
	return n
}

func TestReadFacts_InvalidIntegersAreUnknown(t *testing.T) {
	for value, want := range map[string]int64{"5": 5, "9007199254740991": 9007199254740991, "9007199254740992": 0, "-9007199254740992": 0, "99999999999999999999": 0, "1.5": 0, `"5"`: 0, "null": 0} {
		if f := revision.ReadFacts(&flow.Node{Meta: flow.Object(`{"updatedAt":` + value + `}`)}); f.UpdatedAt != want {
			t.Errorf("%s is read as %d, want %d", value, f.UpdatedAt, want)
		}
	}
}

// appliedB returns a harness whose region r1 has applied b; b has changed no release yet.
func appliedB(t *testing.T) *harness {
	w := newHarness(t)
	w.put(100, source("r1", a, 10), kustomization("r1", "apps", a, a, "succeeded", 20, 30), release("r1", "web", 1, 1, "succeeded", 15, 18))
	w.put(204, source("r1", b, 199), kustomization("r1", "apps", b, b, "succeeded", 200, 203))
	return w
}

// TestTracker_ChangedReleases puts one release after the Kustomization has applied b, and counts the releases that b has changed.
func TestTracker_ChangedReleases(t *testing.T) {
	since := func(at int64) map[string]any { return map[string]any{"changedSince": at * second} }
	for _, c := range []struct {
		name string
		at   int64
		node flow.Node
		want int
	}{
		{"a new generation", 205, release("r1", "web", 2, 1, "succeeded", 15, 18), 1},
		{"a new generation that needs no run", 205, release("r1", "web", 2, 2, "succeeded", 15, 18), 1},
		{"a new run of the generation: its values are in a ConfigMap", 205, release("r1", "web", 1, 1, "running", 204, 0), 1},
		{"a new release that waits", 205, release("r1", "new", 1, -1, "pending", 0, 0), 1},
		{"one that is new to the server", 205, release("r1", "new", 1, 1, "succeeded", 15, 18), 0},
		{"one that is new to the server, after the attempt", 205, release("r1", "new", 1, 1, "succeeded", 201, 202), 1},
		{"a new release that is reported later", 2000, with(release("r1", "new", 1, -1, "pending", 0, 0), since(203)), 1},
		{"a change within a quarter of an hour", 203 + 900, release("r1", "web", 2, 1, "succeeded", 15, 18), 1},
		{"one that came later", 203 + 901, release("r1", "web", 2, 1, "succeeded", 15, 18), 0},
		{"one that is reported later", 2000, with(release("r1", "web", 2, 1, "succeeded", 15, 18), since(203)), 1},
		{"a run that is reported later", 2000, release("r1", "web", 2, 2, "running", 204, 0), 1},
		{"a run by a clock that is two seconds behind", 205, release("r1", "web", 1, 1, "running", 198, 0), 1},
		{"a new release that has failed before it was seen", 205, release("r1", "new", 1, 1, "failed", 0, 0), 0},
		{"a new release that was ready before it was seen", 205, release("r1", "new", 1, 1, "succeeded", 0, 0), 0},
		{"a run from before the attempt", 205, release("r1", "web", 1, 1, "running", 190, 0), 0},
		{"another applies it", 205, with(release("r1", "web", 2, 1, "succeeded", 15, 18), map[string]any{"appliedBy": "r1/Kustomization/flux-system/other"}), 0},
		{"nothing applies it", 205, with(release("r1", "web", 2, 1, "succeeded", 15, 18), map[string]any{"appliedBy": nil}), 0},
	} {
		w := appliedB(t)
		w.put(c.at, c.node)
		if got := w.revisions(c.at)[0].Regions[0].Changed; got != c.want {
			t.Errorf("%s: %d changed, want %d", c.name, got, c.want)
		}
		w.restart()
		w.put(c.at+100, release("r1", c.node.Label, 2, 2, "running", c.at+99, 0))
		w.restart()
	}
}

// A run belongs to the revision that made the change, even if the Kustomization already tries the next one.
func TestTracker_RunAfterTheNextRevision(t *testing.T) {
	w := appliedB(t)
	w.put(205, release("r1", "web", 2, 1, "succeeded", 15, 18))
	w.put(210, source("r1", c, 209), kustomization("r1", "apps", c, b, "running", 210, 0))
	w.want(210, "c r1=applying 0/1", "b r1=overtaken/rolling-out 1/1 0+0/1 @209", "a r1=done 1/1 @30")
	w.put(215, release("r1", "web", 2, 2, "running", 214, 0))
	list := w.revisions(215)
	if runs := w.track.Runs(); runs[revision.Run{Release: "r1/web", StartedAt: 214 * second}] != list[1].ID || w.track.Memory().Releases["r1/web"].Revision != list[1].ID {
		t.Errorf("runs: %v", runs)
	}
	w.want(215, "c r1=applying 0/1", "b r1=overtaken/rolling-out 1/1 0+0/1 @209", "a r1=done 1/1 @30")
}

// A Kustomization may report its attempt at the next revision before its source does. Its status then does not concern the old revision.
func TestTracker_NextAttemptIsSeenFirst(t *testing.T) {
	for _, status := range []string{"running", "failed"} {
		w := appliedB(t)
		w.put(300, kustomization("r1", "apps", c, b, status, 300, 0))
		w.put(300, source("r1", c, 299))
		if list := w.revisions(300); list[1].Regions[0].State != revision.Done || list[1].Regions[0].EndedAt.Ms() != 203*second {
			t.Errorf("%s: %+v", status, list[1].Regions)
		}
		w.restart()
	}
}

// The times of attempts survive a restart: a run from before an attempt does not belong to its revision.
func TestResume_Attempts(t *testing.T) {
	w := newHarness(t)
	w.put(100, source("r1", a, 10), kustomization("r1", "apps", a, a, "succeeded", 20, 30), release("r1", "web", 1, 1, "succeeded", 15, 18))
	w.put(250, source("r1", b, 199), kustomization("r1", "apps", b, a, "running", 250, 0))
	w.restart()
	w.put(255, release("r1", "web", 1, 1, "running", 220, 0))
	w.want(255, "b r1=applying 0/1", "a r1=done 1/1 @30")
}

// A release may report its change before its Kustomization reports the attempt.
func TestTracker_ChangedBeforeTheAttempt(t *testing.T) {
	w := newHarness(t)
	w.put(100, source("r1", a, 10), kustomization("r1", "apps", a, a, "succeeded", 20, 30), release("r1", "web", 1, 1, "succeeded", 15, 18))
	w.put(203, source("r1", b, 199))
	w.put(204, release("r1", "web", 2, 1, "succeeded", 15, 18))
	w.put(205, kustomization("r1", "apps", b, a, "running", 203, 0))
	w.want(205, "b r1=applying 0/1 1+0/1", "a r1=done 1/1 @30")
	if list := w.revisions(205); list[1].Regions[0].Releases != nil {
		t.Errorf("the one before changed %q", list[1].Regions[0].Releases)
	}
}

// A Kustomization whose source is of another kind, or a node of another kind, belongs to no revision.
func TestTracker_IgnoresOtherKinds(t *testing.T) {
	w := newHarness(t)
	w.put(100, source("r1", a, 10), kustomization("r1", "apps", a, a, "succeeded", 20, 30),
		with(kustomization("r1", "other", a, a, "succeeded", 20, 30), map[string]any{"source": map[string]any{"kind": "HelmRepository", "namespace": "flux-system", "name": "repo"}}),
		with(release("r1", "stack", 1, 1, "succeeded", 31, 33), map[string]any{"kind": "Terraform"}))
	w.want(100, "a r1=done 1/1 @30")
}

// The run of a change is the first one that begins after it, and at its generation.
func TestTracker_RunOfAChange(t *testing.T) {
	for name, puts := range map[string][]flow.Node{
		"the last run is of the generation before":    {release("r1", "web", 2, 1, "succeeded", 15, 18), release("r1", "web", 2, 1, "failed", 15, 18)},
		"a run of the generation before still begins": {release("r1", "web", 2, 1, "running", 204, 0)},
		"a run of the generation before begins later": {release("r1", "web", 2, 1, "succeeded", 15, 18), release("r1", "web", 2, 1, "running", 206, 0)},
	} {
		w := appliedB(t)
		for i, n := range puts {
			w.put(205+int64(i), n)
		}
		if runs := w.track.Runs(); len(runs) != 0 || w.revisions(206)[0].Regions[0].Changed != 1 {
			t.Errorf("%s: %+v", name, runs)
		}
		w.put(210, release("r1", "web", 2, 2, "running", 209, 0))
		if runs := slices.Collect(maps.Keys(w.track.Runs())); len(runs) != 1 || runs[0].StartedAt != 209*second {
			t.Errorf("%s, after the first run: %+v", name, runs)
		}
		w.put(90_000, release("r1", "web", 2, 2, "running", 90_000, 0)) // a retry
		if runs := slices.Collect(maps.Keys(w.track.Runs())); len(runs) != 1 || runs[0].StartedAt != 209*second {
			t.Errorf("%s, after a retry: %+v", name, runs)
		}
	}
	w := appliedB(t)
	w.put(205, release("r1", "web", 1, 1, "running", 204, 0)) // with a new ConfigMap
	if runs := w.track.Runs(); runs[revision.Run{Release: "r1/web", StartedAt: 204 * second}] != w.revisions(205)[0].ID {
		t.Errorf("runs: %+v", runs)
	}
}

// A release that changes while its Kustomization applies a revision belongs to that revision, not to the one applied before.
func TestTracker_ChangedWhileApplying(t *testing.T) {
	w := newHarness(t)
	w.put(100, source("r1", a, 10), kustomization("r1", "apps", a, a, "succeeded", 20, 30), release("r1", "web", 1, 1, "succeeded", 15, 18))
	w.put(2000, source("r1", b, 1999), kustomization("r1", "apps", b, a, "running", 2000, 0))
	w.put(2005, release("r1", "web", 2, 1, "succeeded", 15, 18))
	w.want(2005, "b r1=applying 0/1 1+0/1", "a r1=done 1/1 @30")
}

// If a release's Kustomization and chart both have a new revision, the one that was first seen later has changed it; if both at once, that of the Kustomization.
func TestTracker_KustomizationAndChart(t *testing.T) {
	for chartAt, want := range map[int64]string{150: "GitRepository", 199: "GitRepository", 202: "OCIRepository"} {
		w := appliedB(t)
		chart := map[string]any{"kind": "OCIRepository", "namespace": "flux-system", "name": "web"}
		w.put(205, node("r1/OCIRepository/flux-system/web", "r1", "web", "succeeded", 0, 0, map[string]any{"kind": "OCIRepository", "namespace": "flux-system", "revision": "1@sha256:1111111", "updatedAt": chartAt * second}),
			with(release("r1", "web", 1, 1, "running", 204, 0), map[string]any{"source": chart}))
		for _, r := range w.revisions(205) {
			if changed := r.Regions[0].Changed; changed != 0 && r.Source.Kind != want {
				t.Errorf("a chart of %d: it was changed by %+v", chartAt, r.Source)
			}
		}
		if runs := w.track.Runs(); len(runs) != 1 {
			t.Errorf("a chart of %d: %+v", chartAt, runs)
		}
		w.restart()
	}
}

// A revision does not change a release that another Kustomization applies now.
func TestTracker_ReleaseMovesToAnotherKustomization(t *testing.T) {
	w := appliedB(t)
	other := map[string]any{"appliedBy": "r1/Kustomization/flux-system/other"}
	w.put(205, with(release("r1", "web", 1, 1, "succeeded", 15, 18), other))
	w.put(209, source("r1", c, 208), with(release("r1", "web", 2, 1, "succeeded", 15, 18), other))
	w.put(210, kustomization("r1", "apps", c, b, "running", 209, 0))
	w.want(210, "c r1=applying 0/1", "b r1=done 1/1 @203", "a r1=done 1/1 @30")
}

// A new release belongs to the revision that created it, however long it waits for its first run.
func TestTracker_NewReleaseWaits(t *testing.T) {
	w := appliedB(t)
	w.put(205, release("r1", "new", 1, -1, "pending", 0, 0))
	w.put(210, source("r1", c, 209), kustomization("r1", "apps", c, b, "running", 210, 0))
	w.put(212, with(release("r1", "new", 1, 1, "pending", 0, 0), map[string]any{"x": 1}))
	w.want(212, "c r1=applying 0/1", "b r1=overtaken/rolling-out 1/1 0+0/1 @209", "a r1=done 1/1 @30")
	w.put(215, release("r1", "new", 1, 1, "running", 214, 0))
	if runs := w.track.Runs(); runs[revision.Run{Release: "r1/new", StartedAt: 214 * second}] != w.revisions(215)[1].ID {
		t.Errorf("runs: %v", runs)
	}
}

func TestTracker_RollingOutUntilAllIsReady(t *testing.T) {
	judged := func(judgement map[string]any) map[string]any { return map[string]any{"judgement": judgement} }
	for _, c := range []struct {
		name string
		node flow.Node
	}{
		{"a release that is ready at an earlier generation", with(release("r1", "web", 2, 1, "succeeded", 15, 18), judged(map[string]any{"state": "ready", "gate": "pass", "marks": []string{"not-observed"}}))},
		{"a Kustomization that checks health", with(kustomization("r1", "apps", b, b, "running", 200, 0), judged(map[string]any{"state": "working", "gate": "wait"}))},
		{"a chart of the repository that is still from before", with(release("r1", "own", 1, 1, "succeeded", 15, 18), map[string]any{"appliedBy": nil, "chart": map[string]any{"sourceRevision": a},
			"source": map[string]any{"kind": "GitRepository", "namespace": "flux-system", "name": "repo"}})},
	} {
		w := appliedB(t)
		w.put(205, c.node)
		if got := w.revisions(205)[0].Regions[0]; got.State != revision.RollingOut || !got.EndedAt.IsZero() {
			t.Errorf("%s: %+v", c.name, got)
		}
		w.put(210, source("r1", "main@sha1:dddd", 209))
		if got := w.revisions(210)[1].Regions[0]; got.State != revision.Overtaken || got.Was != revision.RollingOut {
			t.Errorf("%s, overtaken: %+v", c.name, got)
		}
		w.restart()
	}
}

// TestTracker_Charts has a release with a chart from the source of the revisions.
func TestTracker_Charts(t *testing.T) {
	own := func(generation int64, status string, started, ended int64, from string, more map[string]any) flow.Node {
		n := with(release("r1", "own", generation, generation, status, started, ended), map[string]any{"appliedBy": nil, "chart": map[string]any{"sourceRevision": from},
			"source": map[string]any{"kind": "GitRepository", "namespace": "flux-system", "name": "repo"}})
		return with(n, more)
	}
	by := map[string]any{"appliedBy": "r1/Kustomization/flux-system/apps"}
	for _, c := range []struct {
		name    string
		at      int64
		node    flow.Node
		changed int
		state   revision.State
	}{
		{"a run with its chart", 210, own(1, "succeeded", 205, 209, b, nil), 1, revision.Done},
		{"a run by a clock that is two seconds behind", 210, own(1, "succeeded", 197, 209, b, nil), 1, revision.Done},
		{"a run within an hour", 199 + 3600, own(1, "succeeded", 199+3600, 199+3600, b, nil), 1, revision.Done},
		{"a run after an hour", 199 + 3601, own(1, "succeeded", 199+3601, 199+3601, b, nil), 0, revision.Done},
		{"a run from before", 210, own(1, "succeeded", 190, 195, b, nil), 0, revision.Done},
		{"a chart that has not changed", 210, own(1, "succeeded", 15, 18, b, nil), 0, revision.Done},
		{"a run with the chart from before", 210, own(1, "succeeded", 205, 209, a, nil), 0, revision.RollingOut},
		{"a new generation by a person", 210, own(2, "succeeded", 205, 209, b, nil), 0, revision.Done},
		{"a new generation by what applies it", 210, own(2, "succeeded", 205, 209, b, by), 1, revision.Done},
	} {
		w := newHarness(t)
		w.put(100, source("r1", a, 10), kustomization("r1", "apps", a, a, "succeeded", 20, 30), own(1, "succeeded", 15, 18, a, nil))
		w.put(204, source("r1", b, 199), kustomization("r1", "apps", b, b, "succeeded", 200, 203))
		w.put(c.at, c.node)
		if got := w.revisions(c.at)[0].Regions[0]; got.Changed != c.changed || got.State != c.state {
			t.Errorf("%s: %d changed, %s; want %d, %s", c.name, got.Changed, got.State, c.changed, c.state)
		}
		w.restart()
	}

	// A run with a new chart belongs to the revision, even after a person changed the release.
	w := newHarness(t)
	w.put(100, source("r1", a, 10), own(1, "succeeded", 15, 18, a, nil))
	w.put(150, own(2, "succeeded", 148, 149, a, nil))
	w.put(204, source("r1", b, 199))
	w.put(210, own(2, "succeeded", 205, 209, b, nil))
	w.want(210, "b r1=done 0/0 1+0/1 @209", "a r1=done 0/0 1+0/1 @149")

	// A run keeps its revision when the source moves on during the run.
	w = newHarness(t)
	w.put(100, own(1, "succeeded", 15, 18, "", nil))
	if m := w.track.Memory(); len(m.Sources)+len(m.Releases) != 0 {
		t.Errorf("Memory is %+v, want no sources and releases", m)
	}
	w.put(101, source("r1", a, 10))
	w.put(200, source("r1", b, 199))
	w.put(205, own(1, "running", 204, 0, "", nil))
	w.put(207, source("r1", c, 206))
	w.want(207, "c r1=fetched 0/0", "b r1=overtaken/rolling-out 0/0 0+0/1 @206", "a r1=done 0/0 1+0/1 @18")

	// A release whose chart comes from another source now does not delay the revision.
	w = newHarness(t)
	w.put(100, source("r1", a, 10), kustomization("r1", "apps", a, a, "succeeded", 20, 30), own(1, "succeeded", 15, 18, a, nil))
	w.put(150, own(1, "succeeded", 15, 18, a, map[string]any{"source": map[string]any{"kind": "GitRepository", "namespace": "flux-system", "name": "other"}}))
	w.put(204, source("r1", b, 199), kustomization("r1", "apps", b, b, "succeeded", 200, 203))
	w.want(204, "b r1=done 1/1 @203", "a r1=done 1/1 1+0/1 @30")

	// Neither does a release that was deleted.
	w = newHarness(t)
	w.put(100, source("r1", a, 10), kustomization("r1", "apps", a, a, "succeeded", 20, 30), own(1, "succeeded", 15, 18, a, nil))
	w.remove(150, "r1/own")
	w.put(204, source("r1", b, 199), kustomization("r1", "apps", b, b, "succeeded", 200, 203))
	w.want(204, "b r1=done 1/1 @203", "a r1=done 1/1 @30")

	// A Kustomization that no longer applies the release does not change it.
	w = newHarness(t)
	w.put(100, source("r1", a, 10), kustomization("r1", "apps", a, a, "succeeded", 20, 30), own(1, "succeeded", 15, 18, a, by))
	w.put(204, source("r1", b, 199), kustomization("r1", "apps", b, b, "succeeded", 200, 203))
	w.put(205, own(2, "running", 205, 0, b, nil))
	w.want(205, "b r1=done 1/1 @203", "a r1=done 1/1 1+0/1 @30")

	// Without Kustomizations a chart is enough, and the release may be seen before its source.
	w = newHarness(t)
	w.put(100, source("r1", a, 10), own(1, "succeeded", 15, 18, a, nil))
	w.want(100, "a r1=done 0/0 1+0/1 @18")
	w.put(203, own(1, "running", 202, 0, b, nil))
	w.put(204, source("r1", b, 199))
	w.want(204, "b r1=rolling-out 0/0 0+0/1", "a r1=overtaken/rolling-out 0/0 0+0/1 @199")
}

// Controllers before Flux 2.7 do not report when a Kustomization's run began.
func TestTracker_KustomizationWithoutStart(t *testing.T) {
	w := newHarness(t)
	w.put(100, source("r1", a, 10), kustomization("r1", "apps", a, a, "succeeded", 0, 30), release("r1", "web", 1, 1, "succeeded", 31, 33))
	w.want(100, "a r1=done 1/1 1+0/1 @33")
}

// The time at which a Kustomization had applied a revision is the end of its run, or the arrival of the message if its run does not show that; but not before
// the source had the revision.
func TestTracker_AppliedAt(t *testing.T) {
	for _, c := range []struct {
		name string
		node flow.Node
		want int64
	}{
		{"its time", kustomization("r1", "apps", b, b, "succeeded", 200, 203), 203},
		{"its time, by a clock that is two seconds behind", kustomization("r1", "apps", b, b, "succeeded", 200, 198), 199},
		{"its time, by a clock that is three seconds behind", kustomization("r1", "apps", b, b, "succeeded", 200, 197), 205},
		{"it was ready, and has gone on to try another", kustomization("r1", "apps", c, b, "succeeded", 200, 203), 205},
		{"it has gone on to try another", kustomization("r1", "apps", c, b, "running", 204, 0), 205},
		{"it is not ready", kustomization("r1", "apps", b, b, "failed", 200, 204), 205},
		{"its time is that of an earlier revision", kustomization("r1", "apps", b, b, "succeeded", 200, 30), 205},
	} {
		w := newHarness(t)
		w.put(100, source("r1", a, 10), kustomization("r1", "apps", a, a, "succeeded", 20, 30))
		w.put(202, source("r1", b, 199), kustomization("r1", "apps", b, a, "running", 200, 0))
		w.put(205, c.node)
		if got := w.revisions(205)[0].Regions[0].AppliedAt; got.Ms() != c.want*second {
			t.Errorf("%s: %d, want %d", c.name, got.Ms(), c.want*second)
		}
	}
}

func TestTracker_FirstSeen(t *testing.T) {
	w := newHarness(t)
	w.put(100, source("r1", a, 50), source("r2", a, 40), source("r3", a, 60))
	if r := w.revisions(100)[0]; r.FirstSeenAt != 40*second || r.Regions[0].FirstSeenAt != 50*second {
		t.Errorf("revision of three regions: %+v", r)
	}
	w.put(200, source("r1", b, 50)) // the time of its artifact can't be right
	w.put(201, source("r2", b, 0))
	if r := w.revisions(201)[0]; r.FirstSeenAt != 200*second || r.Regions[1].FirstSeenAt != 201*second {
		t.Errorf("without a later time in the sources: %+v", r)
	}
	w.put(300, source("r4", c, 0)) // without a time
	if r := w.revisions(300)[0]; r.FirstSeenAt != 300*second || r.Regions[0].FirstSeenAt != 300*second {
		t.Errorf("without a time in a new source: %+v", r)
	}
}

// When several nodes are deleted at once, the outcomes do not depend on the order of the ids.
func TestTracker_NodesDeletedAtOnce(t *testing.T) {
	var first revision.Memory
	for i, order := range [][]string{
		{"r1/0", "r1/Kustomization/flux-system/apps", "r2/GitRepository/flux-system/repo", "r3/GitRepository/flux-system/repo"},
		{"r3/GitRepository/flux-system/repo", "r2/GitRepository/flux-system/repo", "r1/Kustomization/flux-system/apps", "r1/0"},
	} {
		w := newHarness(t)
		w.put(100, kustomization("r1", "apps", a, a, "succeeded", 20, 30), release("r1", "0", 1, 1, "succeeded", 25, 28), source("r2", b, 40), source("r3", c, 50))
		w.remove(101, order...)
		w.want(101, "c r3=overtaken/fetched 0/0 @101", "b r2=overtaken/fetched 0/0 @101", "a r1=done 1/1 1+0/1 @30")
		if m := w.track.Memory(); i == 0 {
			first = m
		} else if !reflect.DeepEqual(m, first) {
			t.Errorf("order %v: %+v, want %+v", order, m, first)
		}
	}
}

// If regions disagree on the origin of an artifact, its revision has no commit until it starts anew.
func TestTracker_DisputedOrigin(t *testing.T) {
	oci := func(region, revision, origin string, updated int64) flow.Node {
		return with(source(region, revision, updated), map[string]any{"kind": "OCIRepository", "originRevision": origin})
	}
	for _, again := range []string{a, b} {
		w := newHarness(t)
		w.put(100, oci("r1", "1@sha256:1111111", a, 10))
		w.put(101, oci("r2", "1@sha256:1111111", b, 11))
		if r := w.revisions(101)[0]; r.Commit != "" || r.OriginRevision != "" {
			t.Errorf("disputed origin: commit %q", r.Commit)
		}
		w.restart()
		w.put(200, oci("r1", "2@sha256:2222222", b, 199), oci("r2", "2@sha256:2222222", b, 199))
		w.put(300, oci("r1", "1@sha256:1111111", again, 299))
		if r := w.revisions(300)[0]; r.OriginRevision != again || r.Commit != strings.TrimPrefix(again, "main@sha1:") {
			t.Errorf("seen again: origin %q, commit %q; want %q", r.OriginRevision, r.Commit, again)
		}
		w.restart()
	}
}

func TestTracker_Bounds(t *testing.T) {
	text := func(i int) string { return fmt.Sprintf("main@sha1:%040x", i) }
	t.Run("revisions", func(t *testing.T) {
		w := newHarness(t)
		w.put(1, source("old", a, 1))
		for i := range revision.Keep + 10 {
			w.put(int64(100+i), source("r1", text(i), int64(100+i)))
		}
		list := w.track.Revisions(nil, 5000)
		if len(list) != revision.Keep+2 || list[0].Revision != text(revision.Keep+9) || list[len(list)-1].Revision != a {
			t.Errorf("%d revisions, from %s to %s", len(list), list[0].Revision, list[len(list)-1].Revision)
		}
		w.restart()
	})
	t.Run("back to the oldest revision", func(t *testing.T) {
		w := newHarness(t)
		for i := range revision.Keep + 1 {
			w.put(int64(100+i), source("r1", text(i), int64(100+i)))
		}
		w.put(5000, source("r1", text(0), 4999))
		if list := w.track.Revisions(nil, 5000); len(list) != revision.Keep+1 || list[0].Revision != text(0) {
			t.Errorf("%d revisions, the newest is %s", len(list), list[0].Revision)
		}
		w.restart()
	})
	t.Run("bytes", func(t *testing.T) {
		w := newHarness(t)
		for i := range 400 {
			var nodes []flow.Node
			for r := range 100 {
				nodes = append(nodes, source(fmt.Sprint("r", r), text(i), int64(100+i)))
			}
			w.put(int64(100+i), nodes...)
		}
		if n, kept := len(w.track.Revisions(nil, 5000)), w.track.Bytes(); kept > 13<<20 || n < 200 || n == 400 {
			t.Errorf("%d revisions take %d bytes", n, kept)
		}
		w.restart()
	})
	t.Run("regions", func(t *testing.T) {
		w := newHarness(t)
		for r := range 1010 {
			w.put(100, source(fmt.Sprint("r", r), a, 10))
		}
		if r := w.track.Revisions(nil, 10); len(r) != 1 || len(r[0].Regions) != 1000 {
			t.Errorf("%d revisions, %d regions", len(r), len(r[0].Regions))
		}
		for r := range 1000 {
			w.put(200, source(fmt.Sprint("r", r), b, 200))
		}
		w.put(300, source("r1009", a, 300)) // a is full: it stays a past revision
		if m := w.track.Memory(); len(m.Revisions) != 2 || m.Revisions[0].LeftAt == 0 {
			t.Errorf("%d revisions, the first was left at %d", len(m.Revisions), m.Revisions[0].LeftAt)
		}
	})
	t.Run("releases", func(t *testing.T) {
		w := appliedB(t)
		for i := range 1010 {
			w.put(205, release("r1", fmt.Sprintf("x%04d", i), 1, 1, "succeeded", 204, 205))
		}
		if g := w.revisions(206)[0].Regions[0]; g.Changed != 1000 || len(g.Releases) != 100 || g.State != revision.Done {
			t.Errorf("%d changed, %d listed, %s", g.Changed, len(g.Releases), g.State)
		}
		w.restart()
		w.put(300, source("r1", c, 299))
		w.put(301, source("r1", b, 300)) // starts anew, without its earlier changes
		for r := range maps.Keys(w.track.Runs()) {
			t.Fatalf("run %v", r)
		}
		w.restart()
	})
}

// Resume makes a memory of other nodes, as a damaged file may have, consistent with the nodes.
func TestResume_MemoryOfOtherNodes(t *testing.T) {
	w := appliedB(t)
	m := w.track.Memory()
	other := maps.Clone(m.Sources)
	for id, s := range other {
		s.Revision = "another"
		other[id] = s
	}
	t.Run("a source that has another revision", func(t *testing.T) {
		m := m
		m.Sources = other
		for _, r := range revision.Resume(m, w.state, 0).Memory().Revisions {
			if end := r.Parts[0].Ended; r.LeftAt == 0 || r.Revision == b && (end.State != revision.Fetched || end.MovedOnAt != 199*second) {
				t.Errorf("%s was left at %d: %+v", r.Revision, r.LeftAt, end)
			}
		}
	})
	m.Revisions = slices.Concat(m.Revisions, m.Revisions)
	for name, state := range map[string]*flow.State{"the same nodes": w.state, "no nodes": flow.NewState("F", 0)} {
		other := &harness{t: t, state: state, track: revision.Resume(m, state, 0), steady: revision.Resume(m, state, 0)}
		if got := other.revisions(300); len(got) != 2 {
			t.Errorf("%s: %d revisions", name, len(got))
		}
		for _, r := range other.track.Memory().Revisions {
			if has := name == "the same nodes" && r.Revision == b; has != (r.LeftAt == 0) {
				t.Errorf("%s: %s was left at %d", name, r.Revision, r.LeftAt)
			}
		}
		other.put(300, source("r1", c, 299), kustomization("r1", "apps", c, c, "succeeded", 300, 303))
		if got := other.revisions(304); got[0].Regions[0].State != revision.Done || got[1].Regions[0].State == "" {
			t.Errorf("%s: %+v", name, got)
		}
		other.restart()
	}
}

// If a run of a known Kustomization does not show when an attempt began, the arrival of the message counts.
func TestTracker_AttemptWithoutStart(t *testing.T) {
	for name, k := range map[string]flow.Node{
		"the start is of the run before": kustomization("r1", "apps", b, b, "succeeded", 20, 203),
		"the end is of the run before":   kustomization("r1", "apps", b, a, "failed", 0, 30),
	} {
		w := newHarness(t)
		w.put(100, source("r1", a, 10), kustomization("r1", "apps", a, a, "succeeded", 20, 30), release("r1", "web", 1, 1, "succeeded", 15, 18))
		w.put(210, source("r1", b, 199), k)
		w.put(211, release("r1", "web", 1, 1, "running", 205, 0))
		if got := w.revisions(211)[0].Regions[0].Changed; got != 0 {
			t.Errorf("%s: a run from before the attempt is counted", name)
		}
	}
	w := newHarness(t)
	w.put(100, source("r1", a, 10), kustomization("r1", "apps", a, "", "running", 0, 0), release("r1", "web", 1, 1, "running", 50, 0))
	w.want(100, "a r1=applying 0/1")
}

// A Kustomization that applies a revision again keeps the time of the first success.
func TestTracker_AppliedOnce(t *testing.T) {
	w := appliedB(t)
	w.put(300, kustomization("r1", "apps", a, a, "succeeded", 290, 295))
	if g := w.revisions(300)[1].Regions[0]; g.AppliedAt.Ms() != 30*second {
		t.Errorf("it was applied at %d", g.AppliedAt.Ms())
	}
}

// A source has a revision once it reports one, ready or not.
func TestTracker_SourceWithoutRevision(t *testing.T) {
	w := newHarness(t)
	w.put(100, source("r1", "", 0), kustomization("r1", "apps", "", "", "pending", 0, 0))
	w.want(100)
	w.put(101, with(source("r1", a, 10), map[string]any{"ready": "Unknown"}))
	w.want(101, "a r1=fetched 0/1")
}

// A Kustomization that has moved to another source no longer counts for the old one.
func TestTracker_KustomizationMovesToAnotherSource(t *testing.T) {
	w := newHarness(t)
	w.put(100, source("r1", a, 10), kustomization("r1", "apps", a, a, "succeeded", 20, 30))
	w.put(200, with(kustomization("r1", "apps", a, a, "succeeded", 20, 30), map[string]any{"source": map[string]any{"kind": "GitRepository", "namespace": "flux-system", "name": "other"}}))
	w.want(200, "a r1=fetched 0/0")
}

// A retry of the same generation a day later does not belong to the revision.
func TestTracker_RetryIsNoNewChange(t *testing.T) {
	w := appliedB(t)
	w.put(205, release("r1", "web", 2, 2, "running", 204, 0))
	w.put(90_000, release("r1", "web", 2, 2, "running", 90_000, 0))
	if runs := slices.Collect(maps.Keys(w.track.Runs())); len(runs) != 1 || runs[0].StartedAt != 204*second {
		t.Errorf("runs: %+v", runs)
	}
}

// The URL of a source counts from its first report, a change of it once the source has fetched from there.
func TestTracker_SourceMovesToAnotherRepository(t *testing.T) {
	failing := with(source("r2", a, 10), map[string]any{"ready": "False"})
	w := newHarness(t)
	w.put(100, source("r1", a, 10), failing)
	w.want(100, "a r1=fetched 0/0 r2=fetched 0/0")

	other := map[string]any{"url": "https://github.com/o/other", "generation": 2, "observedGeneration": 2}
	w.put(200, with(failing, other))
	w.want(200, "a r1=fetched 0/0 r2=fetched 0/0")
	other["updatedAt"] = 299 * second
	w.put(300, with(source("r2", a, 10), other)) // the same commit of another repository
	w.want(300, "a r2=fetched 0/0", "a r1=fetched 0/0 r2=overtaken/fetched 0/0 @299")
}

// A revision's applied time is not before its first-seen time, and earlier runs do not belong to it.
func TestTracker_AppliedBeforeItWasSeen(t *testing.T) {
	w := newHarness(t)
	w.put(204, source("r1", b, 199), kustomization("r1", "apps", b, b, "succeeded", 140, 150), release("r1", "web", 1, 1, "running", 160, 0))
	if got := w.revisions(204)[0].Regions[0]; got.AppliedAt.Ms() != 199*second || got.Changed != 0 {
		t.Errorf("it was applied at %d, and changed %d", got.AppliedAt.Ms(), got.Changed)
	}
}
