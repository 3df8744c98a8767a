package emit

import (
	"bytes"
	"slices"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// TestEncode_OrdersMessagesByType also checks that changes in one batch fold into the same state as one by one.
func TestEncode_OrdersMessagesByType(t *testing.T) {
	node := func(id string) mapping.Change {
		return mapping.Change{Node: &flow.Node{ID: id, FlowID: "f", Label: id, Status: "running"}}
	}
	edge := func(from, to string) mapping.Change {
		return mapping.Change{Edge: &flow.Relationship{FromID: from, ToID: to, Type: flow.FinishToStart}}
	}
	cut := func(from, to string) mapping.Change {
		return mapping.Change{DeleteEdge: &flow.RelKey{FromID: from, ToID: to, Type: flow.FinishToStart}}
	}
	for _, c := range []struct {
		name    string
		changes []mapping.Change
		want    []flow.Type
	}{
		{"nothing", nil, nil},
		{"all four", []mapping.Change{node("a"), edge("a", "b"), {DeleteNode: "c"}, cut("d", "e")},
			[]flow.Type{flow.TypeDeleteRels, flow.TypeDeleteNodes, flow.TypeUpsertNodes, flow.TypeUpsertRels}},
		{"made again", []mapping.Change{{DeleteNode: "a"}, edge("a", "b"), node("a")},
			[]flow.Type{flow.TypeDeleteNodes, flow.TypeUpsertNodes, flow.TypeUpsertRels}},
		{"made and deleted", []mapping.Change{node("a"), edge("a", "b"), {DeleteNode: "a"}}, []flow.Type{flow.TypeUpsertNodes, flow.TypeUpsertRels, flow.TypeDeleteNodes}},
		{"edge to a node that is deleted", []mapping.Change{edge("a", "b"), {DeleteNode: "b"}}, []flow.Type{flow.TypeUpsertRels, flow.TypeDeleteNodes}},
		{"edge made and deleted", []mapping.Change{edge("a", "b"), cut("a", "b")}, []flow.Type{flow.TypeUpsertRels, flow.TypeDeleteRels}},
		{"one node twice", []mapping.Change{node("a"), node("b"), node("a")}, []flow.Type{flow.TypeUpsertNodes, flow.TypeUpsertNodes}},
	} {
		t.Run(c.name, func(t *testing.T) {
			batched, one := flow.NewState("f", 0), flow.NewState("f", 0)
			got := applied(t, batched, c.changes)
			if !slices.Equal(got, c.want) {
				t.Errorf("messages are %v, want %v", got, c.want)
			}
			for i := range c.changes {
				applied(t, one, c.changes[i:i+1])
			}
			if got, want := batched.Snapshot().JSON(), one.Snapshot().JSON(); got != want {
				t.Errorf("in one batch\n%s\none by one\n%s", got, want)
			}
		})
	}
}

// applied folds the messages for changes into a state and returns their types.
func applied(t *testing.T, into *flow.State, changes []mapping.Change) []flow.Type {
	t.Helper()
	var types []flow.Type
	for line := range bytes.Lines(Encode(changes)) {
		m, err := flow.Decode("f", line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		into.Apply(m)
		types = append(types, m.Type)
	}
	return types
}
