package mapping_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
)

// deleting returns a world with a release that has 1000 long finalizers.
func deleting(t *testing.T) *world {
	u := release(t, "hostile")
	var finalizers []any
	for i := range 1000 {
		finalizers = append(finalizers, fmt.Sprintf("%d/%s", i, strings.Repeat("ä", 5000)))
	}
	set(u, finalizers, "metadata", "finalizers")
	set(u, sec(1), "metadata", "deletionTimestamp")
	w := newWorld(t)
	w.put(u)
	return w
}

func TestCluster_FinalizersOfANodeAreBounded(t *testing.T) {
	n := deleting(t).must("fsn1/hostile")
	list, _ := meta(t, n)["finalizers"].([]any)
	if len(list) != 16 {
		t.Errorf("%d finalizers", len(list))
	}
	for _, f := range list {
		if s := f.(string); len(s) > 317 || len(s) < 315 || !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError) {
			t.Errorf("a finalizer of %d bytes: %q", len(s), s)
		}
	}
	if len(n.Meta) > 32<<10 {
		t.Errorf("meta of %d bytes", len(n.Meta))
	}
}

func TestCluster_ConditionsOfAnObjectAreBounded(t *testing.T) {
	many := []cond{{kind: "Ready", status: "False", reason: strings.Repeat("r", 5000), message: "x" + strings.Repeat("ä", 100_000), at: 1}}
	for i := range 10_000 {
		many = append(many, cond{kind: fmt.Sprint("Other", i), status: "True", at: 2})
	}
	many = append(many, cond{kind: "Stalled", status: "True", reason: "Late", at: 3})
	w := newWorld(t)
	w.put(release(t, "hostile", many...))
	n := w.must("fsn1/hostile")
	m := meta(t, n)
	if message, _ := m["message"].(string); len(message) != 4095 || !utf8.ValidString(message) || strings.ContainsRune(message, utf8.RuneError) {
		t.Errorf("a message of %d bytes, ends %q", len(message), message[len(message)-4:])
	}
	if reason, _ := m["reason"].(string); len(reason) != 317 {
		t.Errorf("a reason of %d bytes", len(reason))
	}
	if n.Status != "running" || m["stalled"] != nil {
		t.Errorf("status %s, stalled %v: a condition after the first 64 is read", n.Status, m["stalled"])
	}
	if len(n.Meta) > 32<<10 {
		t.Errorf("meta of %d bytes", len(n.Meta))
	}
}

func TestCluster_ConditionsOfWrongTypesReadAsAbsent(t *testing.T) {
	u := release(t, "broken", cond{kind: "Ready", status: "True", at: 1})
	set(u, append(conditionList(cond{kind: "Ready", status: "True", at: 1}), map[string]any{"type": int64(7), "status": true, "message": []any{}, "lastTransitionTime": map[string]any{}}, map[string]any{}),
		"status", "conditions")
	w := newWorld(t)
	w.put(u)
	if n := w.must("fsn1/broken"); n.Status != "succeeded" {
		t.Errorf("status %s", n.Status)
	}
}

// needing returns a world with a release that names n dependencies, each twice, with names of maximum length.
func needing(t *testing.T, n int) *world {
	u := release(t, "hostile", cond{kind: "Ready", status: "False", reason: "DependencyNotReady", message: "dependency 'flux-system/a' is not ready", at: 1})
	var deps []any
	for i := range n {
		name := fmt.Sprintf("%06d%s", i, strings.Repeat("n", 247))
		deps = append(deps, map[string]any{"name": name}, map[string]any{"name": name})
	}
	set(u, deps, "spec", "dependsOn")
	w := newWorld(t)
	w.put(u)
	return w
}

func TestCluster_DependenciesOfAnObjectAreBounded(t *testing.T) {
	w := needing(t, 20_000)
	if got := len(w.edges()); got != 1+4096/2 {
		t.Errorf("%d edges", got)
	}
	n := w.must("fsn1/hostile")
	judgement, _ := meta(t, n)["judgement"].(map[string]any)
	if needs, _ := judgement["needs"].([]any); len(needs) != 256 {
		t.Errorf("%d needs", len(needs))
	}
	if len(n.Meta) > 256<<10 {
		t.Errorf("meta of %d bytes", len(n.Meta))
	}
}

func TestCluster_UnwatchedDependenciesOfANodeAreBounded(t *testing.T) {
	var deps []any
	var message strings.Builder
	for i := range 1000 {
		deps = append(deps, map[string]any{"name": fmt.Sprint("n", i), "namespace": "other"})
		fmt.Fprintf(&message, "dependency 'a%d'", i)
	}
	w := newWorld(t, "flux-system")
	w.put(set(release(t, "hostile", cond{kind: "Ready", status: "False", reason: "DependencyNotReady", message: message.String(), at: 1}), deps, "spec", "dependsOn"))
	m := meta(t, w.must("fsn1/hostile"))
	unwatched, _ := m["dependsOnUnwatched"].([]any)
	if len(unwatched) != 256 {
		t.Errorf("dependsOnUnwatched has %d entries", len(unwatched))
	}
	if waitingFor, _ := m["waitingFor"].([]any); len(waitingFor) == 0 || len(waitingFor) > 256 {
		t.Errorf("waitingFor has %d entries", len(waitingFor))
	}
}

func TestCluster_NamesOfMaximumLengthAreKept(t *testing.T) {
	name := strings.Repeat("n", 253)
	w := newWorld(t)
	w.put(release(t, name, cond{kind: "Ready", status: "True", at: 1}))
	if n := w.must("fsn1/" + name); n.Label != name || n.Status != "succeeded" {
		t.Errorf("label of %d bytes, status %s", len(n.Label), n.Status)
	}
	w.event(mapping.Deleted, release(t, name))
	if w.node("fsn1/"+name) != nil {
		t.Error("the node was not deleted")
	}
}
