package mapping_test

import (
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// Whatever the JSON of an object is: no panic, the object is only read, given twice it changes nothing, what comes out is a message of the
// contract, and the region says of itself what it sent.
func FuzzMapping(f *testing.F) {
	for _, s := range []string{full, fullChart, fullSource, fullKustomization, earlierKustomization, `{}`, `{"kind":7,"metadata":[]}`} {
		f.Add([]byte(s), []byte(full))
	}
	for _, rec := range recordings {
		for i, ev := range events(f, rec.file) {
			if i%60 != 0 {
				continue
			}
			raw, err := json.Marshal(ev.Object.Object)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw, []byte(full))
		}
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		config := mapping.Config{FlowID: "f", Region: "r"}
		c, held := mapping.NewCluster(config), flow.NewState("f", 0)
		send(t, held, c.Start())
		for _, raw := range [][]byte{first, second} {
			u := &unstructured.Unstructured{}
			if utiljson.Unmarshal(raw, &u.Object) != nil || u.Object == nil {
				return
			}
			before, err := json.Marshal(u.Object)
			if err != nil {
				return
			}
			for _, kind := range []mapping.EventType{mapping.Added, mapping.Modified} {
				changes, err := c.Apply(mapping.Event{Type: kind, Object: u})
				if kind == mapping.Modified && len(changes) > 0 || err != nil && len(changes) > 0 {
					t.Fatalf("given twice, or with the error %v, it changes %d things", err, len(changes))
				}
				send(t, held, changes)
			}
			if after, _ := json.Marshal(u.Object); string(after) != string(before) {
				t.Fatal("the object is another one")
			}
		}
		nodes, edges := c.State()
		whole := flow.NewState("f", 0)
		whole.Apply(flow.UpsertNodes(nodes...))
		if len(edges) > 0 {
			whole.Apply(flow.UpsertRels(edges...))
		}
		sameState(t, held, whole)
		again := mapping.NewCluster(config)
		again.Seed(nodes)
		u := &unstructured.Unstructured{}
		if utiljson.Unmarshal(second, &u.Object) == nil && u.Object != nil {
			_, _ = again.Apply(mapping.Event{Type: mapping.Added, Object: u})
			_, _ = again.Apply(mapping.Event{Type: mapping.Deleted, Object: u})
		}
	})
}

// send folds changes at a receiver that refuses what the contract refuses.
func send(t *testing.T, held *flow.State, changes []mapping.Change) {
	t.Helper()
	for _, m := range mapping.Messages(changes) {
		if _, err := flow.Decode("f", []byte(m.JSON())); err != nil {
			t.Fatalf("the contract refuses %s: %v", m.JSON(), err)
		}
		held.Apply(m)
	}
}
