package insight_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

func judgedNode(id, judgement string) flow.Node {
	return flow.Node{ID: id, FlowID: "F", Label: id, Status: flow.StatusRunning, Region: "r1", Meta: flow.Object(`{"judgement":` + judgement + `}`)}
}

func snapshotOf(nodes ...flow.Node) *flow.Message {
	return &flow.Message{Type: flow.TypeSnapshot, Flow: &flow.Instance{ID: "F"}, Nodes: nodes}
}

func needs(ids ...string) string { return `"` + strings.Join(ids, `","`) + `"` }

// large returns n nodes. One in ten is broken. Each other node has up to five needs: three with a lower number, and two with any.
func large(n int) *flow.Message {
	r := rand.New(rand.NewPCG(1, 1))
	var nodes []flow.Node
	for i := range n {
		if i%10 == 0 {
			nodes = append(nodes, judgedNode(fmt.Sprint("r1/n", i), `{"state":"broken","since":1,"problem":true,"cause":{"class":"x","sentence":"x"}}`))
			continue
		}
		var list []string
		for k := range 5 {
			list = append(list, fmt.Sprint("r1/n", r.IntN(max(i, k%2*n))))
		}
		nodes = append(nodes, judgedNode(fmt.Sprint("r1/n", i), `{"state":"waiting","since":1,"gate":"wait","needs":[`+needs(list...)+`]}`))
	}
	return snapshotOf(nodes...)
}

func TestVerdict_LargeGraphs(t *testing.T) {
	t.Run("a chain", func(t *testing.T) {
		const n = 20_000
		nodes := []flow.Node{judgedNode("r1/n0", `{"state":"broken","since":1,"problem":true}`)}
		for i := 1; i < n; i++ {
			nodes = append(nodes, judgedNode(fmt.Sprint("r1/n", i), fmt.Sprintf(`{"state":"waiting","since":1,"needs":["r1/n%d"],"readyWhile":["r1/n%d"]}`, i-1, i-1)))
		}
		v := insight.Read(snapshotOf(nodes...)).At(1_000_000, nil)
		if held := v.HeldBy(fmt.Sprint("r1/n", n-1)); len(held) != 1 || held[0] != "r1/n0" {
			t.Errorf("held by %v", held)
		}
		if p := v.Problems(); len(p) != 1 || len(p[0].Blocks) != n-1 || p[0].Blocks[n-2] != fmt.Sprint("r1/n", n-1) {
			t.Errorf("%d problems", len(p))
		}
	})
	t.Run("one cycle of all", func(t *testing.T) {
		const n = 20_000
		var nodes []flow.Node
		for i := range n {
			nodes = append(nodes, judgedNode(fmt.Sprint("r1/n", i), fmt.Sprintf(`{"state":"waiting","since":1,"needs":["r1/n%d"]}`, (i+1)%n)))
		}
		v := insight.Read(snapshotOf(nodes...)).At(1_000_000, nil)
		if p := v.Problems(); len(p) != 1 || len(p[0].IDs) != n || v.Verdict(everything).Result != insight.Failed {
			t.Errorf("%d problems", len(p))
		}
	})
	t.Run("all broken nodes are roots of each waiting node", func(t *testing.T) {
		var nodes []flow.Node
		var broken []string
		for i := range 2000 {
			broken = append(broken, fmt.Sprint("r1/b", i))
			nodes = append(nodes, judgedNode(broken[i], `{"state":"broken","problem":true}`))
		}
		var all []string // nodes that together need all broken ones: a node has at most 256 needs
		for i, part := range slices.Collect(slices.Chunk(broken, 250)) {
			all = append(all, fmt.Sprint("r1/all", i))
			nodes = append(nodes, judgedNode(all[i], `{"state":"waiting","needs":[`+needs(part...)+`]}`))
		}
		for i := range 8000 {
			nodes = append(nodes, judgedNode(fmt.Sprint("r1/w", i), `{"state":"waiting","needs":[`+needs(all...)+`]}`))
		}
		v := insight.Read(snapshotOf(nodes...)).At(1_000_000, nil)
		if got := len(v.HeldBy("r1/w7")); got != 2000 {
			t.Errorf("held by %d", got)
		}
		if d := v.Verdict(everything); d.Result != insight.Failed || len(d.Problems) != 2000 || len(d.Problems[0].Blocks) < 2 {
			t.Errorf("%s, %d problems", d.Result, len(d.Problems))
		}
	})
	t.Run("a random graph", func(t *testing.T) {
		d := insight.Read(large(3000)).At(1_000_000, nil).Verdict(everything)
		if d.Result != insight.Failed || len(d.Problems) < 300 {
			t.Errorf("%s, %d problems", d.Result, len(d.Problems))
		}
	})
}

func BenchmarkVerdict(b *testing.B) {
	m := large(20_000)
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			insight.Read(m)
		}
	})
	g := insight.Read(m)
	b.Run("view", func(b *testing.B) {
		for b.Loop() {
			g.At(1_000_000, nil)
		}
	})
	v := g.At(1_000_000, nil)
	b.Run("problems", func(b *testing.B) {
		for b.Loop() {
			v.Problems()
		}
	})
}
