package flow_test

import (
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// TestState_AboveLoweredLimitsMustNotGrow checks requests for a flow of three nodes and two relationships against limits of two nodes and one relationship.
func TestState_AboveLoweredLimitsMustNotGrow(t *testing.T) {
	decode := func(text string) (all []*flow.Message) {
		for line := range strings.Lines(text) {
			m, err := flow.Decode("F", []byte(strings.TrimSpace(line)))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		return all
	}
	node := func(id string) string {
		return `{"type":"upsert-nodes","nodes":[{"id":"` + id + `","flowId":"F","label":"l","status":"running"}]}` + "\n"
	}
	rel := func(to string) string {
		return `{"type":"upsert-rels","relationships":[{"fromId":"a","toId":"` + to + `","type":"triggers"}]}` + "\n"
	}
	s := flow.NewState("F", 0)
	for _, m := range decode(node("a") + node("b") + node("c") + rel("b") + rel("c")) {
		s.Apply(m)
	}
	for request, want := range map[string]string{
		node("a"): "", rel("b"): "",
		`{"type":"delete-nodes","ids":["c"]}` + "\n" + node("a"):             "",
		`{"type":"delete-nodes","ids":["c"]}` + "\n" + node("d"):             "",
		`{"type":"delete-nodes","ids":["c"]}` + "\n" + node("d") + node("e"): "nodes",
		node("d"): "nodes", rel("d"): "relationships",
	} {
		if _, field := s.Exceeds(decode(request), 2, 1); field != want {
			t.Errorf("%q: field %q, want %q", request, field, want)
		}
	}
}
