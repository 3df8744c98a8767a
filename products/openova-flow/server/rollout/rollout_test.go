package rollout_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

const (
	second = int64(1000)
	minute = 60 * second
	day    = 24 * 60 * minute
)

// bench folds changes, then has the tracker observe them.
type bench struct {
	t     *testing.T
	state *flow.State
	track *rollout.Tracker
}

func newBench(t *testing.T) *bench {
	return &bench{t: t, state: flow.NewState("F", 0), track: rollout.NewTracker()}
}

func (b *bench) put(at int64, nodes ...flow.Node) {
	b.state.Apply(flow.UpsertNodes(nodes...))
	b.track.Observe(b.state, at, nodes, nil)
}

func (b *bench) remove(at int64, ids ...string) {
	b.state.Apply(flow.DeleteNodes(ids...))
	b.track.Observe(b.state, at, nil, ids)
}

func (b *bench) depends(from, to string) {
	b.state.Apply(flow.UpsertRels(flow.Relationship{FromID: from, ToID: to, Type: flow.FinishToStart}))
}

// list describes the rollouts at an instant, newest first.
func (b *bench) list(at int64) []string {
	out := []string{}
	for _, r := range b.track.Rollouts(at) {
		var members []string
		for _, m := range r.Members {
			text := m.ID + "=" + m.Status
			if m.VersionFrom != m.VersionTo && m.VersionFrom != "" {
				text += " " + m.VersionFrom + "→" + m.VersionTo
			}
			members = append(members, text)
		}
		slices.Sort(members)
		end := "open"
		if ms, ok := r.EndedAt.Get(); ok {
			end = fmt.Sprint(ms / second)
		}
		text := fmt.Sprintf("%d-%s %s [%s]", r.StartedAt/second, end, r.Outcome, strings.Join(members, ", "))
		if len(r.AlreadyBroken) > 0 {
			text += " broken before: " + strings.Join(r.AlreadyBroken, ", ")
		}
		out = append(out, text)
	}
	return out
}

func (b *bench) want(at int64, want ...string) {
	b.t.Helper()
	if got := b.list(at); !slices.Equal(got, want) {
		b.t.Errorf("at %d:\n got %s\nwant %s", at/second, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func node(id, status string, started, ended int64, meta ...string) flow.Node {
	n := flow.Node{ID: id, FlowID: "F", Label: id, Status: status}
	if started > 0 {
		n.StartedAt = flow.At(started)
	}
	if ended > 0 {
		n.EndedAt = flow.At(ended)
	}
	if len(meta) > 0 {
		n.Meta = flow.Object("{" + strings.Join(meta, ",") + "}")
	}
	return n
}

const waits = `"reason":"DependencyNotReady","waitingFor":["x"],"waitingSince":5`

func version(applied, wanted string) string {
	return fmt.Sprintf(`"versionApplied":%q,"versionWanted":%q`, applied, wanted)
}

func TestTracker_ThreeUpgradesWithOneReleaseStalled(t *testing.T) {
	b := newBench(t)
	b.put(10*second, node("a", "succeeded", 2*second, 5*second, version("1", "1")), node("broken", "failed", 3*second, 9*second), node("z", "pending", 0, 0, waits))
	b.depends("broken", "z")
	for i := range int64(3) {
		at := i*day + 10*minute
		from, to := fmt.Sprint(i+1), fmt.Sprint(i+2)
		b.put(at, node("a", "running", at, 0, version(from, to)))
		b.put(at+30*second, node("a", "succeeded", at, at+30*second, version(to, to)))
	}
	b.want(2*day+10*minute+89*second,
		"173400-open running [a=succeeded 3→4] broken before: broken",
		"87000-87030 succeeded [a=succeeded 2→3] broken before: broken",
		"600-630 succeeded [a=succeeded 1→2] broken before: broken",
		"2-9 failed [a=succeeded, broken=failed]")
	b.want(2*day+10*minute+90*second,
		"173400-173430 succeeded [a=succeeded 3→4] broken before: broken",
		"87000-87030 succeeded [a=succeeded 2→3] broken before: broken",
		"600-630 succeeded [a=succeeded 1→2] broken before: broken",
		"2-9 failed [a=succeeded, broken=failed]")
}

func TestTracker_SplitsAHistoryThatArrivesAtOnce(t *testing.T) {
	b := newBench(t)
	b.put(5*day, node("c", "succeeded", 2*day, 2*day+10*second), node("a", "succeeded", second, 4*second), node("b", "succeeded", 50*second, 55*second))
	b.want(5*day+minute,
		"172800-172810 succeeded [c=succeeded]",
		"1-55 succeeded [a=succeeded, b=succeeded]")
}

func TestTracker_BridgesThePauseBeforeDependents(t *testing.T) {
	b := newBench(t)
	b.depends("a", "b")
	b.depends("b", "c")
	b.put(second, node("b", "running", 0, 0, waits), node("c", "running", 0, 0, waits))
	b.want(second)
	b.put(2*second, node("a", "running", 2*second, 0))
	b.want(3*second, "2-open running [a=running, b=running, c=running]")
	b.put(10*second, node("a", "succeeded", 2*second, 10*second))
	b.want(56*second, "2-open running [a=succeeded, b=running, c=running]")
	b.put(56*second, node("b", "running", 56*second, 0))
	b.put(70*second, node("b", "succeeded", 56*second, 70*second))
	b.put(71*second, node("c", "failed", 70*second, 71*second))
	b.want(71*second+minute, "2-71 failed [a=succeeded, b=succeeded, c=failed]")
}

func TestTracker_WaitingForAnotherNodeIsNoMember(t *testing.T) {
	b := newBench(t)
	b.depends("stalled", "w")
	b.put(second, node("stalled", "failed", 0, 0), node("w", "running", 0, 0, waits))
	b.put(2*second, node("a", "running", 2*second, 0), node("s", "running", 0, 0, `"suspended":true`))
	b.put(3*second, node("w", "running", 0, 0, waits, `"message":"again"`))
	b.put(4*second, node("a", "succeeded", 2*second, 4*second))
	b.want(4*second+minute, "2-4 succeeded [a=succeeded] broken before: stalled")
}

func TestTracker_WaitingNodeJoinsWithItsDependency(t *testing.T) {
	b := newBench(t)
	b.put(second, node("a", "running", second, 0))
	for range 2 { // twice the same node; between the two, its dependency changes
		b.put(2*second, node("w", "running", 0, 0, waits))
		b.depends("a", "w")
	}
	b.want(3*second, "1-open running [a=running, w=running]")
}

func TestTracker_JudgementEndsTheWorkOfANode(t *testing.T) {
	b := newBench(t)
	b.put(second, node("a", "running", second, 0, `"judgement":{"state":"working","gate":"wait","then":[{"at":30000,"state":"broken","problem":true,"gate":"wait"},{"at":61000,"state":"broken","problem":true}]}`))
	b.want(61*second-1, "1-open running [a=running]")
	b.want(2*minute, "1-open running [a=running]")
	b.want(2*minute+second, "1-61 incomplete [a=running]")
}

func TestTracker_FinalFailureDoesNotKeepARolloutOpen(t *testing.T) {
	b := newBench(t)
	b.put(second, node("a", "running", second, 0, `"judgement":{"state":"working","gate":"wait"}`))
	b.put(5*second, node("a", "running", second, 0, `"judgement":{"state":"broken","problem":true,"final":true,"gate":"wait"}`))
	b.want(2*minute, "1-5 incomplete [a=running]")
}

func TestTracker_WaitingByJudgementJoinsAndDoesNotWork(t *testing.T) {
	b := newBench(t)
	b.depends("a", "w")
	b.put(second, node("a", "running", second, 0, `"judgement":{"state":"working"}`), node("w", "running", 0, 0, `"judgement":{"state":"waiting","needs":["a"]}`))
	b.put(2*second, node("a", "succeeded", second, 2*second, `"judgement":{"state":"ready"}`))
	b.want(2*minute, "1-2 incomplete [a=succeeded, w=running]")
}

func TestTracker_AuxiliaryNodesAreNoMembers(t *testing.T) {
	b := newBench(t)
	source := func(status string, at int64) flow.Node {
		return node("source", status, at, 0, `"auxiliary":true,"judgement":{"state":"working"}`)
	}
	b.put(second, source("running", second))
	b.want(2 * second)
	b.put(2*second, node("a", "running", 2*second, 0), source("failed", second))
	b.put(3*second, node("a", "succeeded", 2*second, 3*second), source("running", 3*second))
	b.want(2*minute, "2-3 succeeded [a=succeeded]")
}

func TestTracker_DeletionAfterSuccessKeepsTheOutcome(t *testing.T) {
	b := newBench(t)
	b.put(second, node("a", "running", second, 0), node("b", "running", second, 0))
	b.put(2*second, node("b", "succeeded", second, 2*second))
	b.put(3*second, node("b", "running", 3*second, 0, `"deletingSince":3000,"judgement":{"state":"terminating","gate":"wait"}`))
	b.remove(4*second, "b")
	b.put(5*second, node("a", "succeeded", second, 5*second))
	b.want(2*minute, "1-5 succeeded [a=succeeded, b=succeeded]")
	b.put(3*minute, node("a", "running", 3*minute, 0, `"deletingSince":180000,"judgement":{"state":"terminating"}`))
	b.want(3*minute, "1-5 succeeded [a=succeeded, b=succeeded]")
}

func TestTracker_VersionToIsTheInstalledVersion(t *testing.T) {
	b := newBench(t)
	b.put(second, node("a", "succeeded", 0, 0, version("1.0.0", "1.x")))
	b.put(2*second, node("a", "running", 2*second, 0, version("1.0.0", "1.x")))
	b.want(2*second, "2-open running [a=running 1.0.0→1.x]")
	b.put(3*second, node("a", "succeeded", 2*second, 3*second, version("1.0.7", "1.x")))
	b.want(2*minute, "2-3 succeeded [a=succeeded 1.0.0→1.0.7]")
}

func TestTracker_UnreadyKustomizationMakesIncomplete(t *testing.T) {
	b := newBench(t)
	b.put(second, node("k", "pending", 0, 0, `"kind":"Kustomization"`), node("r", "running", 0, 0, `"kind":"Region"`))
	b.put(2*second, node("a", "succeeded", second, 2*second))
	b.want(3*minute, "1-2 incomplete [a=succeeded]")
	b.put(3*minute, node("k", "succeeded", 3*minute, 3*minute+second, `"kind":"Kustomization"`))
	b.want(5*minute, "180-181 succeeded [k=succeeded]", "1-2 incomplete [a=succeeded]")
}

func TestTracker_DeletedMemberEndsTheRollout(t *testing.T) {
	b := newBench(t)
	b.put(second, node("a", "running", second, 0), node("b", "running", second, 0))
	b.put(2*second, node("a", "succeeded", second, 2*second))
	b.remove(3*second, "b")
	b.want(3*second+minute, "1-3 incomplete [a=succeeded, b=running]")
}

func TestTracker_WorkWithoutEndTimeCountsByArrival(t *testing.T) {
	b := newBench(t)
	b.put(second, node("a", "running", second, 0))
	b.put(10*minute, node("a", "running", second, 0, `"suspended":true`))
	b.put(10*minute+5*second, node("b", "succeeded", 10*minute+2*second, 10*minute+5*second))
	b.want(12*minute, "1-605 incomplete [a=running, b=succeeded]")
}

func TestRollouts_OutcomeDoesNotChangeAfterTheEnd(t *testing.T) {
	b := newBench(t)
	b.put(second, node("a", "running", second, 0))
	b.put(5*second, node("a", "succeeded", second, 5*second))
	b.put(60*minute, node("a", "failed", second, 60*minute))
	b.want(62*minute, "1-5 succeeded [a=succeeded]")
}

func TestTracker_TwoRunsInOneRollout(t *testing.T) {
	b := newBench(t)
	b.put(second, node("x", "running", second, 0), node("a", "running", 0, 0, waits, version("1", "2")))
	b.depends("x", "a")
	b.put(2*second, node("a", "running", 0, 0, waits, version("1", "2"), `"n":1`))
	b.put(10*second, node("x", "succeeded", second, 10*second), node("a", "running", 10*second, 0, version("1", "2")))
	b.put(20*second, node("a", "succeeded", 10*second, 20*second, version("2", "2")))
	if m := b.track.Rollouts(20 * second)[0].Members; m[1].WaitingSince.Ms() != 5 {
		t.Errorf("%+v", m)
	}
	b.put(40*second, node("a", "succeeded", 40*second, 41*second, version("3", "3")))
	b.want(40*second, "1-open running [a=succeeded 1→3, x=succeeded]")
	if m := b.track.Rollouts(40 * second)[0].Members; !m[1].WaitingSince.IsZero() {
		t.Errorf("it waited for its first run: %+v", m)
	}
}

func TestTracker_WaitingSinceOutOfRangeIsIgnored(t *testing.T) {
	b := newBench(t)
	b.depends("x", "a")
	b.put(second, node("x", "running", second, 0), node("a", "running", 0, 0, `"reason":"DependencyNotReady","waitingFor":["x"],"waitingSince":9007199254740992`))
	if m := b.track.Rollouts(second)[0].Members; len(m) != 2 || !m[1].WaitingSince.IsZero() {
		t.Errorf("%+v", m)
	}
}

func TestTracker_LongWaitingChainJoinsAtOnce(t *testing.T) {
	b := newBench(t)
	const n = 20_000
	nodes := make([]flow.Node, n)
	rels := make([]flow.Relationship, n)
	for i := range nodes {
		nodes[i] = node(fmt.Sprint("w", i), "running", 0, 0, waits)
		rels[i] = flow.Relationship{FromID: fmt.Sprint("w", i-1), ToID: fmt.Sprint("w", i), Type: flow.FinishToStart}
	}
	rels[0].FromID = "a"
	b.state.Apply(flow.UpsertRels(rels...))
	b.put(second, node("a", "running", second, 0))
	b.put(2*second, nodes...)
	if got := len(b.track.Rollouts(2 * second)[0].Members); got != n+1 {
		t.Errorf("%d members", got)
	}
}

func TestTracker_EndedNodeDoesNotJoinWithItsDependency(t *testing.T) {
	for _, waits := range []string{waits, `"judgement":{"state":"waiting","needs":["a"]}`} {
		for status, want := range map[string]string{
			"failed": "2-4 succeeded [a=succeeded] broken before: b", "succeeded": "2-4 succeeded [a=succeeded]",
		} {
			b := newBench(t)
			b.depends("a", "b")
			b.put(second, node("b", status, 0, 0, waits))
			b.put(2*second, node("a", "running", 2*second, 0))
			b.put(3*second, node("b", status, 0, 0, waits, `"n":1`))
			b.put(4*second, node("a", "succeeded", 2*second, 4*second))
			b.want(4*second+minute, want)
		}
	}
}

// TestTracker_ContainsOfAnotherRegionRemovesNoMember has one region send a contains edge between its own release and a release of
// another region.
func TestTracker_ContainsOfAnotherRegionRemovesNoMember(t *testing.T) {
	in := func(region string, n flow.Node) flow.Node {
		n.Region = region
		return n
	}
	b := newBench(t)
	b.state.Apply(flow.UpsertRels(flow.Relationship{FromID: "fsn1/a", ToID: "hel1/cilium", Type: flow.Contains}))
	b.put(second, in("fsn1", node("fsn1/a", "succeeded", second, 2*second)), in("hel1", node("hel1/cilium", "running", second, 0)))
	b.put(9*second, in("hel1", node("hel1/cilium", "failed", second, 9*second)))
	b.want(9*second+minute, "1-9 failed [fsn1/a=succeeded, hel1/cilium=failed]")
}

func TestTracker_LimitsMembers(t *testing.T) {
	const most = 50_000
	b := newBench(t)
	nodes := make([]flow.Node, most+1)
	for i := range nodes {
		nodes[i] = node(fmt.Sprint("n", i), "succeeded", second, 2*second)
	}
	b.put(2*second, nodes...)
	if got := b.track.Rollouts(2*second + minute); len(got) != 1 || len(got[0].Members) != most {
		t.Fatalf("%d rollouts of %d nodes", len(got), most+1)
	}
	b.put(day, node("n0", "succeeded", day, day+second))
	b.want(day+2*minute, "86400-86401 succeeded [n0=succeeded]")
}

func TestTracker_LimitsRollouts(t *testing.T) {
	b := newBench(t)
	for i := range int64(rollout.Keep + 50) {
		at := second + i*day
		b.put(at, node("a", "succeeded", at, at+second))
	}
	if got := b.track.Rollouts(1000 * day); len(got) != rollout.Keep || got[0].StartedAt != second+(rollout.Keep+49)*day {
		t.Errorf("%d kept, newest %d", len(got), got[0].StartedAt)
	}
}

// TestTracker_LimitsAlreadyBroken has more failed nodes in one region than are listed, and several rollouts in one request.
func TestTracker_LimitsAlreadyBroken(t *testing.T) {
	const ofRegion = 200
	b := newBench(t)
	in := func(region string, n flow.Node) flow.Node {
		n.Region = region
		return n
	}
	nodes := []flow.Node{in("hel1", node("hel1/z", "failed", second, 2*second))}
	for i := range ofRegion + 50 {
		nodes = append(nodes, in("fsn1", node(fmt.Sprintf("fsn1/%03d", i), "failed", second, 2*second)))
	}
	b.put(2*second, nodes...)
	b.put(9*day, node("c", "succeeded", day, day+second), node("fsn1/000", "succeeded", 2*day, 2*day+second), node("d", "succeeded", 3*day, 3*day+second))
	got := b.track.Rollouts(10 * day)
	if len(got) != 4 {
		t.Fatalf("%d rollouts", len(got))
	}
	want := []string{}
	for i := range ofRegion {
		want = append(want, fmt.Sprintf("fsn1/%03d", i+1))
	}
	want = append(want, "hel1/z")
	for i := range 3 {
		if !slices.Equal(got[i].AlreadyBroken, want) {
			t.Errorf("rollout %d lists %d: %q", i, len(got[i].AlreadyBroken), got[i].AlreadyBroken)
		}
	}
	nodes = nil
	for i := range 3000 {
		nodes = append(nodes, in(fmt.Sprint("r", i), node(fmt.Sprintf("r%d/x", i), "failed", second, 2*second)))
	}
	b.put(20*day, append(nodes, node("e", "succeeded", 20*day, 20*day+second))...)
	if got := b.track.Rollouts(21 * day); len(got[0].AlreadyBroken) != 2000 {
		t.Errorf("%d are listed", len(got[0].AlreadyBroken))
	}
}

// TestTracker_BytesIncludeDeletedNodes runs nodes with long strings, each in a rollout of its own, and deletes them.
func TestTracker_BytesIncludeDeletedNodes(t *testing.T) {
	const most, size, runs = 12 << 20, 1 << 18, 100
	b := newBench(t)
	bytesOf := func() (n int64) {
		for _, r := range b.track.Rollouts(1000 * day) {
			for _, m := range r.Members {
				n += int64(len(m.ID) + len(m.Label) + len(m.VersionFrom) + len(m.VersionTo) + len(m.Status) + len(m.Region))
			}
			for _, id := range r.AlreadyBroken {
				n += int64(len(id))
			}
		}
		return n
	}
	long := strings.Repeat("x", size)
	for i := range int64(runs) {
		id, at := fmt.Sprint(i, long), (i+1)*day
		b.put(at, node(id, "running", at, 0))
		b.put(at+second, node(id, "failed", at, at+second, version(long, long)))
		b.remove(at+2*second, id)
		if n, has := b.track.Bytes(), bytesOf(); n < has || n > has+(1<<20) {
			t.Fatalf("run %d: Bytes is %d, want %d", i, n, has)
		}
		if again := rollout.Resume(b.track.Memory(), b.state); again.Bytes() != b.track.Bytes() {
			t.Fatalf("run %d: Bytes of the resumed tracker is %d, want %d", i, again.Bytes(), b.track.Bytes())
		}
	}
	if n := bytesOf(); n < most/2 || n > most+4*size {
		t.Errorf("%d bytes are kept", n)
	}
}

// TestTracker_RecordedBootstrap replays the messages of the Flux adapter for a recorded bootstrap of 24
// releases.
func TestTracker_RecordedBootstrap(t *testing.T) {
	f, err := os.Open("../../adapter-flux/testdata/golden/kit-fsn1.events.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	state, track := flow.NewState("bootstrap", 0), rollout.NewTracker()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	var at, first int64
	for in.Scan() {
		var line struct {
			At      int64
			Message json.RawMessage
		}
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		m, err := flow.Decode("bootstrap", line.Message)
		if err != nil {
			t.Fatal(err)
		}
		at = line.At
		if first == 0 {
			first = at
		}
		state.Apply(m)
		track.Observe(state, at, m.Nodes, m.IDs)
		if got := track.Rollouts(at); len(got) > 1 {
			t.Fatalf("a second rollout at %d ms: %+v", at-first, got[0])
		}
	}
	got := track.Rollouts(at + minute)
	if len(got) != 1 || got[0].Outcome != rollout.Succeeded || len(got[0].Members) != 24 || len(got[0].AlreadyBroken) != 0 {
		t.Fatalf("%+v", got)
	}
	if started, ended := got[0].StartedAt-first, got[0].EndedAt.Ms()-first; started < 0 || started > 5*second || ended < 315*second || ended > 325*second {
		t.Errorf("from %d to %d ms", started, ended)
	}
	i := slices.IndexFunc(got[0].Members, func(m rollout.Member) bool { return m.Label == "bp-grafana" })
	if m := got[0].Members[i]; m.VersionTo == "" || m.VersionFrom == m.VersionTo {
		t.Errorf("grafana was upgraded: %+v", m)
	}
}
