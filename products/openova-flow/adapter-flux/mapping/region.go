package mapping

import (
	"slices"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// RegionInfo has facts about a region that do not come from its objects.
type RegionInfo struct {
	ClusterUID string // the UID of the namespace kube-system
	NotWatched []NotWatched
	Down       []Controller // Flux's controllers that are known to be down
}

// NotWatched is a kind that is not watched, in one namespace or in all.
type NotWatched struct {
	Kind      string `json:"kind"`
	Namespace string `json:"-"` // empty: all; Why names it too
	Why       string `json:"why"`
}

// hides reports whether the object's kind is not watched in its namespace.
func (info RegionInfo) hides(k key) bool {
	return slices.ContainsFunc(info.NotWatched, func(n NotWatched) bool {
		return n.Kind == k.kind && (n.Namespace == "" || n.Namespace == k.namespace)
	})
}

// statusesByWeight are ordered from best to worst. A region has the worst status of its members.
var statusesByWeight = []string{flow.StatusSucceeded, flow.StatusPending, flow.StatusRunning, flow.StatusFailed}

// rollup counts the members of a region by status, so that its node does not need a loop over them.
type rollup struct {
	byStatus map[string]int
	starts   multiset
	ends     multiset // negative values, so that the minimum is the latest end
}

func (r *rollup) add(n *flow.Node, by int) {
	if n == nil {
		return
	}
	if r.byStatus == nil {
		r.byStatus = map[string]int{}
	}
	r.byStatus[n.Status] += by
	count := (*multiset).add
	if by < 0 {
		count = (*multiset).remove
	}
	if ms, ok := n.StartedAt.Get(); ok {
		count(&r.starts, ms)
	}
	if ms, ok := n.EndedAt.Get(); ok {
		count(&r.ends, -ms)
	}
}

// node returns the region's node: worst status, earliest start, and, once all have succeeded, latest end of its members.
func (r *rollup) node(c Config, meta flow.Object) *flow.Node {
	n := &flow.Node{ID: c.Region, FlowID: c.FlowID, Label: c.Region, Region: c.Region, Status: flow.StatusPending, Meta: meta}
	for _, s := range statusesByWeight {
		if r.byStatus[s] > 0 {
			n.Status = s
		}
	}
	if ms, ok := r.starts.min(); ok {
		n.StartedAt = flow.At(ms)
	}
	if ms, ok := r.ends.min(); ok && n.Status == flow.StatusSucceeded {
		n.EndedAt = flow.At(-ms)
	}
	return n
}

// meta returns the meta of the region's node. offset is the clock offset.
func (info RegionInfo) meta(c Config, offset int64) flow.Object {
	m := map[string]any{"kind": "Region", "namespaces": []string{"*"}}
	if len(c.Namespaces) > 0 {
		m["namespaces"] = c.Namespaces
	}
	put(m, "clusterUID", info.ClusterUID)
	if len(info.NotWatched) > 0 {
		m["notWatched"] = info.NotWatched
	}
	put(m, "clockOffset", offset)
	return encode(m)
}
