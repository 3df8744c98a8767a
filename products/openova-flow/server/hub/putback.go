package hub

import (
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// putBack holds what the deletions of a caller that is bound to regions remove and that is not its own: by the contract a node takes every
// relationship that touches it along, those of other regions among them.
type putBack struct {
	regions []string
	removed map[flow.RelKey]flow.Relationship
}

// before notes what a message is about to remove from a state.
func (p *putBack) before(s *flow.State, m *flow.Message) {
	switch m.Type {
	case flow.TypeSnapshot: // says what there is, all of it
		clear(p.removed)
	case flow.TypeDeleteNodes:
		for _, id := range m.IDs {
			s.EachRelOf(id, func(r flow.Relationship) {
				if k := r.Key(); !flow.RelInRegions(k, p.regions) {
					if p.removed == nil {
						p.removed = make(map[flow.RelKey]flow.Relationship)
					}
					p.removed[k] = r
				}
			})
		}
	}
}

// message is what puts it back, in the order of the keys; nil when there is nothing.
func (p *putBack) message(s *flow.State) *flow.Message {
	var rels []flow.Relationship
	for k, r := range p.removed {
		if !s.HasRel(k) {
			rels = append(rels, r)
		}
	}
	if rels == nil {
		return nil
	}
	m := flow.UpsertRels(rels...)
	m.Sort()
	return m
}
