package flow

import "strings"

// area holds the elements of a State that belong to one region: the nodes that name the region, and the relationships
// that RegionOfRel assigns to it.
type area struct {
	region  string
	nodes   []*vertex
	rels    []*edge
	version int64 // value of State.changes at the last change of this area
}

// area returns the area of a region, and creates it if there is none.
func (s *State) area(region string) *area {
	a := s.areas[region]
	if a == nil {
		if s.areas == nil {
			s.areas = make(map[string]*area)
		}
		a = &area{region: strings.Clone(region)} // a part of the message would keep the message in memory
		s.areas[a.region] = a
		s.bytes += a.size()
	}
	return a
}

// touch records a change of an area, and removes the area if it is empty.
func (s *State) touch(a *area) {
	s.changes++
	if a.version = s.changes; len(a.nodes) == 0 && len(a.rels) == 0 {
		delete(s.areas, a.region)
		s.bytes -= a.size()
	}
}

func (a *area) size() int64 { return areaCost + int64(len(a.region)) }

func (s *State) enterNode(v *vertex, region string) {
	v.area = s.area(region)
	v.iArea = int32(len(v.area.nodes))
	v.area.nodes = append(v.area.nodes, v)
}

func (s *State) leaveNode(v *vertex) {
	a := v.area
	last := a.nodes[len(a.nodes)-1]
	a.nodes[v.iArea], last.iArea = last, v.iArea
	a.nodes[len(a.nodes)-1] = nil
	a.nodes = a.nodes[:len(a.nodes)-1]
	v.area = nil
	s.touch(a)
}

func (s *State) enterRel(e *edge, region string) {
	e.area = s.area(region)
	e.iArea = int32(len(e.area.rels))
	e.area.rels = append(e.area.rels, e)
	s.touch(e.area)
}

func (s *State) leaveRel(e *edge) {
	a := e.area
	last := a.rels[len(a.rels)-1]
	a.rels[e.iArea], last.iArea = last, e.iArea
	a.rels[len(a.rels)-1] = nil
	a.rels = a.rels[:len(a.rels)-1]
	e.area = nil
	s.touch(a)
}

// RegionVersion returns a number that changes whenever the nodes or relationships of a region may have changed. It is 0 for a region
// without nodes and relationships. Do not compare numbers of different states.
func (s *State) RegionVersion(region string) int64 {
	if a := s.areas[region]; a != nil {
		return a.version
	}
	return 0
}

// CollectRegion returns the elements of one region as a snapshot message: the FlowInstance, the nodes that name the region, and the
// relationships that RegionOfRel assigns to it, unordered. Later changes of the state do not change the message. The cost depends on
// the number of the region's elements, not on the size of the flow.
func (s *State) CollectRegion(region string) *Message {
	f := s.flow
	m := &Message{Type: TypeSnapshot, Flow: &f}
	if a := s.areas[region]; a != nil {
		m.Nodes, m.Relationships = make([]Node, 0, len(a.nodes)), make([]Relationship, 0, len(a.rels))
		for _, v := range a.nodes {
			m.Nodes = append(m.Nodes, v.node)
		}
		for _, e := range a.rels {
			m.Relationships = append(m.Relationships, e.rel)
		}
	}
	return m
}
