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

// TestState_MapKeysAreCopies: a key of a map may outlive the elements of the message that brought it, and would keep that message in memory.
func TestState_MapKeysAreCopies(t *testing.T) {
	m, err := Decode("F", []byte(`{"type":"upsert-nodes","nodes":[{"id":"n","flowId":"F","label":"l","status":"odd","region":"r"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	s := NewState("F", 1)
	s.Apply(m)
	first := uintptr(unsafe.Pointer(unsafe.StringData(m.raw)))
	for _, key := range slices.Concat(slices.Collect(maps.Keys(s.vertices)), slices.Collect(maps.Keys(s.statuses)), slices.Collect(maps.Keys(s.areas))) {
		if at := uintptr(unsafe.Pointer(unsafe.StringData(key))); at >= first && at < first+uintptr(len(m.raw)) {
			t.Errorf("the key %q lies in the message", key)
		}
	}
}
