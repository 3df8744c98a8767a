package flow

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
)

// State is the result of folding the messages of one flow. It is not safe for concurrent use.
//
// It keeps nothing of deleted elements, and no element keeps a much larger message in memory.
type State struct {
	flowID    string
	flow      Instance
	described bool // a message has set flow, so Derive leaves it unchanged
	vertices  map[string]*vertex
	rels      map[RelKey]*edge
	areas     map[string]*area // by region
	changes   int64            // number of changes of areas so far
	nodes     int              // vertices with a node
	statuses  map[string]int   // number of nodes by status
	bytes     int64
	leaves    rollup
	arrival   int64 // when the flow was created, Unix milliseconds
	doneAt    int64 // arrival of the change that made the derived status succeeded
}

// vertex is a node, or an id that only relationships name.
type vertex struct {
	node     Node
	present  bool
	children int     // nodes of its region that this node contains
	out, in  []*edge // relationships from and to this id
	area     *area   // of the node; nil without a node
	iArea    int32   // position in area.nodes
}

type edge struct {
	rel      Relationship
	from, to *vertex // nil for an end in another flow
	iOut     int32   // position in from.out
	iIn      int32   // position in to.in
	area     *area   // nil for one that belongs to no region
	iArea    int32   // position in area.rels
}

// NewState returns the state of a new, empty, pending flow. arrival is when it was created, in Unix milliseconds.
func NewState(flowID string, arrival int64) *State {
	s := &State{flowID: flowID, arrival: arrival}
	s.reset()
	s.flow = Instance{ID: flowID, Status: StatusPending, StartedAt: At(arrival)}
	return s
}

func (s *State) reset() {
	s.vertices, s.rels, s.areas = nil, nil, nil
	s.nodes, s.statuses = 0, nil
	s.bytes = int64(len(s.flow.raw))
	s.leaves = rollup{}
}

// Apply folds one valid message of this flow.
func (s *State) Apply(m *Message) {
	switch m.Type {
	case TypeSnapshot:
		s.reset()
		s.setFlow(m)
		s.putNodes(m)
		s.putRels(m)
	case TypeUpsertFlow:
		s.setFlow(m)
	case TypeUpsertNodes:
		s.putNodes(m)
	case TypeUpsertRels:
		s.putRels(m)
	case TypeDeleteNodes:
		for _, id := range m.IDs {
			s.deleteNode(id)
		}
	case TypeDeleteRels:
		for _, k := range m.Pairs {
			if e := s.rels[k]; e != nil {
				s.deleteRel(e)
			}
		}
	}
}

var decodedMessages = sync.Pool{New: func() any { return new(decoded) }}

// ApplyAgain folds a message of this flow. text must be the result of Message.JSON, else ApplyAgain may panic. It leaves out most checks, so it is faster than
// Decode and Apply.
func (s *State) ApplyAgain(text string) { decodeAgain(s.flowID, text, s.Apply) }

// decodeAgain calls f with a message of the given text, the result of Message.JSON. The message is valid only until f returns.
func decodeAgain(flowID, text string, f func(*Message)) {
	m := decodedMessages.Get().(*decoded)
	if _, err := parse(m, flowID, text, decodedBefore); err != nil {
		panic("flow: a decoded message does not decode again: " + err.Error())
	}
	f(&m.Message)
	*m = decoded{}
	decodedMessages.Put(m)
}

func (s *State) setFlow(m *Message) {
	s.bytes += int64(len(m.Flow.raw) - len(s.flow.raw))
	s.flow = *m.Flow
	if raw, ok := m.detach(s.flow.raw); ok {
		s.flow = reread(s.flowID, raw, (*decoder).instance)
	}
	s.described = true
}

// detach copies raw, the bytes of an element of m, if keeping raw would keep a much larger message in memory. It reports
// whether it copied.
func (m *Message) detach(raw string) (string, bool) {
	if raw == "" || len(m.raw) <= 2*len(raw)+512 {
		return "", false
	}
	return strings.Clone(raw), true
}

// reread decodes an element again from a copy of its bytes, so that its fields refer to the copy.
func reread[T any](flowID, raw string, read func(*decoder, *T) error) (element T) {
	d := decoder{scanner: scanner{s: raw, valid: true}, flowID: flowID, stored: true}
	if err := read(&d, &element); err != nil {
		panic("flow: a decoded element does not decode again: " + err.Error())
	}
	return element
}

func (s *State) putNodes(m *Message) {
	for _, n := range m.Nodes {
		if raw, ok := m.detach(n.raw); ok {
			n = reread(s.flowID, raw, (*decoder).node)
		}
		s.putNode(n)
	}
}

func (s *State) putNode(n Node) {
	v := s.vertex(n.ID)
	s.bytes += n.size()
	if !v.present || v.node.Status != n.Status {
		if v.present {
			s.count(v.node.Status, -1)
		}
		s.count(n.Status, 1)
	}
	if v.present && v.node.Region == n.Region {
		s.bytes -= v.node.size()
		if v.children == 0 {
			s.leaves.replace(&v.node, &n)
		}
		v.node = n
		s.touch(v.area)
		return
	}
	// A contains edge counts only if both ends exist in one region. The region or the presence of v changes here, so its contains edges are counted again.
	s.countContains(v, -1)
	if v.present {
		s.bytes -= v.node.size()
		s.leaves.remove(&v.node)
	} else {
		v.present = true
		s.nodes++
	}
	if v.area != nil && v.area.region != n.Region {
		s.leaveNode(v)
	}
	if v.area == nil {
		s.enterNode(v, n.Region)
	}
	s.touch(v.area)
	v.node = n
	s.leaves.add(&v.node)
	s.countContains(v, 1)
}

func (s *State) count(status string, delta int) {
	n := s.statuses[status] + delta
	if n == 0 {
		delete(s.statuses, status)
		return
	}
	if s.statuses == nil {
		s.statuses = make(map[string]int)
	}
	s.statuses[strings.Clone(status)] = n // the map takes the new key also for an existing entry; a part of a message would keep the message in memory
}

func (s *State) vertex(id string) *vertex {
	v := s.vertices[id]
	if v == nil {
		v = new(vertex)
		if s.vertices == nil {
			s.vertices = make(map[string]*vertex)
		}
		s.vertices[strings.Clone(id)] = v
		s.bytes += vertexCost
	}
	return v
}

// countContains adds delta to the children of the container, for each contains edge of v that counts.
func (s *State) countContains(v *vertex, delta int) {
	for _, e := range v.out {
		if e.contains() {
			s.addChildren(e.to, delta)
		}
	}
	for _, e := range v.in {
		if e.contains() && e.from != v {
			s.addChildren(v, delta)
		}
	}
}

func (s *State) addChildren(v *vertex, delta int) {
	wasLeaf := v.children == 0
	v.children += delta
	if isLeaf := v.children == 0; wasLeaf != isLeaf {
		if isLeaf {
			s.leaves.add(&v.node)
		} else {
			s.leaves.remove(&v.node)
		}
	}
}

func (s *State) deleteNode(id string) {
	v := s.vertices[id]
	if v == nil {
		return
	}
	for len(v.out) > 0 {
		s.deleteRel(v.out[len(v.out)-1])
	}
	for len(v.in) > 0 {
		s.deleteRel(v.in[len(v.in)-1])
	}
	s.removeNode(id)
}

// removeNode removes a node, if it exists, but not its relationships.
func (s *State) removeNode(id string) {
	v := s.vertices[id]
	if v == nil || !v.present {
		return
	}
	s.countContains(v, -1)
	s.leaves.remove(&v.node)
	s.count(v.node.Status, -1)
	s.bytes -= v.node.size()
	s.nodes--
	s.leaveNode(v)
	v.node, v.present = Node{}, false
	s.forget(v, id)
}

func (s *State) drop(id string) {
	if s.vertices[id] != nil {
		delete(s.vertices, id)
		s.bytes -= vertexCost
	}
}

func (s *State) putRels(m *Message) {
	for _, r := range m.Relationships {
		if raw, ok := m.detach(r.raw); ok {
			r = reread(s.flowID, raw, (*decoder).relationship)
		}
		s.putRel(r)
	}
}

func (s *State) putRel(r Relationship) {
	if e := s.rels[r.Key()]; e != nil {
		s.deleteRel(e)
	}
	e := &edge{rel: r}
	if s.rels == nil {
		s.rels = make(map[RelKey]*edge)
	}
	s.rels[r.Key()] = e
	s.bytes += r.size()
	if region, ok := RegionOfRel(r.Key()); ok {
		s.enterRel(e, region)
	}
	if r.FromFlowID == "" || r.FromFlowID == s.flowID {
		e.from = s.vertex(r.FromID)
		e.iOut = int32(len(e.from.out))
		e.from.out = append(e.from.out, e)
	}
	if r.ToFlowID == "" || r.ToFlowID == s.flowID {
		e.to = s.vertex(r.ToID)
		e.iIn = int32(len(e.to.in))
		e.to.in = append(e.to.in, e)
	}
	if e.contains() {
		s.addChildren(e.to, 1)
	}
}

// contains reports whether e is a contains edge that counts: its from node is a child of its to node. Both must exist and be in one
// region: otherwise a region could turn a leaf of another region into a container, and so remove it from the status of the flow.
func (e *edge) contains() bool {
	return e.rel.Type == Contains && e.from != nil && e.from.present && e.to != nil && e.to.present && e.from.node.Region == e.to.node.Region
}

func (s *State) deleteRel(e *edge) {
	if e.contains() {
		s.addChildren(e.to, -1)
	}
	delete(s.rels, e.rel.Key())
	s.bytes -= e.rel.size()
	if e.area != nil {
		s.leaveRel(e)
	}
	if v := e.from; v != nil {
		last := v.out[len(v.out)-1]
		v.out[e.iOut], last.iOut = last, e.iOut
		v.out[len(v.out)-1] = nil
		v.out = v.out[:len(v.out)-1]
		s.forget(v, e.rel.FromID)
	}
	if v := e.to; v != nil {
		last := v.in[len(v.in)-1]
		v.in[e.iIn], last.iIn = last, e.iIn
		v.in[len(v.in)-1] = nil
		v.in = v.in[:len(v.in)-1]
		s.forget(v, e.rel.ToID)
	}
}

// forget removes a vertex that has neither a node nor relationships.
func (s *State) forget(v *vertex, id string) {
	if !v.present && len(v.out) == 0 && len(v.in) == 0 {
		s.drop(id)
	}
}

// ID returns the flow's id.
func (s *State) ID() string { return s.flowID }

// Flow returns the FlowInstance.
func (s *State) Flow() Instance { return s.flow }

// Arrival returns when the flow was created, in Unix milliseconds.
func (s *State) Arrival() int64 { return s.arrival }

// Node returns the node with an id, and whether it exists.
func (s *State) Node(id string) (Node, bool) {
	if v := s.vertices[id]; v != nil && v.present {
		return v.node, true
	}
	return Node{}, false
}

// HasRel reports whether there is a relationship with this key.
func (s *State) HasRel(k RelKey) bool { return s.rels[k] != nil }

// NodeCount returns the number of nodes.
func (s *State) NodeCount() int { return s.nodes }

// Statuses returns the number of nodes by status.
func (s *State) Statuses() map[string]int {
	if s.statuses == nil {
		return map[string]int{}
	}
	return maps.Clone(s.statuses)
}

// NodeIDs returns the ids of the nodes, unordered.
func (s *State) NodeIDs() []string {
	ids := make([]string, 0, s.nodes)
	for _, v := range s.vertices {
		if v.present {
			ids = append(ids, v.node.ID)
		}
	}
	return ids
}

// RegionNodeIDs returns the ids of the nodes of a region, sorted.
func (s *State) RegionNodeIDs(region string) []string {
	a := s.areas[region]
	if a == nil {
		return nil
	}
	ids := make([]string, 0, len(a.nodes))
	for _, v := range a.nodes {
		ids = append(ids, v.node.ID)
	}
	slices.Sort(ids)
	return ids
}

// Regions returns the regions that have nodes, sorted, without the empty region.
func (s *State) Regions() []string {
	regions := []string{}
	for region, a := range s.areas {
		if region != "" && len(a.nodes) > 0 {
			regions = append(regions, region)
		}
	}
	slices.Sort(regions)
	return regions
}

// RelCount returns the number of relationships.
func (s *State) RelCount() int { return len(s.rels) }

// Bytes returns the approximate memory of the state: the JSON of decoded elements, and a cost for each id, relationship and region.
func (s *State) Bytes() int64 { return s.bytes }

// Approximate bytes of maps, indexes and headers.
const (
	vertexCost = 375 // for an id with a node or a relationship
	edgeCost   = 325
	areaCost   = 200 // for a region with nodes or relationships
)

func (n *Node) size() int64 { return int64(len(n.raw)) }

func (r *Relationship) size() int64 { return int64(len(r.raw)) + edgeCost }

// EachNode calls f for each node, unordered, until f returns false.
func (s *State) EachNode(f func(Node) bool) {
	for _, v := range s.vertices {
		if v.present && !f(v.node) {
			return
		}
	}
}

// EachRelOf calls f once for each relationship that deleting a node would delete, unordered. f must not change the state.
func (s *State) EachRelOf(id string, f func(Relationship)) {
	v := s.vertices[id]
	if v == nil {
		return
	}
	for _, e := range v.out {
		f(e.rel)
	}
	for _, e := range v.in {
		if e.from != v {
			f(e.rel)
		}
	}
}

// Snapshot returns the state as a snapshot message: nodes sorted by id, relationships by key. Later changes of the
// state do not change it. Collect and Message.Sort do the same in two steps; only the first reads the state.
func (s *State) Snapshot() *Message {
	m := s.Collect()
	m.Sort()
	return m
}

// Collect returns the state as an unordered snapshot message. Later changes of the state do not change it.
func (s *State) Collect() *Message {
	f := s.flow
	m := &Message{Type: TypeSnapshot, Flow: &f, Nodes: make([]Node, 0, s.nodes), Relationships: make([]Relationship, 0, len(s.rels))}
	for _, v := range s.vertices {
		if v.present {
			m.Nodes = append(m.Nodes, v.node)
		}
	}
	for _, e := range s.rels {
		m.Relationships = append(m.Relationships, e.rel)
	}
	return m
}

// Sort sorts the nodes of a message by id and its relationships by key.
func (m *Message) Sort() {
	slices.SortFunc(m.Nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(m.Relationships, func(a, b Relationship) int {
		return cmp.Or(cmp.Compare(a.FromID, b.FromID), cmp.Compare(a.ToID, b.ToID), cmp.Compare(a.Type, b.Type))
	})
}

// Successors calls f for each existing node of this flow to which a relationship of this type leads from id.
func (s *State) Successors(id string, typ RelType, f func(Node)) {
	if v := s.vertices[id]; v != nil {
		for _, e := range v.out {
			if e.rel.Type == typ && e.to != nil && e.to.present {
				f(e.to.node)
			}
		}
	}
}

// Predecessors calls f with the id of each node of this flow, existing or not, from which a relationship of this type leads to id.
func (s *State) Predecessors(id string, typ RelType, f func(id string)) {
	if v := s.vertices[id]; v != nil {
		for _, e := range v.in {
			if e.rel.Type == typ && e.from != nil {
				f(e.rel.FromID)
			}
		}
	}
}

// IsContainer reports whether the node with this id contains a node of its own region.
func (s *State) IsContainer(id string) bool {
	v := s.vertices[id]
	return v != nil && v.children > 0
}
