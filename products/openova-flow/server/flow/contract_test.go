package flow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func vectors(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata/vectors", dir, "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no vectors in %s: %v", dir, err)
	}
	all := make(map[string][]byte, len(paths))
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(p)] = b
	}
	return all
}

func TestVectors_ValidRoundTrip(t *testing.T) {
	for name, data := range vectors(t, "valid") {
		t.Run(name, func(t *testing.T) {
			m, err := flow.Decode("F", data)
			if err != nil {
				t.Fatal(err)
			}
			if got := m.JSON(); strings.ContainsAny(got, "\n\r") || !sameJSON(t, got, string(data)) {
				t.Errorf("JSON returned %s", got)
			}
			again, err := flow.Decode("F", []byte(m.JSON()))
			if err != nil || !reflect.DeepEqual(again, m) {
				t.Errorf("decoded again: %+v, %v", again, err)
			}
			if rebuilt := rebuild(m).JSON(); name != "upsert-nodes-unknown-field.json" && name != "snapshot-minimal.json" && !sameJSON(t, rebuilt, string(data)) {
				t.Errorf("its fields encode to %s", rebuilt)
			}
		})
	}
}

// rebuild copies a message without its original bytes, as Go code builds one.
func rebuild(m *flow.Message) *flow.Message {
	out := &flow.Message{Type: m.Type, IDs: m.IDs, Pairs: m.Pairs}
	if f := m.Flow; f != nil {
		out.Flow = &flow.Instance{ID: f.ID, DefinitionID: f.DefinitionID, ParentFlowID: f.ParentFlowID, TriggeredBy: f.TriggeredBy,
			Status: f.Status, StartedAt: f.StartedAt, EndedAt: f.EndedAt, Meta: f.Meta}
	}
	for _, n := range m.Nodes {
		out.Nodes = append(out.Nodes, flow.Node{ID: n.ID, FlowID: n.FlowID, Label: n.Label, Status: n.Status, Family: n.Family,
			Region: n.Region, StartedAt: n.StartedAt, EndedAt: n.EndedAt, Meta: n.Meta})
	}
	for _, r := range m.Relationships {
		out.Relationships = append(out.Relationships, flow.Relationship{FromID: r.FromID, ToID: r.ToID, Type: r.Type,
			FromFlowID: r.FromFlowID, ToFlowID: r.ToFlowID, Condition: r.Condition, Lag: r.Lag})
	}
	return out
}

func sameJSON(t testing.TB, a, b string) bool {
	t.Helper()
	var va, vb any
	if err := json.Unmarshal([]byte(a), &va); err != nil {
		t.Fatalf("%s: %v", a, err)
	}
	if err := json.Unmarshal([]byte(b), &vb); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return reflect.DeepEqual(va, vb)
}

func TestVectors_InvalidAreRejected(t *testing.T) {
	for _, dir := range []string{"invalid", "invalid-bytes"} {
		for name, data := range vectors(t, dir) {
			t.Run(dir+"/"+name, func(t *testing.T) {
				m, err := flow.Decode("F", data)
				var e *flow.Error
				if m != nil || !errors.As(err, &e) {
					t.Fatalf("accepted as %+v, error %v", m, err)
				}
			})
		}
	}
}

func nested(depth int) string {
	return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
}

func manyKeys(n int, last string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		fmt.Fprintf(&b, `"k%d":%d,`, i, i)
	}
	return b.String() + `"` + last + `":0}`
}

func TestDecode_ErrorsNameTheField(t *testing.T) {
	node := func(extra string) string {
		return `{"type":"upsert-nodes","nodes":[{"id":"a","flowId":"F","label":"a","status":"x"` + extra + `}]}`
	}
	flowMsg := func(extra string) string {
		return `{"type":"upsert-flow","flow":{"id":"F","status":"x","startedAt":1` + extra + `}}`
	}
	rel := func(extra string) string {
		return `{"type":"upsert-rels","relationships":[{"fromId":"a","toId":"b","type":"triggers"` + extra + `}]}`
	}
	for _, tt := range []struct{ name, in, field string }{
		{"empty", ``, ""},
		{"status of the fourth node", `{"type":"upsert-nodes","nodes":[` + strings.Repeat(`{"id":"a","flowId":"F","label":"a","status":"x"},`, 3) + `{"id":"a","flowId":"F","label":"a","status":7}]}`, "nodes[3].status"},
		{"nodes before type", `{"nodes":[{"id":"a"}],"type":"upsert-nodes"}`, "nodes[0].flowId"},
		{"field in another case", node(`,"Region":"r"`), "nodes[0].Region"},
		{"field in another Unicode case", node(`,"ſtatus":"r"`), "nodes[0].ſtatus"},
		{"top-level field in another case", `{"type":"delete-nodes","ids":["a"],"IDs":["b"]}`, "IDs"},
		{"unused top-level field in another case", `{"type":"delete-nodes","ids":["a"],"Nodes":[]}`, "Nodes"},
		{"trigger field in another case", flowMsg(`,"triggeredBy":[{"flowid":"x","when":"always"}]`), "flow.triggeredBy[0].flowid"},
		{"trigger without flow", flowMsg(`,"triggeredBy":[{"when":"always"}]`), "flow.triggeredBy[0].flowId"},
		{"trigger null", flowMsg(`,"triggeredBy":null`), "flow.triggeredBy"},
		{"null family", node(`,"family":null`), "nodes[0].family"},
		{"null condition", rel(`,"condition":null`), "relationships[0].condition"},
		{"null toFlowId", rel(`,"toFlowId":null`), "relationships[0].toFlowId"},
		{"null nodes of a snapshot", `{"type":"snapshot","flow":{"id":"F","status":"x","startedAt":1},"nodes":null}`, "nodes"},
		{"lag as text", rel(`,"lag":"1"`), "relationships[0].lag"},
		{"lag with fraction", rel(`,"lag":1.0`), "relationships[0].lag"},
		{"integer too large", node(`,"startedAt":9007199254740992`), "nodes[0].startedAt"},
		{"integer far too small", node(`,"endedAt":-99999999999999999999`), "nodes[0].endedAt"},
		{"integer too small", node(`,"startedAt":-9007199254740992`), "nodes[0].startedAt"},
		{"lag too small", rel(`,"lag":-9007199254740992`), "relationships[0].lag"},
		{"meta of text", node(`,"meta":"x"`), "nodes[0].meta"},
		{"duplicate in meta", node(`,"meta":{"a":{"b":1,"\u0062":2}}`), "nodes[0].meta.a.b"},
		{"duplicate among many keys", node(`,"meta":` + manyKeys(100, "k7")), "nodes[0].meta.k7"},
		{"duplicate in an unknown field", node(`,"more":[{"b":1,"b":2}]`), "nodes[0].more[0].b"},
		{"too deep in meta", node(`,"meta":` + nested(62)), "nodes[0].meta" + strings.Repeat(".a", 61)},
		{"surrogate in an unknown field", node(`,"more":"\ud800x"`), "nodes[0].more"},
		{"surrogates the wrong way round", node(`,"more":"\udc00\ud800"`), "nodes[0].more"},
		{"control character", node(",\"more\":\"a\tb\""), "nodes[0].more"},
		{"leading zero", node(`,"more":01`), "nodes[0]"},
		{"unknown escape", node(`,"more":"\x"`), "nodes[0].more"},
		{"half a hex escape", node(`,"more":"\u12"`), "nodes[0].more"},
		{"byte order mark", "\ufeff" + `{"type":"delete-nodes","ids":["a"]}`, ""},
		{"trailing comma", `{"type":"delete-nodes","ids":["a",]}`, "ids[1]"},
		{"flow id of an edge's end in another case", rel(`,"ToFlowId":"G"`), "relationships[0].ToFlowId"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := flow.Decode("F", []byte(tt.in))
			var e *flow.Error
			if !errors.As(err, &e) {
				t.Fatalf("accepted, error %v", err)
			}
			if e.Field != tt.field {
				t.Errorf("field %q (%v), want %q", e.Field, err, tt.field)
			}
		})
	}
}

func TestDecode_ErrorsOfEscapesNameTheInvalidByte(t *testing.T) {
	for _, in := range []string{`{"type":"\u12☃4"}`, `{"type":"\u1☃`, `{"type":"\ud83d\udE0☃"}`} {
		_, err := flow.Decode("F", []byte(in))
		if want := fmt.Sprintf("at byte %d", strings.Index(in, "☃")+1); err == nil || !strings.Contains(err.Error(), "'☃'") || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}

func TestDecode_AcceptsAndKeeps(t *testing.T) {
	for _, tt := range []struct{ name, in, out string }{
		{"unused fields may have any value", `{"type":"delete-nodes","ids":["a"],"nodes":5,"flow":null}`, ""},
		{"unused field before type", `{"nodes":"junk","type":"delete-nodes","ids":["a"]}`, ""},
		{"64 levels", `{"type":"upsert-nodes","nodes":[{"id":"a","flowId":"F","label":"a","status":"x","meta":` + nested(61) + `}]}`, ""},
		{"case does not matter inside meta", `{"type":"upsert-nodes","nodes":[{"id":"a","flowId":"F","label":"a","status":"x","meta":{"ID":1,"id":2}}]}`, ""},
		{"null and fractions in meta and unknown fields", `{"type":"upsert-nodes","nodes":[{"id":"a","flowId":"F","label":"a","status":"x","meta":{"n":null,"f":1e3},"p":null}]}`, ""},
		{"white space is removed, text is kept", " {\n\t\"type\" : \"delete-nodes\" ,\r\n \"ids\" : [ \"a \\\" b\\\\\" , \"\\u00e9\" ] } \n", `{"type":"delete-nodes","ids":["a \" b\\","\u00e9"]}`},
		{"extreme instants", `{"type":"upsert-nodes","nodes":[{"id":"a","flowId":"F","label":"a","status":"x","startedAt":-8640000000000000,"endedAt":8640000000000000}]}`, ""},
		{"extreme integer", `{"type":"upsert-rels","relationships":[{"fromId":"a","toId":"b","type":"triggers","lag":9007199254740991}]}`, ""},
		{"paired surrogates", `{"type":"delete-nodes","ids":["\ud83d\ude00"]}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := flow.Decode("F", []byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			want := tt.out
			if want == "" {
				want = tt.in
			}
			if m.JSON() != want {
				t.Errorf("JSON returned %s\nwant %s", m.JSON(), want)
			}
		})
	}
}

func TestTypes_AbsentValuesRoundTripThroughNull(t *testing.T) {
	type values struct {
		At   flow.Time
		Meta flow.Object
	}
	for _, want := range []values{{}, {flow.At(0), "{}"}} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got := values{flow.At(5), `{"a":1}`}
		if err := json.Unmarshal(text, &got); err != nil || got != want {
			t.Errorf("%s becomes %+v, %v", text, got, err)
		}
	}
}

func TestDecodeBatch(t *testing.T) {
	const a, b = `{"type":"delete-nodes","ids":["a"]}`, `{"type":"delete-nodes","ids":["b"]}`
	ms, err := flow.DecodeBatch("F", []byte("\n"+a+"\r\n\n  \n"+b), 0)
	if err != nil || len(ms) != 2 || ms[1].IDs[0] != "b" {
		t.Fatalf("got %v, %v", ms, err)
	}
	for _, tt := range []struct {
		name, in string
		line     int
		large    bool
	}{
		{"bad third line", a + "\n\n" + `{"type":"x"}` + "\n" + b, 3, false},
		{"two on a line", a + b, 1, false},
		{"no message", "\n \n", 0, false},
		{"one too long", a + "\n" + `{"type":"delete-nodes","ids":["` + strings.Repeat("x", 100) + `"]}`, 2, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := flow.DecodeBatch("F", []byte(tt.in), 100)
			var e *flow.Error
			if !errors.As(err, &e) || e.Line != tt.line || errors.Is(err, flow.ErrTooLarge) != tt.large {
				t.Fatalf("got %v", err)
			}
		})
	}
}
