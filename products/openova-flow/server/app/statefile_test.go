package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

func put(t *testing.T, h *hub.Hub, id string) {
	t.Helper()
	if _, err := h.Ingest(hub.Post{FlowID: "F", Messages: []*flow.Message{flow.UpsertNodes(flow.Node{ID: id, FlowID: "F", Label: id, Status: "running"})}}); err != nil {
		t.Fatal(err)
	}
}

func nodesOf(t *testing.T, path string) int {
	t.Helper()
	s, err := readState(path)
	if err != nil {
		t.Fatal(err)
	}
	h := hub.New(hub.Config{})
	h.Load(s)
	return int(h.Stats.Nodes.Load())
}

func TestWhatHasChangedIsSavedEveryMinute(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	path := filepath.Join(dir, "flows.state")
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Config{})
		f := &stateFile{path: path, hub: h, log: slog.New(slog.DiscardHandler)}
		f.load()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go f.run(ctx)
		saves := func(after time.Duration, saves, failures int64) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got, gotFailures := h.Stats.Saves.Load(), h.Stats.SaveFailures.Load(); got != saves || gotFailures != failures {
				t.Fatalf("%d saves and %d failures, want %d and %d", got, gotFailures, saves, failures)
			}
		}
		saves(5*time.Minute+time.Second, 0, 0)
		put(t, h, "a")
		saves(time.Minute, 0, 1) // the directory is not there
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		saves(time.Minute, 1, 1)
		if n := nodesOf(t, path); n != 1 {
			t.Errorf("%d nodes are saved", n)
		}
		saves(10*time.Minute, 1, 1)
		h.Heard("F")
		saves(time.Minute, 2, 1)
		put(t, h, "b")
		saves(time.Minute, 3, 1)
		if n := nodesOf(t, path); n != 2 {
			t.Errorf("%d nodes are saved", n)
		}
		if got, want := h.Stats.SavedAt.Load(), time.Now().Unix(); got > want || got < want-60 {
			t.Errorf("saved at %d, now is %d", got, want)
		}
	})
}

// TestNumbersGoUpThoughTheClockDoesNot has a server end without a last word, again and again, at one instant.
func TestNumbersGoUpThoughTheClockDoesNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flows.state")
	now := time.UnixMilli(1_000_000)
	last := int64(0)
	for i := range 4 {
		h := hub.New(hub.Config{Now: func() time.Time { return now }})
		f := &stateFile{path: path, hub: h, log: slog.New(slog.DiscardHandler)}
		f.load()
		if i == 0 {
			put(t, h, "a")
			f.save()
		}
		s, err := h.Snapshot("F")
		if err != nil || s.Seq <= last {
			t.Fatalf("start %d: number %d after %d, %v", i, s.Seq, last, err)
		}
		put(t, h, "a")
		last = h.Number()
	}
}

func TestLeftoversAreRemovedAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"s.123.tmp", "s.x.tmp", "s.tmp", "t.123.tmp", "s.1.tmp.old"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := &stateFile{path: filepath.Join(dir, "s"), hub: hub.New(hub.Config{}), log: slog.New(slog.DiscardHandler)}
	f.load()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 4 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestAStateFileThatIsALinkIsWrittenWhereItLeads(t *testing.T) {
	dir := t.TempDir()
	behind, path := filepath.Join(dir, "volume", "flows.state"), filepath.Join(dir, "flows.state")
	if err := errors.Join(os.Mkdir(filepath.Dir(behind), 0o755), os.Symlink(behind, path)); err != nil {
		t.Fatal(err)
	}
	for nodes := range 3 { // first the link leads nowhere yet
		h := hub.New(hub.Config{})
		f := &stateFile{path: path, hub: h, log: slog.New(slog.DiscardHandler)}
		f.load()
		if got := h.Stats.Nodes.Load(); got != int64(nodes) {
			t.Errorf("%d nodes are loaded, want %d", got, nodes)
		}
		put(t, h, strings.Repeat("n", nodes+1))
		f.save()
		if n := nodesOf(t, behind); n != nodes+1 {
			t.Errorf("%d nodes are saved, want %d", n, nodes+1)
		}
	}
	if err := os.RemoveAll(filepath.Dir(behind)); err != nil {
		t.Fatal(err)
	}
	if CheckStateFile(path) == nil {
		t.Error("a directory that is not there is not noticed behind a link")
	}
}
