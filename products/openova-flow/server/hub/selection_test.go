package hub_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

var all = hub.Selection{Key: "all", Match: func(string) bool { return true }}

// fleetSubscriber is a subscriber that keeps the last count of each flow's node.
type fleetSubscriber struct {
	t      *testing.T
	name   string
	reader *hub.Reader
	counts map[string]int
	known  map[string]int // counts when id was received
	id     int64
	woken  chan struct{}
	waiter hub.Waiter
}

func follow(t *testing.T, h *hub.Hub, name string, s hub.Selection, last int64, resume bool) *fleetSubscriber {
	t.Helper()
	r, err := h.FollowMany(s, last, resume)
	if err != nil {
		t.Fatal(err)
	}
	sub := &fleetSubscriber{t: t, name: name, reader: r, counts: map[string]int{}, id: last, woken: make(chan struct{}, 1)}
	sub.waiter.Wake = func() {
		select {
		case sub.woken <- struct{}{}:
		default:
		}
	}
	return sub
}

// reconnect resumes from the last id.
func (sub *fleetSubscriber) reconnect(h *hub.Hub, s hub.Selection) {
	sub.reader.Cancel(&sub.waiter)
	sub.reader.Close()
	counts := sub.counts
	*sub = *follow(sub.t, h, sub.name, s, sub.id, true)
	sub.counts = counts
}

// drain takes all frames. Each message must be the next one of its flow, and each id greater than the one before.
func (sub *fleetSubscriber) drain() {
	for {
		d := sub.reader.Take()
		if d.Frames == nil {
			return
		}
		for _, frame := range bytes.SplitAfter(bytes.Join(d.Frames, nil), []byte("\n\n")) {
			if len(frame) > 0 {
				sub.read(string(frame))
			}
		}
		if sub.id == 0 && len(sub.counts) > 0 {
			sub.t.Errorf("%s: no id in\n%s", sub.name, bytes.Join(d.Frames, nil))
		}
	}
}

func (sub *fleetSubscriber) read(frame string) {
	if strings.HasPrefix(frame, "id: ") {
		defer func() { sub.known = maps.Clone(sub.counts) }()
	}
	lines := strings.Split(frame, "\n")
	if number, ok := strings.CutPrefix(lines[0], "id: "); ok {
		id, err := strconv.ParseInt(number, 10, 64)
		if err != nil || id <= sub.id {
			sub.t.Errorf("%s: %q after %d", sub.name, frame, sub.id)
		}
		sub.id = id
		lines = lines[1:]
	}
	event, data := strings.TrimPrefix(lines[0], "event: "), strings.TrimPrefix(lines[1], "data: ")
	if event == "flows" {
		var list struct{ Flows map[string]string }
		if err := json.Unmarshal([]byte(data), &list); err != nil {
			sub.t.Error(err)
		}
		for id := range sub.counts {
			if _, ok := list.Flows[id]; !ok {
				delete(sub.counts, id)
			}
		}
		return
	}
	id, kind, _ := strings.Cut(event, "/")
	switch kind {
	case "deleted":
		delete(sub.counts, id)
		return
	case "regions":
		return
	}
	m, err := flow.Decode(id, []byte(data))
	if err != nil || string(m.Type) != kind {
		sub.t.Errorf("%s: %s: %v", sub.name, frame, err)
		return
	}
	if len(m.Nodes) == 0 {
		return
	}
	n, _ := strconv.Atoi(m.Nodes[0].Status)
	if was, known := sub.counts[id]; kind != "snapshot" && (!known || n != was+1) {
		sub.t.Errorf("%s: flow %s has %d after %d (%v)", sub.name, id, n, was, known)
	}
	sub.counts[id] = n
}

// TestFollowMany_RandomChangesAndReaders has writers and subscribers race. A subscriber that starts, reconnects or falls behind gets each message of each
// flow once, in the order of the sequence numbers, or a snapshot in place of the messages that it missed.
func TestFollowMany_RandomChangesAndReaders(t *testing.T) {
	for seed := range uint64(20) {
		h := hub.New(hub.Config{RingCapacity: 20 + int(seed)*20, JournalEntries: 4 << (seed % 10)})
		some := hub.Selection{Key: "some", Match: func(id string) bool { return id == "f1" || id == "f3" }}
		var writers, subscribers sync.WaitGroup
		written := make(chan struct{})
		for w := range 5 {
			writers.Go(func() { writeCounts(t, h, fmt.Sprintf("f%d", w), rand.New(rand.NewPCG(seed, uint64(w)))) })
		}
		for i := range 6 {
			selection := all
			if i%3 == 2 {
				selection = some
			}
			sub := follow(t, h, fmt.Sprintf("seed %d, subscriber %d", seed, i), selection, 0, false)
			r := rand.New(rand.NewPCG(seed, 100+uint64(i)))
			subscribers.Go(func() {
				defer sub.reader.Close()
				sub.watch(h, selection, r, written)
			})
		}
		writers.Wait()
		close(written)
		subscribers.Wait()
		if t.Failed() {
			return
		}
	}
}

// watch reads whenever it is woken, and reconnects at times, until all is written and the subscriber has all of it.
func (sub *fleetSubscriber) watch(h *hub.Hub, s hub.Selection, r *rand.Rand, written <-chan struct{}) {
	for {
		sub.drain()
		if written == nil && fmt.Sprint(sub.counts) == fmt.Sprint(countsOf(sub.t, h, s)) {
			return
		}
		if written != nil && r.IntN(8) == 0 {
			sub.reconnect(h, s)
			continue
		}
		if !sub.reader.Await(&sub.waiter) {
			continue
		}
		select {
		case <-sub.woken:
		case <-written:
			written = nil
		case <-time.After(20 * time.Second):
			sub.t.Errorf("%s has %v, want %v", sub.name, sub.counts, countsOf(sub.t, h, s))
			return
		}
	}
}

func countsOf(t *testing.T, h *hub.Hub, s hub.Selection) map[string]int {
	counts := map[string]int{}
	for _, f := range h.List(nil) {
		if !s.Match(f.ID) {
			continue
		}
		snapshot, err := h.Snapshot(f.ID)
		if err != nil {
			t.Error(err)
			continue
		}
		m, err := flow.Decode(f.ID, snapshot.JSON())
		if err != nil {
			t.Error(err)
			continue
		}
		counts[f.ID], _ = strconv.Atoi(m.Nodes[0].Status)
	}
	return counts
}

func writeCounts(t *testing.T, h *hub.Hub, id string, r *rand.Rand) {
	for n := 1; n <= 400; {
		var batch []*flow.Message
		for range 1 + r.IntN(3) {
			batch = append(batch, flow.UpsertNodes(flow.Node{ID: "c", FlowID: id, Label: "c", Status: strconv.Itoa(n)}))
			n++
		}
		if _, err := h.Ingest(record.Post{FlowID: id, Messages: batch}); err != nil {
			t.Error(err)
		}
		if r.IntN(60) == 0 && n < 350 {
			_, _ = h.Delete(id)
		}
	}
}

func TestFollowMany_StartsWithSnapshots(t *testing.T) {
	h := hub.New(hub.Config{})
	sub := follow(t, h, "early", all, 0, false)
	sub.drain()
	if len(sub.counts) != 0 || !sub.reader.Await(&sub.waiter) {
		t.Errorf("without flows the subscriber has %v, or Await returned false", sub.counts)
	}
	post := func(id, count string) {
		if _, err := h.Ingest(record.Post{FlowID: id, Messages: []*flow.Message{flow.UpsertNodes(flow.Node{ID: "c", FlowID: id, Label: "c", Status: count})}}); err != nil {
			t.Fatal(err)
		}
	}
	post("a", "1")
	<-sub.woken
	post("b", "1")
	late := follow(t, h, "late", all, 0, false)
	for _, sub := range []*fleetSubscriber{sub, late} {
		sub.drain()
		if fmt.Sprint(sub.counts) != "map[a:1 b:1]" || sub.id == 0 {
			t.Errorf("%s has %v at %d", sub.name, sub.counts, sub.id)
		}
	}
	post("a", "2")
	late.reconnect(h, all)
	_, _ = h.Delete("b")
	late.drain()
	if fmt.Sprint(late.counts) != "map[a:2]" {
		t.Errorf("late has %v", late.counts)
	}
	sub.reader.Close()
	late.reader.Close()
	post("a", "3")
	if h.Stats.Subscribers.Load() != 0 {
		t.Error("a reader is still counted")
	}
}

// TestFollowMany_MissesNothingBetweenDeliveries creates a flow again before so many messages that they take two deliveries. A subscriber that has the first
// must get the rest, whether it reconnects or falls behind the journal.
func TestFollowMany_MissesNothingBetweenDeliveries(t *testing.T) {
	for _, name := range []string{"comes back", "falls behind"} {
		t.Run(name, func(t *testing.T) {
			h, count := hub.New(hub.Config{JournalBytes: 1 << 20}), map[string]int{}
			post := func(id string, size int) {
				count[id]++
				m, err := flow.Decode(id, fmt.Appendf(nil, `{"type":"upsert-nodes","nodes":[{"id":"c","flowId":%q,"label":"c","status":"%d","meta":{"x":%q}}]}`, id, count[id], strings.Repeat("x", size)))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := h.Ingest(record.Post{FlowID: id, Messages: []*flow.Message{m}}); err != nil {
					t.Fatal(err)
				}
			}
			fill := func(n int) {
				for range n {
					post("b", 50<<10)
				}
			}
			post("a", 0)
			post("b", 0)
			sub := follow(t, h, name, all, 0, false)
			sub.drain()
			_, _ = h.Delete("a")
			post("a", 0)
			fill(8)
			post("a", 0)
			post("b", 0)
			for _, frame := range bytes.SplitAfter(bytes.Join(sub.reader.Take().Frames, nil), []byte("\n\n")) {
				if len(frame) > 0 {
					sub.read(string(frame))
				}
			}
			if sub.counts["a"] == count["a"] {
				t.Fatal("all frames came in one delivery")
			}
			if name == "comes back" {
				sub.counts = sub.known
				sub.reconnect(h, all)
			} else {
				fill(25)
			}
			sub.drain()
			if fmt.Sprint(sub.counts) != fmt.Sprint(count) {
				t.Errorf("counts are %v, want %v", sub.counts, count)
			}
		})
	}
}

// events takes all frames and returns their events, with a star if the frame has an id.
func events(r *hub.Reader) (list []string) {
	for d := r.Take(); d.Frames != nil; d = r.Take() {
		for _, frame := range strings.SplitAfter(string(bytes.Join(d.Frames, nil)), "\n\n") {
			star := ""
			if strings.HasPrefix(frame, "id: ") {
				star = "*"
				_, frame, _ = strings.Cut(frame, "\n")
			}
			if name, found := strings.CutPrefix(frame, "event: "); found {
				name, _, _ = strings.Cut(name, "\n")
				list = append(list, name+star)
			}
		}
	}
	return list
}

func followMany(t *testing.T, h *hub.Hub, s hub.Selection, last int64, resume bool) *hub.Reader {
	t.Helper()
	r, err := h.FollowMany(s, last, resume)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func named(ids ...string) hub.Selection {
	return hub.Selection{Key: "=" + strings.Join(ids, ","), Match: func(id string) bool { return slices.Contains(ids, id) }, Flows: ids}
}

// putNodes posts nodes to a flow. It creates the flow with a FlowInstance, so that nothing is derived.
func putNodes(t testing.TB, h *hub.Hub, id string, nodes ...string) record.Receipt {
	t.Helper()
	list := []flow.Node{}
	for _, n := range nodes {
		list = append(list, flow.Node{ID: n, FlowID: id, Label: n, Status: "x"})
	}
	messages := []*flow.Message{flow.UpsertNodes(list...)}
	if h.Incarnation(id) == record.NoIncarnation {
		m, err := flow.Decode(id, fmt.Appendf(nil, `{"type":"upsert-flow","flow":{"id":%q,"status":"x","startedAt":1}}`, id))
		if err != nil {
			t.Fatal(err)
		}
		messages = append([]*flow.Message{m}, messages...)
	}
	r, err := h.Ingest(record.Post{FlowID: id, Messages: messages})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: frames %.500v, want %v", what, got, want)
	}
}

// TestFollowMany_LargeNewFlowKeepsPositions creates a flow that is larger than the journal.
func TestFollowMany_LargeNewFlowKeepsPositions(t *testing.T) {
	h := hub.New(hub.Config{JournalBytes: 64 << 10})
	for i := range 50 {
		putNodes(t, h, fmt.Sprint("f", i), "n")
	}
	r := followMany(t, h, all, 0, false)
	r.Take()
	var nodes []string
	for i := range 5000 {
		nodes = append(nodes, fmt.Sprint("node-", i))
	}
	putNodes(t, h, "large", nodes...)
	putNodes(t, h, "f1", "n")
	expect(t, "after a large flow", events(r), "large/snapshot*", "large/regions", "f1/upsert-nodes*")
}

// TestFollowMany_CountsSnapshotsAndMessages creates, changes and deletes a flow while two subscribers follow.
func TestFollowMany_CountsSnapshotsAndMessages(t *testing.T) {
	h := hub.New(hub.Config{})
	readers := []*hub.Reader{followMany(t, h, all, 0, false), followMany(t, h, all, 0, false)}
	counted := func(what string, change func(), snapshots, messages int64) {
		t.Helper()
		change()
		for _, r := range readers {
			events(r)
		}
		if s, m := h.Stats.Snapshots.Load(), h.Stats.Delivered.Load(); s != snapshots || m != messages {
			t.Errorf("%s: Stats has %d snapshots and %d messages, want %d and %d", what, s, m, snapshots, messages)
		}
	}
	counted("before the flow exists", func() {}, 0, 0)
	counted("created", func() { putNodes(t, h, "a", "n") }, 2, 0)
	counted("changed", func() { putNodes(t, h, "a", "n") }, 2, 2)
	counted("deleted", func() { _, _ = h.Delete("a") }, 2, 2)
}

// TestFollowMany_QuietSelectionKeepsItsPosition has the journal drop events of other flows first, then events of the selection.
func TestFollowMany_QuietSelectionKeepsItsPosition(t *testing.T) {
	h := hub.New(hub.Config{JournalEntries: 16})
	for _, id := range []string{"a", "b", "busy"} {
		putNodes(t, h, id, "n")
	}
	others := followMany(t, h, all, 0, false)
	others.Take()
	r := followMany(t, h, named("a", "b"), 0, false)
	r.Take()
	busy := func() {
		for range 100 {
			putNodes(t, h, "busy", "n")
		}
	}
	busy()
	putNodes(t, h, "a", "n")
	expect(t, "after much of another flow", events(r), "a/upsert-nodes*")
	busy()
	putNodes(t, h, "a", "n")
	busy()
	putNodes(t, h, "b", "n")
	got := events(r)
	slices.Sort(got[1:3]) // regions frames come in any order
	expect(t, "behind, from the rings", got, "flows", "a/regions", "b/regions", "a/upsert-nodes*", "b/upsert-nodes*")
	for range 20 {
		putNodes(t, h, "b", "n")
	}
	if got = events(r); len(got) != 23 || got[3] != "b/upsert-nodes*" {
		t.Errorf("behind a ring: %v", got)
	}
}

func TestFollowMany_ManySelectionsGetOnlyTheirOwnFlows(t *testing.T) {
	h := hub.New(hub.Config{})
	var readers []*hub.Reader
	for i := range 2000 {
		r := followMany(t, h, named(fmt.Sprint("f", i)), 0, false)
		expect(t, "at first", events(r), "flows")
		readers = append(readers, r)
	}
	same := followMany(t, h, named("f7"), 0, false)
	if same.Key() != readers[7].Key() {
		t.Error("equal selections are not shared")
	}
	for i := range 2000 {
		putNodes(t, h, fmt.Sprint("f", i), "n")
	}
	for i, r := range readers {
		expect(t, "each", events(r), fmt.Sprintf("f%d/snapshot*", i), fmt.Sprintf("f%d/regions", i))
		r.Close()
	}
	woken := false
	w := hub.Waiter{Wake: func() { woken = true }}
	events(same)
	if !same.Await(&w) {
		t.Fatal("Await returned false: there are frames")
	}
	putNodes(t, h, "f7", "n")
	if expect(t, "another reader of the same selection", events(same), "f7/upsert-nodes*"); !woken {
		t.Error("another reader of the same selection is not woken")
	}
}

// TestMeasure_HeapAfterSelectionsEnd opens and closes many selections of a flow that does not change.
func TestMeasure_HeapAfterSelectionsEnd(t *testing.T) {
	h := hub.New(hub.Config{})
	putNodes(t, h, "a", "n")
	before := heap()
	for i := range 5000 {
		s := named("a")
		s.Key = fmt.Sprint(i)
		r, err := h.FollowMany(s, 0, false)
		if err != nil {
			t.Fatal(err)
		}
		events(r)
		r.Close()
	}
	if after := heap(); after > before+512<<10 {
		t.Errorf("the heap has grown from %d to %d bytes", before, after)
	}
	runtime.KeepAlive(h)
}

// TestMeasure_HeapAfterFlowsAreDeleted creates and deletes large flows while a reader takes nothing.
func TestMeasure_HeapAfterFlowsAreDeleted(t *testing.T) {
	h := hub.New(hub.Config{})
	putNodes(t, h, "a", "n")
	r := followMany(t, h, all, 0, false)
	events(r)
	before := heap()
	for range 100 {
		m, err := flow.Decode("b", []byte(`{"type":"upsert-nodes","nodes":[{"id":"n","flowId":"b","label":"`+strings.Repeat("x", 400<<10)+`","status":"x"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Ingest(record.Post{FlowID: "b", Messages: []*flow.Message{m}}); err != nil {
			t.Fatal(err)
		}
		_, _ = h.Delete("b")
	}
	if after := heap(); after > before+16<<20 {
		t.Errorf("the heap has grown from %d to %d bytes", before, after)
	}
	putNodes(t, h, "b", "n")
	if got := events(r); len(got) < 3 || fmt.Sprint(got[len(got)-3:]) != "[b/deleted* b/snapshot* b/regions]" || strings.Contains(fmt.Sprint(got[:len(got)-3]), "snapshot") {
		t.Errorf("frames: %v", got)
	}
}

// TestFollowMany_ChangeBeforeAwaitIsNotMissed changes a flow of the selection, and another flow, after the last Take and before Await.
func TestFollowMany_ChangeBeforeAwaitIsNotMissed(t *testing.T) {
	h := hub.New(hub.Config{})
	putNodes(t, h, "a", "n")
	r := followMany(t, h, named("a"), 0, false)
	events(r)
	w := hub.Waiter{Wake: func() {}}
	putNodes(t, h, "b", "n")
	if !r.Await(&w) {
		t.Error("Await returned false after a change of another flow")
	}
	r.Cancel(&w)
	putNodes(t, h, "a", "n")
	if r.Await(&w) {
		t.Error("Await returned true though there are frames")
	}
	expect(t, "then", events(r), "a/upsert-nodes*")
}

// TestFollowMany_DeletedFlowIsCreatedAgain checks readers from before the deletion, and one that starts after it.
func TestFollowMany_DeletedFlowIsCreatedAgain(t *testing.T) {
	h := hub.New(hub.Config{})
	putNodes(t, h, "a", "n")
	putNodes(t, h, "b", "n")
	r := followMany(t, h, all, 0, false)
	r.Take()
	last := putNodes(t, h, "b", "n")
	_, _ = h.Delete("a")
	putNodes(t, h, "a", "m")
	expect(t, "a reader from before the deletion", events(r), "b/upsert-nodes*", "a/deleted*", "a/snapshot*", "a/regions")
	if got := events(followMany(t, h, all, last.Seq, true)); len(got) != 4 || got[0] != "flows" || got[3] != "a/snapshot*" {
		t.Errorf("a reader that reconnects gets %v", got)
	}
	_, _ = h.Delete("b")
	var id int64
	if frames := string(bytes.Join(r.Take().Frames, nil)); !strings.HasSuffix(frames, "event: b/deleted\ndata: {}\n\n") {
		t.Fatalf("then %s", frames)
	} else if _, err := fmt.Sscanf(frames, "id: %d\n", &id); err != nil {
		t.Fatal(err)
	}
	expect(t, "a reader that resumes from the deletion", events(followMany(t, h, all, id, true)), "flows", "a/regions")
}

// TestResume_FromTheNewestMessageThatLeftTheRing: the ring has all later messages, so no snapshot is needed.
func TestResume_FromTheNewestMessageThatLeftTheRing(t *testing.T) {
	h := hub.New(hub.Config{RingCapacity: 2})
	seqs := []int64{}
	for range 5 {
		seqs = append(seqs, putNodes(t, h, "F", "n").Seq)
	}
	for i, want := range [][]string{{"regions", "snapshot*"}, {"regions", "upsert-nodes*", "upsert-nodes*"}, {"regions", "upsert-nodes*"}, {"regions"}} {
		r, err := h.Follow("F", seqs[i+1], true)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, fmt.Sprint("from message ", i+1), events(r), want...)
		r.Close()
	}
}

// TestResume_SeqOfAnotherIncarnation starts a hub after the clock was set back, so that sequence numbers of the previous hub are in its own range.
func TestResume_SeqOfAnotherIncarnation(t *testing.T) {
	clock := time.UnixMilli(1_790_000_000_000)
	now := func() time.Time { clock = clock.Add(3 * time.Microsecond); return clock }
	before := hub.New(hub.Config{Now: now})
	putNodes(t, before, "F", "n")
	old := putNodes(t, before, "F", "n").Seq
	clock = clock.Add(-5 * time.Millisecond)
	h := hub.New(hub.Config{Now: now})
	putNodes(t, h, "F", "other")
	for h.LastSeq() <= old+10 {
		putNodes(t, h, "another", "n")
	}
	given := putNodes(t, h, "F", "n").Seq
	putNodes(t, h, "F", "n")
	one := func(seq int64) []string {
		r, err := h.Follow("F", seq, true)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		return events(r)
	}
	expect(t, "one flow, seq of the previous hub", one(old), "regions", "snapshot*")
	expect(t, "one flow, seq of this hub", one(given), "regions", "upsert-nodes*")
	F := named("F")
	expect(t, "several, seq of the previous hub", events(followMany(t, h, F, old, true)), "flows", "F/regions", "F/snapshot*")
	expect(t, "several, seq of this hub", events(followMany(t, h, F, given, true)), "flows", "F/regions", "F/upsert-nodes*")
	expect(t, "several, seq of another flow", events(followMany(t, h, F, given-1, true)), "flows", "F/regions", "F/snapshot*")
}

// TestFollowMany_RegionsAreSentOnce changes the regions of a flow several times before the reader takes.
func TestFollowMany_RegionsAreSentOnce(t *testing.T) {
	h := hub.New(hub.Config{})
	putNodes(t, h, "a", "n")
	r := followMany(t, h, all, 0, false)
	r.Take()
	for _, region := range []string{"r1", "r2", "r3"} {
		if _, err := h.Claim(record.Claim{FlowID: "a", Region: region, Cluster: "c"}); err != nil {
			t.Fatal(err)
		}
	}
	putNodes(t, h, "a", "n")
	expect(t, "after three claims", events(r), "a/regions", "a/upsert-nodes*")
}

// TestFollowMany_ResumesAfterOneRingDroppedMessages resumes a reader that gets one flow from its ring and the other as a snapshot, which is newer. So only
// the last frame has an id.
func TestFollowMany_ResumesAfterOneRingDroppedMessages(t *testing.T) {
	h := hub.New(hub.Config{RingCapacity: 4})
	putNodes(t, h, "a", "n")
	last := putNodes(t, h, "b", "n")
	putNodes(t, h, "b", "n")
	putNodes(t, h, "b", "n")
	for range 10 {
		putNodes(t, h, "a", "n")
	}
	r := followMany(t, h, all, last.Seq, true)
	got := events(r)
	if len(got) != 6 {
		t.Fatalf("frames: %v", got)
	}
	expect(t, "on resuming", got[3:], "a/snapshot", "b/upsert-nodes", "b/upsert-nodes*")
	putNodes(t, h, "b", "n")
	expect(t, "then", events(r), "b/upsert-nodes*")
}

// TestIngest_SeqNeverLagsBehindTheClock has a pause of an hour, and then more messages than microseconds.
func TestIngest_SeqNeverLagsBehindTheClock(t *testing.T) {
	clock := time.UnixMilli(1_790_000_000_000)
	h := hub.New(hub.Config{Now: func() time.Time { return clock }})
	last := putNodes(t, h, "F", "n").Seq
	clock = clock.Add(time.Hour)
	for range 3 {
		seq := putNodes(t, h, "F", "n").Seq
		if seq <= last || seq < clock.UnixMicro() {
			t.Errorf("seq %d after %d at %d µs", seq, last, clock.UnixMicro())
		}
		last = seq
	}
}

// TestFollowMany_FlowAheadOfItsLog restores the checkpoint of a flow that is ahead of the applied entries: frames have no id until those are applied.
func TestFollowMany_FlowAheadOfItsLog(t *testing.T) {
	log := &sharedLog{}
	ahead, _ := log.hub(hub.Config{})
	h, second := log.hub(hub.Config{})
	putNodes(t, ahead, "a", "n")
	putNodes(t, ahead, "b", "n")
	if err := second.Sync(); err != nil {
		t.Fatal(err)
	}
	r := followMany(t, h, all, 0, false)
	events(r)
	putNodes(t, ahead, "b", "n")
	putNodes(t, ahead, "a", "n")
	h.Replace(ahead.Checkpoint("a"))
	expect(t, "the flow that is ahead", events(r), "a/snapshot", "a/regions")
	if got := events(followMany(t, h, all, 0, false)); strings.Contains(fmt.Sprint(got), "*") {
		t.Errorf("a new reader gets %v", got)
	}
	h.Apply(log.entries[2])
	expect(t, "an entry before its checkpoint", events(r), "b/upsert-nodes")
	putNodes(t, ahead, "b", "n")
	h.Apply(log.entries[4])
	expect(t, "an entry after its checkpoint", events(r), "b/upsert-nodes*")
}

// TestFollowMany_SequenceNumbersOnlyGoUp has a subscriber whose last id is that of a deletion that rings and journal no longer have.
func TestFollowMany_SequenceNumbersOnlyGoUp(t *testing.T) {
	h := hub.New(hub.Config{JournalEntries: 1})
	post := func(id string) {
		if _, err := h.Ingest(record.Post{FlowID: id, Messages: []*flow.Message{flow.UpsertNodes(flow.Node{ID: "c", FlowID: id, Label: "c", Status: "1"})}}); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(id string) {
		if _, err := h.Delete(id); err != nil {
			t.Fatal(err)
		}
	}
	post("a")
	sub := follow(t, h, "the subscriber", all, 0, false)
	defer func() { sub.reader.Close() }()
	sub.drain()
	post("b")
	sub.drain()
	remove("b")
	sub.drain()
	before := sub.id
	post("c")
	remove("c")
	sub.reconnect(h, all)
	sub.drain()
	if sub.id != before || fmt.Sprint(sub.counts) != fmt.Sprint(countsOf(t, h, all)) {
		t.Errorf("counts %v at id %d, after %d", sub.counts, sub.id, before)
	}
}

// TestFollowMany_JournalLimitsSnapshots creates large flows while a reader takes nothing. Each snapshot is in the journal, even after the flow has shrunk.
func TestFollowMany_JournalLimitsSnapshots(t *testing.T) {
	h := hub.New(hub.Config{JournalBytes: 1 << 20})
	putNodes(t, h, "a", "n")
	r := followMany(t, h, all, 0, false)
	events(r)
	create := func(id string) {
		large, err := flow.Decode(id, []byte(flow.UpsertNodes(flow.Node{ID: "n", FlowID: id, Label: strings.Repeat("x", 400<<10), Status: "x"}).JSON()))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []*flow.Message{large, flow.DeleteNodes("n")} {
			if _, err := h.Ingest(record.Post{FlowID: id, Messages: []*flow.Message{m}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 3 {
		create(fmt.Sprint("few", i))
	}
	if got := events(r); len(got) == 0 || got[0] != "few0/snapshot*" {
		t.Errorf("within the limit, frames: %.300v", got)
	}
	for i := range 5 {
		create(fmt.Sprint("many", i))
	}
	if got := events(r); len(got) == 0 || got[0] != "flows" {
		t.Errorf("above the limit, frames: %.300v", got)
	}
}
