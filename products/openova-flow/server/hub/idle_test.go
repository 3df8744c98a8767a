package hub_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// TestIdleFlowsCostLittle compares what 10,000 flows of one node take in a hub with what their folded states, and the message that
// each holds for resume, take alone.
func TestIdleFlowsCostLittle(t *testing.T) {
	const flows, nodes, most = 10_000, 1, 2048
	fill := func(id string, put func(m *flow.Message)) {
		var list []flow.Node
		for n := range nodes {
			list = append(list, flow.Node{ID: fmt.Sprint("n", n), FlowID: id, Label: "n", Status: "succeeded"})
		}
		data := flow.UpsertNodes(list...).JSON()
		m, err := flow.Decode(id, []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		put(m)
	}
	before := heap()
	states := make([]*flow.State, flows)
	held := make([]*flow.Message, flows)
	for i := range states {
		id := fmt.Sprint("f", i)
		states[i] = flow.NewState(id, 0)
		fill(id, func(m *flow.Message) {
			states[i].Apply(m)
			held[i] = m
		})
	}
	alone := heap() - before
	runtime.KeepAlive(states)
	runtime.KeepAlive(held)
	states, held = nil, nil
	before = heap()
	h := hub.New(hub.Config{})
	for i := range flows {
		id := fmt.Sprint("f", i)
		fill(id, func(m *flow.Message) {
			if _, err := h.Ingest(hub.Post{FlowID: id, Messages: []*flow.Message{m}}); err != nil {
				t.Fatal(err)
			}
		})
	}
	inHub := heap() - before
	runtime.KeepAlive(h)
	t.Logf("a flow takes %d bytes in the hub, its state and message alone %d", inHub/flows, alone/flows)
	if more := (inHub - alone) / flows; more > most {
		t.Errorf("a flow takes %d bytes besides them, more than %d", more, most)
	}
}
