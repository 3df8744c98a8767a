package flow

import "strings"

// area is what of a State belongs to one region: the nodes that name it, and the relationships that RegionOfRel gives it.
type area struct {
	region  string
	nodes   []*vertex
	rels    []*edge
	version int64 // State.changes when it last changed
}

// area returns the area of a region, made when there is none.
func (s *State) area(region string) *area {
	a := s.areas[region]
	if a == nil {
		if s.areas == nil {
			s.areas = make(map[string]*area)
		}
		a = &area{region: strings.Clone(region)} // the text of the node may go before the area does
		s.areas[a.region] = a
		s.bytes += a.size()
	}
	return a
}

// touch notes that an area has changed, and drops it when nothing is left in it.
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

// RegionVersion returns a number that is another whenever the nodes or relationships of a region may have changed; 0 while it has none.
// Numbers of different states do not compare.
func (s *State) RegionVersion(region string) int64 {
	if a := s.areas[region]; a != nil {
		return a.version
	}
	return 0
}

// CollectRegion returns what of the state belongs to a region as a snapshot message that shares nothing with later changes: the
// FlowInstance, the nodes that name the region, and the relationships that RegionOfRel gives it, in no order. It costs the number of
// these elements, whatever else there is.
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
