package flow_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func decode(t testing.TB, text string) *flow.Message {
	t.Helper()
	m, err := flow.Decode("F", []byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

// model is the fold as the contract tells it, slow and plain: two lists, searched from end to end.
type model struct {
	nodes []flow.Node
	rels  []flow.Relationship
	flow  flow.Instance
	owned bool
	born  int64
	done  int64
}

func (s *model) apply(m *flow.Message) {
	if m.Type == flow.TypeSnapshot {
		s.nodes, s.rels = nil, nil
	}
	if m.Flow != nil {
		s.flow, s.owned = *m.Flow, true
	}
	for _, n := range m.Nodes {
		s.nodes = append(slices.DeleteFunc(s.nodes, func(o flow.Node) bool { return o.ID == n.ID }), n)
	}
	for _, r := range m.Relationships {
		s.rels = append(slices.DeleteFunc(s.rels, func(o flow.Relationship) bool { return o.Key() == r.Key() }), r)
	}
	for _, id := range m.IDs {
		s.nodes = slices.DeleteFunc(s.nodes, func(o flow.Node) bool { return o.ID == id })
		s.rels = slices.DeleteFunc(s.rels, func(r flow.Relationship) bool {
			return r.FromID == id && local(r.FromFlowID) || r.ToID == id && local(r.ToFlowID)
		})
	}
	for _, k := range m.Pairs {
		s.rels = slices.DeleteFunc(s.rels, func(r flow.Relationship) bool { return r.Key() == k })
	}
}

func local(flowID string) bool { return flowID == "" || flowID == "F" }

func (s *model) has(id string) bool {
	return slices.ContainsFunc(s.nodes, func(n flow.Node) bool { return n.ID == id })
}

func (s *model) derive(arrival int64) {
	if s.owned {
		return
	}
	var leaves []flow.Node
	for _, n := range s.nodes {
		if !slices.ContainsFunc(s.rels, func(r flow.Relationship) bool {
			return r.Type == flow.Contains && r.ToID == n.ID && local(r.ToFlowID) && local(r.FromFlowID) && s.has(r.FromID)
		}) {
			leaves = append(leaves, n)
		}
	}
	var statuses []string
	var started, ended []int64
	for _, n := range leaves {
		statuses = append(statuses, n.Status)
		if ms, ok := n.StartedAt.Get(); ok {
			started = append(started, ms)
		}
		if ms, ok := n.EndedAt.Get(); ok {
			ended = append(ended, ms)
		}
	}
	next := flow.Instance{ID: "F", Status: flow.Worst(statuses...), StartedAt: flow.At(s.born)}
	if len(started) > 0 {
		next.StartedAt = flow.At(slices.Min(started))
	}
	if next.Status == flow.StatusSucceeded {
		if s.flow.Status != flow.StatusSucceeded {
			s.done = arrival
		}
		next.EndedAt = flow.At(s.done)
		if len(ended) > 0 {
			next.EndedAt = flow.At(slices.Max(ended))
		}
	}
	s.flow = next
}

func (s *model) snapshot() string {
	m := &flow.Message{Type: flow.TypeSnapshot, Flow: &s.flow, Nodes: slices.Clone(s.nodes), Relationships: slices.Clone(s.rels)}
	m.Sort()
	return m.JSON()
}

var relTypes = []flow.RelType{flow.Contains, flow.Contains, flow.FinishToStart, flow.StartToStart, flow.Triggers}

func randomMessage(r *rand.Rand, owned bool) *flow.Message {
	id := func() string { return fmt.Sprintf("n%d", r.IntN(8)) }
	node := func() flow.Node {
		n := flow.Node{ID: id(), FlowID: "F", Label: "l", Status: []string{"pending", "running", "succeeded", "succeeded", "failed", "odd"}[r.IntN(6)]}
		if r.IntN(2) == 0 {
			n.StartedAt = flow.At(r.Int64N(50))
		}
		if r.IntN(3) == 0 {
			n.EndedAt = flow.At(50 + r.Int64N(50))
		}
		return n
	}
	rel := func() flow.Relationship {
		e := flow.Relationship{FromID: id(), ToID: id(), Type: relTypes[r.IntN(len(relTypes))], Lag: r.Int64N(3)}
		switch r.IntN(8) {
		case 0:
			e.ToFlowID = "G"
		case 1:
			e.FromFlowID = "G"
		case 2:
			e.ToFlowID = "F"
		}
		return e
	}
	many := func(f func()) {
		for range 1 + r.IntN(3) {
			f()
		}
	}
	m := new(flow.Message)
	switch k := r.IntN(20); {
	case k < 8:
		m.Type = flow.TypeUpsertNodes
		many(func() { m.Nodes = append(m.Nodes, node()) })
	case k < 14:
		m.Type = flow.TypeUpsertRels
		many(func() { m.Relationships = append(m.Relationships, rel()) })
	case k < 16 || !owned && k >= 18:
		m.Type = flow.TypeDeleteNodes
		many(func() { m.IDs = append(m.IDs, id()) })
	case k < 18:
		m.Type = flow.TypeDeleteRels
		many(func() { m.Pairs = append(m.Pairs, rel().Key()) })
	default:
		m.Type = flow.TypeSnapshot
		m.Flow = &flow.Instance{ID: "F", Status: "odd", StartedAt: flow.At(3)}
		many(func() { m.Nodes = append(m.Nodes, node()); m.Relationships = append(m.Relationships, rel()) })
	}
	return m
}

func TestFoldEqualsModel(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		s, want := flow.NewState("F", 7), &model{born: 7, flow: flow.Instance{ID: "F", Status: flow.StatusPending, StartedAt: flow.At(7)}}
		follower := flow.NewState("F", 7)
		for step := range 120 {
			m := decode(t, randomMessage(r, seed%4 == 0).JSON())
			before := s.Flow().JSON()
			s.Apply(m)
			follower.Apply(m)
			want.apply(m)
			want.derive(int64(100 + step))
			if d := s.Derive(int64(100 + step)); d != nil {
				follower.Apply(decode(t, d.JSON()))
				if d.Flow.JSON() == before {
					t.Fatalf("seed %d step %d: an upsert-flow that changes nothing: %s", seed, step, before)
				}
			}
			if got := s.Snapshot().JSON(); got != want.snapshot() {
				t.Fatalf("seed %d step %d after %s\n got %s\nwant %s", seed, step, m.JSON(), got, want.snapshot())
			}
			if got := follower.Snapshot().JSON(); got != want.snapshot() {
				t.Fatalf("seed %d step %d: who follows the messages has %s\nwant %s", seed, step, got, want.snapshot())
			}
			if s.NodeCount() != len(want.nodes) || s.RelCount() != len(want.rels) {
				t.Fatalf("seed %d step %d: counts %d nodes and %d relationships", seed, step, s.NodeCount(), s.RelCount())
			}
		}
		var ids []string
		s.EachNode(func(n flow.Node) bool { ids = append(ids, n.ID); return true })
		for i := range 8 {
			ids = append(ids, fmt.Sprintf("n%d", i))
		}
		var pairs []flow.RelKey
		s.EachRel(func(e flow.Relationship) bool { pairs = append(pairs, e.Key()); return true })
		s.Apply(flow.DeleteNodes(ids...))
		s.Apply(flow.DeleteRels(pairs...))
		if n := s.Bytes(); n != 0 && n != int64(len(s.Flow().JSON())) || s.NodeCount() != 0 || s.RelCount() != 0 {
			t.Fatalf("seed %d: everything is deleted, yet %d bytes, %d nodes, %d relationships are left", seed, s.Bytes(), s.NodeCount(), s.RelCount())
		}
	}
}

func TestUnknownFieldsOfANodeAreStored(t *testing.T) {
	node := `{"id":"a","flowId":"F","label":"a","status":"x","progress":0.5}`
	big := `{"type":"upsert-nodes","pad":"` + strings.Repeat("x", 5000) + `","nodes":[` + node + `]}`
	s := flow.NewState("F", 1)
	s.Apply(decode(t, big))
	if got := s.Snapshot().JSON(); !strings.Contains(got, node) || len(got) > 500 {
		t.Errorf("snapshot is %s", got)
	}
}

func TestTimesOfADerivedFlow(t *testing.T) {
	s := flow.NewState("F", 1000)
	steps := []struct {
		arrival   int64
		in, after string
	}{
		{1000, `{"type":"upsert-nodes","nodes":[{"id":"a","flowId":"F","label":"a","status":"pending"}]}`, `{"id":"F","status":"pending","startedAt":1000}`},
		{1001, `{"type":"upsert-nodes","nodes":[{"id":"a","flowId":"F","label":"a","status":"odd","startedAt":900}]}`, `{"id":"F","status":"running","startedAt":900}`},
		{1002, `{"type":"upsert-nodes","nodes":[{"id":"a","flowId":"F","label":"a","status":"succeeded","startedAt":900}]}`, `{"id":"F","status":"succeeded","startedAt":900,"endedAt":1002}`},
		{1003, `{"type":"upsert-nodes","nodes":[{"id":"b","flowId":"F","label":"b","status":"succeeded"}]}`, `{"id":"F","status":"succeeded","startedAt":900,"endedAt":1002}`},
		{1004, `{"type":"upsert-nodes","nodes":[{"id":"b","flowId":"F","label":"b","status":"succeeded","endedAt":950}]}`, `{"id":"F","status":"succeeded","startedAt":900,"endedAt":950}`},
		{1005, `{"type":"upsert-rels","relationships":[{"fromId":"b","toId":"a","type":"contains"}]}`, `{"id":"F","status":"succeeded","startedAt":1000,"endedAt":950}`},
		{1006, `{"type":"delete-nodes","ids":["b"]}`, `{"id":"F","status":"succeeded","startedAt":900,"endedAt":1002}`},
		{1007, `{"type":"delete-nodes","ids":["a"]}`, `{"id":"F","status":"pending","startedAt":1000}`},
	}
	for _, st := range steps {
		s.Apply(decode(t, st.in))
		s.Derive(st.arrival)
		if got := s.Flow().JSON(); got != st.after {
			t.Errorf("after %s\n got %s\nwant %s", st.in, got, st.after)
		}
	}
}

func BenchmarkDecode400(b *testing.B) {
	data := []byte(`{"type":"upsert-nodes","nodes":[{"id":"r1/n42","flowId":"F","label":"n42","status":"running","region":"r1","family":"network","startedAt":1790000000000,"meta":{"kind":"HelmRelease","namespace":"flux-system","s":"` + strings.Repeat("x", 190) + `"}}]}`)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := flow.Decode("F", data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFold puts messages of one node each into a flow of 1,000 nodes.
func BenchmarkFold(b *testing.B) {
	messages := make([]*flow.Message, 1000)
	for i := range messages {
		text := fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"r1/n%d","flowId":"F","label":"n","status":"running","region":"r1","startedAt":1790000000000,"meta":{"s":"%s"}}]}`, i, strings.Repeat("x", 250))
		m, err := flow.Decode("F", []byte(text))
		if err != nil {
			b.Fatal(err)
		}
		messages[i] = m
	}
	s := flow.NewState("F", 0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Apply(messages[i%len(messages)])
	}
}
