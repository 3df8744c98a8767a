package hub_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

var all = hub.Selection{Key: "all", Match: func(string) bool { return true }}

// fleetViewer knows of each flow the last count that its node had.
type fleetViewer struct {
	t      *testing.T
	name   string
	reader *hub.Reader
	counts map[string]int
	id     int64
	woken  chan struct{}
	waiter hub.Waiter
}

func follow(t *testing.T, h *hub.Hub, name string, s hub.Selection, last int64, resume bool) *fleetViewer {
	t.Helper()
	r, err := h.FollowMany(s, last, resume)
	if err != nil {
		t.Fatal(err)
	}
	v := &fleetViewer{t: t, name: name, reader: r, counts: map[string]int{}, id: last, woken: make(chan struct{}, 1)}
	v.waiter.Wake = func() {
		select {
		case v.woken <- struct{}{}:
		default:
		}
	}
	return v
}

// reconnect goes on from the last number.
func (v *fleetViewer) reconnect(h *hub.Hub, s hub.Selection) {
	v.reader.Cancel(&v.waiter)
	v.reader.Close()
	counts := v.counts
	*v = *follow(v.t, h, v.name, s, v.id, true)
	v.counts = counts
}

// drain takes until nothing is left. Each message must be the next one of its flow, each number greater than the one before.
func (v *fleetViewer) drain() {
	for {
		d := v.reader.Take()
		if d.Frames == nil {
			return
		}
		for _, frame := range bytes.SplitAfter(bytes.Join(d.Frames, nil), []byte("\n\n")) {
			if len(frame) > 0 {
				v.read(string(frame))
			}
		}
		if v.id == 0 && len(v.counts) > 0 {
			v.t.Errorf("%s: nothing to resume from after\n%s", v.name, bytes.Join(d.Frames, nil))
		}
	}
}

func (v *fleetViewer) read(frame string) {
	lines := strings.Split(frame, "\n")
	if number, ok := strings.CutPrefix(lines[0], "id: "); ok {
		id, err := strconv.ParseInt(number, 10, 64)
		if err != nil || id <= v.id {
			v.t.Errorf("%s: %q after %d", v.name, frame, v.id)
		}
		v.id = id
		lines = lines[1:]
	}
	event, data := strings.TrimPrefix(lines[0], "event: "), strings.TrimPrefix(lines[1], "data: ")
	if event == "flows" {
		var list struct{ Flows map[string]string }
		if err := json.Unmarshal([]byte(data), &list); err != nil {
			v.t.Error(err)
		}
		for id := range v.counts {
			if _, ok := list.Flows[id]; !ok {
				delete(v.counts, id)
			}
		}
		return
	}
	id, kind, _ := strings.Cut(event, "/")
	switch kind {
	case "deleted":
		delete(v.counts, id)
		return
	case "regions":
		return
	}
	m, err := flow.Decode(id, []byte(data))
	if err != nil || string(m.Type) != kind {
		v.t.Errorf("%s: %s: %v", v.name, frame, err)
		return
	}
	if len(m.Nodes) == 0 {
		return
	}
	n, _ := strconv.Atoi(m.Nodes[0].Status)
	if was, known := v.counts[id]; kind != "snapshot" && (!known || n != was+1) {
		v.t.Errorf("%s: flow %s has %d after %d (%v)", v.name, id, n, was, known)
	}
	v.counts[id] = n
}

// TestManyFlowsAsOne has writers and viewers race: whoever follows, comes back or falls behind gets each message of each flow once,
// in the order of the numbers, or a snapshot in place of what it missed.
func TestManyFlowsAsOne(t *testing.T) {
	for seed := range uint64(20) {
		h := hub.New(hub.Config{RingCapacity: 20 + int(seed)*20})
		some := hub.Selection{Key: "some", Match: func(id string) bool { return id == "f1" || id == "f3" }}
		var writers, viewers sync.WaitGroup
		written := make(chan struct{})
		for w := range 5 {
			writers.Go(func() { writeCounts(t, h, fmt.Sprintf("f%d", w), rand.New(rand.NewPCG(seed, uint64(w)))) })
		}
		for i := range 6 {
			selection := all
			if i%3 == 2 {
				selection = some
			}
			v := follow(t, h, fmt.Sprintf("seed %d, viewer %d", seed, i), selection, 0, false)
			r := rand.New(rand.NewPCG(seed, 100+uint64(i)))
			viewers.Go(func() {
				defer v.reader.Close()
				v.watch(h, selection, r, written)
			})
		}
		writers.Wait()
		close(written)
		viewers.Wait()
		if t.Failed() {
			return
		}
	}
}

// watch follows, and comes back at times, until nothing more is written and the viewer has all of it. Only being woken tells it so.
func (v *fleetViewer) watch(h *hub.Hub, s hub.Selection, r *rand.Rand, written <-chan struct{}) {
	for {
		v.drain()
		if written == nil && fmt.Sprint(v.counts) == fmt.Sprint(countsOf(v.t, h, s)) {
			return
		}
		if written != nil && r.IntN(8) == 0 {
			v.reconnect(h, s)
			continue
		}
		if !v.reader.Await(&v.waiter) {
			continue
		}
		select {
		case <-v.woken:
		case <-written:
			written = nil
		case <-time.After(20 * time.Second):
			v.t.Errorf("%s has %v, want %v", v.name, v.counts, countsOf(v.t, h, s))
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
		if _, err := h.Ingest(hub.Post{FlowID: id, Messages: batch}); err != nil {
			t.Error(err)
		}
		if r.IntN(60) == 0 && n < 350 {
			_, _ = h.Delete(id)
		}
	}
}

func TestManyFlowsStartWithWhatThereIs(t *testing.T) {
	h := hub.New(hub.Config{})
	v := follow(t, h, "early", all, 0, false)
	v.drain()
	if len(v.counts) != 0 || !v.reader.Await(&v.waiter) {
		t.Error("there is nothing yet")
	}
	post := func(id, count string) {
		if _, err := h.Ingest(hub.Post{FlowID: id, Messages: []*flow.Message{flow.UpsertNodes(flow.Node{ID: "c", FlowID: id, Label: "c", Status: count})}}); err != nil {
			t.Fatal(err)
		}
	}
	post("a", "1")
	<-v.woken
	post("b", "1")
	late := follow(t, h, "late", all, 0, false)
	for _, v := range []*fleetViewer{v, late} {
		v.drain()
		if fmt.Sprint(v.counts) != "map[a:1 b:1]" || v.id == 0 {
			t.Errorf("%s has %v at %d", v.name, v.counts, v.id)
		}
	}
	post("a", "2")
	late.reconnect(h, all)
	_, _ = h.Delete("b")
	late.drain()
	if fmt.Sprint(late.counts) != "map[a:2]" {
		t.Errorf("late has %v", late.counts)
	}
	v.reader.Close()
	late.reader.Close()
	post("a", "3")
	if h.Stats.Subscribers.Load() != 0 {
		t.Error("somebody still reads")
	}
}

func TestSelectionsAreBounded(t *testing.T) {
	h := hub.New(hub.Config{})
	var readers []*hub.Reader
	for i := 0; ; i++ {
		r, err := h.FollowMany(hub.Selection{Key: fmt.Sprint(i), Match: all.Match}, 0, false)
		if err != nil {
			if _, ok := err.(*hub.LimitError); !ok || i < 100 {
				t.Fatalf("selection %d: %v", i, err)
			}
			break
		}
		readers = append(readers, r)
	}
	if again, err := h.FollowMany(hub.Selection{Key: "0", Match: all.Match}, 0, false); err != nil {
		t.Errorf("a selection that is followed already: %v", err)
	} else {
		again.Close()
	}
	readers[0].Close()
	if r, err := h.FollowMany(hub.Selection{Key: "new", Match: all.Match}, 0, false); err != nil {
		t.Errorf("after one has gone: %v", err)
	} else {
		r.Close()
	}
	for _, r := range readers {
		r.Close()
	}
	if n := h.Stats.Subscribers.Load(); n != 0 {
		t.Errorf("%d readers are left", n)
	}
}

// TestWhoWaitsForNumbersIsNotForgotten has a reader wait, for a request that is under way elsewhere, before it can begin. The request ends
// before the reader has said that it wants to be woken, and another reader is the one that finds so.
func TestWhoWaitsForNumbersIsNotForgotten(t *testing.T) {
	h := hub.New(hub.Config{})
	ingest(t, h, upsert(t, "a", "running"))
	other := follow(t, h, "other", all, 0, false)
	other.reader.Take()
	done := hub.Hold(h)
	ingest(t, h, upsert(t, "b", "running"))
	late := follow(t, h, "late", all, 0, false)
	if d := late.reader.Take(); !d.Waits || d.Frames != nil {
		t.Fatalf("it does not wait for the request: %v", d)
	}
	done()
	if d := other.reader.Take(); d.Frames == nil {
		t.Fatal("the other one finds nothing")
	}
	if late.reader.Await(&late.waiter) {
		t.Fatal("it sleeps, though it could begin")
	}
	if d := late.reader.Take(); d.Frames == nil {
		t.Error("it does not begin")
	}
}

// TestAFlowThatCameToBeWhileNobodyLooked has one come to be, other flows write a lot, and the first one again, before anybody looks. Its
// snapshot then comes late among the others' messages. Who has some of those and not the snapshot has nothing of the flow, and must get
// it, whether it comes back by number or falls behind.
func TestAFlowThatCameToBeWhileNobodyLooked(t *testing.T) {
	for _, name := range []string{"comes back", "falls behind"} {
		t.Run(name, func(t *testing.T) {
			h, count := hub.New(hub.Config{}), map[string]int{}
			post := func(id string, size int) {
				count[id]++
				m, err := flow.Decode(id, fmt.Appendf(nil, `{"type":"upsert-nodes","nodes":[{"id":"c","flowId":%q,"label":"c","status":"%d","meta":{"x":%q}}]}`, id, count[id], strings.Repeat("x", size)))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := h.Ingest(hub.Post{FlowID: id, Messages: []*flow.Message{m}}); err != nil {
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
			v := follow(t, h, name, all, 0, false)
			v.drain()
			_, _ = h.Delete("a")
			post("a", 0)
			fill(8)
			post("a", 0)
			post("b", 0)
			numbered := maps.Clone(v.counts) // as of the number that it has
			for _, frame := range bytes.SplitAfter(bytes.Join(v.reader.Take().Frames, nil), []byte("\n\n")) {
				if len(frame) > 0 {
					v.read(string(frame))
				}
			}
			if v.counts["a"] == count["a"] {
				t.Fatal("all of it came at one time")
			}
			if name == "comes back" {
				v.counts = numbered
				v.reconnect(h, all)
			} else {
				fill(25)
			}
			v.drain()
			if fmt.Sprint(v.counts) != fmt.Sprint(count) {
				t.Errorf("it has %v, want %v", v.counts, count)
			}
		})
	}
}
