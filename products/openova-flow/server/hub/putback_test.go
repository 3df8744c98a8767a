package hub_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

func bound(t testing.TB, h *hub.Hub, region string, texts ...string) record.Receipt {
	t.Helper()
	p := record.Post{FlowID: "F", Regions: []string{region}}
	for _, text := range texts {
		p.Messages = append(p.Messages, decode(t, text))
	}
	r, err := h.Ingest(p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func rels(list ...string) string {
	var out []string
	for _, r := range list {
		f := strings.Fields(r)
		out = append(out, fmt.Sprintf(`{"fromId":%q,"toId":%q,"type":%q,"more":%q}`, f[0], f[1], f[2], r))
	}
	return `{"type":"upsert-rels","relationships":[` + strings.Join(out, ",") + `]}`
}

// TestIngest_PutsBackForeignRelationshipsOfBoundCallers checks the frames of a batch: the caller's messages, then the foreign relationships that
// are put back, sorted by key and with their unknown fields, then the derived flow. The receipt has the sequence number of the caller's last message.
func TestIngest_PutsBackForeignRelationshipsOfBoundCallers(t *testing.T) {
	h := hub.New(hub.Config{})
	ingest(t, h, upsert(t, "r1/a", "running"), upsert(t, "r1/d", "failed"), upsert(t, "r1/b", "running"), upsert(t, "r2/a", "running"),
		decode(t, rels("r1/a r2/a finish-to-start", "r1/a r2/Z triggers", "r2/a r1/a contains", "r2/a r1/a triggers", "r1/a r1/b finish-to-start", "r1/a r1 contains")))
	r, err := h.Follow("F", 0, false)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.Take()
	receipt := bound(t, h, "r1", `{"type":"delete-nodes","ids":["r1/a","r1/d"]}`, `{"type":"delete-rels","pairs":[{"fromId":"r1/a","toId":"r1/b","type":"finish-to-start"}]}`)
	got := ""
	for _, f := range r.Take().Frames {
		got += string(f)
	}
	want := fmt.Sprintf("id: %d\nevent: delete-nodes\ndata: {\"type\":\"delete-nodes\",\"ids\":[\"r1/a\",\"r1/d\"]}\n\n", receipt.Seq-1) +
		fmt.Sprintf("id: %d\nevent: delete-rels\ndata: {\"type\":\"delete-rels\",\"pairs\":[{\"fromId\":\"r1/a\",\"toId\":\"r1/b\",\"type\":\"finish-to-start\"}]}\n\n", receipt.Seq) +
		fmt.Sprintf("id: %d\nevent: upsert-rels\ndata: %s\n\n", receipt.Seq+1, rels("r1/a r2/Z triggers", "r1/a r2/a finish-to-start", "r2/a r1/a contains")) +
		fmt.Sprintf("id: %d\nevent: upsert-flow\ndata: ", receipt.Seq+2)
	if !strings.HasPrefix(got, want) || strings.Count(got, "\n\n") != 4 {
		t.Errorf("frames\n%s\nwant\n%s", got, want)
	}
	if next := ingest(t, h, upsert(t, "r1/c", "running")); next.Seq <= receipt.Seq+2 {
		t.Errorf("the next request has seq %d", next.Seq)
	}
	if n := h.Stats.PutBack.Load(); n != 3 {
		t.Errorf("Stats.PutBack is %d", n)
	}
}

func TestIngest_PutsNothingBackForUnboundCallers(t *testing.T) {
	h := hub.New(hub.Config{})
	ingest(t, h, upsert(t, "r1/a", "running"), decode(t, rels("r1/a r2/a finish-to-start")))
	ingest(t, h, flow.DeleteNodes("r1/a"))
	if s, err := h.Snapshot("F"); err != nil || !strings.Contains(string(s.JSON()), `"relationships":[]`) {
		t.Errorf("%s %v", s.JSON(), err)
	}
}

func TestIngest_PutsNothingBackAfterASnapshot(t *testing.T) {
	h := hub.New(hub.Config{})
	ingest(t, h, upsert(t, "r1/a", "running"), decode(t, rels("r1/a r2/a finish-to-start")))
	bound(t, h, "r1", `{"type":"delete-nodes","ids":["r1/a"]}`, `{"type":"snapshot","flow":{"id":"F","status":"x","startedAt":1}}`)
	if s, err := h.Snapshot("F"); err != nil || !strings.Contains(string(s.JSON()), `"relationships":[]`) {
		t.Errorf("%s %v", s.JSON(), err)
	}
}

// TestIngest_BoundCallersRemoveNothingForeign has two bound callers upsert and delete their own elements at random. The server must have the
// relationships of a model in which a deletion removes only the caller's own. A follower's state and the state rebuilt from the ring must equal the
// server's.
func TestIngest_BoundCallersRemoveNothingForeign(t *testing.T) {
	for seed := range uint64(30) {
		h := hub.New(hub.Config{RingCapacity: 7})
		r, err := h.Follow("F", 0, false)
		if err != nil {
			t.Fatal(err)
		}
		subscriber := &follower{reader: r}
		rnd := rand.New(rand.NewPCG(seed, 1))
		id := func(region string) string { return fmt.Sprintf("%s/%d", region, rnd.IntN(4)) }
		either := func() string { return []string{"r1", "r2"}[rnd.IntN(2)] }
		want := map[flow.RelKey]bool{}
		for range 150 {
			region := either()
			var texts []string
			for range 1 + rnd.IntN(3) {
				switch rnd.IntN(3) {
				case 0:
					n := id(region)
					texts = append(texts, fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":%q,"flowId":"F","label":"l","status":"running","region":%q}]}`, n, region))
				case 1:
					k := flow.RelKey{FromID: id(either()), ToID: id(region), Type: flow.FinishToStart}
					if rnd.IntN(2) == 0 {
						k = flow.RelKey{FromID: id(region), ToID: id(either()), Type: flow.Contains}
					}
					want[k] = true
					texts = append(texts, rels(fmt.Sprintf("%s %s %s", k.FromID, k.ToID, k.Type)))
				default:
					gone := id(region)
					for k := range want {
						if own := flow.RelInRegions(k, []string{region}); own && (k.FromID == gone || k.ToID == gone) {
							delete(want, k)
						}
					}
					texts = append(texts, fmt.Sprintf(`{"type":"delete-nodes","ids":[%q]}`, gone))
				}
			}
			bound(t, h, region, texts...)
			if rnd.IntN(5) > 0 {
				continue
			}
			subscriber.drain(t)
			s, err := h.Snapshot("F")
			if err != nil {
				continue // only deletions so far, so there is no flow
			}
			now := decode(t, string(s.JSON()))
			for _, r := range now.Relationships {
				if !want[r.Key()] {
					t.Fatalf("seed %d: unexpected relationship %v", seed, r.Key())
				}
			}
			if len(now.Relationships) != len(want) {
				t.Fatalf("seed %d: %d relationships, want %d", seed, len(now.Relationships), len(want))
			}
			if got := subscriber.state.Snapshot().JSON(); got != string(s.JSON()) {
				t.Fatalf("seed %d: the follower has\n%s\nwant\n%s", seed, got, s.JSON())
			}
			past, err := h.History("F", 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			rebuilt := flow.NewState("F", 0)
			rebuilt.Apply(decode(t, string(past.Base)))
			for _, e := range past.Events {
				rebuilt.Apply(decode(t, string(e.Message)))
			}
			if got := rebuilt.Snapshot().JSON(); got != string(s.JSON()) {
				t.Fatalf("seed %d: the history leads to\n%s\nwant\n%s", seed, got, s.JSON())
			}
		}
		r.Close()
	}
}
