package mapping_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// FuzzMapping: for any JSON of an object and of its next version there is no panic, the object is not modified, the same version again changes nothing, all
// changes are valid messages, State equals the fold of these messages, and a deletion leaves only the region.
//
// The edits are pairs of bytes: the index of a value in the object, and its substitute in the next version.
func FuzzMapping(f *testing.F) {
	for _, s := range []string{full, fullChart, fullSource, fullKustomization, earlierKustomization, `{}`, `{"kind":7,"metadata":[]}`} {
		f.Add([]byte(s), []byte{3, 1, 9, 5})
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
			f.Add(raw, []byte{byte(i), byte(i / 60), byte(7 * i), 4})
		}
	}
	f.Fuzz(func(t *testing.T, raw, edits []byte) {
		var versions [2]*unstructured.Unstructured
		for i := range versions {
			versions[i] = &unstructured.Unstructured{}
			if utiljson.Unmarshal(raw, &versions[i].Object) != nil || versions[i].Object == nil {
				return
			}
		}
		for ; len(edits) > 1; edits = edits[2:] {
			edit(versions[1].Object, edits[0], edits[1])
		}
		checkVersions(t, versions[:]...)
		checkVersions(t, versions[1], versions[0])
	})
}

var substitutes = []any{
	nil, "", "x", int64(-1), int64(1 << 60), 1.5, true, []any{}, []any{nil, "x"}, map[string]any{}, map[string]any{"name": "x"},
	"True", "False", "Unknown", "Progressing", "DependencyNotReady", "2026-03-01T12:07:00Z", "0001-01-01T00:00:00Z",
}

// edit replaces one of the values in v, counted in the order of the keys; none if there are fewer.
func edit(v any, which, by byte) {
	left := int(which)
	var walk func(v any) bool
	walk = func(v any) bool {
		switch v := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				if left--; left < 0 {
					v[k] = runtime.DeepCopyJSONValue(substitutes[int(by)%len(substitutes)])
					return true
				}
				if walk(v[k]) {
					return true
				}
			}
		case []any:
			for i := range v {
				if left--; left < 0 {
					v[i] = runtime.DeepCopyJSONValue(substitutes[int(by)%len(substitutes)])
					return true
				}
				if walk(v[i]) {
					return true
				}
			}
		}
		return false
	}
	walk(v)
}

// checkVersions checks the guarantees of FuzzMapping for versions in this order.
func checkVersions(t *testing.T, versions ...*unstructured.Unstructured) {
	config := mapping.Config{FlowID: "f", Region: "r"}
	c, held := mapping.NewCluster(config), flow.NewState("f", 0)
	send(t, held, c.Start())
	for _, u := range versions {
		before, err := json.Marshal(u.Object)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []mapping.EventType{mapping.Added, mapping.Modified} {
			changes, err := c.Apply(mapping.Event{Type: kind, Object: u})
			if kind == mapping.Modified && len(changes) > 0 || err != nil && len(changes) > 0 {
				t.Fatalf("the same version again, or an error (%v), changes %s", err, changes[0].Node.JSON())
			}
			send(t, held, changes)
		}
		if after, _ := json.Marshal(u.Object); string(after) != string(before) {
			t.Fatal("Apply has modified the object")
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
	last := versions[len(versions)-1]
	for _, kind := range []mapping.EventType{mapping.Added, mapping.Deleted} {
		_, _ = again.Apply(mapping.Event{Type: kind, Object: last})
	}
	if left, _ := again.State(); len(left) != 1 {
		t.Fatalf("after the deletion %d nodes are left besides the region", len(left)-1)
	}
}

func send(t *testing.T, held *flow.State, changes []mapping.Change) {
	t.Helper()
	for _, m := range messages(t, "f", changes) {
		held.Apply(m)
	}
}
