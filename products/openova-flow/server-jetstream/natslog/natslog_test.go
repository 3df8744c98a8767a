package natslog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/natslog"
	"github.com/openova-io/openova/products/openova-flow/server-jetstream/natsserver"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// within bounds every wait of these tests; reaching it is a failure.
const within = 60 * time.Second

func quiet(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

func startNATS(t *testing.T, dir string) *natsserver.Server {
	t.Helper()
	s, err := natsserver.Start(t.Context(), natsserver.Config{Dir: dir, SyncInterval: time.Minute, Logger: quiet(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// replica is a hub on a log.
type replica struct {
	*hub.Hub
	log  *natslog.Log
	conn *nats.Conn
	stop func()
}

func start(t *testing.T, s *natsserver.Server, cfg hub.Config) *replica {
	t.Helper()
	r := begin(t, s, cfg, func(*natslog.Log) {})
	eventually(t, "loaded", func() bool { return r.log.Status().Loaded })
	return r
}

// begin starts a replica and does not wait until it has loaded anything.
func begin(t *testing.T, s *natsserver.Server, cfg hub.Config, before func(*natslog.Log)) *replica {
	t.Helper()
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	log, err := natslog.New(natslog.Config{Conn: conn, RingCapacity: cfg.RingCapacity, RingBytes: cfg.RingBytes, Timeout: within, Logger: quiet(t)})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Log = log
	r := &replica{Hub: hub.New(cfg), log: log, conn: conn}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	before(log)
	go func() { done <- log.Run(ctx, r.Hub) }()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("the log failed: %v", err)
			}
			conn.Close()
		})
	}
	t.Cleanup(r.stop)
	return r
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not %s", what)
		}
	}
}

func (r *replica) sync(t *testing.T) {
	t.Helper()
	if err := r.log.Sync(); err != nil {
		t.Fatal(err)
	}
}

func message(t *testing.T, flowID, text string) *flow.Message {
	t.Helper()
	m, err := flow.Decode(flowID, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func upsert(t *testing.T, flowID, id, status string) *flow.Message {
	return message(t, flowID, fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":%q,"flowId":%q,"label":"l","status":%q,"more":1}]}`, id, flowID, status))
}

func post(t *testing.T, r *replica, flowID, id, status string) hub.Receipt {
	t.Helper()
	got, err := r.Ingest(hub.Post{FlowID: flowID, Messages: []*flow.Message{upsert(t, flowID, id, status)}})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// same fails unless two hubs tell the same of everything; of rings only their last messages if some of one may be missing.
func same(t *testing.T, got, want *replica, rings bool) {
	t.Helper()
	got.sync(t)
	want.sync(t)
	if a, b := got.List(nil), want.List(nil); !reflect.DeepEqual(a, b) {
		t.Fatalf("there are\n%+v\nwant\n%+v", a, b)
	}
	for _, s := range want.List(nil) {
		a, errA := got.Snapshot(s.ID)
		b, errB := want.Snapshot(s.ID)
		if errA != nil || errB != nil || a.Seq != b.Seq || a.Incarnation != b.Incarnation || !bytes.Equal(a.JSON(), b.JSON()) {
			t.Fatalf("flow %s is, at %d of %s,\n%s\nwant, at %d of %s,\n%s", s.ID, a.Seq, a.Incarnation, a.JSON(), b.Seq, b.Incarnation, b.JSON())
		}
		x, _ := got.History(s.ID, 0, 0)
		y, _ := want.History(s.ID, 0, 0)
		if !rings {
			n := min(len(x.Events), len(y.Events))
			x, y = hub.History{Events: x.Events[len(x.Events)-n:]}, hub.History{Events: y.Events[len(y.Events)-n:]}
		}
		if !reflect.DeepEqual(x, y) {
			t.Fatalf("the history of %s has %d events from %d on, base at %d; want %d from %d on, base at %d", s.ID, len(x.Events), x.Oldest, x.BaseSeq, len(y.Events), y.Oldest, y.BaseSeq)
		}
		ra, _, _ := got.Rollouts(s.ID)
		rb, _, _ := want.Rollouts(s.ID)
		if !reflect.DeepEqual(ra, rb) {
			t.Fatalf("rollouts of %s are\n%+v\nwant\n%+v", s.ID, ra, rb)
		}
	}
}

// TestReplicasAreTheSameAndSoIsOneThatStartsLater changes three replicas at random, and starts others from what the stream and the
// checkpoints hold: with small rings most of it is in checkpoints.
func TestReplicasAreTheSameAndSoIsOneThatStartsLater(t *testing.T) {
	for _, ring := range []int{1, 7, 100} {
		t.Run(fmt.Sprint("ring of ", ring), func(t *testing.T) {
			s := startNATS(t, t.TempDir())
			cfg := hub.Config{RingCapacity: ring}
			replicas := []*replica{start(t, s, cfg), start(t, s, cfg), start(t, s, cfg)}
			r := rand.New(rand.NewPCG(uint64(ring), 5))
			for step := range 600 {
				at := replicas[r.IntN(len(replicas))]
				id := []string{"F", "a.b:c", "..", "G"}[r.IntN(4)]
				var err error
				switch r.IntN(40) {
				case 0:
					_, err = at.Delete(id)
				case 1:
					_, err = at.DeleteRegion(id, "l")
				case 2:
					_, err = at.Ingest(hub.Post{FlowID: id, Messages: []*flow.Message{flow.DeleteNodes("n1")}})
				case 3:
					n := r.IntN(len(replicas))
					replicas[n].stop()
					replicas[n] = start(t, s, cfg)
				default:
					p := hub.Post{FlowID: id}
					for range 1 + r.IntN(3) {
						p.Messages = append(p.Messages, upsert(t, id, fmt.Sprint("n", r.IntN(9)), []string{"running", "succeeded", "failed"}[r.IntN(3)]))
					}
					if r.IntN(2) == 0 {
						p.Stamp = hub.Stamp{Name: "e", N: int64(step)}
					}
					var first, again hub.Receipt
					if first, err = at.Ingest(p); err == nil && p.Stamp.Name != "" {
						if again, err = replicas[r.IntN(len(replicas))].Ingest(p); again != first {
							t.Fatalf("a repeat gets %v, first was %v", again, first)
						}
					}
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			late := start(t, s, cfg)
			for _, one := range append(replicas, late) {
				same(t, one, replicas[0], true)
			}
		})
	}
}

// TestManyRestartsLeaveTheRingWhole writes a checkpoint at each of many restarts: they must not push out the one that reaches back.
func TestManyRestartsLeaveTheRingWhole(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingCapacity: 40}
	var first hub.Receipt
	for i := range 30 {
		r := start(t, s, cfg)
		got := post(t, r, "F", "a", fmt.Sprint("s", i))
		if i == 0 {
			first = got
		}
		r.stop()
	}
	r := start(t, s, cfg)
	history, err := r.History("F", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	// A message and what the server derived from it, then 29 messages; after the first ten or so the status of the flow stays.
	if n := len(history.Events); n < 30 || history.Events[0].Seq != first.Seq {
		t.Errorf("the ring has %d messages, from %d on; the first was %d", n, history.Oldest, first.Seq)
	}
	for i := range 300 {
		post(t, r, "F", "a", fmt.Sprint("t", i))
	}
	same(t, start(t, s, cfg), r, true)
}

// TestTheStreamKeepsOfAFlowWhatItsRingNeeds posts large messages: the ring is full by its bytes long before it is by their number.
func TestTheStreamKeepsOfAFlowWhatItsRingNeeds(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingBytes: 256 << 10}
	r := start(t, s, cfg)
	for i := range 300 {
		post(t, r, "F", "a", fmt.Sprint(i, strings.Repeat("x", 10_000)))
	}
	eventually(t, "purged", func() bool { return r.log.Held(t) < 80 })
	same(t, start(t, s, cfg), r, true)
}

// TestADurableRingResumes restarts NATS and the hub: who was there gets what came since, and no snapshot.
func TestADurableRingResumes(t *testing.T) {
	dir := t.TempDir()
	s := startNATS(t, dir)
	r := start(t, s, hub.Config{})
	first := post(t, r, "F", "a", "running")
	post(t, r, "F", "a", "failed")
	r.stop()
	s.Stop()
	r = start(t, startNATS(t, dir), hub.Config{})
	if got := r.Incarnation("F"); got != first.Incarnation {
		t.Errorf("it is incarnation %s, was %s", got, first.Incarnation)
	}
	reader, err := r.Follow("F", first.Seq, true)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	frames := bytes.Join(reader.Take().Frames, nil)
	if strings.Contains(string(frames), "event: snapshot") || strings.Count(string(frames), "event: upsert-nodes") != 1 || !strings.Contains(string(frames), `"failed"`) {
		t.Errorf("it goes on with\n%s", frames)
	}
}

// many posts n times from each of 16 to a flow. Of 600 the stream does not keep all.
func many(t *testing.T, r *replica, flowID string, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range n {
				p := hub.Post{FlowID: flowID, Messages: []*flow.Message{upsert(t, flowID, fmt.Sprint("n", w, "-", i%5), fmt.Sprint("s", i))}}
				if _, err := r.Ingest(p); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestWhatTheStreamDropsWhileItIsLoadedIsNotMissing has the stream drop entries of a flow that a replica has begun to load, and another flow
// deleted.
func TestWhatTheStreamDropsWhileItIsLoadedIsNotMissing(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingCapacity: 3000}
	here := start(t, s, cfg)
	for _, id := range []string{"A", "F", "G"} {
		for i := range 5 {
			post(t, here, id, fmt.Sprint("first-", i), "running")
		}
	}
	many(t, here, "F", 200) // more than is read ahead
	var release func()
	late := begin(t, s, cfg, func(l *natslog.Log) { release = l.Hold() })
	eventually(t, "reading", late.log.Reading)
	many(t, here, "F", 600)
	if _, err := here.Delete("G"); err != nil {
		t.Fatal(err)
	}
	post(t, here, "G", "second", "running")
	release()
	eventually(t, "loaded", func() bool { return late.log.Status().Loaded })
	same(t, late, here, false)
	if late.log.Reloaded() == 0 {
		t.Error("nothing was loaded again: the stream has dropped nothing meanwhile, and this test tests nothing")
	}
}

// TestOneThatWasAwayTooLongGoesOnFromCheckpoints keeps a replica from its log until the stream has dropped what it did not see.
func TestOneThatWasAwayTooLongGoesOnFromCheckpoints(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingCapacity: 8}
	here := start(t, s, cfg)
	away := start(t, s, cfg)
	for _, id := range []string{"F", "G", "H"} {
		post(t, here, id, "a", "running")
	}
	away.sync(t)
	reader, err := away.Follow("F", 0, false)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	reader.Take()
	release := away.log.Hold()
	many(t, here, "F", 600)
	post(t, here, "G", "a", "failed")
	if _, err := here.Delete("H"); err != nil {
		t.Fatal(err)
	}
	post(t, here, "H", "b", "failed")
	release()
	eventually(t, "getting on", func() bool { return away.log.Status().Err == nil })
	same(t, away, here, false)
	if away.log.Bridged() == 0 || here.log.Bridged() != 0 {
		t.Errorf("%d flows of the one that was away went on from checkpoints, %d of the other", away.log.Bridged(), here.log.Bridged())
	}
	d := reader.Take()
	if frames := bytes.Join(d.Frames, nil); !bytes.Contains(frames, []byte("event: snapshot")) {
		t.Errorf("its reader goes on with %.200s", frames)
	}
	same(t, start(t, s, cfg), here, true)
}

func TestWithoutJetStreamNothingIsTakenAndNothingIsLost(t *testing.T) {
	dir := t.TempDir()
	s := startNATS(t, dir)
	r := start(t, s, hub.Config{})
	post(t, r, "F", "a", "running")
	s.Stop()
	eventually(t, "noticed", func() bool { return r.log.Status().Err != nil })
	var away *hub.UnavailableError
	if _, err := r.Ingest(hub.Post{FlowID: "F", Messages: []*flow.Message{upsert(t, "F", "b", "running")}}); !errors.As(err, &away) {
		t.Errorf("a change without its log: %v", err)
	}
	if _, err := r.Delete("F"); !errors.As(err, &away) {
		t.Errorf("a deletion without its log: %v", err)
	}
	if snapshot, err := r.Snapshot("F"); err != nil || !bytes.Contains(snapshot.JSON(), []byte(`"a"`)) {
		t.Errorf("reads do not go on: %v", err)
	}
}

// TestAnAnswerThatIsLostIsNoRepeat has JetStream take a change, and answer the client's own second attempt that it has it already: whoever
// made the change is told what came of it, and not that somebody has made the same before, after which it would be made again.
func TestAnAnswerThatIsLostIsNoRepeat(t *testing.T) {
	r := start(t, startNATS(t, t.TempDir()), hub.Config{})
	for i := range 50 {
		release := r.log.Hold() // at an entry before, so that it is not applied before somebody waits for it
		before := make(chan hub.Receipt, 1)
		go func() { before <- post(t, r, "F", "before", fmt.Sprint(i)) }()
		eventually(t, "taken", func() bool { return r.log.Behind(t) })
		c := hub.Command{Kind: record.KindPost, Post: hub.Post{FlowID: "F", Messages: []*flow.Message{upsert(t, "F", "a", fmt.Sprint(i))}}}
		out, err := r.log.Lost(t, c, release)
		if err != nil || out.Receipt.Seq <= (<-before).Seq {
			t.Fatalf("attempt %d: %v, %v", i, out, err)
		}
	}
}

func TestWhatIsTooLargeIsSaidSo(t *testing.T) {
	r := start(t, startNATS(t, t.TempDir()), hub.Config{})
	var messages []*flow.Message
	for i := range 1100 {
		messages = append(messages, upsert(t, "F", fmt.Sprint(i), strings.Repeat("x", 1000)))
	}
	var large *hub.TooLargeError
	if _, err := r.Ingest(hub.Post{FlowID: "F", Messages: messages}); !errors.As(err, &large) || !strings.Contains(large.Detail, "max_payload") {
		t.Errorf("%v", err)
	}
	// What a flow folds to may be larger than an entry: its checkpoint is in pieces.
	for range 3 {
		for chunk := range 4 {
			if _, err := r.Ingest(hub.Post{FlowID: "F", Messages: messages[chunk*200 : (chunk+1)*200]}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestClaimsHoldAtAllReplicas claims regions at one replica and speaks for them at another.
func TestClaimsHoldAtAllReplicas(t *testing.T) {
	s := startNATS(t, t.TempDir())
	one, two := start(t, s, hub.Config{}), start(t, s, hub.Config{})
	first, err := one.Claim(hub.Claim{FlowID: "F", Region: "r1", Cluster: "a", TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	again, err := two.Claim(hub.Claim{FlowID: "F", Region: "r1", Cluster: "a", TTL: time.Hour})
	if err != nil || again.ID != first.ID {
		t.Errorf("it gets %v, %v; it has %v", again, err, first)
	}
	var taken *hub.ClaimError
	for _, admin := range []bool{false, true} {
		if _, err := two.Claim(hub.Claim{FlowID: "F", Region: "r1", Cluster: "b", Admin: admin}); !errors.As(err, &taken) || taken.Cluster != "a" {
			t.Errorf("another cluster: %v", err)
		}
	}
	p := hub.Post{FlowID: "F", Messages: []*flow.Message{upsert(t, "F", "a", "running")}, Lease: first.ID}
	if _, err := two.Ingest(p); err != nil {
		t.Error(err)
	}
	three := start(t, s, hub.Config{})
	if _, err := three.Ingest(p); err != nil {
		t.Errorf("after a start: %v", err)
	}
	p.Lease = "another"
	var none *hub.LeaseError
	if _, err := three.Ingest(p); !errors.As(err, &none) {
		t.Errorf("with no such lease: %v", err)
	}
	if _, err := three.Delete("F"); err != nil {
		t.Fatal(err)
	}
	one.sync(t)
	if _, err := one.Claim(hub.Claim{FlowID: "F", Region: "r1", Cluster: "b"}); err != nil {
		t.Errorf("after DELETE: %v", err)
	}
}
