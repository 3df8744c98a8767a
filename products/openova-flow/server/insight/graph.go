package insight

import (
	"iter"
	"slices"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// Graph is the graph of a snapshot. It is immutable.
type Graph struct {
	// Nodes are addressed by index, in byte order of their ids. Ids in the lists of judgements have an index too, even without a node.
	ids   []string
	index map[string]int32
	nodes []vertex
}

// vertex is a node, or an id without a node.
type vertex struct {
	node       *flow.Node // nil without a node
	judgement  *Judgement
	member     bool
	needs      []int32 // without duplicates, in the order of the judgement; those of relationships in byte order
	named      []int32 // see Judgement
	readyWhile []int32
	checks     []int32
	source     int32 // none if it does not exist
}

const none = -1

// maxAllRefs limits the ids in the lists of all judgements of a flow, to many times the relationships of a large flow. Judgements beyond it lose their
// lists, so that the memory of a Graph is in proportion to the limits of a flow.
const maxAllRefs = 1 << 20

// Read builds the graph of a snapshot, which must not change afterwards. Of several nodes with one id it uses the last.
func Read(m *flow.Message) *Graph {
	nodes := make(map[string]*flow.Node, len(m.Nodes))
	for i := range m.Nodes {
		nodes[m.Nodes[i].ID] = &m.Nodes[i]
	}
	judgements := make(map[string]*Judgement, len(nodes))
	left := maxAllRefs
	for i := range m.Nodes {
		j := Judge(&m.Nodes[i])
		if left -= j.refs(); left < 0 {
			j.needs, j.named, j.readyWhile, j.checks = nil, nil, nil, nil
		}
		judgements[m.Nodes[i].ID] = j
	}
	containers := make(map[string]bool)
	own := func(flowID string) bool { return flowID == "" || m.Flow != nil && flowID == m.Flow.ID }
	for i := range m.Relationships {
		r := &m.Relationships[i]
		if !own(r.FromFlowID) || !own(r.ToFlowID) {
			continue
		}
		from, to := nodes[r.FromID], nodes[r.ToID]
		if r.Type == flow.Contains && from != nil && to != nil && from.Region == to.Region {
			containers[r.ToID] = true
		}
	}
	// Needs from relationships, for nodes that name none themselves.
	for i := range m.Relationships {
		r := &m.Relationships[i]
		j := judgements[r.ToID]
		if j == nil || j.judged || containers[r.ToID] || !own(r.FromFlowID) || !own(r.ToFlowID) || nodes[r.ToID].Status == flow.StatusSucceeded {
			continue
		}
		if len(j.named) == 0 && blocks(r, nodes[r.FromID], judgements[r.FromID]) {
			j.needs = append(j.needs, r.FromID)
		}
	}
	g := &Graph{}
	g.number(nodes, judgements)
	for i := range g.nodes {
		v := &g.nodes[i]
		v.source = none
		if v.node = nodes[g.ids[i]]; v.node == nil {
			continue
		}
		j := judgements[g.ids[i]]
		v.judgement = j
		v.member = j.kind != "Region" && !containers[g.ids[i]]
		v.needs, v.named, v.readyWhile, v.checks = g.indices(j.needs), g.indices(j.named), g.indices(j.readyWhile), g.indices(j.checks)
		if !j.judged && len(j.named) == 0 {
			slices.Sort(v.needs) // relationships come in any order
		}
		if at, ok := g.index[j.source]; ok && nodes[j.source] != nil {
			v.source = at
		}
	}
	return g
}

// Members yields the members (see the package's terms), in byte order of their ids. They must not be changed.
func (g *Graph) Members() iter.Seq[*flow.Node] {
	return func(yield func(*flow.Node) bool) {
		for i := range g.nodes {
			if n := &g.nodes[i]; n.node != nil && n.member && !yield(n.node) {
				return
			}
		}
	}
}

// blocks reports whether a relationship blocks its to-end.
func blocks(r *flow.Relationship, from *flow.Node, of *Judgement) bool {
	switch {
	case r.Type == flow.Contains || r.Type == flow.Triggers:
		return false
	case from == nil:
		return true
	case of.auxiliary:
		return false
	case r.Type == flow.StartToStart || r.Type == flow.StartToFinish:
		return from.Status == flow.StatusPending && from.StartedAt.IsZero()
	}
	switch r.Condition {
	case flow.OnFailure:
		return from.Status != flow.StatusFailed
	case flow.Always:
		return from.Status != flow.StatusFailed && from.Status != flow.StatusSucceeded
	default:
		return from.Status != flow.StatusSucceeded
	}
}

// number assigns the indices, also to ids without a node.
func (g *Graph) number(nodes map[string]*flow.Node, judgements map[string]*Judgement) {
	g.index = make(map[string]int32, len(nodes))
	add := func(id string) {
		if _, ok := g.index[id]; !ok {
			g.index[id] = 0
			g.ids = append(g.ids, id)
		}
	}
	for id := range nodes {
		add(id)
	}
	for _, j := range judgements {
		for _, list := range [][]string{j.needs, j.named, j.readyWhile, j.checks} {
			for _, id := range list {
				add(id)
			}
		}
	}
	slices.Sort(g.ids)
	for i, id := range g.ids {
		g.index[id] = int32(i)
	}
	g.nodes = make([]vertex, len(g.ids))
}

// indices returns the indices of ids, without duplicates.
func (g *Graph) indices(ids []string) []int32 {
	if len(ids) == 0 {
		return nil
	}
	list := make([]int32, 0, len(ids))
	var seen map[int32]bool
	if len(ids) > 16 {
		seen = make(map[int32]bool, len(ids))
	}
	for _, id := range ids {
		i := g.index[id]
		if seen == nil && slices.Contains(list, i) || seen[i] {
			continue
		}
		if seen != nil {
			seen[i] = true
		}
		list = append(list, i)
	}
	return list
}

// components returns the strongly connected component of each vertex in takesPart, numbered from 0, over the edges in next. Other vertices have none.
// It is Tarjan's algorithm without recursion, since chains may be long.
func components(n int, takesPart []bool, next [][]int32) (component []int32, count int32) {
	component = make([]int32, n)
	low, order := make([]int32, n), make([]int32, n)
	for i := range component {
		component[i] = none
	}
	at := make([]int32, n) // the next edge of each vertex
	var open, calls []int32
	visited := int32(0)
	enter := func(v int32) {
		visited++
		order[v], low[v] = visited, visited
		open, calls = append(open, v), append(calls, v)
	}
	for root := range int32(n) {
		if !takesPart[root] || order[root] != 0 {
			continue
		}
		enter(root)
		for len(calls) > 0 {
			v := calls[len(calls)-1]
			if int(at[v]) < len(next[v]) {
				to := next[v][at[v]]
				at[v]++
				switch {
				case !takesPart[to]:
				case order[to] == 0:
					enter(to)
				case component[to] == none:
					low[v] = min(low[v], order[to])
				}
				continue
			}
			calls = calls[:len(calls)-1]
			if len(calls) > 0 {
				caller := calls[len(calls)-1]
				low[caller] = min(low[caller], low[v])
			}
			if low[v] != order[v] {
				continue
			}
			for {
				member := open[len(open)-1]
				open = open[:len(open)-1]
				component[member] = count
				if member == v {
					break
				}
			}
			count++
		}
	}
	return component, count
}
