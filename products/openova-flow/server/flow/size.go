package flow

import "fmt"

// maxRegionSteps limits the work of one request that changes the regions of nodes repeatedly. A change counts as one step for each relationship of the flow,
// since the node may have all of them.
const maxRegionSteps = 4 << 20

// Exceeds returns the first message with which a state would exceed maxNodes or maxRels, and the field: "nodes" or "relationships". A state that is above
// them, since they were lowered, must not grow. If the request exceeds maxRegionSteps, Exceeds returns the message that does, and as the field the region of
// a node. The message is nil if no limit is exceeded. A nil state is empty. Exceeds counts the new keys only if the request might exceed a limit. A
// relationship that the request deletes together with its node still counts.
func (s *State) Exceeds(messages []*Message, maxNodes, maxRels int) (*Message, string) {
	if s == nil {
		s = new(State)
	}
	nodes, rels := s.NodeCount(), s.RelCount()
	maxNodes, maxRels = max(maxNodes, nodes), max(maxRels, rels)
	put, moreRels := 0, rels
	for _, m := range messages {
		put += len(m.Nodes)
		moreRels += len(m.Relationships)
	}
	if put*moreRels > maxRegionSteps {
		if m, field := exceedsRegionChanges(messages, maxRegionSteps/moreRels); m != nil {
			return m, field
		}
	}
	if nodes+put <= maxNodes && moreRels <= maxRels {
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

// exceedsRegionChanges returns the message with which a request has changed the regions of nodes more than limit times, and the field; nil if there is none.
// The first region that the request gives to a node does not count as a change.
func exceedsRegionChanges(messages []*Message, limit int) (*Message, string) {
	regions := make(map[string]string)
	changes := 0
	for _, m := range messages {
		for i := range m.Nodes {
			n := &m.Nodes[i]
			if was, known := regions[n.ID]; known && was != n.Region {
				changes++
			}
			regions[n.ID] = n.Region
			if changes > limit {
				return m, fmt.Sprintf("nodes[%d].region", i)
			}
		}
	}
	return nil, ""
}

// keySet counts the keys of a set as keys are added and removed.
type keySet[K comparable] struct {
	n       int
	base    func(K) bool // whether the set had a key at first; nil: it was empty
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
