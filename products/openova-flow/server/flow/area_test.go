package flow_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// TestState_CollectRegionEqualsSearch compares CollectRegion with a search over all elements, on random sequences, and checks that
// RegionVersion changes whenever the result does.
func TestState_CollectRegionEqualsSearch(t *testing.T) {
	regions := []string{"fsn1", "hel1", "", "a", "b", "nobody's"}
	for seed := range uint64(100) {
		g := &sequencer{Rand: rand.New(rand.NewPCG(seed, 5))}
		g.described = g.one(2)
		s := flow.NewState("F", 7)
		was, versions := map[string]string{}, map[string]int64{}
		for range 12 {
			batch := strings.Join(g.batch(), "\n")
			messages, err := flow.DecodeBatch("F", []byte(batch), 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range messages {
				s.Apply(m)
			}
			if g.one(6) {
				s = s.Content().State("F")
				clear(versions)
			}
			all := s.Snapshot()
			for _, region := range regions {
				want := flow.Message{Type: flow.TypeSnapshot, Flow: all.Flow}
				want.Nodes = slices.DeleteFunc(slices.Clone(all.Nodes), func(n flow.Node) bool { return n.Region != region })
				want.Relationships = slices.DeleteFunc(slices.Clone(all.Relationships), func(r flow.Relationship) bool { return !flow.RelInRegions(r.Key(), []string{region}) })
				got := s.CollectRegion(region)
				got.Sort()
				if got.JSON() != want.JSON() {
					t.Fatalf("sequence %d, %q after %s\n got %s\nwant %s", seed, region, batch, got.JSON(), want.JSON())
				}
				got.Flow = &flow.Instance{ID: "F"} // RegionVersion does not cover the FlowInstance
				version, had := s.RegionVersion(region), versions[region]
				if (version == 0) != (len(got.Nodes)+len(got.Relationships) == 0) || had != 0 && version == had && got.JSON() != was[region] {
					t.Fatalf("sequence %d, %q has version %d after %d: %s, before %s", seed, region, version, had, got.JSON(), was[region])
				}
				was[region], versions[region] = got.JSON(), version
			}
		}
	}
}

func TestState_EmptyRegionsFreeTheirMemory(t *testing.T) {
	s := flow.NewState("F", 7)
	empty := s.Bytes()
	var ids []string
	for i := range 100 {
		id := strings.Repeat("r", i+1)
		ids = append(ids, id)
		s.Apply(flow.UpsertNodes(flow.Node{ID: id + "/n", FlowID: "F", Label: "n", Status: "x", Region: id}))
		s.Apply(flow.UpsertRels(flow.Relationship{FromID: "elsewhere", ToID: id + "/n", Type: flow.FinishToStart}))
	}
	full := s.Bytes()
	for _, id := range ids {
		s.Apply(flow.DeleteNodes(id + "/n"))
		if s.RegionVersion(id) != 0 {
			t.Errorf("%s still has an area", id)
		}
	}
	if full < empty+100*200 || s.Bytes() != empty {
		t.Errorf("%d bytes when empty, %d with 100 regions, %d without", empty, full, s.Bytes())
	}
}
