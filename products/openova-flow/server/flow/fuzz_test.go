package flow_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// FuzzDecode holds the decoder to encoding/json: what it accepts is JSON with the same meaning, and what it lets out is one
// line that it takes in again unchanged.
func FuzzDecode(f *testing.F) {
	for _, dir := range []string{"valid", "invalid", "invalid-bytes"} {
		for _, data := range vectors(f, dir) {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := flow.Decode("F", data)
		if err != nil {
			if m != nil {
				t.Fatal("a message beside an error")
			}
			return
		}
		if !utf8.Valid(data) || !json.Valid(data) {
			t.Fatalf("accepted %q, which is not JSON", data)
		}
		out := m.JSON()
		if bytes.ContainsAny([]byte(out), "\n\r") {
			t.Fatalf("%q is not one line", out)
		}
		var compacted bytes.Buffer
		if err := json.Compact(&compacted, data); err != nil || compacted.String() != out {
			t.Fatalf("goes out as %q, want %q", out, compacted.String())
		}
		again, err := flow.Decode("F", []byte(out))
		if err != nil || again.JSON() != out {
			t.Fatalf("its own output is refused or changes: %v", err)
		}
		agreesWithEncodingJSON(t, m, data)
		s := flow.NewState("F", 1)
		s.Apply(m)
		s.Derive(2)
		if _, err := flow.Decode("F", []byte(s.Snapshot().JSON())); err != nil {
			t.Fatalf("the snapshot of its fold is refused: %v", err)
		}
	})
}

func agreesWithEncodingJSON(t *testing.T, m *flow.Message, data []byte) {
	t.Helper()
	var top struct {
		Type          flow.Type
		Nodes         []flow.Node
		Relationships []flow.Relationship
		IDs           []string
	}
	// Fields that the variant does not use may hold anything, so each is read alone.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	read := func(name string, into any, used bool) {
		if raw, ok := fields[name]; ok && used {
			if err := json.Unmarshal(raw, into); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	read("type", &top.Type, true)
	read("nodes", &top.Nodes, m.Type == flow.TypeSnapshot || m.Type == flow.TypeUpsertNodes)
	read("relationships", &top.Relationships, m.Type == flow.TypeSnapshot || m.Type == flow.TypeUpsertRels)
	read("ids", &top.IDs, m.Type == flow.TypeDeleteNodes)
	if top.Type != m.Type || len(top.Nodes) != len(m.Nodes) || len(top.Relationships) != len(m.Relationships) || len(top.IDs) != len(m.IDs) {
		t.Fatalf("read as %+v, encoding/json says %+v", m, top)
	}
	for i, n := range top.Nodes {
		g := m.Nodes[i]
		if g.ID != n.ID || g.Label != n.Label || g.Status != n.Status || g.Region != n.Region || g.Family != n.Family || g.StartedAt != n.StartedAt || g.EndedAt != n.EndedAt {
			t.Fatalf("node %d read as %+v, encoding/json says %+v", i, g, n)
		}
	}
	for i, r := range top.Relationships {
		if g := m.Relationships[i]; g.Key() != r.Key() || g.Lag != r.Lag || g.Condition != r.Condition || g.ToFlowID != r.ToFlowID {
			t.Fatalf("relationship %d read as %+v, encoding/json says %+v", i, g, r)
		}
	}
	for i, id := range top.IDs {
		if m.IDs[i] != id {
			t.Fatalf("id %d read as %q, encoding/json says %q", i, m.IDs[i], id)
		}
	}
}
