package flow_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// FuzzDecode compares the decoder with encoding/json: accepted input is JSON with the same meaning, and its output is one
// line that decodes to the same output again.
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
				t.Fatal("Decode returned a message and an error")
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
			t.Fatalf("JSON returned %q, want %q", out, compacted.String())
		}
		second, err := flow.Decode("F", []byte(out))
		if err != nil || second.JSON() != out {
			t.Fatalf("the output of JSON is invalid or changes: %v", err)
		}
		agreesWithEncodingJSON(t, m, data)
		s := flow.NewState("F", 1)
		s.Apply(m)
		again := flow.NewState("F", 1)
		again.ApplyAgain(m.JSON())
		if a, b := again.Snapshot().JSON(), s.Snapshot().JSON(); a != b {
			t.Fatalf("ApplyAgain gives %s, Apply gives %s", a, b)
		}
		base := flow.NewBase(flow.NewState("F", 1))
		base.Apply([]byte(m.JSON()), []byte(m.SingleNode()))
		if a, b := stateOf(base).Snapshot().JSON(), s.Snapshot().JSON(); a != b {
			t.Fatalf("Base gives %s, Apply gives %s", a, b)
		}
		s.Derive(2)
		if _, err := flow.Decode("F", []byte(s.Snapshot().JSON())); err != nil {
			t.Fatalf("the snapshot of the folded message is invalid: %v", err)
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
	// Unused fields may have any value, so each field is decoded separately.
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

// FuzzBatch compares a batch with its lines: blank lines are skipped, and it is valid if it has other lines and all of them are valid. The error
// has the number of the first invalid line, 0 for a batch without messages.
func FuzzBatch(f *testing.F) {
	f.Add([]byte("{\"type\":\"delete-nodes\",\"ids\":[\"a\"]}\n\n{\"type\":\"x\"}"), 100)
	f.Add([]byte("\r\n{\"type\":\"delete-nodes\",\"ids\":[\"a\"]}\r\n"), 10)
	f.Add([]byte("{\"type\":\"delete-nodes\",\"ids\":[\"a\"]}\n{\"type\":\"delete-nodes\",\"ids\":[\"b\"]}"), 0)
	f.Fuzz(func(t *testing.T, data []byte, limit int) {
		limit = max(limit, 0)
		got, err := flow.DecodeBatch("F", data, limit)
		var want []string
		invalid := 0 // first invalid line
		for i, line := range bytes.Split(data, []byte{'\n'}) {
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			m, err := flow.Decode("F", line)
			if err != nil || limit > 0 && len(line) > limit {
				invalid = i + 1
				break
			}
			want = append(want, m.JSON())
		}
		if (err != nil) != (invalid > 0 || len(want) == 0) {
			t.Fatalf("%v; line %d is invalid on its own", err, invalid)
		}
		if err != nil {
			if e := new(flow.Error); !errors.As(err, &e) || e.Line != invalid {
				t.Fatalf("%v; line %d is invalid on its own", err, invalid)
			}
			return
		}
		if len(got) != len(want) {
			t.Fatalf("%d messages, want %d", len(got), len(want))
		}
		for i, m := range got {
			if m.JSON() != want[i] {
				t.Fatalf("message %d is %s, decoded on its own %s", i, m.JSON(), want[i])
			}
		}
	})
}

// FuzzFields compares EachField with encoding/json.
func FuzzFields(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,"}"]},"c\u0061":"\"","d":null}`))
	f.Fuzz(func(t *testing.T, meta []byte) {
		node := append(append([]byte(`{"type":"upsert-nodes","nodes":[{"id":"a","flowId":"F","label":"l","status":"s","meta":`), meta...), "}]}"...)
		m, err := flow.Decode("F", node)
		if err != nil || len(m.Nodes) != 1 || m.Nodes[0].Meta == "" {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal([]byte(m.Nodes[0].Meta), &want); err != nil {
			t.Fatal(err)
		}
		n := 0
		flow.EachField(m.Nodes[0].Meta, func(key, value string) {
			n++
			if string(want[key]) != value {
				t.Fatalf("%q is %s, encoding/json says %s", key, value, want[key])
			}
		})
		if n != len(want) {
			t.Fatalf("%d fields, encoding/json says %d", n, len(want))
		}
	})
}
