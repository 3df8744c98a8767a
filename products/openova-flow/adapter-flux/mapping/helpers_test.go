package mapping_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/emit"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// day is the time of the hand-written objects; sec(n) is n seconds later.
var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func sec(n int) string   { return day.Add(time.Duration(n) * time.Second).Format(time.RFC3339) }
func ms(n int) flow.Time { return flow.At(day.Add(time.Duration(n) * time.Second).UnixMilli()) }

type cond struct {
	kind, status, reason, message string
	at                            int
	gen                           int64
}

func conditionList(cs ...cond) []any {
	list := []any{}
	for _, c := range cs {
		list = append(list, map[string]any{
			"type": c.kind, "status": c.status, "reason": c.reason, "message": c.message,
			"lastTransitionTime": sec(c.at), "observedGeneration": max(c.gen, 1),
		})
	}
	return list
}

// object decodes an object from JSON, as a watch does.
func object(t testing.TB, format string, args ...any) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal(fmt.Appendf(nil, format, args...), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

// release returns a HelmRelease in flux-system with these conditions.
func release(t testing.TB, name string, cs ...cond) *unstructured.Unstructured {
	t.Helper()
	u := object(t, `{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease",
		"metadata":{"name":%q,"namespace":"flux-system","uid":"uid-%s","generation":1},
		"spec":{"chart":{"spec":{"chart":%q,"version":"1.0.0","sourceRef":{"kind":"HelmRepository","name":"charts"}}}},
		"status":{}}`, name, name, name)
	if len(cs) > 0 {
		set(u, conditionList(cs...), "status", "conditions")
	}
	return u
}

// set sets a field of an object, and creates the objects on its path.
func set(u *unstructured.Unstructured, v any, path ...string) *unstructured.Unstructured {
	m := u.Object
	for _, p := range path[:len(path)-1] {
		next, ok := m[p].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[p] = next
		}
		m = next
	}
	m[path[len(path)-1]] = v
	return u
}

// world is a cluster and the fold of its messages.
type world struct {
	t testing.TB
	*mapping.Cluster
	config mapping.Config
	held   *flow.State
}

func newWorld(t testing.TB, namespaces ...string) *world {
	c := mapping.Config{FlowID: "bootstrap", Region: "fsn1", Namespaces: namespaces}
	w := &world{t: t, Cluster: mapping.NewCluster(c), config: c, held: flow.NewState("bootstrap", 0)}
	w.take(w.Start())
	return w
}

func (w *world) take(changes []mapping.Change) {
	for _, m := range messages(w.t, w.config.FlowID, changes) {
		w.held.Apply(m)
	}
}

// messages returns the messages that an emitter posts for changes, decoded as by the server.
func messages(t testing.TB, flowID string, changes []mapping.Change) []*flow.Message {
	t.Helper()
	var all []*flow.Message
	for line := range bytes.Lines(emit.Encode(changes)) {
		m, err := flow.Decode(flowID, line)
		if err != nil {
			t.Fatalf("the contract refuses %s: %v", line, err)
		}
		all = append(all, m)
	}
	return all
}

func (w *world) event(typ mapping.EventType, u *unstructured.Unstructured) []mapping.Change {
	w.t.Helper()
	changes, err := w.Apply(mapping.Event{Type: typ, Object: u})
	if err != nil {
		w.t.Fatal(err)
	}
	w.take(changes)
	return changes
}

func (w *world) put(u *unstructured.Unstructured) []mapping.Change {
	w.t.Helper()
	return w.event(mapping.Modified, u)
}

// node returns the folded node with this id, nil if there is none.
func (w *world) node(id string) *flow.Node {
	nodes := w.held.Snapshot().Nodes
	if i := slices.IndexFunc(nodes, func(n flow.Node) bool { return n.ID == id }); i >= 0 {
		return &nodes[i]
	}
	return nil
}

func (w *world) must(id string) flow.Node {
	w.t.Helper()
	n := w.node(id)
	if n == nil {
		w.t.Fatalf("there is no node %s", id)
	}
	return *n
}

// edges lists the folded relationships as "from type to".
func (w *world) edges() []string {
	list := []string{}
	for _, r := range w.held.Snapshot().Relationships {
		list = append(list, fmt.Sprintf("%s %s %s", r.FromID, r.Type, r.ToID))
	}
	slices.Sort(list)
	return list
}

func meta(t testing.TB, n flow.Node) map[string]any {
	t.Helper()
	m := map[string]any{}
	if err := json.Unmarshal([]byte(n.Meta), &m); err != nil {
		t.Fatalf("meta of %s: %v", n.ID, err)
	}
	return m
}

// wantMeta checks the given keys; the value nil means that the key must be absent.
func wantMeta(t *testing.T, n flow.Node, want map[string]any) {
	t.Helper()
	got := meta(t, n)
	for _, k := range slices.Sorted(maps.Keys(want)) {
		g, _ := json.Marshal(got[k])
		w, _ := json.Marshal(want[k])
		if _, there := got[k]; there != (want[k] != nil) || string(g) != string(w) {
			t.Errorf("%s: meta.%s is %s, want %s", n.ID, k, g, w)
		}
	}
}

func wantTimes(t *testing.T, n flow.Node, start, end flow.Time) {
	t.Helper()
	if n.StartedAt != start || n.EndedAt != end {
		t.Errorf("%s (%s) runs from %s to %s, want %s to %s", n.ID, n.Status, clock(n.StartedAt), clock(n.EndedAt), clock(start), clock(end))
	}
}

func clock(at flow.Time) string {
	if at.IsZero() {
		return "-"
	}
	return time.UnixMilli(at.Ms()).UTC().Format("15:04:05.000")
}

// wantEdges checks the whole list, without contains edges.
func wantEdges(t *testing.T, got []string, want ...string) {
	t.Helper()
	got = slices.DeleteFunc(got, containsEdge)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("edges are %q, want %q", got, want)
	}
}
