package hub_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// fleet returns a hub whose flow F has a number of nodes in each of a number of regions.
func fleet(t testing.TB, regions, nodes int) *hub.Hub {
	t.Helper()
	h := hub.New(hub.Config{MaxNodes: regions*nodes + 1})
	for r := range regions {
		m := &flow.Message{Type: flow.TypeUpsertNodes}
		for n := range nodes {
			id := fmt.Sprintf("r%d/n%d", r, n)
			m.Nodes = append(m.Nodes, flow.Node{ID: id, FlowID: "F", Label: id, Status: "running", Region: fmt.Sprintf("r%d", r), Meta: flow.Object(`{"text":"` + strings.Repeat("x", 500) + `"}`)})
		}
		put(t, h, m)
	}
	return h
}

func put(t testing.TB, h *hub.Hub, m *flow.Message) {
	t.Helper()
	decoded, err := flow.Decode("F", []byte(m.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{decoded}}); err != nil {
		t.Fatal(err)
	}
}

func part(t testing.TB, h *hub.Hub, region string) hub.Snapshot {
	t.Helper()
	s, err := h.RegionSnapshot("F", region)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRegionSnapshot_CostsTheRegionAlone counts the allocations of an answer, in a small and a large flow, and after changes of another region.
func TestRegionSnapshot_CostsTheRegionAlone(t *testing.T) {
	cost := func(regions int, change string) float64 {
		h := fleet(t, regions, 100)
		n := 0
		return testing.AllocsPerRun(20, func() {
			n++
			put(t, h, flow.UpsertNodes(flow.Node{ID: change + "/n0", FlowID: "F", Label: fmt.Sprint(n), Status: "running", Region: change}))
			part(t, h, "r0").JSON()
		})
	}
	small, large, idle := cost(2, "r0"), cost(40, "r0"), cost(40, "r1")
	if large > 1.5*small+50 || idle > small/2+50 {
		t.Errorf("%v allocations in a flow of 2 regions, %v in one of 40, %v after changes of another region", small, large, idle)
	}
}

// TestRegionSnapshot_SharedAndBounded asks for more regions than are cached, and for unknown ones.
func TestRegionSnapshot_SharedAndBounded(t *testing.T) {
	const regions = 300
	h := fleet(t, regions, 1)
	for range 2 {
		for r := range regions {
			region := fmt.Sprintf("r%d", r)
			if a, b := part(t, h, region).JSON(), part(t, h, region).JSON(); &a[0] != &b[0] || strings.Count(string(a), `"label"`) != 1 {
				t.Fatalf("%s: encoded twice, or wrong: %s", region, a)
			}
			part(t, h, "no"+region).JSON()
		}
	}
	if n := hub.KeptRegions(h, "F"); n == 0 || n > 256 {
		t.Errorf("%d regions are cached", n)
	}
	if _, err := h.Delete("F"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.RegionSnapshot("F", "r0"); err != hub.ErrNoFlow {
		t.Error(err)
	}
}

func TestRegionSnapshot_IsCompleteWhileTheFlowChanges(t *testing.T) {
	h := fleet(t, 3, 10)
	var wg sync.WaitGroup
	for r := range 3 {
		region := fmt.Sprintf("r%d", r)
		wg.Go(func() {
			for i := range 200 {
				put(t, h, flow.UpsertNodes(flow.Node{ID: region + "/n0", FlowID: "F", Label: fmt.Sprint(i), Status: "running", Region: region}))
			}
		})
		wg.Go(func() {
			for range 200 {
				s := part(t, h, region)
				m, err := flow.Decode("F", s.JSON())
				if err != nil || len(m.Nodes) != 10 || s.Tag() == "" || len(s.Gzip()) == 0 {
					t.Error(err, s.Tag())
				}
			}
		})
	}
	wg.Wait()
}

// TestRegionSnapshot_IsNewAfterReplace replaces a flow by one whose region has another content but the same version.
func TestRegionSnapshot_IsNewAfterReplace(t *testing.T) {
	clock := func() time.Time { return time.UnixMilli(1_000_000) }
	made := func(label string) *hub.Hub {
		h := hub.New(hub.Config{Now: clock})
		put(t, h, flow.UpsertNodes(flow.Node{ID: "r0/a", FlowID: "F", Label: label, Status: "running", Region: "r0"}))
		return h
	}
	h, other := made("old"), made("new")
	h.Replace(other.Checkpoint("F")) // versions of regions count from the restore
	before := part(t, h, "r0").JSON()
	third := made("third")
	h.Replace(third.Checkpoint("F"))
	if after := part(t, h, "r0").JSON(); string(after) == string(before) || !strings.Contains(string(after), `"third"`) {
		t.Errorf("the region is %s", after)
	}
}

// TestRegionSnapshot_OutdatedOnesAreDropped fills and empties one region after the other.
func TestRegionSnapshot_OutdatedOnesAreDropped(t *testing.T) {
	h := fleet(t, 1, 1)
	for i := range 10 {
		region := fmt.Sprint("once", i)
		put(t, h, flow.UpsertNodes(flow.Node{ID: region + "/a", FlowID: "F", Label: "a", Status: "running", Region: region}))
		part(t, h, region)
		put(t, h, flow.DeleteNodes(region+"/a"))
	}
	part(t, h, "r0")
	if n := hub.KeptRegions(h, "F"); n != 1 {
		t.Errorf("%d regions are cached, want 1", n)
	}
}
