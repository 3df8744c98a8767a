package revision_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
)

const second = int64(1000)

// Revisions of the tests.
const (
	a = "main@sha1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	b = "main@sha1:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	c = "main@sha1:cccccccccccccccccccccccccccccccccccccccc"
)

// harness folds changes of nodes, then has trackers observe them. Times are seconds.
type harness struct {
	t      *testing.T
	state  *flow.State
	track  *revision.Tracker
	steady *revision.Tracker // observes the same, and is never restarted
}

func newHarness(t *testing.T) *harness {
	return &harness{t: t, state: flow.NewState("F", 0), track: revision.NewTracker(), steady: revision.NewTracker()}
}

func (w *harness) put(at int64, nodes ...flow.Node) {
	w.state.Apply(flow.UpsertNodes(nodes...))
	w.track.Observe(at*second, nodes, nil)
	w.steady.Observe(at*second, nodes, nil)
}

func (w *harness) remove(at int64, ids ...string) {
	w.state.Apply(flow.DeleteNodes(ids...))
	w.track.Observe(at*second, nil, ids)
	w.steady.Observe(at*second, nil, ids)
}

// restart replaces the tracker by one restored from its encoded memory.
func (w *harness) restart() {
	w.t.Helper()
	text, err := json.Marshal(w.track.Memory())
	if err != nil {
		w.t.Fatal(err)
	}
	var m revision.Memory
	if err := json.Unmarshal(text, &m); err != nil {
		w.t.Fatal(err)
	}
	again := revision.Resume(m, w.state, 0)
	if got, _ := json.Marshal(again.Memory()); string(got) != string(text) {
		w.t.Fatalf("after Resume, the memory is\n%s\nwant\n%s", got, text)
	}
	if got := again.Bytes(); got != w.track.Bytes() {
		w.t.Fatalf("after Resume, Bytes is %d, want %d", got, w.track.Bytes())
	}
	w.track = again
	report := func(t *revision.Tracker) string {
		text, _ := json.Marshal([]any{t.Revisions(nil, 100), t.Memory()})
		return fmt.Sprintf("%s %v", text, t.Runs())
	}
	if got, want := report(w.track), report(w.steady); got != want {
		w.t.Fatalf("after restarts, the tracker reports\n%s\nwithout\n%s", got, want)
	}
}

func (w *harness) revisions(at int64, stale ...string) []revision.Revision {
	list := w.track.Revisions(nil, 100)
	revision.Judge(list, insight.Read(w.state.Collect()).At(at*second, nil), func(region string) bool { return slices.Contains(stale, region) })
	return list
}

// want compares the revisions at an instant, newest first. Each is the first character of its digest and, for each region, region=state/was applied/of
// ready+failed/changed @endedAt; without /was, the releases and the end if there are none. Then it restarts the tracker.
func (w *harness) want(at int64, want ...string) {
	w.t.Helper()
	var got []string
	for _, r := range w.revisions(at) {
		_, digest, _ := strings.Cut(r.Revision, ":")
		text := fmt.Sprintf("%.1s", digest)
		for _, g := range r.Regions {
			text += fmt.Sprintf(" %s=%s", g.Region, g.State)
			if g.Was != "" {
				text += "/" + string(g.Was)
			}
			text += fmt.Sprintf(" %d/%d", g.Applied, g.Of)
			if g.Changed > 0 {
				text += fmt.Sprintf(" %d+%d/%d", g.Ready, g.Failed, g.Changed)
			}
			if ms, ok := g.EndedAt.Get(); ok {
				text += fmt.Sprintf(" @%d", ms/second)
			}
		}
		got = append(got, text)
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("at %d:\n got %s\nwant %s", at, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
	w.restart()
}

func node(id, region, label, status string, started, ended int64, meta map[string]any) flow.Node {
	text, _ := json.Marshal(meta)
	n := flow.Node{ID: id, FlowID: "F", Label: label, Status: status, Region: region, Meta: flow.Object(text)}
	if started > 0 {
		n.StartedAt = flow.At(started * second)
	}
	if ended > 0 {
		n.EndedAt = flow.At(ended * second)
	}
	return n
}

func source(region, revision string, updated int64) flow.Node {
	return node(region+"/GitRepository/flux-system/repo", region, "repo", "succeeded", 0, 0, map[string]any{"kind": "GitRepository", "namespace": "flux-system", "auxiliary": true,
		"url": "https://github.com/o/r", "ref": "branch main", "revision": revision, "updatedAt": updated * second, "ready": "True", "generation": 1, "observedGeneration": 1})
}

func kustomization(region, name, attempted, applied, status string, started, ended int64) flow.Node {
	return node(region+"/Kustomization/flux-system/"+name, region, name, status, started, ended, map[string]any{"kind": "Kustomization", "namespace": "flux-system",
		"attemptedRevision": attempted, "revision": applied, "source": map[string]any{"kind": "GitRepository", "namespace": "flux-system", "name": "repo"}})
}

func release(region, name string, generation, observed int64, status string, started, ended int64) flow.Node {
	return node(region+"/"+name, region, name, status, started, ended, map[string]any{"kind": "HelmRelease", "namespace": "flux-system", "generation": generation,
		"observedGeneration": observed, "appliedBy": region + "/Kustomization/flux-system/apps"})
}

// A push changes one of two releases of a region.
func TestTracker_PushToDone(t *testing.T) {
	w := newHarness(t)
	w.put(100, source("r1", a, 10), kustomization("r1", "apps", a, a, "succeeded", 20, 30), release("r1", "web", 1, 1, "succeeded", 15, 18), release("r1", "db", 1, 1, "succeeded", 15, 18))
	w.want(100, "a r1=done 1/1 @30")
	w.put(200, source("r1", b, 199))
	w.want(200, "b r1=fetched 0/1", "a r1=done 1/1 @30")
	w.put(201, kustomization("r1", "apps", b, a, "running", 200, 0))
	w.want(201, "b r1=applying 0/1", "a r1=done 1/1 @30")
	w.put(202, release("r1", "web", 2, 1, "succeeded", 15, 18))
	w.want(202, "b r1=applying 0/1 1+0/1", "a r1=done 1/1 @30")
	w.put(203, kustomization("r1", "apps", b, b, "succeeded", 200, 203), release("r1", "web", 2, 2, "running", 203, 0))
	w.want(203, "b r1=rolling-out 1/1 0+0/1", "a r1=done 1/1 @30")
	w.put(240, release("r1", "web", 2, 2, "succeeded", 203, 239))
	w.want(240, "b r1=done 1/1 1+0/1 @239", "a r1=done 1/1 @30")
	got := w.revisions(240)
	if r := got[0]; r.Commit != strings.Repeat("b", 40) || r.FirstSeenAt != 199*second || !slices.Equal(r.Regions[0].Releases, []string{"r1/web"}) || r.Regions[0].AppliedAt.Ms() != 203*second || r.SupersededBy != "" {
		t.Errorf("the newest is %+v", r)
	}
	if got[1].SupersededBy != got[0].ID {
		t.Errorf("the older is superseded by %q", got[1].SupersededBy)
	}
	if runs := w.track.Runs(); !reflect.DeepEqual(runs, map[revision.Run]string{{Release: "r1/web", StartedAt: 203 * second}: got[0].ID}) {
		t.Errorf("runs: %v", runs)
	}
	// A day later the controller repairs a release: no revision caused that.
	w.put(90_000, release("r1", "db", 1, 1, "running", 90_000, 0))
	w.want(90_000, "b r1=done 1/1 1+0/1 @239", "a r1=done 1/1 @30")
	w.remove(90_001, "r1/web", "r1/db")
	w.put(90_007, kustomization("r1", "apps", b, b, "failed", 90_005, 90_006))
	w.want(90_007, "b r1=failed 1/1 @90006", "a r1=done 1/1 @30")
}

// Revision b fails in region r2, is overtaken there by c, and c succeeds.
func TestTracker_FailedRegionRepairedByTheNext(t *testing.T) {
	w := newHarness(t)
	for _, region := range []string{"r1", "r2"} {
		w.put(100, source(region, a, 10), kustomization(region, "apps", a, a, "succeeded", 20, 30), release(region, "web", 1, 1, "succeeded", 15, 18))
		w.put(200, source(region, b, 199), kustomization(region, "apps", b, b, "succeeded", 200, 203), release(region, "web", 2, 2, "running", 202, 0))
	}
	w.put(210, release("r1", "web", 2, 2, "succeeded", 202, 209), release("r2", "web", 2, 2, "failed", 202, 210))
	w.want(211, "b r1=done 1/1 1+0/1 @209 r2=failed 1/1 0+1/1 @210", "a r1=done 1/1 @30 r2=done 1/1 @30")
	if got := w.revisions(211, "r2")[0].Regions; got[0].Stale || !got[1].Stale || !slices.Equal(got[1].RootCauses, []string{"r2/web"}) || got[0].RootCauses != nil {
		t.Errorf("regions: %+v", got)
	}
	w.put(300, source("r2", c, 299))
	w.want(300, "c r2=fetched 0/1", "b r1=done 1/1 1+0/1 @209 r2=overtaken/failed 1/1 0+1/1 @299", "a r1=done 1/1 @30 r2=done 1/1 @30")
	list := w.revisions(300)
	if list[1].SupersededBy != "" || list[1].Regions[1].OvertakenBy != list[0].ID {
		t.Errorf("revision b is superseded by %q, and overtaken in r2 by %q", list[1].SupersededBy, list[1].Regions[1].OvertakenBy)
	}
	w.put(305, kustomization("r2", "apps", c, c, "succeeded", 301, 304), release("r2", "web", 3, 3, "running", 303, 0))
	w.put(320, release("r2", "web", 3, 3, "succeeded", 303, 318))
	w.want(320, "c r2=done 1/1 1+0/1 @318", "b r1=done 1/1 1+0/1 @209 r2=overtaken/failed 1/1 0+1/1 @299", "a r1=done 1/1 @30 r2=done 1/1 @30")
}

// A revision fails first, and succeeds by a retry.
func TestTracker_RepairedBySameRevision(t *testing.T) {
	w := newHarness(t)
	w.put(100, source("r1", a, 99), kustomization("r1", "apps", a, "", "failed", 100, 100))
	w.want(101, "a r1=failed 0/1 @100")
	w.put(200, kustomization("r1", "apps", a, a, "succeeded", 100, 200))
	w.want(201, "a r1=done 1/1 @200")
	w.put(300, source("r1", b, 299), kustomization("r1", "apps", b, a, "failed", 300, 301))
	w.put(400, source("r1", c, 399))
	w.want(400, "c r1=fetched 0/1", "b r1=overtaken/failed 0/1 @399", "a r1=done 1/1 @200")
}

// A new revision overtakes one that is being applied. A late success with the old revision does not count for the new one.
func TestTracker_OvertakenWhileApplying(t *testing.T) {
	w := newHarness(t)
	w.put(100, source("r1", a, 99), kustomization("r1", "apps", a, "", "running", 100, 0), kustomization("r1", "infra", "", "", "pending", 0, 0))
	w.put(110, source("r1", b, 109))
	w.want(110, "b r1=fetched 0/2", "a r1=overtaken/applying 0/2 @109")
	// The Kustomization first completes the old revision.
	w.put(112, kustomization("r1", "apps", a, a, "succeeded", 100, 111))
	w.want(112, "b r1=fetched 0/2", "a r1=overtaken/applying 0/2 @109")
	w.put(115, kustomization("r1", "apps", b, b, "succeeded", 112, 114), kustomization("r1", "infra", b, b, "succeeded", 112, 113))
	w.want(115, "b r1=done 2/2 @114", "a r1=overtaken/applying 0/2 @109")
}

// A source that returns to a revision starts it anew.
func TestTracker_RevisionSeenAgain(t *testing.T) {
	w := newHarness(t)
	w.put(100, source("r1", a, 10), kustomization("r1", "apps", a, a, "succeeded", 20, 30))
	first := w.revisions(100)[0].ID
	w.put(200, source("r1", b, 199), kustomization("r1", "apps", b, b, "succeeded", 200, 203))
	w.put(300, source("r1", a, 299))
	w.want(300, "a r1=fetched 0/1", "b r1=done 1/1 @203")
	list := w.revisions(300)
	if list[0].ID != first || list[0].FirstSeenAt != 299*second || list[0].SupersededBy != "" || list[1].SupersededBy != first {
		t.Errorf("seen again: %+v; the revision between: %+v", list[0], list[1])
	}
	w.put(304, kustomization("r1", "apps", a, a, "succeeded", 300, 303))
	w.want(304, "a r1=done 1/1 @303", "b r1=done 1/1 @203")
}

// If one region returns to a revision that another region still has, it starts anew only in that region.
func TestTracker_RevisionSeenAgainInOneRegion(t *testing.T) {
	w := newHarness(t)
	for _, region := range []string{"r1", "r2"} {
		w.put(100, source(region, a, 10), kustomization(region, "apps", a, a, "succeeded", 20, 30))
	}
	w.put(200, source("r1", b, 199))
	w.put(300, source("r1", a, 299))
	w.want(300, "b r1=overtaken/fetched 0/1 @299", "a r1=done 1/1 @299 r2=done 1/1 @30")
}

// Revisions of a chart's source change the releases with that chart.
func TestTracker_ChartOfSource(t *testing.T) {
	chart := func(revision string, updated int64) flow.Node {
		return node("r1/OCIRepository/flux-system/web", "r1", "web", "succeeded", 0, 0, map[string]any{"kind": "OCIRepository", "namespace": "flux-system", "url": "oci://ghcr.io/o/web",
			"ref": "semver 1.x", "revision": revision, "updatedAt": updated * second, "ready": "True", "originRevision": a})
	}
	web := func(status string, started, ended int64) flow.Node {
		return node("r1/web", "r1", "web", status, started, ended, map[string]any{"kind": "HelmRelease", "generation": 1, "observedGeneration": 1,
			"source": map[string]any{"kind": "OCIRepository", "namespace": "flux-system", "name": "web"}})
	}
	w := newHarness(t)
	w.put(100, chart("1.0.0@sha256:1111", 10), web("succeeded", 5, 6))
	w.want(100, "1 r1=fetched 0/0")
	w.put(200, chart("1.0.1@sha256:2222", 199))
	w.put(203, web("running", 202, 0))
	w.want(203, "2 r1=rolling-out 0/0 0+0/1", "1 r1=overtaken/fetched 0/0 @199")
	w.put(210, web("succeeded", 202, 209))
	w.want(210, "2 r1=done 0/0 1+0/1 @209", "1 r1=overtaken/fetched 0/0 @199")
	if r := w.revisions(210)[0]; r.Commit != strings.Repeat("a", 40) || r.OriginRevision != a {
		t.Errorf("commit %q, origin %q", r.Commit, r.OriginRevision)
	}
}

// Sources are equal if they follow the same kind, repository and reference; without a URL they are not.
func TestTracker_EqualSources(t *testing.T) {
	with := func(region string, key string, value any) flow.Node {
		n := source(region, a, 10)
		var meta map[string]any
		_ = json.Unmarshal([]byte(n.Meta), &meta)
		meta[key] = value
		text, _ := json.Marshal(meta)
		n.Meta = flow.Object(text)
		return n
	}
	for name, c := range map[string]struct {
		one, other flow.Node
		revisions  int
	}{
		"the same":                       {source("r1", a, 10), source("r2", a, 10), 1},
		"the same by ssh":                {source("r1", a, 10), with("r2", "url", "ssh://git@github.com:22/o/r.git"), 1},
		"another IPv6 address by ssh":    {with("r1", "url", "ssh://git@[2001:db8::1]/o/r"), with("r2", "url", "ssh://git@[2001:db8::2]/o/r"), 2},
		"an IPv6 address with a port":    {with("r1", "url", "ssh://git@[2001:db8::1]:22/o/r"), with("r2", "url", "https://[2001:db8::1]/o/r"), 1},
		"an IPv6 address without ssh://": {with("r1", "url", "git@[2001:db8::1]:o/r"), with("r2", "url", "https://[2001:db8::1]/o/r"), 1},
		"another reference":              {source("r1", a, 10), with("r2", "ref", "branch dev"), 2},
		"another repository":             {source("r1", a, 10), with("r2", "url", "https://github.com/o/other"), 2},
		"another kind":                   {source("r1", a, 10), with("r2", "kind", "Bucket"), 2},
		"neither has a URL":              {with("r1", "url", ""), with("r2", "url", ""), 2},
		"one has no URL":                 {source("r1", a, 10), with("r2", "url", ""), 2},
		"a HelmRepository is no source":  {source("r1", a, 10), with("r2", "kind", "HelmRepository"), 1},
	} {
		w := newHarness(t)
		w.put(100, c.one, c.other)
		if got := w.revisions(100); len(got) != c.revisions {
			t.Errorf("%s: %d revisions, want %d", name, len(got), c.revisions)
		}
		w.restart()
	}
}

// Until a source has fetched with a changed reference, its artifact belongs to the old one.
func TestTracker_ChangedReference(t *testing.T) {
	w := newHarness(t)
	w.put(100, source("r1", a, 10))
	dev := func(revision string, observed int) flow.Node {
		return node("r1/GitRepository/flux-system/repo", "r1", "repo", "running", 0, 0, map[string]any{"kind": "GitRepository", "namespace": "flux-system",
			"url": "https://github.com/o/r", "ref": "branch dev", "revision": revision, "updatedAt": 199 * second, "ready": "True", "generation": 2, "observedGeneration": observed})
	}
	w.put(200, dev(a, 1))
	w.want(200, "a r1=fetched 0/0")
	w.put(201, dev(b, 2))
	w.want(201, "b r1=fetched 0/0", "a r1=overtaken/fetched 0/0 @199")
	if list := w.revisions(201); list[0].Source.Ref != "branch dev" || list[1].Source.Ref != "branch main" {
		t.Errorf("the references are %q and %q", list[0].Source.Ref, list[1].Source.Ref)
	}
}

// A deleted object no longer counts in its own region, and other regions stay as they are.
func TestTracker_Deleted(t *testing.T) {
	w := newHarness(t)
	for _, region := range []string{"r1", "r2"} {
		w.put(100, source(region, a, 10), kustomization(region, "apps", a, "", "running", 20, 0), kustomization(region, "infra", a, a, "succeeded", 20, 30), release(region, "web", 1, -1, "running", 25, 0))
	}
	w.want(100, "a r1=applying 1/2 0+0/1 r2=applying 1/2 0+0/1")
	w.remove(101, "r1/Kustomization/flux-system/apps")
	w.want(101, "a r1=rolling-out 1/1 0+0/1 r2=applying 1/2 0+0/1")
	w.remove(102, "r1/web")
	w.want(102, "a r1=done 1/1 @30 r2=applying 1/2 0+0/1")
	w.remove(103, "r2/GitRepository/flux-system/repo")
	w.want(103, "a r1=done 1/1 @30 r2=overtaken/applying 1/2 0+0/1 @103")
	w.remove(104, w.state.NodeIDs()...)
	w.want(104, "a r1=done 1/1 @30 r2=overtaken/applying 1/2 0+0/1 @103")

	// The repository of a deleted source is unknown, so the revision of its Kustomization equals no other.
	w = newHarness(t)
	w.put(100, source("r1", a, 10), kustomization("r1", "apps", a, a, "succeeded", 20, 30), source("r2", b, 20))
	w.remove(101, "r1/GitRepository/flux-system/repo")
	w.put(200, kustomization("r1", "apps", b, a, "running", 199, 0))
	w.want(200, "b r1=applying 0/1", "b r2=fetched 0/0", "a r1=done 1/1 @30")
}

// A source without a node has the revision that its Kustomization tried last.
func TestTracker_SourceWithoutNode(t *testing.T) {
	w := newHarness(t)
	w.put(100, kustomization("r1", "apps", a, a, "succeeded", 20, 30))
	w.put(101, kustomization("r1", "infra", a, "", "running", 21, 0))
	w.want(101, "a r1=applying 1/2")
	if r := w.revisions(101)[0]; r.FirstSeenAt != 20*second || r.Source.Name != "repo" {
		t.Errorf("the revision is %+v", r)
	}
	w.put(200, kustomization("r1", "apps", b, a, "running", 199, 0))
	w.want(200, "b r1=applying 0/2", "a r1=overtaken/applying 1/2 @199")
	w.put(201, kustomization("r1", "infra", a, "", "failed", 21, 200)) // infra has not tried b
	w.want(201, "b r1=applying 0/2", "a r1=overtaken/applying 1/2 @199")
	w.remove(202, "r1/GitRepository/flux-system/repo") // never was a node
	w.want(202, "b r1=applying 0/2", "a r1=overtaken/applying 1/2 @199")
	w.put(300, kustomization("r1", "apps", "", "", "pending", 0, 0)) // created again
	w.want(300, "b r1=fetched 0/2", "a r1=overtaken/applying 1/2 @199")

	w = newHarness(t) // a Kustomization that reports only what it has applied
	w.put(100, with(kustomization("r1", "apps", a, a, "succeeded", 20, 30), map[string]any{"attemptedRevision": nil}))
	w.want(100, "a r1=done 1/1 @30")
}

// The order of nodes in a message, and of messages at the same time, does not matter.
func TestTracker_OrderWithinMoment(t *testing.T) {
	before := []flow.Node{source("r1", a, 10), kustomization("r1", "apps", a, a, "succeeded", 20, 30), release("r1", "web", 1, 1, "succeeded", 15, 18)}
	after := []flow.Node{source("r1", b, 199), kustomization("r1", "apps", b, b, "succeeded", 200, 203), release("r1", "web", 2, 2, "running", 202, 0)}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {2, 0, 1}} {
		for _, apart := range []bool{false, true} {
			w := newHarness(t)
			w.put(100, before[order[0]], before[order[1]], before[order[2]])
			if apart {
				for _, i := range order {
					w.put(204, after[i])
				}
			} else {
				w.put(204, after[order[0]], after[order[1]], after[order[2]])
			}
			list := w.revisions(204)
			if g := list[0].Regions[0]; list[0].Revision != b || g.State != revision.RollingOut || g.Changed != 1 || g.Applied != 1 || !slices.Equal(g.Releases, []string{"r1/web"}) {
				t.Errorf("order %v, apart %v: %+v", order, apart, list)
			}
			w.restart()
		}
	}
}

// A server that starts later, or that restores a checkpoint of an earlier version, derives the same from the current nodes.
func TestResume_WithoutMemory(t *testing.T) {
	w := newHarness(t)
	w.put(204, source("r1", b, 199), kustomization("r1", "apps", b, b, "succeeded", 200, 203), release("r1", "web", 2, 2, "succeeded", 202, 230), release("r1", "db", 1, 1, "succeeded", 15, 18))
	want := w.track.Memory()
	if got := revision.Resume(revision.Memory{}, w.state, 204*second).Memory(); !reflect.DeepEqual(got, want) {
		t.Errorf("memory %+v, want %+v", got, want)
	}
	w.want(240, "b r1=done 1/1 1+0/1 @230")
}

var update = flag.Bool("update", false, "update the golden file")

// TestRevisions_Golden compares a list with every state with a file that the tests of the TypeScript core read too.
func TestRevisions_Golden(t *testing.T) {
	const d = "main@sha1:dddddddddddddddddddddddddddddddddddddddd"
	w := newHarness(t)
	for _, region := range []string{"r1", "r2", "r3", "r4", "r5"} {
		w.put(100, source(region, a, 10), kustomization(region, "apps", a, a, "succeeded", 20, 30), release(region, "web", 1, 1, "succeeded", 15, 18))
	}
	for _, region := range []string{"r1", "r2", "r3", "r5"} {
		w.put(200, source(region, b, 199), kustomization(region, "apps", b, b, "succeeded", 200, 203), release(region, "web", 2, 2, "running", 202, 0))
	}
	w.put(210, release("r1", "web", 2, 2, "succeeded", 202, 209), release("r2", "web", 2, 2, "failed", 202, 210))
	w.put(300, source("r1", c, 299), kustomization("r1", "apps", c, b, "running", 300, 0))
	w.put(301, source("r4", d, 300), source("r5", d, 300))
	list := w.revisions(301, "r2")
	for i := range list {
		list[i].CommitURL = revision.Links{}.Commit(list[i].Source.URL, list[i].Commit)
	}
	got, err := json.MarshalIndent(map[string]any{"revisions": list}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const file = "testdata/revisions.json"
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || string(want) != string(got)+"\n" {
		t.Errorf("%v; the list is\n%s\nwant\n%s", err, got, want)
	}
}
