package rollout_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// expensive returns metas that are expensive to judge, by name. Each has about size bytes.
func expensive(size int) map[string]string {
	const begin, end = `{"judgement":{"state":"working",`, `}}`
	filled := func(before, one, after string) string {
		n := (size - len(before) - len(after)) / (len(one) + 1)
		return before + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + after
	}
	text := func(before, after string) string {
		return before + strings.Repeat(`\u0061`, (size-len(before)-len(after))/6) + after
	}
	each := func(key, one string) string {
		n := (size/16 - 50) / (len(one) + 1)
		segment := fmt.Sprintf(`{"at":1,"state":"working","%s":[%s]},`, key, strings.TrimSuffix(strings.Repeat(one+",", n), ","))
		return begin + `"then":[` + strings.TrimSuffix(strings.Repeat(segment, 16), ",") + `]` + end
	}
	return map[string]string{
		"segments":        filled(begin+`"then":[`, `{"at":1,"state":"working"}`, `]`+end),
		"empty segments":  filled(begin+`"then":[`, `{}`, `]`+end),
		"numbers":         filled(begin+`"then":[`, `1`, `]`+end),
		"needs":           filled(begin+`"needs":[`, `"a"`, `]`+end),
		"marks":           filled(begin+`"marks":[`, `"\u0061"`, `]`+end),
		"commands":        each("command", `"--as=a"`),
		"marks of each":   each("marks", `"a"`),
		"escapes of each": each("marks", `"\u0061"`),
		"sentence":        text(begin+`"cause":{"class":"c","sentence":"`, `"}`+end),
		"state":           text(`{"judgement":{"state":"`, `"`+end),
		"gate":            text(begin+`"gate":"`, `"`+end),
		"nested":          begin + `"then":[{"at":1,"state":"working","cause":` + strings.Repeat(`{"a":`, 40) + filled(`[`, `1`, `]`) + strings.Repeat(`}`, 40) + `}]` + end,
		"waiting for":     filled(`{"waitingFor":[`, `"a"`, `]}`),
		"reason":          text(`{"reason":"`, `"}`),
		"message":         text(`{"message":"`, `"}`),
		"kind":            text(`{"kind":"`, `"}`),
		"version":         text(`{"versionWanted":"`, `"}`),
	}
}

// meaningless returns a meta of the same size without a known field.
func meaningless(meta string) string { return `{"x` + meta[len(`{"x`):] }

func message(t testing.TB, meta string) []byte {
	return fmt.Appendf(nil, `{"type":"upsert-nodes","nodes":[{"id":"a","flowId":"F","label":"a","status":"running","startedAt":1,"meta":%s}]}`, meta)
}

// TestObserve_JudgementsAllocateLittle counts allocations for messages with metas that are expensive to judge.
func TestObserve_JudgementsAllocateLittle(t *testing.T) {
	for name, meta := range expensive(15 << 10) {
		m, err := flow.Decode("F", message(t, meta))
		if err != nil {
			t.Fatal(name, err)
		}
		state, track := flow.NewState("F", 0), rollout.NewTracker()
		state.Apply(m)
		if n := testing.AllocsPerRun(10, func() { track.Observe(state, 1, m.Nodes, nil) }); n > 400 {
			t.Errorf("%s: %g allocations", name, n)
		}
	}
}

// BenchmarkIngest decodes, folds and observes messages with one node. Its meta is expensive to judge, or has no known
// field.
func BenchmarkIngest(b *testing.B) {
	metas := expensive(15 << 10)
	for _, name := range slices.Sorted(maps.Keys(metas)) {
		for _, kind := range []string{"unknown fields", "known fields"} {
			text := message(b, metas[name])
			if kind == "unknown fields" {
				text = message(b, meaningless(metas[name]))
			}
			state, track := flow.NewState("F", 0), rollout.NewTracker()
			b.Run(name+"/"+kind, func(b *testing.B) {
				for range b.N {
					m, err := flow.Decode("F", text)
					if err != nil {
						b.Fatal(err)
					}
					state.Apply(m)
					track.Observe(state, 1, m.Nodes, nil)
				}
			})
		}
	}
}

// counted counts the queries for neighbours and the neighbours in their results.
type counted struct {
	*flow.State
	queries int
}

func (c *counted) Successors(id string, typ flow.RelType, f func(flow.Node)) {
	c.State.Successors(id, typ, func(n flow.Node) { c.queries++; f(n) })
	c.queries++
}

func (c *counted) Predecessors(id string, typ flow.RelType, f func(string)) {
	c.State.Predecessors(id, typ, func(id string) { c.queries++; f(id) })
	c.queries++
}

// TestObserve_WaitingNodeReadsOnlyItsNeighbours adds waiting nodes to a rollout of many members, each of which has a dependent.
func TestObserve_WaitingNodeReadsOnlyItsNeighbours(t *testing.T) {
	b := newBench(t)
	var members []flow.Node
	for i := range 1000 {
		members = append(members, node(fmt.Sprint("m", i), "running", second, 0))
		b.depends(fmt.Sprint("m", i), fmt.Sprint("m", (i+1)%1000))
	}
	b.put(second, members...)
	b.depends("m7", "direct")
	b.depends("direct", "behind")
	b.depends("m8", "done")
	b.put(2*second, node("behind", "pending", 0, 0, waits), node("m8", "succeeded", second, 2*second))
	for i, n := range []flow.Node{node("alone", "pending", 0, 0, waits), node("direct", "pending", 0, 0, waits), node("direct", "pending", 0, 0, waits), node("done", "pending", 0, 0, waits)} {
		g := &counted{State: b.state}
		b.state.Apply(flow.UpsertNodes(n))
		b.track.Observe(g, 3*second, []flow.Node{n}, nil)
		if g.queries > 20 {
			t.Errorf("put %d: %d queries and neighbours", i, g.queries)
		}
	}
	var joined []string
	for _, m := range b.track.Rollouts(3 * second)[0].Members[1000:] {
		joined = append(joined, m.ID)
	}
	if fmt.Sprint(joined) != "[direct behind]" {
		t.Errorf("joined: %v", joined)
	}
}
