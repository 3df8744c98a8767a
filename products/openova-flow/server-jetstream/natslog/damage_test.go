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
)

// failing runs a log on a stream that it must not start with, and returns what Run says.
func failing(t *testing.T, s *natsserver.Server, cfg hub.Config) error {
	t.Helper()
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	log, err := natslog.New(natslog.Config{Conn: conn, RingCapacity: cfg.RingCapacity, Timeout: within, Logger: quiet(t)})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Log = log
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	return log.Run(ctx, hub.New(cfg))
}

// TestLog_DeletedMessagesAreMissed has an administrator delete a message of the stream.
func TestLog_DeletedMessagesAreMissed(t *testing.T) {
	cfg := hub.Config{RingCapacity: 40} // a checkpoint after 10
	remove := func(t *testing.T, s *natsserver.Server, r hub.Receipt) {
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
		same(t, late, r, false)
	})
	for name, after := range map[string]int{"one after it": 1, "several after it": 4} {
		t.Run("in none, "+name, func(t *testing.T) {
			s := startNATS(t, t.TempDir())
			r := start(t, s, cfg)
			post(t, r, "F", "a", "running")
			gone := post(t, r, "F", "b", "running")
			for range after {
				post(t, r, "F", "c", "running")
			}
			remove(t, s, gone)
			if err := failing(t, s, cfg); !errors.As(err, new(*natslog.DamagedError)) {
				t.Errorf("a replica starts with %v", err)
			}
		})
	}
}

// TestLog_DeletedConcurrentMessageIsMissed has an administrator delete one of several messages that were published at once: none of them says that
// another came before it, and only the next one knows how many there were.
func TestLog_DeletedConcurrentMessageIsMissed(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingCapacity: 40} // a checkpoint after 10
	r := start(t, s, cfg)
	post(t, r, "F", "a", "running")
	release := r.log.Hold()
	var wg sync.WaitGroup
	receipts := make(chan hub.Receipt, 3)
	for i := range cap(receipts) {
		wg.Go(func() { receipts <- post(t, r, "F", fmt.Sprint("b", i), "running") })
	}
	eventually(t, "taken", func() bool { return r.log.Held(t) == uint64(1+cap(receipts)) })
	release()
	wg.Wait()
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
	if err := failing(t, s, cfg); !errors.As(err, new(*natslog.DamagedError)) {
		t.Errorf("a replica starts with %v", err)
	}
}

// keysOf returns the subjects of keys of the bucket. A list of keys by the client has no end while they are removed.
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

// TestLog_CheckpointOfADeletedFlowThatIsBackIsPassedOver has a checkpoint back that was removed when its flow was deleted, as NATS may after a kill, or
// as there is when the kill came before the removal: its place in the list alone, or its data too.
func TestLog_CheckpointOfADeletedFlowThatIsBackIsPassedOver(t *testing.T) {
	for name, c := range map[string]struct {
		keys  []string // that are back
		again bool     // the flow was made again
	}{
		"list of a flow that is gone":         {keys: []string{"h.*.F"}},
		"list of a flow that was made again":  {keys: []string{"h.*.F"}, again: true},
		"whole of a flow that is gone":        {keys: []string{"d.*.F.>", "h.*.F"}},
		"whole of a flow that was made again": {keys: []string{"d.*.F.>", "h.*.F"}, again: true},
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
			eventually(t, "dropped", func() bool { return len(keysOf(t, s, "d.*.F.>")) == 0 })
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
			same(t, late, r, true)
			if c.again {
				post(t, late, "F", "d", "running")
				same(t, start(t, s, cfg), late, true)
			}
		})
	}
}

// TestLog_EntriesOfADeletedFlowAreNotMissed has entries back of a flow that was deleted, but not all, as NATS may after a power cut.
func TestLog_EntriesOfADeletedFlowAreNotMissed(t *testing.T) {
	for name, again := range map[string]bool{"gone": false, "made again": true} {
		t.Run(name, func(t *testing.T) {
			s := startNATS(t, t.TempDir())
			r := start(t, s, hub.Config{})
			post(t, r, "G", "a", "running")
			stream, err := admin(t, s).Stream(t.Context(), "OPENOVA_FLOW")
			if err != nil {
				t.Fatal(err)
			}
			cfg := stream.CachedInfo().Config
			cfg.DenyPurge = true // so that what was before the deletion stays
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
			same(t, start(t, s, hub.Config{}), r, true)
		})
	}
}

// TestLog_StreamThatTakesNothingIsTrouble fills the stream up to a limit beyond which it takes nothing. Questions it answers as ever.
func TestLog_StreamThatTakesNothingIsTrouble(t *testing.T) {
	s := startNATS(t, t.TempDir())
	var asked atomic.Bool
	hopeless := errors.New("no hope")
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	log, err := natslog.New(natslog.Config{Conn: conn, Logger: quiet(t), Hopeless: func() error {
		if asked.Swap(true) {
			return hopeless
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
		_, err := h.Ingest(hub.Post{FlowID: "F", Messages: []*flow.Message{upsert(t, "F", "a", "running")}})
		return err
	}
	if err := ingest(); err != nil {
		t.Fatal(err)
	}
	limit(1)
	var away *hub.UnavailableError
	for range 2 {
		if err := ingest(); !errors.As(err, &away) {
			t.Errorf("a change that is not taken: %v", err)
		}
	}
	eventually(t, "said", func() bool { return log.Status().Err != nil })
	limit(100)
	eventually(t, "taken back", func() bool { return log.Status().Err == nil })
	if err := ingest(); err != nil {
		t.Errorf("a change after that: %v", err)
	}
	if n := log.Unanswered(); n != 0 {
		t.Errorf("after a change that was taken %d in a row were not", n)
	}
	limit(1)
	for range 2 {
		_ = ingest()
	}
	select {
	case err := <-done:
		if !errors.Is(err, hopeless) {
			t.Errorf("it ends with %v", err)
		}
	case <-t.Context().Done():
	}
}
