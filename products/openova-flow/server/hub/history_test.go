package hub_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// TestHistory_BaseIsTheFoldOfEvictedMessages ingests random messages, some with escaped ids, and compares the base of the history with the fold of the
// evicted messages.
func TestHistory_BaseIsTheFoldOfEvictedMessages(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 9))
		h := hub.New(hub.Config{RingCapacity: 8})
		ids, kinds, long := []int{3, 40, 3000, 1500}[seed], []int{40, 40, 8000, 100}[seed], []int{20, 20, 10, 20}[seed]
		id := func() string { return fmt.Sprintf(`n\u00e9%d`, r.IntN(ids)) }
		node := func(n int) string {
			name := id()
			if r.IntN(2000) > 0 {
				name = strings.ReplaceAll(name, `\u00e9`, "é")
			}
			return fmt.Sprintf(`{"id":"%s","flowId":"F","label":"l","status":"s%d","meta":{"x":"%s"}}`, name, n, strings.Repeat("x", r.IntN(long)*r.IntN(long)*r.IntN(long)))
		}
		want, sent := flow.NewState("F", 0), []*flow.Message(nil)
		for i := range 5000 {
			text := `{"type":"upsert-nodes","nodes":[` + node(i) + `]}`
			switch r.IntN(kinds) {
			case 0:
				text = `{"type":"upsert-nodes","nodes":[` + node(i) + `,` + node(i) + `]}`
			case 1:
				text = `{"type":"delete-nodes","ids":["` + id() + `"]}`
			case 2:
				text = `{"type":"upsert-rels","relationships":[{"fromId":"` + id() + `","toId":"` + id() + `","type":"contains"}]}`
			case 3:
				text = `{"type":"delete-rels","pairs":[{"fromId":"` + id() + `","toId":"` + id() + `","type":"contains"}]}`
			case 4:
				text = fmt.Sprintf(`{"type":"upsert-flow","flow":{"id":"F","status":"s%d","startedAt":1}}`, i)
			case 5:
				if r.IntN(30) == 0 {
					text = `{"type":"snapshot","flow":{"id":"F","status":"s","startedAt":1},"nodes":[` + node(i) + `],"relationships":[]}`
				}
			}
			if i == 0 { // no FlowInstance is derived once an emitter has sent one
				text = `{"type":"upsert-flow","flow":{"id":"F","status":"s","startedAt":1}}`
			}
			m := decode(t, text)
			ingest(t, h, m)
			sent = append(sent, m)
			if i%1250 != 1249 {
				continue
			}
			past, err := h.History("F", 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			for ; len(sent) > len(past.Events); sent = sent[1:] {
				want.Apply(sent[0])
			}
			if got := string(past.Base); got != want.Snapshot().JSON() {
				t.Fatalf("seed %d: after %d messages the base is\n%.2000s\nwant\n%.2000s", seed, i+1, got, want.Snapshot().JSON())
			}
		}
	}
}

// TestHistory_WhileTheFlowChanges reads the history while messages are pushed into the same segment of the ring. A fault shows only with the
// race detector.
func TestHistory_WhileTheFlowChanges(t *testing.T) {
	h := hub.New(hub.Config{})
	ingest(t, h, upsert(t, "a", "0"))
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 200 {
			if _, err := h.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{flow.UpsertNodes(flow.Node{ID: "a", FlowID: "F", Label: "l", Status: fmt.Sprint(i)})}}); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for range 200 {
			if past, err := h.History("F", h.LastSeq()-20, 0); err != nil || past.Base == nil {
				t.Errorf("%+v, %v", past, err)
			}
		}
	})
	wg.Wait()
}

// TestHistory_BaseHoldsANodeOnce updates nodes again and again. The hub may take memory for two copies of each: the present one and that in the base.
func TestHistory_BaseHoldsANodeOnce(t *testing.T) {
	const nodes, size = 200, 1000
	h := hub.New(hub.Config{RingCapacity: 8})
	var all []string
	for i := range nodes {
		all = append(all, fmt.Sprintf(`{"id":"n%d","flowId":"F","label":"l","status":"x","meta":{"x":"%s"}}`, i, strings.Repeat("x", size)))
	}
	ingest(t, h, decode(t, `{"type":"snapshot","flow":{"id":"F","status":"s","startedAt":1},"nodes":[`+strings.Join(all, ",")+`],"relationships":[]}`))
	for range 3 {
		for _, node := range all {
			ingest(t, h, decode(t, `{"type":"upsert-nodes","nodes":[`+node+`]}`))
		}
	}
	if got, most := h.Stats.StateBytes.Load(), int64(nodes*(2*size+1500)); got > most {
		t.Errorf("%d nodes of %d bytes take %d bytes, want %d at most", nodes, size, got, most)
	}
}
