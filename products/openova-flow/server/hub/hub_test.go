package hub_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

func decode(t testing.TB, text string) *flow.Message {
	t.Helper()
	m, err := flow.Decode("F", []byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

func upsert(t testing.TB, id, status string) *flow.Message {
	return decode(t, fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":%q,"flowId":"F","label":"l","status":%q}]}`, id, status))
}

func ingest(t testing.TB, h *hub.Hub, messages ...*flow.Message) record.Receipt {
	t.Helper()
	r, err := h.Ingest(record.Post{FlowID: "F", Messages: messages})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// follower folds the frames of a reader.
type follower struct {
	reader *hub.Reader
	state  *flow.State
	last   int64
}

// drain takes all frames, and fails if a sequence number does not increase.
func (f *follower) drain(t *testing.T) (snapshots, messages int) {
	t.Helper()
	for {
		d := f.reader.Take()
		if d.Frames == nil {
			return snapshots, messages
		}
		for _, frame := range bytes.SplitAfter(bytes.Join(d.Frames, nil), []byte("\n\n")) {
			if len(frame) == 0 {
				continue
			}
			lines := strings.Split(string(frame), "\n")
			if lines[0] == "event: regions" {
				continue
			}
			seq, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "id: "), 10, 64)
			if err != nil || seq <= f.last {
				t.Fatalf("%q after %d", frame, f.last)
			}
			m := decode(t, strings.TrimPrefix(lines[2], "data: "))
			if m.Type == flow.TypeSnapshot {
				snapshots++
				f.state = flow.NewState("F", 0)
			} else {
				messages++
			}
			f.state.Apply(m)
			f.last = seq
		}
	}
}

// TestReader_FoldsToTheStateAtAnyPace has readers take from small rings at random times. A reader that has caught up, also after a resume, has the folded
// state.
func TestReader_FoldsToTheStateAtAnyPace(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		h := hub.New(hub.Config{RingCapacity: 1 + r.IntN(40), RingBytes: 300 + r.IntN(4000)})
		var followers []*follower
		follow := func(last int64, resume bool, state *flow.State) *follower {
			reader, err := h.Follow("F", last, resume)
			if err != nil {
				t.Fatal(err)
			}
			return &follower{reader: reader, last: last, state: state}
		}
		for range 6 {
			followers = append(followers, follow(0, false, nil))
		}
		for step := range 300 {
			var batch []*flow.Message
			for range 1 + r.IntN(4) {
				if id := fmt.Sprintf("n%d", r.IntN(12)); r.IntN(6) == 0 {
					batch = append(batch, flow.DeleteNodes(id))
				} else {
					batch = append(batch, upsert(t, id, fmt.Sprintf("%d %s", step, strings.Repeat("x", r.IntN(300)))))
				}
			}
			ingest(t, h, batch...)
			f := followers[r.IntN(len(followers))]
			f.drain(t)
			if r.IntN(20) == 0 { // it reconnects and resumes from its cursor
				f.reader.Close()
				*f = *follow(f.last, true, f.state)
			}
		}
		snapshot, err := h.Snapshot("F")
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range followers {
			f.drain(t)
			if got := f.state.Snapshot().JSON(); got != string(snapshot.JSON()) {
				t.Fatalf("seed %d: reader %d has\n%s\nwant\n%s", seed, i, got, snapshot.JSON())
			}
			f.reader.Close()
		}
		history, err := h.History("F", 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		replay := flow.NewState("F", 0)
		replay.Apply(decode(t, string(history.Base)))
		for _, e := range history.Events {
			replay.Apply(decode(t, string(e.Message)))
		}
		if got := replay.Snapshot().JSON(); got != string(snapshot.JSON()) {
			t.Fatalf("seed %d: the history leads to\n%s\nwant\n%s", seed, got, snapshot.JSON())
		}
		if n := h.Stats.Subscribers.Load(); n != 0 {
			t.Fatalf("Stats.Subscribers is %d after all readers were closed", n)
		}
	}
}

func TestReader_GetsASnapshotOnlyIfTheRingHasMovedPastIt(t *testing.T) {
	h := hub.New(hub.Config{RingCapacity: 100})
	described := decode(t, `{"type":"upsert-flow","flow":{"id":"F","status":"x","startedAt":1}}`)
	ingest(t, h, described)
	reader, err := h.Follow("F", 0, false)
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{reader: reader}
	f.drain(t)
	for i := range 100 {
		ingest(t, h, upsert(t, "a", fmt.Sprint(i)))
	}
	if snapshots, messages := f.drain(t); snapshots != 0 || messages != 100 {
		t.Errorf("%d snapshots, %d messages", snapshots, messages)
	}
	for i := range 101 {
		ingest(t, h, upsert(t, "a", fmt.Sprint(i)))
	}
	if snapshots, messages := f.drain(t); snapshots != 1 || messages != 0 {
		t.Errorf("past the ring: %d snapshots, %d messages", snapshots, messages)
	}
}

func TestDelete_EndsReadersAndZeroesGauges(t *testing.T) {
	h := hub.New(hub.Config{})
	reader, err := h.Follow("F", 0, false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		ingest(t, h, upsert(t, fmt.Sprint(i), "x"))
	}
	for _, want := range []bool{true, false} {
		if existed, err := h.Delete("F"); existed != want || err != nil {
			t.Errorf("the flow existed: %v, want %v (%v)", existed, want, err)
		}
	}
	if d := reader.Take(); !d.Ended {
		t.Errorf("%+v", d)
	}
	reader.Close()
	reader.Close()
	if _, err := h.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{flow.DeleteNodes("a")}}); err != nil {
		t.Fatal(err)
	}
	s := &h.Stats
	for name, v := range map[string]int64{"flows": s.Flows.Load(), "nodes": s.Nodes.Load(), "state": s.StateBytes.Load(), "ring": s.RingBytes.Load(), "entries": s.RingEntries.Load(), "readers": s.Subscribers.Load()} {
		if v != 0 {
			t.Errorf("%s: %d", name, v)
		}
	}
	if len(h.List(nil)) != 0 {
		t.Errorf("List has %d flows, want none", len(h.List(nil)))
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMeasure_HeapUnderTraffic overwrites one small flow many times, with a reader that never takes.
func TestMeasure_HeapUnderTraffic(t *testing.T) {
	h := hub.New(hub.Config{RingCapacity: 100})
	reader, err := h.Follow("F", 0, false)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	fill := func(n int) {
		for i := range n {
			ingest(t, h, upsert(t, fmt.Sprint(i%50), strings.Repeat("x", 500)+fmt.Sprint(i)))
		}
	}
	fill(2000)
	before := heap()
	fill(40_000)
	if after := heap(); after > before+before/4+1<<20 {
		t.Errorf("after 40,000 more messages the heap has grown from %d to %d bytes", before, after)
	}
}

func BenchmarkIngest(b *testing.B) {
	h := hub.New(hub.Config{})
	data := []byte(`{"type":"upsert-nodes","nodes":[{"id":"r1/n42","flowId":"F","label":"n42","status":"running","region":"r1","startedAt":1790000000000,"meta":{"kind":"HelmRelease","s":"` + strings.Repeat("x", 230) + `"}}]}`)
	b.ReportAllocs()
	for b.Loop() {
		m, err := flow.Decode("F", data)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := h.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{m}}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSnapshot10000(b *testing.B) {
	h := hub.New(hub.Config{})
	for i := range 10_000 {
		ingest(b, h, upsert(b, fmt.Sprintf("r%d/n%d", i%5, i), "running"))
	}
	b.Run("after a change", func(b *testing.B) {
		for b.Loop() {
			ingest(b, h, upsert(b, "r1/n1", "running"))
			s, err := h.Snapshot("F")
			if err != nil {
				b.Fatal(err)
			}
			s.JSON()
		}
	})
	b.Run("cached", func(b *testing.B) {
		for b.Loop() {
			s, err := h.Snapshot("F")
			if err != nil {
				b.Fatal(err)
			}
			s.JSON()
		}
	})
}

// postLarge posts node i of a flow, of about 2 KB.
func postLarge(t *testing.T, h *hub.Hub, id string, i int) error {
	t.Helper()
	m, err := flow.Decode(id, fmt.Appendf(nil, `{"type":"upsert-nodes","nodes":[{"id":"n%d","flowId":%q,"label":"l","status":"s","meta":{"x":"%s"}}]}`, i, id, strings.Repeat("x", 2000)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Ingest(record.Post{FlowID: id, Messages: []*flow.Message{m}})
	return err
}

// TestIngest_FlowsBelowTheirShareMayExceedTheLimitByAQuarter grows small flows after a large one has filled the server.
func TestIngest_FlowsBelowTheirShareMayExceedTheLimitByAQuarter(t *testing.T) {
	h := hub.New(hub.Config{MaxStateBytes: 1 << 20, RingBytes: 4 << 10})
	grow := func(id string) {
		for i := 0; i < 1000 && postLarge(t, h, id, i) == nil; i++ {
		}
	}
	for f := range 8 {
		if err := postLarge(t, h, fmt.Sprint("small", f), 0); err != nil {
			t.Fatal(err)
		}
	}
	grow("large")
	for f := range 8 {
		grow(fmt.Sprint("small", f))
	}
	if taken := h.Stats.StateBytes.Load() + h.Stats.RingBytes.Load(); taken < 1<<20+1<<18 || taken > 1<<20+1<<18+10<<10 {
		t.Errorf("%d bytes are taken", taken)
	}
}

// TestIngest_FullServerRefusesOnlyLargeAndNewFlows fills the hub with a few large flows, then grows a small one.
func TestIngest_FullServerRefusesOnlyLargeAndNewFlows(t *testing.T) {
	h := hub.New(hub.Config{MaxStateBytes: 1 << 20, MaxFlowBytes: 400 << 10, RingBytes: 4 << 10})
	post := func(id string, i int) error { return postLarge(t, h, id, i) }
	if err := post("small", 0); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		for f := range 5 {
			_ = post(fmt.Sprint("large", f), i)
		}
	}
	for i := range 20 {
		if err := post("small", i%5); err != nil {
			t.Fatalf("the small flow: %v", err)
		}
	}
	for _, id := range []string{"large0", "another"} {
		if err := post(id, 5000); !errors.As(err, new(*hub.LimitError)) {
			t.Errorf("%s: %v", id, err)
		}
	}
	for i := range 1000 { // until it is not small any more
		_ = post("small", i)
	}
	if taken := h.Stats.StateBytes.Load() + h.Stats.RingBytes.Load(); taken > 1<<20+1<<18+100<<10 {
		t.Errorf("%d bytes are taken", taken)
	}
}

// TestIngest_LimitsRegionChangesOfARequest changes the region of a node as often as one request may, and once more.
func TestIngest_LimitsRegionChangesOfARequest(t *testing.T) {
	const rels, most = 50_000, 4 << 20
	h := hub.New(hub.Config{})
	var list []flow.Relationship
	for i := range rels {
		list = append(list, flow.Relationship{FromID: fmt.Sprint(i), ToID: "a", Type: flow.Contains})
	}
	moves := func(id func(i int) string, times int) []*flow.Message {
		var messages []*flow.Message
		for i := range times + 1 {
			messages = append(messages, flow.UpsertNodes(flow.Node{ID: id(i), FlowID: "F", Label: "a", Status: "running", Region: fmt.Sprint("r", i%2)}))
		}
		return messages
	}
	one := func(int) string { return "a" }
	ingest(t, h, flow.UpsertRels(list...))
	ingest(t, h, moves(one, most/rels)...)
	ingest(t, h, moves(func(i int) string { return fmt.Sprint(i) }, 1000)...) // each node once
	var limit *hub.LimitError
	if _, err := h.Ingest(record.Post{FlowID: "F", Messages: moves(one, most/rels+1)}); !errors.As(err, &limit) || limit.Field != "nodes[0].region" {
		t.Errorf("%v", err)
	}
	limit = nil
	if _, err := h.Ingest(record.Post{FlowID: "G", Messages: append([]*flow.Message{flow.UpsertRels(list...)}, moves(one, most/rels+1)...)}); !errors.As(err, &limit) {
		t.Errorf("with the relationships in the same request: %v", err)
	}
}

func TestRing_IsBoundedByBytesAndByMessages(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg                       hub.Config
		leastEntries, mostEntries int64
	}{
		"bytes":    {hub.Config{RingBytes: 4000}, 2, 20},
		"messages": {hub.Config{RingCapacity: 7}, 7, 7},
	} {
		h := hub.New(tt.cfg)
		first := ingest(t, h, upsert(t, "a", "running")).Seq
		for range 50 {
			ingest(t, h, upsert(t, "a", strings.Repeat("x", 300)))
		}
		entries, bytes := h.Stats.RingEntries.Load(), h.Stats.RingBytes.Load()
		if entries < tt.leastEntries || entries > tt.mostEntries || tt.cfg.RingBytes > 0 && bytes > int64(tt.cfg.RingBytes) {
			t.Errorf("%s: the ring holds %d messages of %d bytes", name, entries, bytes)
		}
		if past, err := h.History("F", 0, 0); err != nil || past.Oldest <= first || int64(len(past.Events)) != entries || past.BaseSeq < first {
			t.Errorf("%s: from %d on, %d messages, %v", name, past.Oldest, len(past.Events), err)
		}
	}
}
