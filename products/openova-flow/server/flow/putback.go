package flow

// PutBack restores foreign relationships after a deletion. By the contract, deleting a node deletes all of its relationships. A caller that
// is bound to regions must not delete relationships of other regions (RelInRegions).
type PutBack struct {
	Regions []string // of the caller
	removed map[RelKey]Relationship
}

// Before records the foreign relationships that a delete-nodes message removes from a state. Call it with each message of a request,
// before Apply.
func (p *PutBack) Before(s *State, m *Message) {
	switch m.Type {
	case TypeSnapshot: // what a snapshot leaves out is not restored
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

// Message returns the message that restores the recorded relationships that s lacks, ordered by key; nil if it lacks none.
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
