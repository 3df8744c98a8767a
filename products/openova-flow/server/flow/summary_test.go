package flow

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"unsafe"
)

// TestState_SummaryVisitsNoNode makes the nodes inaccessible: the counts by status and the regions must still be right.
func TestState_SummaryVisitsNoNode(t *testing.T) {
	s := NewState("F", 1)
	for i := range 1000 {
		text := fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"n%d","flowId":"F","label":"l","status":%q,"region":"r%d"}]}`, i%500, []string{"running", "failed", "other"}[i%3], i%7)
		m, err := Decode("F", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		s.Apply(m)
	}
	for i := range 100 {
		s.Apply(DeleteNodes(fmt.Sprint("n", i)))
	}
	want := map[string]int{}
	s.EachNode(func(n Node) bool { want[n.Status]++; return true })
	s.vertices = nil
	for _, a := range s.areas {
		clear(a.nodes)
	}
	if !maps.Equal(s.Statuses(), want) || len(want) != 3 || !slices.Equal(s.Regions(), []string{"r0", "r1", "r2", "r3", "r4", "r5", "r6"}) {
		t.Errorf("%v in %v, want %v", s.Statuses(), s.Regions(), want)
	}
}

// TestState_MapKeysAreCopies: a key of a map may outlive the elements of the messages that had it, and would keep a message in memory.
func TestState_MapKeysAreCopies(t *testing.T) {
	s := NewState("F", 1)
	var texts []string
	apply := func(id, status string) {
		m, err := Decode("F", fmt.Appendf(nil, `{"type":"upsert-nodes","nodes":[{"id":%q,"flowId":"F","label":"l","status":%q,"region":"r"}]}`, id, status))
		if err != nil {
			t.Fatal(err)
		}
		s.Apply(m)
		texts = append(texts, m.raw)
	}
	check := func(after string) {
		t.Helper()
		for _, key := range slices.Concat(slices.Collect(maps.Keys(s.vertices)), slices.Collect(maps.Keys(s.statuses)), slices.Collect(maps.Keys(s.areas))) {
			at := uintptr(unsafe.Pointer(unsafe.StringData(key)))
			for _, text := range texts {
				if first := uintptr(unsafe.Pointer(unsafe.StringData(text))); at >= first && at < first+uintptr(len(text)) {
					t.Errorf("%s: the key %q lies in a message", after, key)
				}
			}
		}
	}
	apply("a", "odd")
	check("first node of a status")
	apply("b", "odd")
	check("second node of a status")
	apply("b", "running")
	check("a node gets another status")
	apply("c", "odd")
	s.Apply(DeleteNodes("c"))
	check("a node is deleted")
}
