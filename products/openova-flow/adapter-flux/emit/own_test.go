package emit

import (
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func TestOwnImage_LeavesContainsOverTwoRegionsAlone(t *testing.T) {
	contains := func(from, to string) flow.Relationship {
		return flow.Relationship{FromID: from, ToID: to, Type: flow.Contains}
	}
	own, out, in, away := contains("r1/a", "r1"), contains("r1/a", "r2/b"), contains("r2/b", "r1/a"), contains("r1/b", "r1")
	away.FromFlowID = "other"
	got := ownImage("F", "r1", &flow.Message{Type: flow.TypeSnapshot,
		Nodes:         []flow.Node{{ID: "r1/a", Region: "r1"}, {ID: "r2/b", Region: "r2"}},
		Relationships: []flow.Relationship{own, out, in, away},
	})
	for _, tt := range []struct {
		rel  flow.Relationship
		want bool
	}{{own, true}, {out, false}, {in, false}, {away, false}} {
		if _, there := got.values[key{rel: tt.rel.Key()}]; there != tt.want {
			t.Errorf("%v is the region's: %t", tt.rel.Key(), there)
		}
	}
}
