package natslog_test

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/natslog"
	"github.com/openova-io/openova/products/openova-flow/server-jetstream/natsserver"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// TestWhatIsDroppedJustBeforeItIsReadIsNotMissing has the stream drop exactly what a replica that loads has not read yet of a flow, up to
// what there was when it began.
func TestWhatIsDroppedJustBeforeItIsReadIsNotMissing(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingCapacity: 100} // 4296 of a flow are held, and a checkpoint comes after 25
	here := start(t, s, cfg)
	post(t, here, "A", "a", "running") // in no checkpoint, so that loading can be held there
	for i := range 25 {
		post(t, here, "F", fmt.Sprint("first-", i), "running")
	}
	many(t, here, "B", 150) // more than is read ahead
	for i := range 20 {
		post(t, here, "F", fmt.Sprint("second-", i), "running")
	}
	post(t, here, "A", "b", "running")
	var release func()
	late := begin(t, s, cfg, func(l *natslog.Log) { release = l.Hold() })
	eventually(t, "reading", late.log.Reading)
	many(t, here, "F", 268) // 4288
	for i := range 8 {
		post(t, here, "F", fmt.Sprint("third-", i), "running")
	}
	release()
	eventually(t, "loaded", func() bool { return late.log.Status().Loaded })
	same(t, late, here, false)
}

// admin is somebody with rights to all of JetStream.
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

// TestCheckpointsOfAnotherStreamAreNotTaken deletes the stream and leaves its checkpoints: what came after them is lost, so no flow may come
// back as if nothing was.
func TestCheckpointsOfAnotherStreamAreNotTaken(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingCapacity: 8}
	r := start(t, s, cfg)
	var first hub.Receipt
	for i := range 4 {
		first = post(t, r, "F", fmt.Sprint(i), "running")
	}
	r.stop()
	js := admin(t, s)
	if err := js.DeleteStream(t.Context(), "OPENOVA_FLOW"); err != nil {
		t.Fatal(err)
	}
	r = start(t, s, cfg)
	if got := r.Incarnation("F"); got != hub.NoIncarnation {
		t.Errorf("flow F is there, as incarnation %s, though what came since may be lost", got)
	}
	if second := post(t, r, "F", "a", "running"); second.Incarnation == first.Incarnation {
		t.Errorf("it goes on as %v, was %v", second, first)
	}
	r.stop()
	bucket, err := js.KeyValue(t.Context(), "openova-flow-checkpoints")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := bucket.Keys(t.Context())
	if err != nil || len(keys) != 2 {
		t.Errorf("there are %v, %v; want one checkpoint", keys, err)
	}
}

// TestWithoutItsCheckpointsAStreamIsNotUsed deletes the bucket: what the stream has dropped was there alone.
func TestWithoutItsCheckpointsAStreamIsNotUsed(t *testing.T) {
	s := startNATS(t, t.TempDir())
	js := admin(t, s)
	run := func() (string, error) {
		conn, err := s.Connect()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		log, err := natslog.New(natslog.Config{Conn: conn, RingCapacity: 1, Timeout: within, Logger: quiet(t)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		h := hub.New(hub.Config{RingCapacity: 1, Log: log})
		went := make(chan error, 1)
		go func() { went <- log.Run(ctx, h) }()
		eventually(t, "loaded or ended", func() bool { return log.Status().Loaded || len(went) > 0 })
		if log.Status().Loaded {
			many(t, &replica{Hub: h, log: log}, "F", 300)
			if err := js.DeleteKeyValue(ctx, "openova-flow-checkpoints"); err != nil {
				t.Fatal(err)
			}
		}
		return h.Incarnation("F"), <-went
	}
	if _, err := run(); err == nil || !strings.Contains(err.Error(), "bucket openova-flow-checkpoints is not the one") {
		t.Errorf("while it is used: %v", err)
	}
	incarnation, err := run()
	if err == nil || !strings.Contains(err.Error(), "bucket openova-flow-checkpoints is not there") || incarnation != hub.NoIncarnation {
		t.Errorf("at the start: %v, F is %s", err, incarnation)
	}
	if err := js.DeleteStream(t.Context(), "OPENOVA_FLOW"); err != nil {
		t.Fatal(err)
	}
	post(t, start(t, s, hub.Config{}), "F", "a", "running")
}

// TestLimitsThatLoseEntriesAreLifted sets limits on the stream, as somebody may who looks after disks: before a replica starts, and while it runs.
func TestLimitsThatLoseEntriesAreLifted(t *testing.T) {
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
	lifted := func() bool {
		stream, err := js.Stream(t.Context(), "OPENOVA_FLOW")
		if err != nil {
			t.Fatal(err)
		}
		cfg := stream.CachedInfo().Config
		return cfg.MaxAge == 0 && cfg.MaxBytes == -1 && cfg.MaxMsgs == -1
	}
	limit()
	eventually(t, "lifted while a replica runs", lifted)
	r.stop()
	limit()
	r = start(t, s, hub.Config{})
	if !lifted() {
		t.Error("a replica starts with a stream that may lose what it needs")
	}
	post(t, r, "F", "a", "failed")
}

// TestTwoThatWriteOneCheckpointLeaveIt has two keepers write down the same state of a flow at once.
func TestTwoThatWriteOneCheckpointLeaveIt(t *testing.T) {
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
	same(t, start(t, s, hub.Config{}), r, false)
}

// TestOneThatDoesNotFollowSaysSo keeps a replica from what another one takes.
func TestOneThatDoesNotFollowSaysSo(t *testing.T) {
	s := startNATS(t, t.TempDir())
	here, away := start(t, s, hub.Config{}), start(t, s, hub.Config{})
	release := away.log.Hold()
	post(t, here, "F", "a", "running")
	eventually(t, "said", func() bool { return away.log.Status().Err != nil })
	if err := here.log.Status().Err; err != nil {
		t.Errorf("of the one that follows: %v", err)
	}
	release()
	eventually(t, "taken back", func() bool { return away.log.Status().Err == nil })
	same(t, away, here, true)
}

// TestManyThatComeBackAtOnceAskOnce counts what a thousand viewers ask of JetStream that know more than a replica.
func TestManyThatComeBackAtOnceAskOnce(t *testing.T) {
	s := startNATS(t, t.TempDir())
	r := start(t, s, hub.Config{})
	first := post(t, r, "F", "a", "running")
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	questions, err := conn.SubscribeSync("openova-flow.log.=n")
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
	if n, _, err := questions.Pending(); err != nil || n > 100 {
		t.Errorf("JetStream was asked %d times, %v", n, err)
	}
}

// TestSync_StreamKeepsFewQuestions has somebody ask again and again after what nobody has given out.
func TestSync_StreamKeepsFewQuestions(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingCapacity: 1} // 4098 entries of a subject are held
	r := start(t, s, cfg)
	r.log.AskWithoutPause()
	first := post(t, r, "F", "a", "running")
	for range 4500 {
		reader, err := r.Follow("F", first.Seq+1<<40, true)
		if err != nil {
			t.Fatal(err)
		}
		reader.Close()
	}
	if n := r.log.Held(t); n > 4150 {
		t.Errorf("the stream has %d entries", n)
	}
	same(t, start(t, s, cfg), r, true)
}

// TestSync_ThoseOfOnePauseShareAQuestion has many ask while no question may be sent.
func TestSync_ThoseOfOnePauseShareAQuestion(t *testing.T) {
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
	waiting := regexp.MustCompile(`(?m)^100 @.*\n(#.*\n)*#.*natslog\.\(\*Log\)\.Sync`) // all at one place, so none is on its way there
	eventually(t, "all waiting", func() bool {
		var goroutines bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&goroutines, 1) // to memory, which does not fail
		return waiting.Match(goroutines.Bytes())
	})
	if n := r.log.Held(t) - before; n != 0 {
		t.Errorf("%d questions were sent in the pause", n)
	}
	end()
	wg.Wait()
	if n := r.log.Held(t) - before; n != 1 {
		t.Errorf("%d questions were sent for a hundred that asked", n)
	}
}
