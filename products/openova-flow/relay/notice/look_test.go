package notice_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

// bench has the limits and the state of a desk, and records the notices.
type bench struct {
	t      *testing.T
	limits notice.Limits
	room   int
	state  notice.State
	sent   []string // time, key and phase of each notice since the last want
	last   notice.Change
}

func newBench(t *testing.T) *bench {
	return &bench{t: t, room: math.MaxInt, limits: notice.Limits{Severity: notice.Info, After: 60, ResolveAfter: 60, UpdateEvery: 30}}
}

// look calls State.Look for an instant, checks that it has not changed the state, and applies the change.
func (b *bench) look(now int64, found ...notice.Notice) {
	b.t.Helper()
	b.last = b.state.Look(b.limits, now, notice.Merge(found), b.room)
	if again := b.state.Look(b.limits, now, notice.Merge(found), b.room); len(again.Notices) != len(b.last.Notices) {
		b.t.Errorf("a look has changed the state")
	}
	b.state.Apply(b.last)
	for _, n := range b.last.Notices {
		b.sent = append(b.sent, fmt.Sprintf("%d %s %s", now, n.Key, n.Phase))
	}
}

func (b *bench) want(sent ...string) {
	b.t.Helper()
	if !slices.Equal(b.sent, sent) {
		b.t.Errorf("sent %q, want %q", b.sent, sent)
	}
	b.sent = nil
}

func cause(label, sentence string) notice.Notice {
	return notice.Notice{Key: label, Kind: notice.KindCause, Severity: notice.Warning, Flows: []string{"f"}, Regions: []string{"r"}, Label: label, Sentence: sentence}
}

func run(id string, since, until int64) notice.Notice {
	n := notice.Notice{Key: id, Kind: notice.KindRollout, Severity: notice.Info, Flows: []string{"f"}, Since: since, Until: until, Rollout: &notice.Rollout{ID: id, Outcome: "running"}}
	if until != 0 {
		n.Rollout.Outcome = "succeeded"
	}
	return n
}

func TestDesk_ShortProblemIsNotSent(t *testing.T) {
	b := newBench(t)
	b.look(1000, cause("a", "x"))
	if b.last.Next != 1060 {
		t.Errorf("looks again at %d", b.last.Next)
	}
	b.look(1059, cause("a", "x"))
	b.look(1060)
	b.look(1100, cause("a", "x")) // a new problem with the same key
	b.look(1159, cause("a", "x"))
	b.want()
	b.look(1160, cause("a", "x"))
	b.want("1160 a opened")
}

func TestDesk_ResolvesAfterResolveAfter(t *testing.T) {
	b := newBench(t)
	b.look(1000, cause("a", "x"))
	b.look(1060, cause("a", "x"))
	opened := b.last.Notices[0]
	b.look(1100)
	b.look(1159)
	b.look(1160, cause("a", "x"))
	b.look(1200)
	b.look(1259)
	b.want("1060 a opened")
	b.look(1260)
	b.want("1260 a resolved")
	if n := b.last.Notices[0]; n.Until != 1200 || n.Since != 1000 || n.N != 2 || n.Episode != opened.Episode || n.ID() == opened.ID() {
		t.Errorf("%+v", n)
	}
	if b.look(2000); b.last.Next != math.MaxInt64 || !b.last.Empty() {
		t.Errorf("%+v", b.last)
	}
	b.look(3000, cause("a", "x"))
	b.look(3060, cause("a", "x"))
	b.want("3060 a opened")
	if n := b.last.Notices[0]; n.Episode == opened.Episode {
		t.Error("two episodes of one key are equal")
	}
}

func TestDesk_UpdatesAreUpdateEveryApart(t *testing.T) {
	b := newBench(t)
	b.look(1000, cause("a", "x"))
	b.look(1060, cause("a", "x"))
	b.look(1061, cause("a", "y"))
	b.look(1089, cause("a", "z"))
	b.look(1090, cause("a", "z"))
	b.look(1200, cause("a", "z"))
	b.want("1060 a opened", "1090 a updated")
}

func TestDesk_RiseInSeverityIsSentAtOnce(t *testing.T) {
	b := newBench(t)
	critical := cause("a", "x")
	critical.Severity = notice.Critical
	b.look(1000, cause("a", "x"))
	b.look(1060, cause("a", "x"))
	b.look(1061, critical)
	b.look(1062, cause("a", "x"))
	b.look(1063, critical) // as in the last notice
	b.look(1064, cause("a", "x"))
	b.want("1060 a opened", "1061 a updated")
	b.look(1091, cause("a", "x"))
	b.look(1092, critical)
	b.want("1091 a updated", "1092 a updated")
}

func TestDesk_SinceIsNotInTheFuture(t *testing.T) {
	b := newBench(t)
	n := cause("a", "x")
	n.Since = 999_999_999
	b.look(1000, n)
	b.look(1060, n)
	b.want("1060 a opened")
	if got := b.last.Notices[0].Since; got != 1060 {
		t.Errorf("Since is %d, want 1060", got)
	}
}

func TestDesk_SeverityCountsOnlyForOpening(t *testing.T) {
	b := newBench(t)
	b.limits.Severity = notice.Critical
	critical := cause("a", "x")
	critical.Severity = notice.Critical
	b.look(1000, cause("a", "x"))
	b.look(2000, cause("a", "x"))
	b.want()
	b.look(2001, critical)
	b.look(3000, cause("a", "x"))
	b.look(4000)
	b.look(4060)
	b.want("2001 a opened", "3000 a updated", "4060 a resolved")
}

func TestDesk_RolloutsThatEndedBeforeTheFirstLookAreNotSent(t *testing.T) {
	b := newBench(t)
	b.look(1000, run("old", 500, 900), run("now", 950, 0))
	b.look(1060, run("old", 500, 900), run("now", 950, 0))
	b.look(1100, run("old", 500, 900), run("now", 950, 1090))
	b.look(1200, run("old", 500, 900), run("now", 950, 1090), run("short", 1150, 1180))
	b.look(1300, run("old", 500, 900), run("now", 950, 1090), run("short", 1150, 1180))
	b.want("1060 now opened", "1100 now resolved", "1200 short resolved")
	// A server that has lost its flows reports the same rollout with another id.
	b.look(1400, run("again", 1150, 1180))
	b.want()
	b.look(1500, run("b", 1460, 1480), run("a", 1420, 1440))
	b.want("1500 a resolved", "1500 b resolved")
}

func TestDesk_SeverityOfAnEndedRollout(t *testing.T) {
	b := newBench(t)
	b.limits.Severity = notice.Warning
	failed := run("bad", 1000, 1200)
	failed.Severity = notice.Critical
	b.look(900)
	b.look(1000, run("bad", 1000, 0))
	b.look(1100, run("bad", 1000, 0))
	b.look(1200, failed)
	b.look(1300, failed, run("good", 1250, 1280))
	b.want("1200 bad resolved")
	b.look(1350, failed, run("good", 1250, 1280), run("seen", 1340, 0))
	b.look(1360, failed, run("good", 1250, 1280), run("seen", 1340, 1355))
	b.want()
	if b.state.Ended["f"] != 1355 || len(b.state.Entries) != 0 {
		t.Errorf("%+v", b.state)
	}
}

func TestDesk_RolloutThatTheServerForgets(t *testing.T) {
	b := newBench(t)
	b.look(1000, run("a", 1000, 0))
	b.look(1060, run("a", 1000, 0))
	b.look(1070)
	b.look(1130)
	b.want("1060 a opened", "1130 a resolved")
	if n := b.last.Notices[0]; n.Rollout.Outcome != "unknown" || n.Status() != "unknown" {
		t.Errorf("%+v", n)
	}
}

func revisionOf(commit string, until int64, results ...string) notice.Notice {
	n := notice.Notice{Key: commit, Kind: notice.KindRevision, Severity: notice.Info, Flows: []string{"f"}, Until: until, Revision: &notice.Revision{Commit: commit, Results: make(map[string]notice.Result)}}
	for i, r := range results {
		n.Revision.Results[fmt.Sprint("r", i)] = notice.Result{Result: r}
	}
	return n
}

func TestDesk_RevisionsThatEnd(t *testing.T) {
	b := newBench(t)
	late := revisionOf("late", 0, "pending")
	late.Late = true
	b.look(1000, revisionOf("old", 900, "passed"), revisionOf("a", 0, "pending"), late)
	b.look(1060, revisionOf("a", 0, "pending"), late)
	b.look(1100, revisionOf("a", 0, "passed"), late)
	b.look(1200, revisionOf("a", 1150, "passed"), revisionOf("b", 1180, "failed"), revisionOf("c", 0, "pending"), late)
	b.want("1060 a opened", "1100 a updated", "1200 a resolved", "1200 b resolved")
	// A late notice of a known key is sent, even if it ended before the newest handled revision.
	late = revisionOf("c", 0, "passed")
	late.Late = true
	b.look(1260, late)
	late.Until = 1170
	b.look(1300, late, revisionOf("b", 1180, "failed"), revisionOf("d", 1290, "passed"))
	b.want("1260 c opened", "1300 c resolved", "1300 d resolved")
	// The end of a rollout does not count for revisions.
	b.look(1320, run("r", 1305, 1315), revisionOf("d", 1290, "passed"))
	b.look(1330, run("r", 1305, 1315), revisionOf("d", 1290, "passed"), revisionOf("x", 1310, "passed"))
	b.want("1320 r resolved", "1330 x resolved")
	late = revisionOf("e", 1350, "passed")
	late.Late = true
	b.look(1400, late)
	b.want()
}

func TestDesk_RevisionThatTheServerForgets(t *testing.T) {
	b := newBench(t)
	b.look(1000, revisionOf("a", 0, "pending", "passed", "failed"))
	b.look(1060, revisionOf("a", 0, "pending", "passed", "failed"))
	b.look(1070)
	b.look(1130)
	b.want("1060 a opened", "1130 a resolved")
	if r := b.last.Notices[0].Revision.Results; r["r0"].Result != notice.Unknown || r["r1"].Result != "passed" || r["r2"].Result != "failed" {
		t.Errorf("%v", r)
	}
}

// TestDesk_RolloutOfAWrongClock has a cluster whose clock is a year ahead. Rollouts of other clusters are sent later, and none twice.
func TestDesk_RolloutOfAWrongClock(t *testing.T) {
	b := newBench(t)
	const year = 365 * 24 * 3_600_000
	b.look(1000)
	b.look(1100, run("future", 1010+year, 0))
	b.look(1200, run("future", 1010+year, 1020+year))
	b.look(1300, run("future", 1010+year, 1020+year), run("unseen", 1210+year, 1220+year))
	b.look(5_000_000, run("future", 1010+year, 1020+year), run("unseen", 1210+year, 1220+year), run("good", 4_000_000, 4_900_000))
	b.want("1200 future resolved", "5000000 good resolved")
}

func TestDesk_OverlappingRolloutsWhileTheRelayIsAway(t *testing.T) {
	b := newBench(t)
	b.look(1000)
	b.look(2000, run("a", 1100, 1500), run("b", 1400, 1600)) // a cluster that was cut off reports earlier runs
	b.want("2000 a resolved", "2000 b resolved")
	b.look(3000, run("a", 1100, 1500), run("b", 1400, 1600))
	b.want()
}

func TestDesk_SendsAtMostRoomNotices(t *testing.T) {
	b := newBench(t)
	b.look(1000, cause("a", "x"))
	b.look(1060, cause("a", "x"))
	b.room = 0
	b.look(2000, cause("b", "x"), cause("c", "x"), run("r", 1500, 1600))
	b.look(2060, cause("b", "x"), cause("c", "x"), run("r", 1500, 1600))
	b.want("1060 a opened")
	if !b.last.Held || b.last.Next > 4000 {
		t.Errorf("%+v", b.last)
	}
	b.room = 2
	b.look(2061, cause("b", "x"), cause("c", "x"), run("r", 1500, 1600))
	b.want("2061 a resolved", "2061 r resolved")
	b.look(2062, cause("b", "x"), cause("c", "y"), run("r", 1500, 1600))
	b.want("2062 b opened", "2062 c opened")
	if b.last.Held {
		t.Error("a notice is held")
	}
	b.room = 0
	b.look(3000, cause("b", "y"), cause("c", "y"))
	b.want()
}

// TestDesk_FullQueueLosesNoEndedRollout ends two rollouts while there is no room. The earlier one must be sent; the later one is below the severity of the
// rule.
func TestDesk_FullQueueLosesNoEndedRollout(t *testing.T) {
	b := newBench(t)
	b.limits.Severity = notice.Warning
	failed := run("bad", 1100, 1500)
	failed.Severity = notice.Critical
	b.look(1000)
	b.room = 0
	b.look(2000, failed, run("good", 1100, 1600))
	b.want()
	b.room = 1
	b.look(3000, failed, run("good", 1100, 1600))
	b.want("3000 bad resolved")
	b.look(4000, failed, run("good", 1100, 1600))
	if b.want(); b.state.Ended["f"] != 1600 {
		t.Errorf("the newest handled end is %d, want 1600", b.state.Ended["f"])
	}
}

func TestDesk_FullQueueLosesNoneOfTwoEqualEnds(t *testing.T) {
	b := newBench(t)
	a, c := revisionOf("a", 1500, "passed"), revisionOf("c", 1500, "passed")
	b.look(1000)
	b.room = 1
	b.look(2000, a, c)
	b.look(2001, a, c)
	b.look(2002, a, c)
	b.want("2000 a resolved", "2001 c resolved")
	if len(b.state.Entries) != 0 {
		t.Errorf("%+v", b.state.Entries)
	}
}

func quietFrom2000To5000(at int64) int64 {
	if at >= 2000 && at < 5000 {
		return 5000
	}
	return 0
}

func TestDesk_QuietHours(t *testing.T) {
	b := newBench(t)
	b.limits.Quiet = quietFrom2000To5000
	critical := cause("c", "x")
	critical.Severity = notice.Critical
	b.look(1000, cause("old", "x"))
	b.look(1060, cause("old", "x"))
	b.want("1060 old opened")
	b.look(2000, cause("new", "x"), cause("brief", "x"), critical, run("r", 1900, 1990))
	b.look(3000, cause("new", "x"), critical, run("r", 1900, 1990))
	b.want()
	if b.last.Next != 5000 {
		t.Errorf("looks again at %d", b.last.Next)
	}
	b.limits.Wake = true
	b.look(3001, cause("new", "x"), critical, run("r", 1900, 1990))
	b.want("3001 c opened")
	b.look(5000, cause("new", "x"), critical, run("r", 1900, 1990))
	slices.Sort(b.sent)
	b.want("5000 new opened", "5000 old resolved", "5000 r resolved")
}

func TestDesk_RiseInQuietHours(t *testing.T) {
	for _, wake := range []bool{false, true} {
		b := newBench(t)
		b.limits.Wake = wake
		b.limits.Quiet = quietFrom2000To5000
		critical := cause("a", "x")
		critical.Severity = notice.Critical
		b.look(1000, cause("a", "x"))
		b.look(1060, cause("a", "x"))
		b.look(3000, critical)
		b.look(5000, critical)
		if wake {
			b.want("1060 a opened", "3000 a updated")
		} else {
			b.want("1060 a opened", "5000 a updated")
		}
	}
}

func TestMerge_Revisions(t *testing.T) {
	of := func(until int64, late bool) notice.Notice {
		n := revisionOf("a", until, "passed")
		n.Late = late
		return n
	}
	for _, c := range []struct {
		list  []notice.Notice
		until int64
		late  bool
	}{
		{[]notice.Notice{of(5, true), of(7, true)}, 7, true}, {[]notice.Notice{of(0, true), of(7, false)}, 0, false}, {[]notice.Notice{of(7, false), of(0, true)}, 0, false},
	} {
		if got := notice.Merge(c.list); len(got) != 1 || got[0].Until != c.until || got[0].Late != c.late {
			t.Errorf("%+v, want until %d and late %v", got, c.until, c.late)
		}
	}
	r := notice.Revision{Results: map[string]notice.Result{"a": {Result: "passed"}, "b": {Result: notice.Unknown, Sentence: "Gone."}, "c": {Result: "passed", OvertakenBy: "x"}}}
	if w := r.Worst(); w.Result != "passed" || w.OvertakenBy != "x" || w.Sentence != "" {
		t.Errorf("%+v", w)
	}
	r.Results["d"] = notice.Result{Result: "failed", Sentence: "No."}
	r.Results["e"] = notice.Result{Result: "pending"}
	if w := r.Worst(); w.Result != "failed" || w.Sentence != "d: No." {
		t.Errorf("%+v", w)
	}
}

func TestMerge_MakesOneOfEqualKeys(t *testing.T) {
	a, c := cause("a", "warned"), cause("a", "failed")
	a.Regions, a.Since, a.Blocked, a.Blocks, a.Nodes = []string{"hel1"}, 500, 2, []string{"hel1/x", "hel1/y"}, []string{"hel1/a"}
	c.Regions, c.Since, c.Severity, c.Blocked, c.Blocks, c.Nodes = []string{"fsn1"}, 700, notice.Critical, 1, []string{"fsn1/x"}, []string{"fsn1/a"}
	got := notice.Merge([]notice.Notice{a, cause("b", "x"), c})
	if len(got) != 2 || got[1].Key != "b" {
		t.Fatalf("%+v", got)
	}
	n := got[0]
	if n.Sentence != "failed" || n.Severity != notice.Critical || n.Since != 500 || n.Blocked != 3 || strings.Join(n.Regions, " ") != "fsn1 hel1" || len(n.Blocks) != 3 || len(n.Nodes) != 2 {
		t.Errorf("%+v", n)
	}
	if len(a.Blocks) != 2 || len(c.Regions) != 1 {
		t.Error("Merge has changed its arguments")
	}
}
