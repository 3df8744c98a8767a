package hub_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// TestInsight_JudgesAStaleRegionAtItsLastSeenTime has two regions with the same judgement, which changes with time. The claim of one region expires.
func TestInsight_JudgesAStaleRegionAtItsLastSeenTime(t *testing.T) {
	bubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub) {
		if _, _, _, err := h.Insight("F"); !errors.Is(err, hub.ErrNoFlow) {
			t.Fatal(err)
		}
		mustClaim(t, h, "fsn1", "one")
		late := time.Now().Add(time.Minute).UnixMilli()
		node := func(region string) flow.Node {
			return flow.Node{ID: region + "/a", FlowID: "F", Label: "a", Status: "running", Region: region,
				Meta: flow.Object(`{"judgement":{"state":"working","gate":"wait","then":[{"at":` + flowTime(late) + `,"state":"broken","problem":true}]}}`)}
		}
		put := func() {
			t.Helper()
			if _, err := h.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{flow.UpsertNodes(node("fsn1"), node("hel1"))}}); err != nil {
				t.Fatal(err)
			}
		}
		put()
		for _, want := range []struct{ fsn1, hel1 insight.State }{{insight.Working, insight.Working}, {insight.Working, insight.Broken}} {
			v, now, incarnation, err := h.Insight("F")
			if err != nil || now != time.Now().UnixMilli() || incarnation != h.Incarnation("F") {
				t.Fatal(now, incarnation, err)
			}
			if c, err := h.Overview("F"); err != nil || c.View.State("fsn1/a") != want.fsn1 || c.View.State("hel1/a") != want.hel1 {
				t.Errorf("Overview: fsn1 is %s, hel1 %s, %v", c.View.State("fsn1/a"), c.View.State("hel1/a"), err)
			}
			if v.State("fsn1/a") != want.fsn1 || v.State("hel1/a") != want.hel1 {
				t.Errorf("fsn1 %s, hel1 %s", v.State("fsn1/a"), v.State("hel1/a"))
			}
			time.Sleep(2 * time.Minute)
		}
		if _, err := h.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{flow.DeleteNodes("hel1/a")}}); err != nil {
			t.Fatal(err)
		}
		if v, _, _, _ := h.Insight("F"); v.State("hel1/a") != "" {
			t.Errorf("the deleted node hel1/a is %s", v.State("hel1/a"))
		}
	})
}

// TestInsight_IsComputedOncePerVersion counts the allocations of an answer, with and without a change before it.
func TestInsight_IsComputedOncePerVersion(t *testing.T) {
	h := hub.New(hub.Config{})
	var nodes []flow.Node
	for i := range 500 {
		nodes = append(nodes, flow.Node{ID: fmt.Sprint("r/", i), FlowID: "F", Label: "a", Status: "running", Region: "r"})
	}
	ingest(t, h, flow.UpsertNodes(nodes...))
	cost := func(change func()) float64 {
		return testing.AllocsPerRun(10, func() {
			change()
			if _, _, _, err := h.Insight("F"); err != nil {
				t.Fatal(err)
			}
		})
	}
	same := cost(func() {})
	changed := cost(func() { ingest(t, h, upsert(t, "r/0", "running")) })
	if same > changed-400 {
		t.Errorf("%v allocations, %v after a change; want at least one less for nearly every node", same, changed)
	}
}

func flowTime(ms int64) string {
	text, _ := flow.At(ms).MarshalJSON()
	return string(text)
}

// TestFlowIDs_ListsExistingFlows has a claim and a subscriber of flows that do not exist, and a deleted flow.
func TestFlowIDs_ListsExistingFlows(t *testing.T) {
	bubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub) {
		mustClaim(t, h, "fsn1", "one")
		r, err := h.Follow("absent", 0, false)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		var want []string
		for i := range 20 {
			want = append(want, fmt.Sprintf("flow-%02d", i))
		}
		for _, id := range append([]string{"deleted"}, want...) {
			if _, err := h.Ingest(record.Post{FlowID: id, Messages: []*flow.Message{flow.UpsertNodes(flow.Node{ID: "a", FlowID: id, Label: "a", Status: "running"})}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := h.Delete("deleted"); err != nil {
			t.Fatal(err)
		}
		if got := h.FlowIDs(); !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		if _, err := h.Overview("deleted"); !errors.Is(err, hub.ErrNoFlow) {
			t.Error(err)
		}
	})
}
