package mapping

import "github.com/openova-io/openova/products/openova-flow/server/flow"

// Messages puts the changes of one event into messages, at most one of each kind, in the order in which they are to be sent:
// edges that go, nodes that go (which at the receiver takes their edges with them), nodes, edges. Folding the messages ends in
// the state that the changes end in. No change makes no message.
func Messages(changes []Change) []*flow.Message {
	var b batch
	for _, c := range changes {
		b.add(c)
	}
	var out []*flow.Message
	if keys := b.goneEdges.list(); len(keys) > 0 {
		out = append(out, flow.DeleteRels(keys...))
	}
	if ids := b.goneNodes.list(); len(ids) > 0 {
		out = append(out, flow.DeleteNodes(ids...))
	}
	if nodes := b.nodes.list(); len(nodes) > 0 {
		out = append(out, flow.UpsertNodes(nodes...))
	}
	if edges := b.edges.list(); len(edges) > 0 {
		out = append(out, flow.UpsertRels(edges...))
	}
	return out
}

// batch holds the newest word on each node and edge.
type batch struct {
	goneEdges ordered[flow.RelKey, flow.RelKey]
	goneNodes ordered[string, string]
	nodes     ordered[string, flow.Node]
	edges     ordered[flow.RelKey, flow.Relationship]
}

func (b *batch) add(c Change) {
	switch {
	case c.Node != nil:
		b.nodes.set(c.Node.ID, *c.Node)
	case c.Edge != nil:
		b.edges.set(c.Edge.Key(), *c.Edge)
	case c.DeleteEdge != nil:
		b.edges.drop(*c.DeleteEdge)
		b.goneEdges.set(*c.DeleteEdge, *c.DeleteEdge)
	case c.DeleteNode != "":
		b.nodes.drop(c.DeleteNode)
		for k := range b.edges.at {
			if k.FromID == c.DeleteNode || k.ToID == c.DeleteNode {
				b.edges.drop(k)
			}
		}
		b.goneNodes.set(c.DeleteNode, c.DeleteNode)
	}
}

// ordered is a map that lists its values in the order in which their keys came.
type ordered[K comparable, V any] struct {
	at    map[K]int
	slots []*V
}

func (o *ordered[K, V]) set(k K, v V) {
	if i, ok := o.at[k]; ok {
		o.slots[i] = &v
		return
	}
	if o.at == nil {
		o.at = map[K]int{}
	}
	o.at[k] = len(o.slots)
	o.slots = append(o.slots, &v)
}

func (o *ordered[K, V]) drop(k K) {
	if i, ok := o.at[k]; ok {
		o.slots[i] = nil
		delete(o.at, k)
	}
}

func (o *ordered[K, V]) list() []V {
	var out []V
	for _, v := range o.slots {
		if v != nil {
			out = append(out, *v)
		}
	}
	return out
}
