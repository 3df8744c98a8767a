package hub_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// TestMeasure_IdleFlowSize limits the memory that a hub needs for each of 10,000 flows besides its folded state and its message.
func TestMeasure_IdleFlowSize(t *testing.T) {
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
			if _, err := h.Ingest(record.Post{FlowID: id, Messages: []*flow.Message{m}}); err != nil {
				t.Fatal(err)
			}
		})
	}
	inHub := heap() - before
	runtime.KeepAlive(h)
	t.Logf("a flow takes %d bytes in the hub, its state and message alone %d", inHub/flows, alone/flows)
	if more := (inHub - alone) / flows; more > most {
		t.Errorf("a flow takes %d bytes besides its state and message, more than %d", more, most)
	}
}

// TestApply_IdleAfterARenewal has a renewal in the log before the command that drops the flow as idle.
func TestApply_IdleAfterARenewal(t *testing.T) {
	h := hub.New(hub.Config{})
	entry := func(seq int64, c record.Command) hub.Outcome {
		return h.Apply(hub.Entry{Seq: seq, At: 1000 * seq, Birth: "i", Command: c})
	}
	entry(1, record.Command{Kind: record.KindPost, Post: record.Post{FlowID: "F", Messages: []*flow.Message{upsert(t, "a", "running")}}})
	entry(2, record.Command{Kind: record.KindClaim, Claim: record.Claim{FlowID: "F", Region: "r", Cluster: "c"}})
	idle := func(since int64) record.Command {
		return record.Command{Kind: record.KindIdle, Post: record.Post{FlowID: "F", IfIncarnation: "i"}, LastActivity: since}
	}
	if out := entry(3, idle(1000)); out.Removed != 0 {
		t.Error("a flow with a renewed claim was dropped")
	}
	if out := entry(4, idle(2000)); out.Removed != 1 {
		t.Error("a flow without activity since its last renewal was not dropped")
	}
}
