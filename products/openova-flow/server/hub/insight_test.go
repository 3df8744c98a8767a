package hub_test

import (
	"errors"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

// TestInsight_OfAStaleRegionIsOfWhenItWasSeen has a judgement change by itself while one of two regions is not claimed any more.
func TestInsight_OfAStaleRegionIsOfWhenItWasSeen(t *testing.T) {
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
			if _, err := h.Ingest(hub.Post{FlowID: "F", Messages: []*flow.Message{flow.UpsertNodes(node("fsn1"), node("hel1"))}}); err != nil {
				t.Fatal(err)
			}
		}
		put()
		for _, want := range []struct{ fsn1, hel1 insight.State }{{insight.Working, insight.Working}, {insight.Working, insight.Broken}} {
			v, now, incarnation, err := h.Insight("F")
			if err != nil || now != time.Now().UnixMilli() || incarnation != h.Incarnation("F") {
				t.Fatal(now, incarnation, err)
			}
			if v.State("fsn1/a") != want.fsn1 || v.State("hel1/a") != want.hel1 {
				t.Errorf("fsn1 %s, hel1 %s", v.State("fsn1/a"), v.State("hel1/a"))
			}
			time.Sleep(2 * time.Minute)
		}
		if _, err := h.Ingest(hub.Post{FlowID: "F", Messages: []*flow.Message{flow.DeleteNodes("hel1/a")}}); err != nil {
			t.Fatal(err)
		}
		if v, _, _, _ := h.Insight("F"); v.State("hel1/a") != "" {
			t.Errorf("hel1/a, which was deleted, is %s", v.State("hel1/a"))
		}
	})
}

func flowTime(ms int64) string {
	text, _ := flow.At(ms).MarshalJSON()
	return string(text)
}
