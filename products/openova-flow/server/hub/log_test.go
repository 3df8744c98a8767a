package hub_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// sharedLog is a log of several hubs, in memory. A hub applies the entries at its calls of Append and Sync. Commands are encoded and decoded.
type sharedLog struct {
	mu          sync.Mutex
	entries     []hub.Entry
	unavailable bool
	now         func() time.Time    // the log's clock; nil: a clock that moves with each entry
	stored      map[string]struct{} // IDs of commands, each stored once; nil: repeats are stored too
}

// hubLog is the Log of one hub.
type hubLog struct {
	log     *sharedLog
	hub     *hub.Hub
	applied int
	results []hub.Outcome
}

func (s *sharedLog) hub(cfg hub.Config) (*hub.Hub, *hubLog) {
	e := &hubLog{log: s}
	cfg.Log = e
	e.hub = hub.New(cfg)
	return e.hub, e
}

var errUnavailable = &hub.UnavailableError{Detail: "the log is unavailable"}

func (e *hubLog) Append(c record.Command) (hub.Outcome, error) {
	e.log.mu.Lock()
	if e.log.unavailable {
		e.log.mu.Unlock()
		return hub.Outcome{}, errUnavailable
	}
	id := c.ID
	if _, repeated := e.log.stored[id]; repeated && id != "" {
		e.log.mu.Unlock()
		if err := e.Sync(); err != nil {
			return hub.Outcome{}, err
		}
		return hub.Outcome{}, hub.ErrRepeated
	}
	c, err := record.DecodeCommand(c.Encode())
	if err != nil {
		e.log.mu.Unlock()
		return hub.Outcome{}, err
	}
	n := int64(len(e.log.entries) + 1)
	at := 1_790_000_000_000 + n
	if e.log.now != nil {
		at = e.log.now().UnixMilli()
	}
	e.log.entries = append(e.log.entries, hub.Entry{Seq: n, At: at, Birth: fmt.Sprintf("birth-%d", n), Command: c})
	if e.log.stored != nil {
		e.log.stored[id] = struct{}{}
	}
	e.log.mu.Unlock()
	err = e.Sync()
	return e.results[n-1], err
}

func (e *hubLog) Sync() error {
	e.log.mu.Lock()
	defer e.log.mu.Unlock()
	if e.log.unavailable {
		return errUnavailable
	}
	for ; e.applied < len(e.log.entries); e.applied++ {
		entry := e.log.entries[e.applied]
		entry.Command, _ = record.DecodeCommand(entry.Command.Encode()) // so that hubs share no memory
		e.results = append(e.results, e.hub.Apply(entry))
	}
	return nil
}

func (e *hubLog) Status() hub.LogStatus { return hub.LogStatus{Loaded: true} }

// TestLog_HubsOnOneLogAreEqual makes random requests, with repeats, to several hubs of one log. Some hubs apply later or have smaller limits. All must
// have the same outcomes of commands, lists, saved states and histories.
func TestLog_HubsOnOneLogAreEqual(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 9))
		log := &sharedLog{}
		var hubs []*hub.Hub
		var logs []*hubLog
		for i := range 3 {
			h, l := log.hub(hub.Config{RingCapacity: 20, MaxNodes: []int{100, 8, 100}[i], MaxFlows: []int{100, 2, 100}[i]})
			hubs, logs = append(hubs, h), append(logs, l)
		}
		reader, err := hubs[2].Follow("F", 0, false)
		if err != nil {
			t.Fatal(err)
		}
		f := &follower{reader: reader}
		for step := range 200 {
			h := hubs[r.IntN(3)]
			p := record.Post{FlowID: []string{"F", "G.a:b", "H"}[r.IntN(3)]}
			claim := record.Claim{FlowID: p.FlowID, Region: fmt.Sprint("r", r.IntN(2)), Cluster: fmt.Sprint(r.IntN(2)), TTL: record.MinTTL, Admin: r.IntN(2) == 0}
			switch r.IntN(16) {
			case 12, 13, 14, 15:
				_, err = h.Claim(claim)
			case 0:
				_, err = h.Delete(p.FlowID)
			case 1:
				_, err = h.DeleteRegion(p.FlowID, "r1")
			case 2:
				p.Messages = []*flow.Message{flow.DeleteNodes(fmt.Sprint("n", r.IntN(12)))}
				p.Regions = [][]string{nil, {}, {"r1"}}[r.IntN(3)]
				_, err = h.Ingest(p)
			default:
				for range 1 + r.IntN(3) {
					m, err := flow.Decode(p.FlowID, fmt.Appendf(nil, `{"type":"upsert-nodes","more":"é","nodes":[{"id":"n%d","flowId":%q,"label":"l","status":"s%d","region":"r%d"}]}`, r.IntN(12), p.FlowID, step, r.IntN(2)))
					if err != nil {
						t.Fatal(err)
					}
					p.Messages = append(p.Messages, m)
				}
				if r.IntN(3) == 0 {
					p.Messages = append(p.Messages, flow.UpsertRels(flow.Relationship{FromID: fmt.Sprint("n", r.IntN(12)), ToID: fmt.Sprint("n", r.IntN(12)), Type: flow.FinishToStart}))
				}
				if r.IntN(2) == 0 {
					p.Stamp = record.Stamp{Name: "e\xff", Epoch: int64(step / 50), N: int64(r.IntN(50))}
					p.Digest[0] = byte(step)
				}
				if lease, err := h.Claim(claim); err == nil && r.IntN(2) == 0 {
					p.Lease = lease.ID
					if r.IntN(4) == 0 {
						_, _ = h.DeleteRegion(p.FlowID, claim.Region)
					}
				}
				if r.IntN(3) == 0 {
					p.IfIncarnation = hubs[r.IntN(3)].Incarnation(p.FlowID)
				}
				var first, again record.Receipt
				if first, err = h.Ingest(p); err == nil && p.Stamp.Name != "" {
					if again, err = hubs[r.IntN(3)].Ingest(p); again != first {
						t.Fatalf("a repeat gets %v, first was %v", again, first)
					}
				}
			}
			if err != nil && !errors.As(err, new(*claims.HeldError)) && !errors.As(err, new(*hub.LeaseError)) && !errors.As(err, new(*hub.LimitError)) &&
				!errors.As(err, new(*hub.EmitterError)) && !errors.As(err, new(*hub.IncarnationError)) {
				t.Fatal(err)
			}
			if d := f.reader.Take(); d.Ended {
				f.reader.Close()
				if f.reader, err = hubs[r.IntN(3)].Follow("F", f.last, true); err != nil {
					t.Fatal(err)
				}
			}
			f.drain(t)
		}
		for _, l := range logs {
			if err := l.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		for i := range hubs {
			if !reflect.DeepEqual(hubs[i].List(nil), hubs[0].List(nil)) || fmt.Sprint(logs[i].results) != fmt.Sprint(logs[0].results) {
				t.Fatalf("seed %d: hub %d has\n%v\nwant\n%v", seed, i, hubs[i].List(nil), hubs[0].List(nil))
			}
			if got, want := savedBy(t, hubs[i]), savedBy(t, hubs[0]); string(got) != string(want) {
				t.Fatalf("seed %d: hub %d saves\n%s\nwant\n%s", seed, i, got, want)
			}
			for _, s := range hubs[0].List(nil) {
				want, _ := hubs[0].History(s.ID, 0, 0)
				got, _ := hubs[i].History(s.ID, 0, 0)
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("seed %d: the history of %s at hub %d is\n%v\nwant\n%v", seed, s.ID, i, got, want)
				}
			}
		}
	}
}

func TestLog_CursorOfAnotherHubLeavesNoGap(t *testing.T) {
	log := &sharedLog{}
	ahead, _ := log.hub(hub.Config{})
	behind, _ := log.hub(hub.Config{})
	m := flow.UpsertNodes(flow.Node{ID: "n", FlowID: "F", Label: "n", Status: "x"})
	r, err := ahead.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{m}})
	if err != nil {
		t.Fatal(err)
	}
	log.unavailable = true
	if _, err := behind.Follow("F", r.Seq, true); !errors.As(err, new(*hub.UnavailableError)) {
		t.Errorf("a hub that is behind the client's cursor: %v", err)
	}
	if _, err := behind.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{m}}); !errors.As(err, new(*hub.UnavailableError)) {
		t.Errorf("while the log is unavailable: %v", err)
	}
	log.unavailable = false
	reader, err := behind.Follow("F", r.Seq, true) // only the derived message of the same entry is later
	if err != nil {
		t.Fatal(err)
	}
	d := reader.Take()
	if len(d.Frames) != 2 || !strings.Contains(string(d.Frames[1]), "upsert-flow") {
		t.Errorf("it resumes with %s", d.Frames)
	}
	if _, err := behind.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{m}, IfIncarnation: ahead.Incarnation("F")}); err != nil {
		t.Error(err)
	}
}

func TestLog_LimitsMessagesOfAnEntry(t *testing.T) {
	h, _ := (&sharedLog{}).hub(hub.Config{})
	m := flow.UpsertNodes(flow.Node{ID: "n", FlowID: "F", Label: "n", Status: "x"})
	messages := make([]*flow.Message, hub.MaxEntryMessages+1)
	for i := range messages {
		messages[i] = m
	}
	var large *hub.TooLargeError
	if _, err := h.Ingest(record.Post{FlowID: "F", Messages: messages}); !errors.As(err, &large) || !strings.Contains(large.Detail, fmt.Sprint(hub.MaxEntryMessages)) {
		t.Errorf("%v", err)
	}
	r, err := h.Ingest(record.Post{FlowID: "F", Messages: messages[1:]})
	if err != nil || r.Seq >= hub.FirstOf(2) {
		t.Errorf("%v %v", r, err)
	}
	if s, _ := h.Snapshot("F"); s.Seq >= hub.FirstOf(2) {
		t.Errorf("the derived message has sequence number %d, of another entry", s.Seq)
	}
}

// TestLog_RepeatedActivityKeepsAFlow records activity at one of two hubs, again and again, so that the log gets several commands of one kind.
func TestLog_RepeatedActivityKeepsAFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &sharedLog{now: time.Now, stored: make(map[string]struct{})}
		one, first := log.hub(hub.Config{IdleTimeout: time.Minute})
		two, second := log.hub(hub.Config{IdleTimeout: time.Minute})
		if _, err := one.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{upsert(t, "n", "x")}}); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			time.Sleep(20 * time.Second)
			one.RecordActivity("F")
			hub.DropIdle(one)
			if err := errors.Join(first.Sync(), second.Sync()); err != nil {
				t.Fatal(err)
			}
			hub.DropIdle(two)
		}
		if one.Incarnation("F") == record.NoIncarnation || two.Incarnation("F") == record.NoIncarnation {
			t.Error("the flow was dropped though an emitter was active at one hub")
		}
	})
}

func TestLog_FlowIsIdleOnlyIfItIsAtAllHubs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &sharedLog{now: time.Now}
		one, first := log.hub(hub.Config{IdleTimeout: time.Hour})
		two, second := log.hub(hub.Config{IdleTimeout: time.Hour})
		m := flow.UpsertNodes(flow.Node{ID: "n", FlowID: "F", Label: "n", Status: "x"})
		if _, err := one.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{m}}); err != nil {
			t.Fatal(err)
		}
		pass := func() {
			hub.DropIdle(one)
			hub.DropIdle(two)
			_, _ = first.Sync(), second.Sync()
		}
		pass()
		time.Sleep(50 * time.Minute)
		one.RecordActivity("F")
		pass()
		time.Sleep(50 * time.Minute)
		pass()
		if one.Incarnation("F") == record.NoIncarnation || two.Incarnation("F") == record.NoIncarnation {
			t.Error("the flow was dropped though an emitter was active at one hub")
		}
		time.Sleep(50 * time.Minute)
		pass()
		if one.Incarnation("F") != record.NoIncarnation || two.Incarnation("F") != record.NoIncarnation {
			t.Error("the flow exists after an hour without activity")
		}
		if n := one.Stats.Dropped.Load(); n != 1 {
			t.Errorf("%d dropped", n)
		}
	})
}

func TestCheckpoint_OmitsActivityOfOneHub(t *testing.T) {
	h, _ := new(sharedLog).hub(hub.Config{})
	ingest(t, h, upsert(t, "a", "running"))
	before := h.Checkpoint("F")
	h.RecordActivity("F")
	if after := h.Checkpoint("F"); after.LastActivity != before.LastActivity || !reflect.DeepEqual(after, before) {
		t.Errorf("%+v, before %+v", after, before)
	}
}
