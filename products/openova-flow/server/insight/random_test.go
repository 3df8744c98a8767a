package insight_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

var (
	graphSeed  = flag.Uint64("insight.seed", 1, "seed of the first random graph")
	graphCount = flag.Uint64("insight.count", 500, "how many random graphs")
	graphOut   = flag.Bool("insight.out", false, "write each graph and its results to standard output, one graph a line, for comparison with another implementation")
)

// TestRandomGraphs compares the package with a plain implementation of its documentation.
func TestRandomGraphs(t *testing.T) {
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	across := false
	verdicts, classes := map[string]int{}, map[string]int{}
	for seed := *graphSeed; seed < *graphSeed+*graphCount; seed++ {
		g := &graphs{rand.New(rand.NewPCG(seed, 5))}
		snapshot, lastSeen := g.snapshot(), g.lastSeen()
		m, err := flow.Decode("F", []byte(snapshot))
		if err != nil {
			t.Fatalf("graph %d: %v in %s", seed, err, snapshot)
		}
		got, want := outcomeOf(m, graphNow, lastSeen), plainOutcome([]byte(snapshot), graphNow, lastSeen)
		vector := encode(t, map[string]any{"seed": seed, "now": graphNow, "heard": lastSeen, "snapshot": json.RawMessage(snapshot), "expect": got})
		for i := range got.Problems {
			across = across || got.Problems[i].Region == "" && strings.Contains(got.Problems[i].Label, " and ")
			got.Problems[i].details = details{}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("graph %d: %s\n got %s\nwant %s", seed, snapshot, encode(t, got), encode(t, want))
		}
		verdicts[got.Verdict]++
		for _, p := range got.Problems {
			classes[p.Class]++
		}
		if *graphOut {
			if _, err := out.WriteString(vector + "\n"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if *graphCount >= 500 && !across {
		t.Error("no graph has a cycle across regions")
	}
	for _, verdict := range []string{"passed", "failed", "pending"} {
		if verdicts[verdict] < int(*graphCount/100) {
			t.Errorf("%d graphs are %s", verdicts[verdict], verdict)
		}
	}
	for _, class := range strings.Fields("dependency-missing dependency-cycle dependency-on-itself ready-expr dependency-revision dependency-ready suspended suspended-not-observed install-failed terminating") {
		if classes[class] < int(*graphCount/500) {
			t.Errorf("%d problems are %s", classes[class], class)
		}
	}
}

func encode(t *testing.T, v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const graphNow = 1_000_000

// graphs makes small graphs that exercise every rule often.
type graphs struct{ *rand.Rand }

// graphIDs are chosen so that an order other than that of bytes gives another result. Some have the form of the adapter's ids, others not. The last two never
// get a node, and the last one can't be used in a command.
var graphIDs = []string{"r1/a", "r1/B", "r1/Kustomization/flux-system/a", "r1/Kustomization/apps/b", "r1/apps/b", "r2/a", "r2/é", "r2/\U0001f680", "r2/\uffff", "plain", "r1", "r1/gone", "r1/apps/-gone"}

func (g *graphs) one(in int) bool { return g.IntN(in) == 0 }

func (g *graphs) id() string { return graphIDs[g.IntN(len(graphIDs))] }

func (g *graphs) instant() int64 {
	return graphNow - []int64{0, 1, 59_999, 60_000, 60_001, 120_000, 300_000, 300_001, 900_000, -5}[g.IntN(10)]
}

func (g *graphs) ids(most int) []string {
	list := make([]string, g.IntN(most+1))
	for i := range list {
		list[i] = g.id()
	}
	return list
}

func (g *graphs) lastSeen() map[string]int64 {
	if g.one(4) {
		return map[string]int64{"r2": graphNow - 100_000}
	}
	return map[string]int64{}
}

func (g *graphs) snapshot() string {
	mostlyReady := g.one(4)
	nodes, rels := []map[string]any{}, []any{}
	for _, id := range graphIDs[:len(graphIDs)-2] {
		if g.one(3) {
			continue
		}
		nodes = append(nodes, g.node(id, mostlyReady))
	}
	g.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	if g.one(20) && len(nodes) > 1 { // two wait for each other, often across regions, which is rare at random
		for i, n := range nodes[:2] {
			n["meta"] = map[string]any{"judgement": map[string]any{"state": "waiting", "since": g.instant(), "needs": []any{nodes[1-i]["id"], g.id()}}}
		}
	}
	seen := map[string]bool{}
	for range g.IntN(8) {
		r := map[string]any{"fromId": g.id(), "toId": g.id(), "type": []string{"finish-to-start", "finish-to-start", "start-to-start", "finish-to-finish", "start-to-finish", "triggers", "contains"}[g.IntN(7)]}
		if key := fmt.Sprint(r); seen[key] {
			continue
		} else {
			seen[key] = true
		}
		if g.one(4) {
			r["condition"] = []string{"on-success", "on-failure", "always"}[g.IntN(3)]
		}
		if g.one(8) {
			r["fromFlowId"] = []string{"other", "F", ""}[g.IntN(3)]
		}
		if g.one(8) {
			r["toFlowId"] = []string{"other", "F", ""}[g.IntN(3)]
		}
		rels = append(rels, r)
	}
	text, err := json.Marshal(map[string]any{"type": "snapshot", "flow": map[string]any{"id": "F", "status": "running", "startedAt": 0}, "nodes": nodes, "relationships": rels})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (g *graphs) node(id string, mostlyReady bool) map[string]any {
	n := map[string]any{"id": id, "flowId": "F", "label": "l" + id, "status": []string{"pending", "running", "succeeded", "succeeded", "failed", "odd"}[g.IntN(6)]}
	if mostlyReady {
		n["status"] = "succeeded"
	}
	if region, _, ok := strings.Cut(id, "/"); ok {
		n["region"] = region
	}
	if g.one(3) {
		n["startedAt"] = g.instant()
	}
	if g.one(3) {
		n["endedAt"] = g.instant()
	}
	meta := map[string]any{}
	if id == "r1" && g.one(2) {
		meta["kind"] = "Region"
	}
	if g.one(8) {
		meta["auxiliary"] = true
	}
	if g.one(4) && !mostlyReady {
		for _, field := range []string{"deletingSince", "waitingSince", "reasonSince"} {
			if g.one(4) {
				meta[field] = g.instant()
			}
		}
		if g.one(4) {
			meta["suspended"] = true
		}
		if g.one(2) {
			meta["waitingFor"] = g.ids(2)
		}
		if g.one(2) {
			meta["reason"] = []string{"DependencyNotReady", "InstallFailed"}[g.IntN(2)]
		}
	}
	if !g.one(4) {
		meta["judgement"] = g.judgement(mostlyReady)
	}
	if len(meta) > 0 {
		n["meta"] = meta
	}
	return n
}

func (g *graphs) judgement(mostlyReady bool) map[string]any {
	j := g.segment(mostlyReady)
	for _, field := range []string{"needs", "readyWhile", "checks", "checks"} {
		if g.one(4) {
			j[field] = g.ids(3)
		}
	}
	if j["state"] == "waiting" && !g.one(8) {
		j["needs"] = []string{g.id()}
	}
	if needs, ok := j["needs"].([]string); ok && len(needs) > 0 && g.one(2) {
		j["named"] = needs[:g.IntN(len(needs)+1)]
	}
	if g.one(3) {
		j["source"] = g.id()
		j["blamesSource"] = g.one(2)
	}
	if g.one(4) {
		then := []any{}
		for range 1 + g.IntN(2) {
			s := g.segment(mostlyReady)
			if !g.one(8) {
				s["at"] = g.instant()
			}
			then = append(then, s)
		}
		j["then"] = then
	}
	return j
}

func (g *graphs) segment(mostlyReady bool) map[string]any {
	states := []string{"ready", "ready", "ready", "working", "waiting", "waiting", "waiting", "waiting", "waiting", "broken", "suspended", "terminating", "not-started"}
	state := states[g.IntN(len(states))]
	if mostlyReady && !g.one(20) {
		state = "ready"
	}
	s := map[string]any{"state": state}
	if !g.one(4) {
		s["since"] = g.instant()
	}
	if !mostlyReady && g.one(3) {
		s["marks"] = []string{[]string{"not-observed", "old-revision", "ready-expr", "ready-expr", "retrying"}[g.IntN(5)]}
	}
	if state == "ready" || state == "suspended" && g.one(2) {
		s["gate"] = "pass"
	} else if g.one(2) {
		s["gate"] = "wait"
	}
	if g.one(4) {
		s["command"] = [][]string{{"kubectl", "-n", "a", "get", "pods"}, {"flux", "resume", "helmrelease", "a"}, {"sh", "-c", "true"}, {"kubectl", "-n"}, {}}[g.IntN(5)]
	}
	if state == "broken" || state == "terminating" {
		s["cause"] = map[string]any{"class": "install-failed", "sentence": "It failed."}
		s["problem"] = !g.one(4)
		s["final"] = g.one(4)
	}
	if state == "waiting" && g.one(3) {
		s["cause"] = map[string]any{"class": "dependency-revision"}
	}
	return s
}
