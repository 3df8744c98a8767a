package flow

// PutBack holds what the deletions of a caller that is bound to regions remove and that is not its own: by the contract a node takes every
// relationship that touches it along, those of other regions among them.
type PutBack struct {
	Regions []string // of the caller
	removed map[RelKey]Relationship
}

// Before notes what a message is about to remove from a state.
func (p *PutBack) Before(s *State, m *Message) {
	switch m.Type {
	case TypeSnapshot: // says what there is, all of it
		clear(p.removed)
	case TypeDeleteNodes:
		for _, id := range m.IDs {
			s.EachRelOf(id, func(r Relationship) {
				if k := r.Key(); !RelInRegions(k, p.Regions) {
					if p.removed == nil {
						p.removed = make(map[RelKey]Relationship)
					}
					p.removed[k] = r
				}
			})
		}
	}
}

// Message is what puts it back, in the order of the keys; nil when there is nothing.
func (p *PutBack) Message(s *State) *Message {
	var rels []Relationship
	for k, r := range p.removed {
		if !s.HasRel(k) {
			rels = append(rels, r)
		}
	}
	if rels == nil {
		return nil
	}
	m := UpsertRels(rels...)
	m.Sort()
	return m
}
