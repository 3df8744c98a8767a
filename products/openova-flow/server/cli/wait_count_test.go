package cli

import (
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

// TestAssess_ForeignContainsHidesNoRelease has a region declare that a failed release of another one contains a release of its own.
func TestAssess_ForeignContainsHidesNoRelease(t *testing.T) {
	node := func(id, region, status string) flow.Node {
		return flow.Node{ID: id, FlowID: "F", Label: id, Status: status, Region: region}
	}
	snapshot := func(parent string) *flow.Message {
		return &flow.Message{Type: flow.TypeSnapshot, Flow: &flow.Instance{ID: "F", Status: "x", StartedAt: flow.At(1)},
			Nodes:         []flow.Node{node("fsn1/a", "fsn1", "succeeded"), node("fsn1/group", "fsn1", "failed"), node("hel1/cilium", "hel1", "failed"), node("hel1/b", "hel1", "succeeded")},
			Relationships: []flow.Relationship{{FromID: "fsn1/a", ToID: parent, Type: flow.Contains}}}
	}
	for _, tt := range []struct {
		region, parent      string
		total, done, failed int
	}{
		{"hel1", "hel1/cilium", 2, 1, 1},
		{"", "hel1/cilium", 4, 2, 2},
		{"", "fsn1/group", 3, 2, 1},
		{"fsn1", "fsn1/group", 1, 1, 0},
	} {
		a := assess(insight.Read(snapshot(tt.parent)).At(1000, nil), tt.region, time.Time{})
		if a.total != tt.total || a.done != tt.done || a.failed != tt.failed {
			t.Errorf("region %q, %s contains fsn1/a: %d of %d done, %d failed", tt.region, tt.parent, a.done, a.total, a.failed)
		}
	}
}
