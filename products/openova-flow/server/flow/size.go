package flow

// Exceeds returns the first message that would bring a state over so many nodes or relationships, and the field, "nodes" or "relationships"; nil when none
// would. The state may be nil: there is nothing yet. The common case, far below, costs one addition per message; near the limits it is worked out which
// keys are new. Relationships that go because a node of theirs is deleted in the same request are not counted off.
func (s *State) Exceeds(messages []*Message, maxNodes, maxRels int) (*Message, string) {
	if s == nil {
		s = new(State)
	}
	nodes, rels := s.NodeCount(), s.RelCount()
	moreNodes, moreRels := nodes, rels
	for _, m := range messages {
		moreNodes += len(m.Nodes)
		moreRels += len(m.Relationships)
	}
	if moreNodes <= maxNodes && moreRels <= maxRels {
		return nil, ""
	}
	nodeSet := keySet[string]{n: nodes, base: func(id string) bool { _, ok := s.Node(id); return ok }}
	relSet := keySet[RelKey]{n: rels, base: s.HasRel}
	for _, m := range messages {
		if m.Type == TypeSnapshot {
			nodeSet, relSet = keySet[string]{}, keySet[RelKey]{}
		}
		for i := range m.Nodes {
			nodeSet.set(m.Nodes[i].ID, true)
		}
		for i := range m.Relationships {
			relSet.set(m.Relationships[i].Key(), true)
		}
		for _, id := range m.IDs {
			nodeSet.set(id, false)
		}
		for _, k := range m.Pairs {
			relSet.set(k, false)
		}
		if nodeSet.n > maxNodes {
			return m, "nodes"
		}
		if relSet.n > maxRels {
			return m, "relationships"
		}
	}
	return nil, ""
}

// keySet is a set of keys on top of another that is not touched.
type keySet[K comparable] struct {
	n       int
	base    func(K) bool
	changed map[K]bool
}

func (s *keySet[K]) set(k K, present bool) {
	was, known := s.changed[k]
	if !known && s.base != nil {
		was = s.base(k)
	}
	if was == present {
		return
	}
	if s.changed == nil {
		s.changed = make(map[K]bool)
	}
	s.changed[k] = present
	if present {
		s.n++
	} else {
		s.n--
	}
}
