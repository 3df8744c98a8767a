package flow

import "testing"

// A container whose child was removed, but not the edge, is a leaf until the child is put again.
func TestState_RemoveNodeKeepsRelationships(t *testing.T) {
	s := NewState("F", 0)
	child := Node{ID: "a", FlowID: "F", Label: "a", Status: StatusFailed}
	edge := Relationship{FromID: "a", ToID: "c", Type: Contains}
	s.Apply(UpsertNodes(child, Node{ID: "c", FlowID: "F", Label: "c", Status: StatusRunning}))
	s.Apply(UpsertRels(edge))
	s.removeNode("a")
	s.removeNode("unknown")
	if s.IsContainer("c") || !s.HasRel(edge.Key()) || s.NodeCount() != 1 || s.Statuses()[StatusFailed] != 0 {
		t.Errorf("without its child: container %v, relationship %v, %d nodes, %v", s.IsContainer("c"), s.HasRel(edge.Key()), s.NodeCount(), s.Statuses())
	}
	if m := s.Derive(1); m == nil || m.Flow.Status != StatusRunning {
		t.Errorf("derived: %+v", m)
	}
	s.Apply(UpsertNodes(child))
	if !s.IsContainer("c") {
		t.Error("with its child again it is no container")
	}
}
