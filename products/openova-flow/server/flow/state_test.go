package flow_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

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

var relTypes = []flow.RelType{flow.Contains, flow.Contains, flow.FinishToStart, flow.StartToStart, flow.Triggers}

func randomMessage(r *rand.Rand, described bool) *flow.Message {
	id := func() string { return fmt.Sprintf("n%d", r.IntN(8)) }
	node := func() flow.Node {
		n := flow.Node{ID: id(), FlowID: "F", Label: "l", Status: []string{"pending", "running", "succeeded", "succeeded", "failed", "odd"}[r.IntN(6)]}
		n.Region = []string{"", "r1", "r1", "r1", "r2"}[r.IntN(5)]
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
	case k < 16 || !described && k >= 18:
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

// TestState_LongSequences compares the fold with plain on sequences that are longer than those of TestEquivalence, with subscribers, counts and deletions.
func TestState_LongSequences(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		s, subscriber, want := flow.NewState("F", 7), flow.NewState("F", 7), newPlain("F", 7)
		for step := range 120 {
			m := decode(t, randomMessage(r, seed%4 == 0).JSON())
			before := s.Flow().JSON()
			s.Apply(m)
			subscriber.Apply(m)
			want.request(int64(100+step), []string{m.JSON()})
			if d := s.Derive(int64(100 + step)); d != nil {
				subscriber.Apply(decode(t, d.JSON()))
				if d.Flow.JSON() == before {
					t.Fatalf("seed %d step %d: an upsert-flow that changes nothing: %s", seed, step, before)
				}
			}
			if got := s.Snapshot().JSON(); got != want.snapshot() {
				t.Fatalf("seed %d step %d after %s\n got %s\nwant %s", seed, step, m.JSON(), got, want.snapshot())
			}
			if got := subscriber.Snapshot().JSON(); got != want.snapshot() {
				t.Fatalf("seed %d step %d: a subscriber has %s\nwant %s", seed, step, got, want.snapshot())
			}
			if s.NodeCount() != len(want.nodes) || s.RelCount() != len(want.rels) {
				t.Fatalf("seed %d step %d: counts %d nodes and %d relationships", seed, step, s.NodeCount(), s.RelCount())
			}
			statuses, regions := map[string]int{}, []string{}
			s.EachNode(func(n flow.Node) bool {
				statuses[n.Status]++
				if n.Region != "" && !slices.Contains(regions, n.Region) {
					regions = append(regions, n.Region)
				}
				return true
			})
			slices.Sort(regions)
			if !maps.Equal(s.Statuses(), statuses) || !slices.Equal(s.Regions(), regions) {
				t.Fatalf("seed %d step %d: statuses %v in regions %v, want %v in %v", seed, step, s.Statuses(), s.Regions(), statuses, regions)
			}
		}
		var ids []string
		s.EachNode(func(n flow.Node) bool { ids = append(ids, n.ID); return true })
		for i := range 8 {
			ids = append(ids, fmt.Sprintf("n%d", i))
		}
		var pairs []flow.RelKey
		for _, e := range s.Snapshot().Relationships {
			pairs = append(pairs, e.Key())
		}
		s.Apply(flow.DeleteNodes(ids...))
		s.Apply(flow.DeleteRels(pairs...))
		if n := s.Bytes(); n != 0 && n != int64(len(s.Flow().JSON())) || s.NodeCount() != 0 || s.RelCount() != 0 {
			t.Fatalf("seed %d: after all deletions %d bytes, %d nodes, %d relationships are left", seed, s.Bytes(), s.NodeCount(), s.RelCount())
		}
	}
}

func TestState_ContainsAcrossRegionsMakesNoContainer(t *testing.T) {
	child := func(region string) *flow.Message {
		return flow.UpsertNodes(flow.Node{ID: "a", FlowID: "F", Label: "a", Status: "succeeded", Region: region})
	}
	parent := func(region string) *flow.Message {
		return flow.UpsertNodes(flow.Node{ID: "b", FlowID: "F", Label: "b", Status: "failed", Region: region})
	}
	edge := flow.UpsertRels(flow.Relationship{FromID: "a", ToID: "b", Type: flow.Contains})
	for _, tt := range []struct {
		name      string
		messages  []*flow.Message
		container bool
	}{
		{"nodes, then edge", []*flow.Message{child("r1"), parent("r2"), edge}, false},
		{"edge first", []*flow.Message{edge, child("r1"), parent("r2")}, false},
		{"edge, container, contained", []*flow.Message{edge, parent("r2"), child("r1")}, false},
		{"one without a region", []*flow.Message{child(""), edge, parent("r2")}, false},
		{"snapshot", []*flow.Message{{Type: flow.TypeSnapshot, Flow: &flow.Instance{ID: "F", Status: "x", StartedAt: flow.At(1)},
			Nodes: append(child("r1").Nodes, parent("r2").Nodes...), Relationships: edge.Relationships}}, false},
		{"one region", []*flow.Message{edge, child("r1"), parent("r1")}, true},
		{"both without a region", []*flow.Message{child(""), parent(""), edge}, true},
		{"the contained moves away", []*flow.Message{edge, child("r1"), parent("r1"), child("r2")}, false},
		{"the contained moves in", []*flow.Message{edge, child("r2"), parent("r1"), child("r1")}, true},
		{"the container moves away", []*flow.Message{edge, child("r1"), parent("r1"), parent("r2")}, false},
		{"the container moves in", []*flow.Message{edge, child("r1"), parent("r2"), parent("r1")}, true},
		{"the contained is deleted", []*flow.Message{edge, child("r1"), parent("r1"), flow.DeleteNodes("a")}, false},
		{"the contained moves, then the edge is deleted", []*flow.Message{edge, child("r1"), parent("r1"), child("r2"), flow.DeleteRels(edge.Relationships[0].Key())}, false},
	} {
		s := flow.NewState("F", 1)
		for _, m := range tt.messages {
			s.Apply(m)
		}
		if s.IsContainer("b") != tt.container || s.IsContainer("a") {
			t.Errorf("%s: b is a container: %t, a: %t", tt.name, s.IsContainer("b"), s.IsContainer("a"))
		}
		want := flow.StatusFailed
		if tt.container {
			want = flow.StatusSucceeded
		}
		if s.Derive(2); tt.name != "snapshot" && s.Flow().Status != want {
			t.Errorf("%s: the flow is %s, want %s", tt.name, s.Flow().Status, want)
		}
	}
}

func TestState_KeepsUnknownFields(t *testing.T) {
	node := `{"id":"a","flowId":"F","label":"a","status":"x","progress":0.5}`
	big := `{"type":"upsert-nodes","pad":"` + strings.Repeat("x", 5000) + `","nodes":[` + node + `]}`
	s := flow.NewState("F", 1)
	s.Apply(decode(t, big))
	if got := s.Snapshot().JSON(); !strings.Contains(got, node) || len(got) > 500 {
		t.Errorf("snapshot is %s", got)
	}
}

// TestState_KeepsNoLargerMessageAlive compares addresses: no string in the state may be part of the message.
func TestState_KeepsNoLargerMessageAlive(t *testing.T) {
	for _, element := range []string{
		`"type":"upsert-nodes","nodes":[{"id":"r1/a","flowId":"F","label":"l","status":"odd","region":"r1","family":"f","meta":{"k":"v"},"future":"x"}]`,
		`"type":"upsert-rels","relationships":[{"fromId":"r1/a","toId":"r1/b","type":"contains","fromFlowId":"F","toFlowId":"G","condition":"always","future":"x"}]`,
		`"type":"upsert-flow","flow":{"id":"F","status":"odd","startedAt":1,"definitionId":"d","parentFlowId":"p","triggeredBy":[{"flowId":"G","when":"always"}],"meta":{"k":"v"}}`,
	} {
		m := decode(t, `{"pad":"`+strings.Repeat("x", 5000)+`",`+element+`}`)
		first := uintptr(unsafe.Pointer(unsafe.StringData(m.JSON())))
		s := flow.NewState("F", 1)
		s.Apply(m)
		f := s.Flow()
		texts := []string{f.ID, f.Status, f.DefinitionID, f.ParentFlowID, string(f.Meta), f.JSON()}
		for _, by := range f.TriggeredBy {
			texts = append(texts, by.FlowID, by.When)
		}
		s.EachNode(func(n flow.Node) bool {
			texts = append(texts, n.ID, n.FlowID, n.Label, n.Status, n.Region, n.Family, string(n.Meta), n.JSON())
			return true
		})
		for _, r := range s.Snapshot().Relationships {
			texts = append(texts, r.FromID, r.ToID, string(r.Type), r.FromFlowID, r.ToFlowID, string(r.Condition), r.JSON())
		}
		for _, text := range texts {
			if at := uintptr(unsafe.Pointer(unsafe.StringData(text))); text != "" && at >= first && at < first+uintptr(len(m.JSON())) {
				t.Errorf("%s: %q lies in the message of %d bytes", m.Type, text, len(m.JSON()))
			}
		}
	}
}

func TestDerive_Times(t *testing.T) {
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

// BenchmarkFold applies messages with one node each to a flow of 1,000 nodes.
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
