package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
	"github.com/openova-io/openova/products/openova-flow/relay/outbox"
)

func open(t *testing.T, limit int) *outbox.Box {
	t.Helper()
	b, err := outbox.Open(filepath.Join(t.TempDir(), "box"), limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// changeOf returns a change with one notice.
func changeOf(key string, phase notice.Phase) notice.Change {
	n := notice.Notice{Key: key, Episode: key + "@1", Phase: phase}
	return notice.Change{Since: 1, Entries: map[string]*notice.Entry{key: {First: 1, Last: &n}}, Ended: map[string]int64{"f": 7}, Notices: []notice.Notice{n}}
}

func commit(t *testing.T, b *outbox.Box, c notice.Change) {
	t.Helper()
	if err := b.Commit("rule/hook", "rule", "hook", c); err != nil {
		t.Fatal(err)
	}
}

// drain removes all deliveries of a queue, and returns key and phase of each.
func drain(t *testing.T, b *outbox.Box) (all []string) {
	t.Helper()
	for {
		item, err := b.Next("hook")
		if err != nil {
			t.Fatal(err)
		}
		if item == nil {
			return all
		}
		all = append(all, item.Notice.Key+" "+string(item.Notice.Phase))
		if err := b.Done("hook", item); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBox_KeepsStateAndQueueOverARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "box")
	b, err := outbox.Open(file, 0)
	if err != nil {
		t.Fatal(err)
	}
	commit(t, b, changeOf("a", notice.Opened))
	if _, err := outbox.Open(file, 0); err == nil {
		t.Error("an open file is opened again")
	}
	b.Close()
	if b, err = outbox.Open(file, 0); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s, err := b.State("rule/hook")
	if err != nil || s.Since != 1 || s.Entries["a"].Last == nil || s.Ended["f"] != 7 {
		t.Errorf("%+v %v", s, err)
	}
	if b.Len("hook") != 1 || b.Lengths()["hook"] != 1 {
		t.Errorf("%d queued", b.Len("hook"))
	}
	if got := drain(t, b); len(got) != 1 || b.Len("hook") != 0 {
		t.Errorf("%q", got)
	}
}

func TestBox_Room(t *testing.T) {
	b := open(t, 2)
	commit(t, b, changeOf("a", notice.Opened))
	commit(t, b, changeOf("b", notice.Opened))
	if b.Room("hook") != 0 || b.Room("other") != 2 {
		t.Errorf("room for %d and %d", b.Room("hook"), b.Room("other"))
	}
	if got := drain(t, b); !slices.Equal(got, []string{"a opened", "b opened"}) {
		t.Errorf("%q", got)
	}
	if b.Room("hook") != 2 {
		t.Errorf("room for %d, want 2", b.Room("hook"))
	}
}

func TestBox_QueueIsBoundedInBytes(t *testing.T) {
	b := open(t, 0)
	big := func(key string) notice.Change {
		c := changeOf(key, notice.Opened)
		c.Notices[0].Sentence = strings.Repeat("x", 15<<20)
		return c
	}
	for round := range 2 {
		for i := range 5 {
			if b.Room("hook") == 0 {
				t.Errorf("no room after %d", i)
			}
			commit(t, b, big(fmt.Sprint(round, i)))
		}
		if n := b.Room("hook"); n != 0 {
			t.Errorf("room for %d", n)
		}
		if got := drain(t, b); len(got) != 5 {
			t.Errorf("%q", got)
		}
	}
}

// TestOpen_DamagedFile damages the file of a box in several ways. Open succeeds, or its error names the file; it never panics.
func TestOpen_DamagedFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "box")
	b, err := outbox.Open(file, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		c := changeOf(fmt.Sprint("a", i), notice.Opened)
		c.Notices[0].Sentence = strings.Repeat("x", 3000)
		commit(t, b, c)
	}
	b.Close()
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	try := func(what string, text []byte) {
		file := file + " " + what // where bbolt panics, it keeps the lock
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := outbox.Open(file, 0)
		if err != nil {
			if refused++; !strings.Contains(err.Error(), file) {
				t.Errorf("%s: %v", what, err)
			}
			return
		}
		b.Close()
	}
	try("garbage", []byte(strings.Repeat("garbage ", 10_000)))
	try("a quarter", whole[:len(whole)/4]) // a half may have all pages that are in use
	try("two pages", whole[:8192])
	try("a part of a page", whole[:5000])
	if refused != 4 {
		t.Errorf("%d files were refused", refused)
	}
	for at := 0; at < len(whole); at += 4096 {
		text := slices.Clone(whole)
		for i := range 64 {
			text[at+i] ^= 0xff
		}
		try(fmt.Sprint("page ", at/4096), text)
	}
	if refused < 8 {
		t.Errorf("%d files were refused", refused)
	}
	try("whole", whole)
}

// TestWorker_UnreadableDeliveryIsDropped has a queue whose first delivery is not JSON.
func TestWorker_UnreadableDeliveryIsDropped(t *testing.T) {
	file := filepath.Join(t.TempDir(), "box")
	b, err := outbox.Open(file, 0)
	if err != nil {
		t.Fatal(err)
	}
	commit(t, b, changeOf("a", notice.Opened))
	b.Close()
	db, err := bbolt.Open(file, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("queues")).Bucket([]byte("hook")).Put(make([]byte, 8), []byte("{"))
	})
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	if b, err = outbox.Open(file, 0); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s := &sender{}
	run(t, b, s, 1)
	if len(s.got) != 1 || b.Len("hook") != 0 {
		t.Errorf("%q, %d queued", s.got, b.Len("hook"))
	}
}

// TestWorker_BoundsRequestedWait has a service ask to wait a year.
func TestWorker_BoundsRequestedWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, 0)
		commit(t, b, changeOf("a", notice.Opened))
		s := &sender{errs: []error{&channel.Busy{After: 365 * 24 * time.Hour, Err: errors.New("slow down")}}}
		began := time.Now()
		run(t, b, s, 2)
		if took := time.Since(began); took < 59*time.Minute || took > 2*time.Hour {
			t.Errorf("it took %v", took)
		}
	})
}

func TestWorker_StoppedWithinAnAttempt(t *testing.T) {
	b := open(t, 0)
	commit(t, b, changeOf("a", notice.Opened))
	ctx, cancel := context.WithCancel(t.Context())
	w := &outbox.Worker{Box: b, Channel: "hook", Log: slog.New(slog.DiscardHandler), Sender: sendFunc(func() error { cancel(); return nil })}
	w.Run(ctx)
	if n := b.Len("hook"); n != 1 {
		t.Errorf("%d queued", n)
	}
}

type sendFunc func() error

func (f sendFunc) Send(context.Context, channel.Delivery, channel.Memory) error { return f() }

func TestBox_LaterNoticeReplacesWaitingUpdates(t *testing.T) {
	b := open(t, 0)
	commit(t, b, changeOf("a", notice.Opened))
	commit(t, b, changeOf("a", notice.Updated))
	commit(t, b, changeOf("b", notice.Updated))
	commit(t, b, changeOf("a", notice.Updated))
	commit(t, b, changeOf("a", notice.Resolved))
	if n := b.Len("hook"); n != 3 {
		t.Errorf("%d queued", n)
	}
	if got := drain(t, b); !slices.Equal(got, []string{"a opened", "b updated", "a resolved"}) {
		t.Errorf("%q", got)
	}
}

func TestBox_KeepDeletesTheRest(t *testing.T) {
	b := open(t, 0)
	commit(t, b, changeOf("a", notice.Opened))
	if err := b.Commit("gone/hook", "gone", "hook", changeOf("a", notice.Opened)); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit("rule/old", "rule", "old", changeOf("a", notice.Opened)); err != nil {
		t.Fatal(err)
	}
	s := &sender{remember: true}
	run(t, b, s, 2)
	if err := b.Keep([]string{"rule/hook"}, []string{"rule"}, []string{"hook"}); err != nil {
		t.Fatal(err)
	}
	if s, err := b.State("gone/hook"); err != nil || s.Since != 0 {
		t.Errorf("%+v %v", s, err)
	}
	if m, err := b.Memories("hook"); err != nil || len(m) != 1 || m["rule/a@1"] == nil {
		t.Errorf("%v %v", m, err)
	}
	if b.Len("old") != 0 {
		t.Errorf("%v", b.Lengths())
	}
}

// sender records attempts. It returns errs one after the other, then nil.
type sender struct {
	errs     []error
	remember bool     // store something in the memory
	got      []string // key, phase and Repeat of each attempt
	memory   []string // before each attempt
}

func (s *sender) Send(_ context.Context, d channel.Delivery, m channel.Memory) error {
	s.got = append(s.got, fmt.Sprintf("%s %s %v", d.Notice.Key, d.Notice.Phase, d.Repeat))
	s.memory = append(s.memory, string(m.Get()))
	if s.remember {
		if err := m.Set([]byte("x")); err != nil {
			return err
		}
	}
	if len(s.errs) > 0 {
		err := s.errs[0]
		s.errs = s.errs[1:]
		return err
	}
	return nil
}

// run runs a worker until it has made a number of attempts and has updated the queue.
func run(t *testing.T, b *outbox.Box, s *sender, attempts int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	w := &outbox.Worker{Box: b, Channel: "hook", Sender: s, Log: slog.New(slog.DiscardHandler), Report: func(string, *notice.Notice, outbox.Outcome, error) {
		if n++; n == attempts {
			time.AfterFunc(10*time.Millisecond, cancel)
		}
	}}
	w.Run(ctx)
}

func TestWorker_RepeatsUntilDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, 0)
		commit(t, b, changeOf("a", notice.Opened))
		commit(t, b, changeOf("b", notice.Opened))
		s := &sender{errs: []error{errors.New("away"), &channel.Busy{After: time.Hour, Err: errors.New("slow down")}}}
		began := time.Now()
		run(t, b, s, 4)
		if want := []string{"a opened true", "a opened true", "a opened true", "b opened false"}; !slices.Equal(s.got, want) {
			t.Errorf("%q", s.got)
		}
		if took := time.Since(began); took < time.Hour || took > time.Hour+3*time.Second {
			t.Errorf("it took %v", took)
		}
		if b.Len("hook") != 0 {
			t.Errorf("%d queued", b.Len("hook"))
		}
	})
}

func TestWorker_DropsAfterAPermanentError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, 0)
		commit(t, b, changeOf("a", notice.Opened))
		commit(t, b, changeOf("b", notice.Opened))
		s := &sender{errs: []error{&channel.Permanent{Err: errors.New("unknown channel")}}}
		run(t, b, s, 2)
		if want := []string{"a opened true", "b opened false"}; !slices.Equal(s.got, want) {
			t.Errorf("%q", s.got)
		}
	})
}

func TestWorker_GivesUpAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, 0)
		commit(t, b, changeOf("a", notice.Opened))
		s := &sender{}
		for range 1000 {
			s.errs = append(s.errs, errors.New("away"))
		}
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		w := &outbox.Worker{Box: b, Channel: "hook", Sender: s, Log: slog.New(slog.DiscardHandler), Report: func(_ string, _ *notice.Notice, o outbox.Outcome, _ error) {
			if o == outbox.Dropped {
				cancel()
			}
		}}
		w.Run(ctx)
		if took := time.Since(began); took < 24*time.Hour || took > 25*time.Hour || len(s.got) > 400 {
			t.Errorf("%d attempts in %v", len(s.got), took)
		}
	})
}

// TestWorker_SupersedingDeliveryIsTriedForADay supersedes a delivery that has failed for 23 hours.
func TestWorker_SupersedingDeliveryIsTriedForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, 0)
		commit(t, b, changeOf("a", notice.Updated))
		began, superseded := time.Now(), time.Time{}
		ctx, cancel := context.WithCancel(t.Context())
		w := &outbox.Worker{Box: b, Channel: "hook", Log: slog.New(slog.DiscardHandler), Sender: sendFunc(func() error {
			if superseded.IsZero() && time.Since(began) > 23*time.Hour {
				superseded = time.Now()
				commit(t, b, changeOf("a", notice.Resolved))
			}
			return errors.New("away")
		}), Report: func(_ string, _ *notice.Notice, o outbox.Outcome, _ error) {
			if o == outbox.Dropped {
				cancel()
			}
		}}
		w.Run(ctx)
		if took := time.Since(superseded); took < 24*time.Hour || took > 25*time.Hour {
			t.Errorf("dropped after %v, want a day", took)
		}
	})
}

func TestWorker_MemoryEndsWithTheLastDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, 0)
		for _, phase := range []notice.Phase{notice.Opened, notice.Resolved, notice.Opened} {
			commit(t, b, changeOf("a", phase))
		}
		s := &sender{remember: true}
		run(t, b, s, 3)
		if want := []string{"", "x", ""}; !slices.Equal(s.memory, want) {
			t.Errorf("%q", s.memory)
		}
	})
}
