package mapping

import "github.com/openova-io/openova/products/openova-flow/server/flow"

// RegionInfo is what is known of a region besides its objects.
type RegionInfo struct {
	ClusterUID string       // the UID of the namespace kube-system
	NotWatched []NotWatched // kinds that are not mapped, and why
}

// NotWatched is a kind that is not watched.
type NotWatched struct {
	Kind string `json:"kind"`
	Why  string `json:"why"`
}

// statusesByWeight is from the best to the worst; the worst of its members is a region's status.
var statusesByWeight = []string{flow.StatusSucceeded, flow.StatusPending, flow.StatusRunning, flow.StatusFailed}

// rollup counts the members of a region, so that its node never costs a walk over them.
type rollup struct {
	byStatus map[string]int
	starts   extent
	ends     extent // negated, so that its least is the latest
}

func (r *rollup) add(n *flow.Node, by int) {
	if n == nil {
		return
	}
	if r.byStatus == nil {
		r.byStatus = map[string]int{}
	}
	r.byStatus[n.Status] += by
	count := (*extent).add
	if by < 0 {
		count = (*extent).remove
	}
	if ms, ok := n.StartedAt.Get(); ok {
		count(&r.starts, ms)
	}
	if ms, ok := n.EndedAt.Get(); ok {
		count(&r.ends, -ms)
	}
}

// node is the region as its members make it: the worst status, the earliest start, and, once all have succeeded, the latest end.
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

// meta is what the region's node tells besides its members.
func (info RegionInfo) meta(c Config) flow.Object {
	m := map[string]any{"kind": "Region", "namespaces": []string{"*"}}
	if len(c.Namespaces) > 0 {
		m["namespaces"] = c.Namespaces
	}
	put(m, "clusterUID", info.ClusterUID)
	if len(info.NotWatched) > 0 {
		m["notWatched"] = info.NotWatched
	}
	return encode(m)
}
