package natslog_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/natslog"
	"github.com/openova-io/openova/products/openova-flow/server-jetstream/natsserver"
	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// testTimeout limits waits and requests in these tests.
const testTimeout = 60 * time.Second

func testLogger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

func startNATS(t *testing.T, dir string) *natsserver.Server {
	t.Helper()
	s, err := natsserver.Start(t.Context(), natsserver.Config{Dir: dir, SyncInterval: time.Minute, Logger: testLogger(t)})
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

// connect returns a connection that is closed at the end of the test.
func connect(t *testing.T, s *natsserver.Server) *nats.Conn {
	t.Helper()
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func start(t *testing.T, s *natsserver.Server, cfg hub.Config) *replica {
	t.Helper()
	r := startLoading(t, s, cfg, func(*natslog.Log) {})
	eventually(t, "loaded", func() bool { return r.log.Status().Loaded })
	return r
}

// startWhole starts replicas until one has read every entry of its flows. While one loads, a checkpoint by another replica may make the stream drop entries.
func startWhole(t *testing.T, s *natsserver.Server, cfg hub.Config) *replica {
	t.Helper()
	for range 10 {
		r := start(t, s, cfg)
		if r.readEveryEntry() {
			return r
		}
		r.stop()
	}
	t.Fatal("the stream drops entries whenever a replica is loading")
	return nil
}

// startLoading starts a replica without waiting until it has loaded. It calls before with the replica's log before Run.
func startLoading(t *testing.T, s *natsserver.Server, cfg hub.Config, before func(*natslog.Log)) *replica {
	t.Helper()
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	log, err := natslog.New(natslog.Config{Conn: conn, RingCapacity: cfg.RingCapacity, RingBytes: cfg.RingBytes, Timeout: testTimeout, Logger: testLogger(t)})
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
				t.Errorf("Run: %v", err)
			}
			conn.Close()
		})
	}
	t.Cleanup(r.stop)
	return r
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(testTimeout); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timeout waiting for: %s", what)
		}
	}
}

func (r *replica) sync(t *testing.T) {
	t.Helper()
	if err := r.log.Sync(); err != nil {
		t.Fatal(err)
	}
}

// readEveryEntry reports whether the replica has read all entries of its flows before the stream dropped them. Its rings are complete then.
func (r *replica) readEveryEntry() bool { return r.log.Skipped()+r.log.Reloaded() == 0 }

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

// pushed returns an update of a region's source, Kustomization or release, with a random revision or generation.
func pushed(t *testing.T, flowID, region string, r *rand.Rand) *flow.Message {
	commit := fmt.Sprintf("main@sha1:%040d", r.IntN(4))
	node := func(id, status, meta string) *flow.Message {
		return message(t, flowID, fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":%q,"flowId":%q,"label":"l","region":%q,"status":%q,"meta":{%s}}]}`, region+"/"+id, flowID, region, status, meta))
	}
	switch r.IntN(3) {
	case 0:
		return node("GitRepository/n/s", "succeeded", fmt.Sprintf(`"kind":"GitRepository","namespace":"n","url":"https://h/p","ref":"branch main","revision":%q,"ready":"True"`, commit))
	case 1:
		return node("Kustomization/n/k", []string{"running", "succeeded"}[r.IntN(2)],
			fmt.Sprintf(`"kind":"Kustomization","attemptedRevision":%q,"revision":"main@sha1:%040d","source":{"kind":"GitRepository","namespace":"n","name":"s"}`, commit, r.IntN(4)))
	}
	return node(fmt.Sprint("n", r.IntN(3)), []string{"running", "failed"}[r.IntN(2)], fmt.Sprintf(`"kind":"HelmRelease","generation":%d,"appliedBy":%q`, 1+r.IntN(9), region+"/Kustomization/n/k"))
}

func post(t *testing.T, r *replica, flowID, id, status string) record.Receipt {
	t.Helper()
	got, err := r.Ingest(record.Post{FlowID: flowID, Messages: []*flow.Message{upsert(t, flowID, id, status)}})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// assertSame fails unless two hubs have the same flows, snapshots, rollouts, revisions and rings. Without rings one hub may have fewer messages of a
// flow: those must be the other's last ones, and the state before them the one that the other has there.
func assertSame(t *testing.T, got, want *replica, rings bool) {
	t.Helper()
	got.sync(t)
	want.sync(t)
	if a, b := got.List(nil), want.List(nil); !reflect.DeepEqual(a, b) {
		t.Fatalf("flows:\n%+v\nwant\n%+v", a, b)
	}
	for _, s := range want.List(nil) {
		a, errA := got.Snapshot(s.ID)
		b, errB := want.Snapshot(s.ID)
		if errA != nil || errB != nil || a.Seq != b.Seq || a.Incarnation != b.Incarnation || !bytes.Equal(a.JSON(), b.JSON()) {
			t.Fatalf("flow %s: seq %d, incarnation %s:\n%s\nwant seq %d, incarnation %s:\n%s", s.ID, a.Seq, a.Incarnation, a.JSON(), b.Seq, b.Incarnation, b.JSON())
		}
		x, _ := got.History(s.ID, 0, 0)
		y, _ := want.History(s.ID, 0, 0)
		if !rings {
			after := max(x.BaseSeq, y.BaseSeq)
			x, _ = got.History(s.ID, after, 0)
			y, _ = want.History(s.ID, after, 0)
			x.Oldest, y.Oldest = 0, 0
		}
		if !reflect.DeepEqual(x, y) {
			t.Fatalf("history of %s: %d events from %d, base %d; want %d from %d, base %d", s.ID, len(x.Events), x.Oldest, x.BaseSeq, len(y.Events), y.Oldest, y.BaseSeq)
		}
		ra, _, _ := got.Rollouts(s.ID)
		rb, _, _ := want.Rollouts(s.ID)
		if !reflect.DeepEqual(ra, rb) {
			t.Fatalf("rollouts of %s:\n%+v\nwant\n%+v", s.ID, ra, rb)
		}
		va, _ := got.Revisions(s.ID, nil, 1000)
		vb, _ := want.Revisions(s.ID, nil, 1000)
		if !reflect.DeepEqual(va.Revisions, vb.Revisions) {
			t.Fatalf("revisions of %s:\n%+v\nwant\n%+v", s.ID, va.Revisions, vb.Revisions)
		}
	}
}

// TestLog_ReplicasAndLaterReplicasAgree makes random changes at three replicas, restarts them, and starts another one at the end. With small
// rings most of the state is in checkpoints.
func TestLog_ReplicasAndLaterReplicasAgree(t *testing.T) {
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
					_, err = at.Ingest(record.Post{FlowID: id, Messages: []*flow.Message{flow.DeleteNodes("n1")}})
				case 3:
					n := r.IntN(len(replicas))
					replicas[n].stop()
					replicas[n] = start(t, s, cfg)
				default:
					p := record.Post{FlowID: id}
					for range 1 + r.IntN(3) {
						p.Messages = append(p.Messages, upsert(t, id, fmt.Sprint("n", r.IntN(9)), []string{"running", "succeeded", "failed"}[r.IntN(3)]))
						p.Messages = append(p.Messages, pushed(t, id, fmt.Sprint("r", r.IntN(2)), r))
					}
					if r.IntN(2) == 0 {
						p.Stamp = record.Stamp{Name: "e", N: int64(step)}
					}
					var first, again record.Receipt
					if first, err = at.Ingest(p); err == nil && p.Stamp.Name != "" {
						if again, err = replicas[r.IntN(len(replicas))].Ingest(p); again != first {
							t.Fatalf("receipt of a repeat = %v, want %v", again, first)
						}
					}
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			late := start(t, s, cfg)
			for _, one := range append(replicas, late) {
				assertSame(t, one, replicas[0], one.readEveryEntry() && replicas[0].readEveryEntry())
			}
		})
	}
}

// TestLog_ManyRestartsKeepTheRing restarts a replica many times. Each restart writes a checkpoint, but the oldest one that the ring needs stays.
func TestLog_ManyRestartsKeepTheRing(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingCapacity: 40}
	var first record.Receipt
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
	// The 30 messages, and those that the server derived from them.
	if n := len(history.Events); n < 30 || history.Events[0].Seq != first.Seq {
		t.Errorf("the ring has %d messages from seq %d, want at least 30 from %d", n, history.Oldest, first.Seq)
	}
	for i := range 300 {
		post(t, r, "F", "a", fmt.Sprint("t", i))
	}
	assertSame(t, startWhole(t, s, cfg), r, true)
}

// TestLog_PurgesEntriesThatNoRingNeeds posts large messages: the ring reaches its limit of bytes long before that of messages.
func TestLog_PurgesEntriesThatNoRingNeeds(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingBytes: 256 << 10}
	r := start(t, s, cfg)
	for i := range 300 {
		post(t, r, "F", "a", fmt.Sprint(i, strings.Repeat("x", 10_000)))
	}
	eventually(t, "purged", func() bool { return r.log.Held(t) < 80 })
	assertSame(t, startWhole(t, s, cfg), r, true)
}

// TestLog_SubscriberResumesAfterRestart restarts NATS and the hub: a subscriber gets the later messages and no snapshot.
func TestLog_SubscriberResumesAfterRestart(t *testing.T) {
	dir := t.TempDir()
	s := startNATS(t, dir)
	r := start(t, s, hub.Config{})
	first := post(t, r, "F", "a", "running")
	post(t, r, "F", "a", "failed")
	r.stop()
	s.Stop()
	r = start(t, startNATS(t, dir), hub.Config{})
	if got := r.Incarnation("F"); got != first.Incarnation {
		t.Errorf("incarnation = %s, want %s", got, first.Incarnation)
	}
	reader, err := r.Follow("F", first.Seq, true)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	frames := bytes.Join(reader.Take().Frames, nil)
	if strings.Contains(string(frames), "event: snapshot") || strings.Count(string(frames), "event: upsert-nodes") != 1 || !strings.Contains(string(frames), `"failed"`) {
		t.Errorf("frames after the restart:\n%s", frames)
	}
}

// postMany posts n times to a flow from each of 16 goroutines. With n of 600 the stream drops some.
func postMany(t *testing.T, r *replica, flowID string, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range n {
				p := record.Post{FlowID: flowID, Messages: []*flow.Message{upsert(t, flowID, fmt.Sprint("n", w, "-", i%5), fmt.Sprint("s", i))}}
				if _, err := r.Ingest(p); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestLog_LoadSurvivesEntriesDroppedMeanwhile makes the stream drop entries of a flow, and deletes another flow, while a replica loads.
func TestLog_LoadSurvivesEntriesDroppedMeanwhile(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingCapacity: 3000}
	here := start(t, s, cfg)
	for _, id := range []string{"A", "F", "G"} {
		for i := range 5 {
			post(t, here, id, fmt.Sprint("first-", i), "running")
		}
	}
	postMany(t, here, "F", 200) // more than is read ahead
	var release func()
	late := startLoading(t, s, cfg, func(l *natslog.Log) { release = l.Hold() })
	eventually(t, "reading", late.log.Reading)
	postMany(t, here, "F", 600)
	if _, err := here.Delete("G"); err != nil {
		t.Fatal(err)
	}
	post(t, here, "G", "second", "running")
	release()
	eventually(t, "loaded", func() bool { return late.log.Status().Loaded })
	assertSame(t, late, here, false)
	if late.log.Reloaded() == 0 {
		t.Error("no flow was reloaded: the stream dropped nothing while the replica loaded, so this test tests nothing")
	}
}

// TestLog_ReplicaBehindTheStreamRestoresCheckpoints stops a replica from applying until the stream has dropped entries that it has not read.
func TestLog_ReplicaBehindTheStreamRestoresCheckpoints(t *testing.T) {
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
	postMany(t, here, "F", 600)
	post(t, here, "G", "a", "failed")
	if _, err := here.Delete("H"); err != nil {
		t.Fatal(err)
	}
	post(t, here, "H", "b", "failed")
	release()
	eventually(t, "no longer stalled", func() bool { return away.log.Status().Err == nil })
	assertSame(t, away, here, false)
	if away.log.Skipped() == 0 || here.log.Skipped() != 0 {
		t.Errorf("restored from checkpoints: %d flows of the replica that was behind, want some; %d of the other, want 0", away.log.Skipped(), here.log.Skipped())
	}
	d := reader.Take()
	if frames := bytes.Join(d.Frames, nil); !bytes.Contains(frames, []byte("event: snapshot")) {
		t.Errorf("its subscriber gets %.200s, want a snapshot", frames)
	}
	assertSame(t, startWhole(t, s, cfg), here, true)
}

func TestLog_WithoutJetStreamRejectsChangesAndServesReads(t *testing.T) {
	dir := t.TempDir()
	s := startNATS(t, dir)
	r := start(t, s, hub.Config{})
	post(t, r, "F", "a", "running")
	s.Stop()
	eventually(t, "noticed", func() bool { return r.log.Status().Err != nil })
	var unavailable *hub.UnavailableError
	if _, err := r.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{upsert(t, "F", "b", "running")}}); !errors.As(err, &unavailable) {
		t.Errorf("Ingest: %v, want an UnavailableError", err)
	}
	if _, err := r.Delete("F"); !errors.As(err, &unavailable) {
		t.Errorf("Delete: %v, want an UnavailableError", err)
	}
	if snapshot, err := r.Snapshot("F"); err != nil || !bytes.Contains(snapshot.JSON(), []byte(`"a"`)) {
		t.Errorf("Snapshot: %v, want one with node a", err)
	}
}

// TestAppend_LostAcknowledgementIsNoRepeat loses JetStream's answer to a publication, so that the client's second attempt is a duplicate of its
// own first one. Append returns the outcome then, not ErrRepeated.
func TestAppend_LostAcknowledgementIsNoRepeat(t *testing.T) {
	r := start(t, startNATS(t, t.TempDir()), hub.Config{})
	for i := range 50 {
		release := r.log.Hold() // at the entry before, so that nothing is applied before Append waits
		before := make(chan record.Receipt, 1)
		go func() { defer close(before); before <- post(t, r, "F", "before", fmt.Sprint(i)) }()
		eventually(t, "entry in the stream", func() bool { return r.log.Behind(t) })
		c := record.Command{Kind: record.KindPost, Post: record.Post{FlowID: "F", Messages: []*flow.Message{upsert(t, "F", "a", fmt.Sprint(i))}}}
		out, err := r.log.AppendWithLostAnswer(t, c, release)
		if err != nil || out.Receipt.Seq <= (<-before).Seq {
			t.Fatalf("attempt %d: %v, %v", i, out, err)
		}
	}
}

func TestIngest_RequestAbovePayloadLimitIsTooLarge(t *testing.T) {
	r := start(t, startNATS(t, t.TempDir()), hub.Config{})
	var messages []*flow.Message
	for i := range 1100 {
		messages = append(messages, upsert(t, "F", fmt.Sprint(i), strings.Repeat("x", 1000)))
	}
	var large *hub.TooLargeError
	if _, err := r.Ingest(record.Post{FlowID: "F", Messages: messages}); !errors.As(err, &large) {
		t.Errorf("Ingest: %v, want a TooLargeError", err)
	}
}

func TestLog_CheckpointOfSeveralPieces(t *testing.T) {
	s := startNATS(t, t.TempDir())
	r := start(t, s, hub.Config{})
	noise := rand.NewChaCha8([32]byte{})
	b := make([]byte, 6000) // gzip cannot compress it below the payload limit
	for batch := range 3 {
		var messages []*flow.Message
		for i := range 90 {
			_, _ = noise.Read(b) // never fails
			messages = append(messages, upsert(t, "F", fmt.Sprint(batch, "-", i), base64.StdEncoding.EncodeToString(b)))
		}
		if _, err := r.Ingest(record.Post{FlowID: "F", Messages: messages}); err != nil {
			t.Fatal(err)
		}
	}
	r.log.Checkpoint(r.Hub, "F")
	if keys := keysOf(t, s, "d.*.F.>"); !slices.ContainsFunc(keys, func(k string) bool { return strings.HasSuffix(k, ".1") }) {
		t.Fatalf("keys %q, want a second piece", keys)
	}
	stream, err := admin(t, s).Stream(t.Context(), "OPENOVA_FLOW")
	if err == nil {
		err = stream.Purge(t.Context(), jetstream.WithPurgeSubject("openova-flow.log.F")) // the flow is in the checkpoint only
	}
	if err != nil {
		t.Fatal(err)
	}
	assertSame(t, start(t, s, hub.Config{}), r, false)
}

// TestClaim_HoldsAtAllReplicas claims a region at one replica and uses the lease at others.
func TestClaim_HoldsAtAllReplicas(t *testing.T) {
	s := startNATS(t, t.TempDir())
	one, two := start(t, s, hub.Config{}), start(t, s, hub.Config{})
	first, err := one.Claim(record.Claim{FlowID: "F", Region: "r1", Cluster: "a", TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	again, err := two.Claim(record.Claim{FlowID: "F", Region: "r1", Cluster: "a", TTL: time.Hour})
	if err != nil || again.ID != first.ID {
		t.Errorf("second claim = %v, %v; want lease %v", again, err, first)
	}
	var taken *claims.HeldError
	for _, admin := range []bool{false, true} {
		if _, err := two.Claim(record.Claim{FlowID: "F", Region: "r1", Cluster: "b", Admin: admin}); !errors.As(err, &taken) || taken.Cluster != "a" {
			t.Errorf("claim by another cluster: %v, want a HeldError", err)
		}
	}
	p := record.Post{FlowID: "F", Messages: []*flow.Message{upsert(t, "F", "a", "running")}, Lease: first.ID}
	if _, err := two.Ingest(p); err != nil {
		t.Error(err)
	}
	three := start(t, s, hub.Config{})
	if _, err := three.Ingest(p); err != nil {
		t.Errorf("Ingest at a replica that started later: %v", err)
	}
	p.Lease = "another"
	var none *hub.LeaseError
	if _, err := three.Ingest(p); !errors.As(err, &none) {
		t.Errorf("Ingest with an unknown lease: %v, want a LeaseError", err)
	}
	if _, err := three.Delete("F"); err != nil {
		t.Fatal(err)
	}
	one.sync(t)
	if _, err := one.Claim(record.Claim{FlowID: "F", Region: "r1", Cluster: "b"}); err != nil {
		t.Errorf("claim after the flow was deleted: %v", err)
	}
}
