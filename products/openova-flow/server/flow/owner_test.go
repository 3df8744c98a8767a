package flow_test

import (
	"slices"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func TestRegionOf(t *testing.T) {
	for id, want := range map[string]string{"fsn1": "fsn1", "fsn1/a": "fsn1", "fsn1/a/b": "fsn1", "fsn1/": "fsn1", "/a": "", "": "", "fsn1-b/a": "fsn1-b",
		"fsn1:a": "fsn1:a", "fsn1\\a": "fsn1\\a", "fsn1%2Fa": "fsn1%2Fa", "FSN1/a": "FSN1", " fsn1/a": " fsn1", "fsn1.a/b": "fsn1.a"} {
		if got := flow.RegionOf(id); got != want {
			t.Errorf("the region of %q is %q, want %q", id, got, want)
		}
	}
}

func TestOwnersOf_ContainsHasTwo(t *testing.T) {
	for _, typ := range []flow.RelType{flow.FinishToStart, flow.StartToStart, flow.FinishToFinish, flow.StartToFinish, flow.Triggers} {
		if got := flow.OwnersOf(flow.RelKey{FromID: "from", ToID: "to", Type: typ}); !slices.Equal(got, []string{"to"}) {
			t.Errorf("%s: %q", typ, got)
		}
	}
	if got := flow.OwnersOf(flow.RelKey{FromID: "from", ToID: "to", Type: flow.Contains}); !slices.Equal(got, []string{"from", "to"}) {
		t.Errorf("contains: %q", got)
	}
}

func TestRelInRegions_RequiresAllOwners(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		typ      flow.RelType
		regions  []string
		want     bool
	}{
		{"hel1/a", "fsn1/b", flow.FinishToStart, []string{"fsn1"}, true},
		{"fsn1/a", "hel1/b", flow.FinishToStart, []string{"fsn1"}, false},
		{"fsn1/a", "fsn1", flow.Contains, []string{"fsn1"}, true},
		{"fsn1/a", "hel1/b", flow.Contains, []string{"fsn1"}, false},
		{"hel1/b", "fsn1/a", flow.Contains, []string{"fsn1"}, false},
		{"fsn1/a", "hel1/b", flow.Contains, []string{"hel1", "fsn1"}, true},
		{"fsn1/a", "fsn1", flow.Contains, nil, false},
	} {
		if k := (flow.RelKey{FromID: tt.from, ToID: tt.to, Type: tt.typ}); flow.RelInRegions(k, tt.regions) != tt.want {
			t.Errorf("%v in %q: %t", k, tt.regions, !tt.want)
		}
	}
}

func TestState_NeighborsAreOfThisFlow(t *testing.T) {
	s := flow.NewState("F", 0)
	for _, flows := range [][2]string{{"", ""}, {"F", "F"}, {"G", ""}, {"", "G"}} {
		node := flow.Node{ID: "to" + flows[1], FlowID: "F", Label: "l", Status: flow.StatusPending}
		s.Apply(flow.UpsertNodes(node))
		s.Apply(flow.UpsertRels(flow.Relationship{FromID: "from" + flows[0], ToID: node.ID, Type: flow.FinishToStart, FromFlowID: flows[0], ToFlowID: flows[1]}))
	}
	var before, after []string
	for _, id := range []string{"to", "toF", "toG"} {
		s.Predecessors(id, flow.FinishToStart, func(id string) { before = append(before, id) })
	}
	for _, id := range []string{"from", "fromF", "fromG"} {
		s.Successors(id, flow.FinishToStart, func(n flow.Node) { after = append(after, n.ID) })
	}
	if !slices.Equal(before, []string{"from", "fromF"}) || !slices.Equal(after, []string{"to", "toF"}) {
		t.Errorf("predecessors %v, successors %v", before, after)
	}
}

func TestState_EachRelOf(t *testing.T) {
	s := flow.NewState("F", 0)
	rel := func(from, to string) flow.Relationship {
		return flow.Relationship{FromID: from, ToID: to, Type: flow.FinishToStart}
	}
	away := rel("a", "z")
	away.ToFlowID = "G"
	elsewhere := rel("z", "a")
	elsewhere.ToFlowID = "G" // its `a` is a node of another flow
	s.Apply(flow.UpsertRels(rel("a", "b"), rel("b", "a"), rel("a", "a"), rel("b", "c"), away, elsewhere))
	var got []string
	s.EachRelOf("a", func(r flow.Relationship) { got = append(got, r.FromID+r.ToID) })
	slices.Sort(got)
	if want := []string{"aa", "ab", "az", "ba"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	before := s.RelCount()
	s.Apply(flow.DeleteNodes("a"))
	if s.RelCount() != before-len(got) {
		t.Errorf("deleting the node removed %d relationships, want %d", before-s.RelCount(), len(got))
	}
	s.EachRelOf("nowhere", func(flow.Relationship) { t.Error("an unknown id has a relationship") })
}
