package hub

import (
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// TestGreaterNumbersWaitForSmallerOnes has one request take its number and stay under way while another one is done.
func TestGreaterNumbersWaitForSmallerOnes(t *testing.T) {
	h := New(Config{})
	message := func(id string) []*flow.Message {
		return []*flow.Message{flow.UpsertNodes(flow.Node{ID: "n", FlowID: id, Label: "n", Status: "x"})}
	}
	slow := h.ensure("slow")
	under := h.sequence(Post{FlowID: "F", Messages: message("slow")})
	under.birth = newIncarnation()

	r, err := h.FollowMany(Selection{Key: "quick", Match: func(id string) bool { return id == "quick" }}, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.Take() // that there is no flow
	quick, err := h.Ingest(Post{FlowID: "quick", Messages: message("quick")})
	if err != nil || quick.Seq < under.first {
		t.Fatal(quick, err)
	}
	if d := r.Take(); d.Frames != nil {
		t.Fatalf("%s comes before number %d is done", d.Frames, under.first)
	}
	woken := false
	if !r.Await(&Waiter{Wake: func() { woken = true }}) {
		t.Fatal("it says that there is something to take")
	}
	slow.mu.Lock()
	slow.apply(under)
	slow.mu.Unlock()
	if d := r.Take(); !woken || d.Frames == nil {
		t.Errorf("woken: %v, frames: %s", woken, d.Frames)
	}
}
