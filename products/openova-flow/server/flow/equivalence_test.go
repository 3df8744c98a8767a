package flow_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

var (
	equivalenceSeed  = flag.Uint64("equivalence.seed", 1, "the first random sequence")
	equivalenceCount = flag.Uint64("equivalence.count", 2000, "how many random sequences")
	equivalenceFor   = flag.Duration("equivalence.for", time.Hour, "start no further sequence after this time")
	equivalenceOut   = flag.Bool("equivalence.out", false, "write each sequence and its folded states to standard output, one sequence a line, for comparison with another fold")
)

// TestEquivalence compares the fold with a simple and slow implementation, on random sequences of requests.
func TestEquivalence(t *testing.T) {
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	var line strings.Builder
	for i, began := uint64(0), time.Now(); i < *equivalenceCount && time.Since(began) < *equivalenceFor; i++ {
		line.Reset()
		if err := foldSequence(*equivalenceSeed+i, &line); err != nil {
			t.Fatalf("sequence %d: %v", *equivalenceSeed+i, err)
		}
		if !*equivalenceOut {
			continue
		}
		if _, err := out.WriteString(line.String()); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
}

// foldSequence folds one random sequence with Apply, with ApplyAgain, with a Base and with plain, and compares the results after each request.
// It writes to line, for each request, its messages, the derived upsert-flow if any, the snapshot, and the ids of the leaves.
func foldSequence(seed uint64, line *strings.Builder) error {
	g := &sequencer{Rand: rand.New(rand.NewPCG(seed, 3))}
	const created = 7
	s, again, want := flow.NewState("F", created), flow.NewState("F", created), newPlain("F", created)
	base := flow.NewBase(flow.NewState("F", created))
	fmt.Fprintf(line, `{"seed":%d,"steps":[{"messages":[%s],"snapshot":%[2]s,"leaves":[]}`, seed, s.Snapshot().JSON())
	g.described = g.one(2)
	for step := range 1 + g.IntN(5) {
		arrival := int64(100 + step)
		batch := g.batch()
		messages, err := flow.DecodeBatch("F", []byte(strings.Join(batch, "\n")), 0)
		if err != nil {
			return fmt.Errorf("%w in %q", err, batch)
		}
		derived := want.request(arrival, batch)
		line.WriteString(`,{"messages":[`)
		for i, m := range messages {
			if i > 0 {
				line.WriteByte(',')
			}
			line.WriteString(m.JSON())
			s.Apply(m)
			again.ApplyAgain(m.JSON())
			base.Apply([]byte(m.JSON()), []byte(m.SingleNode()))
		}
		own := ""
		if d := s.Derive(arrival); d != nil {
			own = d.Flow.JSON()
			line.WriteString("," + d.JSON())
			again.ApplyAgain(d.JSON())
			base.Apply([]byte(d.JSON()), nil)
		}
		got := s.Snapshot().JSON()
		if other := again.Snapshot().JSON(); other != got {
			return fmt.Errorf("after step %d, %s\nApplyAgain gives %s\nApply gives %s", step, strings.Join(batch, "\n"), other, got)
		}
		if other := stateOf(base).Snapshot().JSON(); other != got {
			return fmt.Errorf("after step %d, %s\nBase gives %s\nApply gives %s", step, strings.Join(batch, "\n"), other, got)
		}
		text := want.snapshot()
		if got != text || own != derived {
			return fmt.Errorf("after step %d, %s\n got %s, derived %q\nwant %s, derived %q", step, strings.Join(batch, "\n"), got, own, text, derived)
		}
		leaves := []string{}
		for _, n := range want.nodes { // sorted, as in a snapshot
			if !s.IsContainer(n.ID) {
				leaves = append(leaves, n.ID)
			}
		}
		if plain := want.leaves(); !slices.Equal(leaves, plain) {
			return fmt.Errorf("after step %d, %s\n the leaves are %q\nwant %q", step, strings.Join(batch, "\n"), leaves, plain)
		}
		ids, err := json.Marshal(leaves)
		if err != nil {
			return err
		}
		fmt.Fprintf(line, `],"snapshot":%s,"leaves":%s}`, got, ids)
	}
	line.WriteString("]}\n")
	return nil
}

func stateOf(b *flow.Base) *flow.State {
	snapshot, later := b.Collect()
	s := flow.NewState("F", 0)
	s.Apply(snapshot)
	for _, text := range later {
		s.ApplyAgain(text)
	}
	return s
}

// sequencer makes random valid messages, many of which concern the same elements.
type sequencer struct {
	*rand.Rand
	described bool // an emitter describes the flow
}

// Few ids, so that messages concern the same elements; unusual ones, to test order, keys and encodings.
var oddIDs = []string{"a", "b", "B", "fsn1", "fsn1/x y", "hel1", "ü", "é", "e\u0301", "\U0001f680", "\uffff", "\ue000", "z\x00", "10", "9", "__proto__", "constructor", "<&>", "\u2028", `"\`}

func (g *sequencer) one(in int) bool { return g.IntN(in) == 0 }

func pick[T any](g *sequencer, list []T) T { return list[g.IntN(len(list))] }

// batch returns the lines of one request.
func (g *sequencer) batch() []string {
	var batch []string
	for range 1 + g.IntN(4) {
		batch = append(batch, strings.Split(g.message(), "\n")...)
	}
	return batch
}

// message returns one message, or a deletion and an upsert of nodes on two lines.
func (g *sequencer) message() string {
	switch k := g.IntN(24); {
	case k == 0 && g.described:
		nodes, rels := "", ""
		if !g.one(5) {
			nodes = "," + g.list("nodes", 0, g.node)
		}
		if !g.one(5) {
			rels = "," + g.list("relationships", 0, g.rel)
		}
		return g.object("snapshot", `"flow":`+g.flow()+nodes+rels)
	case k == 1 && g.described:
		return g.object("upsert-flow", `"flow":`+g.flow())
	case k < 11:
		return g.object("upsert-nodes", g.list("nodes", 1, g.node))
	case k < 18:
		return g.object("upsert-rels", g.list("relationships", 1, g.rel))
	case k < 21:
		return g.object("delete-nodes", g.list("ids", 1, g.end))
	case k < 22:
		return g.object("delete-nodes", g.list("ids", 1, g.id)) + "\n" + g.object("upsert-nodes", g.list("nodes", 1, g.node))
	default:
		return g.object("delete-rels", g.list("pairs", 1, func() string { return "{" + g.key() + "}" }))
	}
}

// object puts the type before or after the other fields, and sometimes adds an unknown field.
func (g *sequencer) object(kind, rest string) string {
	parts := []string{`"type":"` + kind + `"`, rest}
	if g.one(6) {
		parts = append(parts, pick(g, []string{`"future":[1,{"x":null}]`, `"lag":-0.5e-3`, `"id":"a"`, `"label":null`}))
	}
	g.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	return "{" + strings.Join(parts, pick(g, []string{",", " , ", ",\t"})) + "}"
}

func (g *sequencer) list(name string, least int, one func() string) string {
	all := make([]string, least+g.IntN(4))
	for i := range all {
		all[i] = one()
	}
	return `"` + name + `":[` + strings.Join(all, ",") + "]"
}

func (g *sequencer) fields(required []string, optional ...string) string {
	all := slices.Clone(required)
	for _, f := range optional {
		if g.one(3) {
			all = append(all, f)
		}
	}
	g.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return strings.Join(all, ",")
}

func (g *sequencer) status() string {
	return pick(g, []string{`"pending"`, `"running"`, `"succeeded"`, `"succeeded"`, `"failed"`, `"odd"`})
}

func (g *sequencer) flow() string {
	return "{" + g.fields([]string{`"id":"F"`, `"status":` + g.status(), fmt.Sprintf(`"startedAt":%d`, g.IntN(50))},
		`"definitionId":"d"`, `"meta":{"a":[1.50,"\u00e9"]}`, `"x":{"b":1,"a":2}`, fmt.Sprintf(`"endedAt":%d`, 50+g.IntN(50))) + "}"
}

func (g *sequencer) node() string {
	return "{" + g.fields([]string{`"id":` + g.id(), `"flowId":"F"`, fmt.Sprintf(`"label":"l%d"`, g.IntN(9)), `"status":` + g.status()},
		fmt.Sprintf(`"startedAt":%d`, g.IntN(50)-5), fmt.Sprintf(`"endedAt":%d`, g.IntN(100)-50), `"region":`+pick(g, []string{`"fsn1"`, `"hel1"`, `""`}),
		`"family":"f"`, `"meta":{"deep":[{"x":null}],"2":1,"1":2}`, `"future":true`) + "}"
}

func (g *sequencer) rel() string {
	flows := []string{`"F"`, `"other"`, `""`}
	return "{" + g.fields([]string{g.key()}, `"fromFlowId":`+pick(g, flows), `"toFlowId":`+pick(g, flows),
		`"condition":`+pick(g, []string{`"on-success"`, `"on-failure"`, `"always"`}), fmt.Sprintf(`"lag":%d`, g.IntN(60)), `"x":[]`) + "}"
}

func (g *sequencer) key() string {
	return fmt.Sprintf(`"fromId":%s,"toId":%s,"type":"%s"`, g.end(), g.end(),
		pick(g, []string{"contains", "contains", "finish-to-start", "finish-to-start", "start-to-start", "finish-to-finish", "start-to-finish", "triggers"}))
}

// end returns an id for a relationship or a deletion, now and then of no node, or empty.
func (g *sequencer) end() string {
	if g.one(16) {
		return pick(g, []string{`""`, `"nowhere"`})
	}
	return g.id()
}

// id returns the JSON of a random id, with or without escapes.
func (g *sequencer) id() string {
	// Half of the ids are among the first five, otherwise few messages would concern the same element.
	id := oddIDs[g.IntN(5)]
	if g.one(2) {
		id = pick(g, oddIDs)
	}
	if !g.one(4) {
		return quoted(id)
	}
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(id)) {
		fmt.Fprintf(&b, `\u%04x`, unit)
	}
	return `"` + b.String() + `"`
}
