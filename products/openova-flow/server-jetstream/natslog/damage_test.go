package natslog_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/natslog"
	"github.com/openova-io/openova/products/openova-flow/server-jetstream/natsserver"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// runUntilFailure runs a log on a stream that it must reject, and returns the error of Run.
func runUntilFailure(t *testing.T, s *natsserver.Server, cfg hub.Config) error {
	t.Helper()
	conn := connect(t, s)
	log, err := natslog.New(natslog.Config{Conn: conn, RingCapacity: cfg.RingCapacity, Timeout: testTimeout, Logger: testLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Log = log
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	return log.Run(ctx, hub.New(cfg))
}

// TestLog_DeletedEntryIsDamageUnlessInACheckpoint deletes an entry of the stream, as an administrator may.
func TestLog_DeletedEntryIsDamageUnlessInACheckpoint(t *testing.T) {
	cfg := hub.Config{RingCapacity: 40} // a checkpoint after 10
	remove := func(t *testing.T, s *natsserver.Server, r record.Receipt) {
		stream, err := admin(t, s).Stream(t.Context(), "OPENOVA_FLOW")
		if err == nil {
			err = stream.DeleteMsg(t.Context(), uint64(r.Seq/hub.FirstOf(1)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Run("in a checkpoint", func(t *testing.T) {
		s := startNATS(t, t.TempDir())
		r := start(t, s, cfg)
		post(t, r, "F", "a", "running")
		gone := post(t, r, "F", "b", "running")
		post(t, r, "F", "c", "running")
		r.log.Checkpoint(r.Hub, "F")
		post(t, r, "F", "d", "running")
		remove(t, s, gone)
		late := start(t, s, cfg)
		assertSame(t, late, r, false)
	})
	for name, after := range map[string]int{"one later entry": 1, "several later entries": 4} {
		t.Run("in no checkpoint, "+name, func(t *testing.T) {
			s := startNATS(t, t.TempDir())
			r := start(t, s, cfg)
			post(t, r, "F", "a", "running")
			gone := post(t, r, "F", "b", "running")
			for range after {
				post(t, r, "F", "c", "running")
			}
			remove(t, s, gone)
			if err := runUntilFailure(t, s, cfg); !errors.As(err, new(*natslog.DamagedError)) {
				t.Errorf("Run: %v, want a DamagedError", err)
			}
		})
	}
}

// TestLog_PurgedFlowIsDamageUnlessInACheckpoint purges all entries of a flow, as an administrator may, when a loading replica has received them but not
// applied them.
func TestLog_PurgedFlowIsDamageUnlessInACheckpoint(t *testing.T) {
	for name, saved := range map[string]bool{"in a checkpoint": true, "in no checkpoint": false} {
		t.Run(name, func(t *testing.T) {
			s := startNATS(t, t.TempDir())
			here := start(t, s, hub.Config{})
			post(t, here, "A", "a", "running")
			conn := connect(t, s)
			log, err := natslog.New(natslog.Config{Conn: conn, Timeout: testTimeout, Logger: testLogger(t)})
			if err != nil {
				t.Fatal(err)
			}
			late := &replica{Hub: hub.New(hub.Config{Log: log}), log: log}
			release := log.Hold()
			ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- log.Run(ctx, late.Hub) }()
			eventually(t, "reading", log.Reading)
			const size = 100_000
			before := conn.Stats().InBytes
			post(t, here, "F", "a", strings.Repeat("x", size))
			post(t, here, "A", "b", strings.Repeat("x", size))
			eventually(t, "received", func() bool { return conn.Stats().InBytes > before+2*size })
			if saved {
				here.log.Checkpoint(here.Hub, "F")
			}
			stream, err := admin(t, s).Stream(t.Context(), "OPENOVA_FLOW")
			if err == nil {
				err = stream.Purge(t.Context(), jetstream.WithPurgeSubject("openova-flow.log.F"))
			}
			if err != nil {
				t.Fatal(err)
			}
			release()
			if !saved {
				if err := <-done; !errors.As(err, new(*natslog.DamagedError)) {
					t.Errorf("Run: %v, want a DamagedError", err)
				}
				return
			}
			eventually(t, "loaded", func() bool { return log.Status().Loaded })
			assertSame(t, late, here, false)
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

// TestLog_DeletedConcurrentEntryIsDamage deletes one of several entries that were published at once. Their headers do not name each other, so only the
// number of entries in the header of the next one shows the loss.
func TestLog_DeletedConcurrentEntryIsDamage(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingCapacity: 40} // a checkpoint after 10
	r := start(t, s, cfg)
	post(t, r, "F", "a", "running")
	release := r.log.Hold()
	var wg sync.WaitGroup
	receipts := make(chan record.Receipt, 3)
	for i := range cap(receipts) {
		wg.Go(func() { receipts <- post(t, r, "F", fmt.Sprint("b", i), "running") })
	}
	eventually(t, "all in the stream", func() bool { return r.log.Held(t) == uint64(1+cap(receipts)) })
	release()
	wg.Wait()
	close(receipts)
	post(t, r, "F", "c", "running")
	first := <-receipts
	for range cap(receipts) - 1 {
		if other := <-receipts; other.Seq < first.Seq {
			first = other
		}
	}
	stream, err := admin(t, s).Stream(t.Context(), "OPENOVA_FLOW")
	if err == nil {
		err = stream.DeleteMsg(t.Context(), uint64(first.Seq/hub.FirstOf(1)))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := runUntilFailure(t, s, cfg); !errors.As(err, new(*natslog.DamagedError)) {
		t.Errorf("Run: %v, want a DamagedError", err)
	}
}

// TestRun_SequenceAssignedTwiceIsDamage ends a running log as if its stream had been rewound, and starts another one on that stream.
func TestRun_SequenceAssignedTwiceIsDamage(t *testing.T) {
	s := startNATS(t, t.TempDir())
	conn := connect(t, s)
	log, err := natslog.New(natslog.Config{Conn: conn, Timeout: testTimeout, Logger: testLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- log.Run(t.Context(), hub.New(hub.Config{Log: log})) }()
	eventually(t, "loaded", func() bool { return log.Status().Loaded })
	log.AcknowledgeTwice()
	if err := <-done; !errors.As(err, new(*natslog.DamagedError)) {
		t.Errorf("Run: %v, want a DamagedError", err)
	}
	if err := runUntilFailure(t, s, hub.Config{}); !errors.As(err, new(*natslog.DamagedError)) {
		t.Errorf("Run after that: %v, want a DamagedError", err)
	}
}

// keysOf returns the subjects of the bucket's keys that match. The client's own key list may not end while keys are removed.
func keysOf(t *testing.T, s *natsserver.Server, filter string) []string {
	t.Helper()
	stream, err := admin(t, s).Stream(t.Context(), "KV_openova-flow-checkpoints")
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("$KV.openova-flow-checkpoints."+filter))
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(maps.Keys(info.State.Subjects))
}

// TestLog_IgnoresCheckpointOfDeletedFlow brings back a checkpoint that was removed with its flow, as NATS may after a kill: its list alone, or the
// data too. A kill before the removal leaves the same.
func TestLog_IgnoresCheckpointOfDeletedFlow(t *testing.T) {
	for name, c := range map[string]struct {
		keys  []string // brought back
		again bool     // the flow was created again
	}{
		"list, flow deleted":                {keys: []string{"h.*.F"}},
		"list, flow created again":          {keys: []string{"h.*.F"}, again: true},
		"list and data, flow deleted":       {keys: []string{"d.*.F.>", "h.*.F"}},
		"list and data, flow created again": {keys: []string{"d.*.F.>", "h.*.F"}, again: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := startNATS(t, t.TempDir())
			cfg := hub.Config{RingCapacity: 16}
			r := start(t, s, cfg)
			post(t, r, "G", "a", "running")
			for range 3 {
				post(t, r, "F", "a", "running")
			}
			r.log.Checkpoint(r.Hub, "F")
			bucket, err := admin(t, s).KeyValue(t.Context(), "openova-flow-checkpoints")
			if err != nil {
				t.Fatal(err)
			}
			var back []jetstream.KeyValueEntry
			for _, filter := range c.keys {
				for _, subject := range keysOf(t, s, filter) {
					entry, err := bucket.Get(t.Context(), strings.TrimPrefix(subject, "$KV.openova-flow-checkpoints."))
					if err != nil {
						t.Fatal(err)
					}
					back = append(back, entry)
				}
			}
			if _, err := r.Delete("F"); err != nil {
				t.Fatal(err)
			}
			eventually(t, "checkpoint data removed", func() bool { return len(keysOf(t, s, "d.*.F.>")) == 0 })
			if c.again {
				post(t, r, "F", "b", "running")
				post(t, r, "F", "c", "running")
			}
			for _, entry := range back {
				if _, err := bucket.Put(t.Context(), entry.Key(), entry.Value()); err != nil {
					t.Fatal(err)
				}
			}
			late := start(t, s, cfg)
			assertSame(t, late, r, true)
			if c.again {
				post(t, late, "F", "d", "running")
				assertSame(t, start(t, s, cfg), late, true)
			}
		})
	}
}

// TestLog_IgnoresEntriesOfDeletedFlow leaves some of the entries of a deleted flow in the stream, as NATS may after a power failure.
func TestLog_IgnoresEntriesOfDeletedFlow(t *testing.T) {
	for name, again := range map[string]bool{"deleted": false, "created again": true} {
		t.Run(name, func(t *testing.T) {
			s := startNATS(t, t.TempDir())
			r := start(t, s, hub.Config{})
			post(t, r, "G", "a", "running")
			stream, err := admin(t, s).Stream(t.Context(), "OPENOVA_FLOW")
			if err != nil {
				t.Fatal(err)
			}
			cfg := stream.CachedInfo().Config
			cfg.DenyPurge = true // keeps the entries before the deletion
			if _, err := admin(t, s).UpdateStream(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			lost := post(t, r, "F", "a", "running")
			for i := range 3 {
				post(t, r, "F", fmt.Sprint("b", i), "running")
			}
			if _, err := r.Delete("F"); err != nil {
				t.Fatal(err)
			}
			if again {
				post(t, r, "F", "c", "running")
			}
			if err := stream.DeleteMsg(t.Context(), uint64(lost.Seq/hub.FirstOf(1))); err != nil {
				t.Fatal(err)
			}
			assertSame(t, start(t, s, hub.Config{}), r, true)
		})
	}
}

// TestLog_FullStreamIsAnOutage sets a limit at which the stream rejects new entries but still answers STREAM.INFO.
func TestLog_FullStreamIsAnOutage(t *testing.T) {
	s := startNATS(t, t.TempDir())
	var called atomic.Bool
	endRun := errors.New("end of Run")
	conn := connect(t, s)
	log, err := natslog.New(natslog.Config{Conn: conn, Logger: testLogger(t), OnRejected: func() error {
		if called.Swap(true) {
			return endRun
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	h := hub.New(hub.Config{Log: log})
	done := make(chan error, 1)
	go func() { done <- log.Run(t.Context(), h) }()
	eventually(t, "loaded", func() bool { return log.Status().Loaded })
	js := admin(t, s)
	limit := func(n int64) {
		stream, err := js.Stream(t.Context(), "OPENOVA_FLOW")
		if err != nil {
			t.Fatal(err)
		}
		cfg := stream.CachedInfo().Config
		cfg.MaxMsgs, cfg.Discard = n, jetstream.DiscardNew
		if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	ingest := func() error {
		_, err := h.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{upsert(t, "F", "a", "running")}})
		return err
	}
	if err := ingest(); err != nil {
		t.Fatal(err)
	}
	limit(1)
	var unavailable *hub.UnavailableError
	for range 2 {
		if err := ingest(); !errors.As(err, &unavailable) {
			t.Errorf("Ingest into a full stream: %v, want an UnavailableError", err)
		}
	}
	eventually(t, "outage reported", func() bool { return log.Status().Err != nil })
	limit(100)
	eventually(t, "outage over", func() bool { return log.Status().Err == nil })
	if err := ingest(); err != nil {
		t.Errorf("Ingest after the outage: %v", err)
	}
	if n := log.Unacknowledged(); n != 0 {
		t.Errorf("%d unacknowledged entries after a successful change, want 0", n)
	}
	limit(1)
	for range 2 {
		_ = ingest()
	}
	if err := <-done; !errors.Is(err, endRun) {
		t.Errorf("Run: %v, want the error of OnRejected", err)
	}
}
