package auth

import (
	"errors"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func bound(t testing.TB, scopes []string, regions ...string) *Grant {
	return grantOf(t, object{"scopes": scopes, "regions": regions})
}

func TestCheckWrite_BoundCallerWritesOnlyItsRegion(t *testing.T) {
	node := func(id, region string) *flow.Message {
		return flow.UpsertNodes(flow.Node{ID: "fsn1", Region: "fsn1"}, flow.Node{ID: id, Region: region})
	}
	rel := func(from, to string, typ flow.RelType) *flow.Message {
		return flow.UpsertRels(flow.Relationship{FromID: "hel1", ToID: "fsn1", Type: flow.Triggers}, flow.Relationship{FromID: from, ToID: to, Type: typ})
	}
	unrel := func(from, to string, typ flow.RelType) *flow.Message {
		return flow.DeleteRels(flow.RelKey{FromID: from, ToID: to, Type: typ})
	}
	tests := []struct {
		name    string
		message *flow.Message
		field   string // field in the denial; empty: no denial
	}{
		{"the region itself", node("fsn1", "fsn1"), ""},
		{"a node of it", node("fsn1/a/b", "fsn1"), ""},
		{"an id that ends with the slash", node("fsn1/", "fsn1"), ""},
		{"another region", node("hel1/a", "hel1"), "nodes[1].id"},
		{"another region's id with this region", node("hel1/a", "fsn1"), "nodes[1].id"},
		{"an id that begins alike", node("fsn1x/a", "fsn1"), "nodes[1].id"},
		{"an id that begins alike, with -", node("fsn1-b", "fsn1"), "nodes[1].id"},
		{"an id in upper case", node("FSN1/a", "fsn1"), "nodes[1].id"},
		{"an id that begins with a slash", node("/fsn1/a", "fsn1"), "nodes[1].id"},
		{"an id with a space before", node(" fsn1/a", "fsn1"), "nodes[1].id"},
		{"an id without a region", node("a", "fsn1"), "nodes[1].id"},
		{"its id with another region", node("fsn1/a", "hel1"), "nodes[1].region"},
		{"its id without region", node("fsn1/a", ""), "nodes[1].region"},
		{"its id with a region in upper case", node("fsn1/a", "FSN1"), "nodes[1].region"},
		{"waits for its own", rel("fsn1/a", "fsn1/b", flow.FinishToStart), ""},
		{"waits for another's", rel("hel1/a", "fsn1/b", flow.FinishToStart), ""},
		{"makes another wait", rel("fsn1/a", "hel1/b", flow.FinishToStart), "relationships[1].toId"},
		{"makes another wait for another", rel("hel1/a", "hel1/b", flow.FinishToStart), "relationships[1].toId"},
		{"triggers another", rel("fsn1/a", "hel1/b", flow.Triggers), "relationships[1].toId"},
		{"is contained in its own", rel("fsn1/a", "fsn1", flow.Contains), ""},
		{"is contained in another region's", rel("fsn1/a", "hel1/cilium", flow.Contains), "relationships[1].toId"},
		{"is contained in a node without a region", rel("fsn1/a", "root", flow.Contains), "relationships[1].toId"},
		{"puts another into its own", rel("hel1/a", "fsn1", flow.Contains), "relationships[1].fromId"},
		{"deletes its own", flow.DeleteNodes("fsn1/a", "fsn1"), ""},
		{"deletes another's", flow.DeleteNodes("fsn1/a", "hel1/a"), "ids[1]"},
		{"deletes an id that begins alike", flow.DeleteNodes("fsn10"), "ids[0]"},
		{"deletes an empty id", flow.DeleteNodes(""), "ids[0]"},
		{"deletes its own dependency", unrel("hel1/a", "fsn1/b", flow.FinishToStart), ""},
		{"deletes another's dependency", unrel("fsn1/a", "hel1/b", flow.FinishToStart), "pairs[0].toId"},
		{"deletes its own containment", unrel("fsn1/a", "fsn1", flow.Contains), ""},
		{"deletes its containment in another region", unrel("fsn1/a", "hel1/cilium", flow.Contains), "pairs[0].toId"},
		{"deletes its containment in a node without a region", unrel("fsn1/a", "root", flow.Contains), "pairs[0].toId"},
		{"deletes another's containment", unrel("hel1/a", "fsn1", flow.Contains), "pairs[0].fromId"},
		{"upsert-flow", flow.UpsertFlow(flow.Instance{}), "type"},
		{"snapshot", &flow.Message{Type: flow.TypeSnapshot, Flow: &flow.Instance{}}, "type"},
		{"an unknown type", &flow.Message{Type: "replace-nodes"}, "type"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := flow.DeleteNodes("fsn1/z")
			before.Line, tt.message.Line = 1, 3
			err := bound(t, []string{"ingest"}, "fsn1").CheckWrite("F", []*flow.Message{before, tt.message})
			var got string
			if r, ok := err.(*Denial); ok {
				got = r.Field
				if r.Reason != Region || r.Line != 3 || r.Name != "caller" || r.Unauthenticated() {
					t.Errorf("denied: %+v", *r)
				}
			}
			if got != tt.field {
				t.Errorf("denied for field %q (%v), want %q", got, err, tt.field)
			}
			if err := grantOf(t, object{"scopes": []string{"ingest"}}).CheckWrite("F", []*flow.Message{tt.message}); err != nil {
				t.Errorf("an unbound caller is denied: %v", err)
			}
		})
	}
}

func TestCheckWrite_NamesTheElement(t *testing.T) {
	err := bound(t, []string{"ingest"}, "hel1", "fsn1").CheckWrite("F", []*flow.Message{flow.DeleteNodes(strings.Repeat("ü", 100))})
	var d *Denial
	if !errors.As(err, &d) || d.Field != "ids[0]" {
		t.Fatalf("%v, want a denial for the field ids[0]", err)
	}
	for _, want := range []string{`"` + strings.Repeat("ü", 40) + `…"`, "fsn1, hel1"} {
		if !strings.Contains(d.Detail, want) {
			t.Errorf("%q does not contain %s", d.Detail, want)
		}
	}
}

func TestCheckWrite_KeepsTwoRegionsApart(t *testing.T) {
	g := bound(t, []string{"ingest"}, "fsn1", "hel1")
	for _, n := range []flow.Node{{ID: "fsn1/a", Region: "fsn1"}, {ID: "hel1/a", Region: "hel1"}} {
		if err := g.CheckWrite("F", []*flow.Message{flow.UpsertNodes(n)}); err != nil {
			t.Error(err)
		}
	}
	if err := g.CheckWrite("F", []*flow.Message{flow.UpsertNodes(flow.Node{ID: "fsn1/a", Region: "hel1"})}); err == nil {
		t.Error("a node with the id of one region may name the other")
	}
}

func TestCheckWrite_BoundCallerChangesNothingShared(t *testing.T) {
	whole := []*flow.Message{flow.UpsertFlow(flow.Instance{}), {Type: flow.TypeSnapshot, Flow: &flow.Instance{}}}
	for _, tt := range []struct {
		name string
		g    *Grant
		want bool
	}{
		{"unbound", grantOf(t, object{"scopes": []string{"ingest"}}), true},
		{"bound", bound(t, []string{"ingest"}, "fsn1"), false},
		{"bound admin", bound(t, []string{"admin"}, "fsn1"), true},
		{"reader", grantOf(t, nil), false},
	} {
		for _, m := range whole {
			if err := tt.g.CheckWrite("F", []*flow.Message{m}); (err == nil) != tt.want {
				t.Errorf("%s, %s: %v", tt.name, m.Type, err)
			}
		}
		if err := tt.g.CheckDelete("F"); (err == nil) != tt.want {
			t.Errorf("%s, DELETE: %v", tt.name, err)
		}
	}
}

func TestEmitter_DiffersByRegions(t *testing.T) {
	fsn, hel, both := bound(t, []string{"ingest"}, "fsn1"), bound(t, []string{"ingest"}, "hel1"), bound(t, []string{"ingest"}, "hel1", "fsn1")
	names := map[string]bool{"adapter": true}
	for _, g := range []*Grant{fsn, hel, both} {
		names[g.Emitter("adapter")] = true
	}
	if len(names) != 4 || fsn.Emitter("adapter") != "fsn1/adapter" || both.Emitter("adapter") != "fsn1,hel1/adapter" {
		t.Errorf("the emitter names are %v", names)
	}
	if free := grantOf(t, nil); free.Emitter("adapter") != "adapter" || free.Emitter("fsn1/adapter") != "/fsn1/adapter" || free.Emitter("/adapter") != "//adapter" ||
		fsn.Emitter("") != "" || free.Emitter("") != "" {
		t.Errorf("unbound emitters are %q, %q and %q", free.Emitter("adapter"), free.Emitter("fsn1/adapter"), free.Emitter("/adapter"))
	}
}

// TestCheckWrite_DeletionsPutBackForeignRelationships folds deletions that CheckWrite allows, and the messages that put relationships back: neither the
// server nor a subscriber loses a relationship of another region.
func TestCheckWrite_DeletionsPutBackForeignRelationships(t *testing.T) {
	g := bound(t, []string{"ingest"}, "fsn1")
	server := flow.NewState("F", 1)
	rel := func(from, to string, typ flow.RelType) flow.Relationship {
		return flow.Relationship{FromID: from, ToID: to, Type: typ}
	}
	own := []flow.Relationship{rel("fsn1/a", "fsn1", flow.Contains), rel("fsn1/b", "fsn1/a", flow.FinishToStart), rel("hel1/b", "fsn1/a", flow.Triggers)}
	foreign := []flow.Relationship{rel("fsn1/a", "hel1/a", flow.FinishToStart), rel("hel1/a", "fsn1/a", flow.Contains), rel("fsn1/a", "hel1/a", flow.Contains)}
	server.Apply(flow.UpsertNodes(flow.Node{ID: "fsn1/a", FlowID: "F"}, flow.Node{ID: "fsn1", FlowID: "F"}, flow.Node{ID: "hel1/a", FlowID: "F"}))
	server.Apply(flow.UpsertRels(append(own, foreign...)...))
	receiver := flow.NewState("F", 1)
	receiver.Apply(server.Snapshot())

	deletion := flow.DeleteNodes("fsn1/a")
	must(t, g.CheckWrite("F", []*flow.Message{deletion}))
	var back []flow.Relationship
	for _, r := range server.Snapshot().Relationships {
		if (r.FromID == "fsn1/a" || r.ToID == "fsn1/a") && !g.ownsRel(r.Key()) {
			back = append(back, r)
		}
	}
	for _, m := range []*flow.Message{deletion, flow.UpsertRels(back...)} {
		server.Apply(m)
		receiver.Apply(m)
	}
	for _, s := range []*flow.State{server, receiver} {
		if _, present := s.Node("fsn1/a"); present || s.RelCount() != len(foreign) {
			t.Errorf("%d relationships are left, want %d", s.RelCount(), len(foreign))
		}
		for _, r := range foreign {
			if !s.HasRel(r.Key()) {
				t.Errorf("%v was removed", r.Key())
			}
		}
	}
}
