package natslog_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/natslog"
	"github.com/openova-io/openova/products/openova-flow/server-jetstream/natsserver"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// TestLog_LoadSurvivesEntriesDroppedJustBeforeTheyAreRead makes the stream drop all entries of a flow that it had when a replica started, before the
// replica has read the last of them.
func TestLog_LoadSurvivesEntriesDroppedJustBeforeTheyAreRead(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingCapacity: 100} // the stream keeps 4296 entries of a flow; a checkpoint is due after 25
	here := start(t, s, cfg)
	post(t, here, "A", "a", "running") // in no checkpoint, so loading can be stopped there
	for i := range 25 {
		post(t, here, "F", fmt.Sprint("first-", i), "running")
	}
	postMany(t, here, "B", 150) // more than is read ahead
	for i := range 20 {
		post(t, here, "F", fmt.Sprint("second-", i), "running")
	}
	post(t, here, "A", "b", "running")
	var release func()
	late := startLoading(t, s, cfg, func(l *natslog.Log) { release = l.Hold() })
	eventually(t, "reading", late.log.Reading)
	postMany(t, here, "F", 268) // 4288
	for i := range 8 {
		post(t, here, "F", fmt.Sprint("third-", i), "running")
	}
	release()
	eventually(t, "loaded", func() bool { return late.log.Status().Loaded })
	assertSame(t, late, here, false)
}

func admin(t *testing.T, s *natsserver.Server) jetstream.JetStream {
	t.Helper()
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// TestLog_IgnoresCheckpointsOfDeletedStream deletes the stream and leaves its checkpoints, which must not be restored: the entries after them are lost.
func TestLog_IgnoresCheckpointsOfDeletedStream(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingCapacity: 8}
	r := start(t, s, cfg)
	var first record.Receipt
	for i := range 4 {
		first = post(t, r, "F", fmt.Sprint(i), "running")
	}
	r.stop()
	js := admin(t, s)
	if err := js.DeleteStream(t.Context(), "OPENOVA_FLOW"); err != nil {
		t.Fatal(err)
	}
	r = start(t, s, cfg)
	if got := r.Incarnation("F"); got != record.NoIncarnation {
		t.Errorf("flow F exists with incarnation %s, want none", got)
	}
	if second := post(t, r, "F", "a", "running"); second.Incarnation == first.Incarnation {
		t.Errorf("receipt %v continues the incarnation of %v", second, first)
	}
	r.stop()
	bucket, err := js.KeyValue(t.Context(), "openova-flow-checkpoints")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := bucket.Keys(t.Context())
	if err != nil || len(keys) != 2 {
		t.Errorf("keys %v, %v; want those of one checkpoint", keys, err)
	}
}

// TestRun_FailsWithoutItsBucket deletes the bucket, which alone has the effects of dropped entries: while a replica runs, and before one starts.
func TestRun_FailsWithoutItsBucket(t *testing.T) {
	s := startNATS(t, t.TempDir())
	js := admin(t, s)
	run := func() (string, error) {
		conn := connect(t, s)
		log, err := natslog.New(natslog.Config{Conn: conn, RingCapacity: 1, Timeout: testTimeout, Logger: testLogger(t)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
		defer cancel()
		h := hub.New(hub.Config{RingCapacity: 1, Log: log})
		went := make(chan error, 1)
		go func() { went <- log.Run(ctx, h) }()
		eventually(t, "loaded or ended", func() bool { return log.Status().Loaded || len(went) > 0 })
		if log.Status().Loaded {
			postMany(t, &replica{Hub: h, log: log}, "F", 300)
			if err := js.DeleteKeyValue(ctx, "openova-flow-checkpoints"); err != nil {
				t.Fatal(err)
			}
		}
		return h.Incarnation("F"), <-went
	}
	if _, err := run(); err == nil || !strings.Contains(err.Error(), "openova-flow-checkpoints") {
		t.Errorf("Run, bucket deleted meanwhile: %v, want an error that names the bucket", err)
	}
	incarnation, err := run()
	if err == nil || !strings.Contains(err.Error(), "openova-flow-checkpoints") || incarnation != record.NoIncarnation {
		t.Errorf("Run, bucket deleted before: %v, incarnation of F %s; want an error that names the bucket, and no flow", err, incarnation)
	}
	if err := js.DeleteStream(t.Context(), "OPENOVA_FLOW"); err != nil {
		t.Fatal(err)
	}
	post(t, start(t, s, hub.Config{}), "F", "a", "running")
}

// TestRun_ReportsADeletedStreamAfterARetry makes the first attempt to open the log fail after it has created the stream.
func TestRun_ReportsADeletedStreamAfterARetry(t *testing.T) {
	s := startNATS(t, t.TempDir())
	js := admin(t, s)
	const bucket = "openova-flow-checkpoints"
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: bucket, Storage: jetstream.MemoryStorage}); err != nil { // no file: can't be opened
		t.Fatal(err)
	}
	var lines lockedBuffer
	log, err := natslog.New(natslog.Config{Conn: connect(t, s), Acknowledged: 1, Timeout: testTimeout, Logger: slog.New(slog.NewTextHandler(&lines, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- log.Run(ctx, hub.New(hub.Config{Log: log})) }()
	eventually(t, "first attempt failed", func() bool { return log.Status().Err != nil })
	if err := js.DeleteKeyValue(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	eventually(t, "loaded", func() bool { return log.Status().Loaded })
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if text := lines.String(); strings.Count(text, "level=ERROR") != 1 || !strings.Contains(text, "stream=OPENOVA_FLOW") {
		t.Errorf("the log is\n%s\nwant an error about the stream", text)
	}
}

// TestRun_EndsWithoutErrorWhileWaitingForJetStream ends the context while Run waits for a server that does not exist.
func TestRun_EndsWithoutErrorWhileWaitingForJetStream(t *testing.T) {
	conn, err := nats.Connect("nats://127.0.0.1:1", nats.RetryOnFailedConnect(true), nats.ReconnectBufSize(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	log, err := natslog.New(natslog.Config{Conn: conn, Logger: testLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := log.Run(ctx, hub.New(hub.Config{Log: log})); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestLog_RemovesLimitsThatLoseEntries sets limits on the stream, as an administrator may: while a replica runs, and before one starts.
func TestLog_RemovesLimitsThatLoseEntries(t *testing.T) {
	s := startNATS(t, t.TempDir())
	r := start(t, s, hub.Config{})
	post(t, r, "F", "a", "running")
	js := admin(t, s)
	limit := func() {
		stream, err := js.Stream(t.Context(), "OPENOVA_FLOW")
		if err != nil {
			t.Fatal(err)
		}
		cfg := stream.CachedInfo().Config
		cfg.MaxAge, cfg.MaxBytes, cfg.MaxMsgs = time.Hour, 1<<30, 1<<20
		if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	removed := func() bool {
		stream, err := js.Stream(t.Context(), "OPENOVA_FLOW")
		if err != nil {
			t.Fatal(err)
		}
		cfg := stream.CachedInfo().Config
		return cfg.MaxAge == 0 && cfg.MaxBytes == -1 && cfg.MaxMsgs == -1
	}
	limit()
	eventually(t, "limits removed while a replica runs", removed)
	r.stop()
	limit()
	r = start(t, s, hub.Config{})
	if !removed() {
		t.Error("a replica has started with unsafe limits on the stream")
	}
	post(t, r, "F", "a", "failed")
}

// TestCheckpoint_ConcurrentWritesOfOneState writes the same state of a flow twice at once: one of the two checkpoints stays.
func TestCheckpoint_ConcurrentWritesOfOneState(t *testing.T) {
	s := startNATS(t, t.TempDir())
	r := start(t, s, hub.Config{})
	for range 3 {
		post(t, r, "F", "a", "running")
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { r.log.Checkpoint(r.Hub, "F") })
	}
	wg.Wait()
	stream, err := admin(t, s).Stream(t.Context(), "OPENOVA_FLOW")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil { // all of it is in the checkpoint
		t.Fatal(err)
	}
	assertSame(t, start(t, s, hub.Config{}), r, false)
}

// TestCheckpoint_FailedRemovalOfOldOnesIsNoFailedWrite makes the bucket reject purges.
func TestCheckpoint_FailedRemovalOfOldOnesIsNoFailedWrite(t *testing.T) {
	s := startNATS(t, t.TempDir())
	conn := connect(t, s)
	var lines lockedBuffer
	log, err := natslog.New(natslog.Config{Conn: conn, Timeout: testTimeout, Logger: slog.New(slog.NewTextHandler(&lines, nil))})
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{Hub: hub.New(hub.Config{Log: log}), log: log}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- log.Run(ctx, r.Hub) }()
	eventually(t, "loaded", func() bool { return log.Status().Loaded })
	js := admin(t, s)
	bucket, err := js.Stream(t.Context(), "KV_openova-flow-checkpoints")
	if err != nil {
		t.Fatal(err)
	}
	cfg := bucket.CachedInfo().Config
	cfg.DenyPurge, cfg.AllowRollup = true, false
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for i := range 3 { // the second checkpoint is not needed after the third
		post(t, r, "F", fmt.Sprint(i), "running")
		log.Checkpoint(r.Hub, "F")
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if text := lines.String(); !strings.Contains(text, "old checkpoints or entries not removed") || strings.Contains(text, "checkpoint not written") {
		t.Errorf("the log is\n%s\nwant a line on old checkpoints, and none on a checkpoint that was not written", text)
	}
}

// lockedBuffer is a bytes.Buffer for any goroutine.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestRun_EndWritesCheckpointsBeyondTheQueue ends a log that has to write more checkpoints than its queue holds.
func TestRun_EndWritesCheckpointsBeyondTheQueue(t *testing.T) {
	s := startNATS(t, t.TempDir())
	r := startLoading(t, s, hub.Config{}, (*natslog.Log).ShortenQueue)
	eventually(t, "loaded", func() bool { return r.log.Status().Loaded })
	const flows = 20
	for i := range flows {
		post(t, r, fmt.Sprint("F", i), "a", "running")
	}
	r.stop()
	if n := len(keysOf(t, s, "h.>")); n != flows {
		t.Errorf("%d flows have a checkpoint, want %d", n, flows)
	}
}

// TestStatus_StalledReplicaReportsIt stops one of two replicas from applying entries.
func TestStatus_StalledReplicaReportsIt(t *testing.T) {
	s := startNATS(t, t.TempDir())
	here, away := start(t, s, hub.Config{}), start(t, s, hub.Config{})
	release := away.log.Hold()
	post(t, here, "F", "a", "running")
	eventually(t, "stall reported", func() bool { return away.log.Status().Err != nil })
	if err := here.log.Status().Err; err != nil {
		t.Errorf("status of the other replica: %v", err)
	}
	release()
	eventually(t, "stall over", func() bool { return away.log.Status().Err == nil })
	assertSame(t, away, here, true)
}

// TestSync_ConcurrentCallsShareEntries counts the entries that Sync publishes for a thousand subscribers with cursors ahead of the replica.
func TestSync_ConcurrentCallsShareEntries(t *testing.T) {
	s := startNATS(t, t.TempDir())
	r := start(t, s, hub.Config{})
	first := post(t, r, "F", "a", "running")
	conn := connect(t, s)
	entries, err := conn.SubscribeSync("openova-flow.log.=n")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			reader, err := r.Follow("F", first.Seq+1<<20, true)
			if err != nil {
				t.Error(err)
				return
			}
			reader.Close()
		})
	}
	wg.Wait()
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := entries.Pending(); err != nil || n > 100 {
		t.Errorf("%d entries, %v; want at most 100", n, err)
	}
}

// TestSync_StreamKeepsFewOfItsEntries follows with a cursor that no replica has reached, 4,500 times.
func TestSync_StreamKeepsFewOfItsEntries(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingCapacity: 1} // 4098 entries of a subject are held
	r := start(t, s, cfg)
	r.log.SyncWithoutPause()
	first := post(t, r, "F", "a", "running")
	for range 4500 {
		reader, err := r.Follow("F", first.Seq+1<<40, true)
		if err != nil {
			t.Fatal(err)
		}
		reader.Close()
	}
	if n := r.log.Held(t); n > 4150 {
		t.Errorf("the stream has %d entries, want at most 4150", n)
	}
	assertSame(t, startWhole(t, s, cfg), r, true)
}

// TestSync_CallsDuringThePauseShareOneEntry makes a hundred calls during the pause after an entry.
func TestSync_CallsDuringThePauseShareOneEntry(t *testing.T) {
	r := start(t, startNATS(t, t.TempDir()), hub.Config{})
	first := post(t, r, "F", "a", "running")
	paused, end := r.log.Pause()
	r.sync(t)
	<-paused
	before := r.log.Held(t)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			reader, err := r.Follow("F", first.Seq+1<<40, true)
			if err != nil {
				t.Error(err)
				return
			}
			reader.Close()
		})
	}
	waiting := regexp.MustCompile(`(?m)^100 @.*\n(#.*\n)*#.*natslog\.\(\*Log\)\.Sync`) // all 100 goroutines at the same line of Sync
	eventually(t, "all waiting", func() bool {
		var goroutines bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&goroutines, 1) // to memory, which does not fail
		return waiting.Match(goroutines.Bytes())
	})
	if n := r.log.Held(t) - before; n != 0 {
		t.Errorf("%d entries during the pause, want 0", n)
	}
	end()
	wg.Wait()
	if n := r.log.Held(t) - before; n != 1 {
		t.Errorf("%d entries for 100 calls, want 1", n)
	}
}
