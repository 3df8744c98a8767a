package flow

// PutBack restores relationships that a deletion removes but that its caller does not own. By the contract, deleting a node deletes all of
// its relationships. A caller that is bound to regions must not delete those of other regions.
type PutBack struct {
	Regions []string // of the caller
	removed map[RelKey]Relationship
}

// Before records what a message is about to remove from a state. Call it before Apply.
func (p *PutBack) Before(s *State, m *Message) {
	switch m.Type {
	case TypeSnapshot: // a snapshot replaces everything
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

// Message returns the message that restores the relationships, ordered by key; nil if there are none.
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
