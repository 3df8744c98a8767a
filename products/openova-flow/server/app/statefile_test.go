package app

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

func put(t *testing.T, h *hub.Hub, id string) {
	t.Helper()
	if _, err := h.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{flow.UpsertNodes(flow.Node{ID: id, FlowID: "F", Label: id, Status: "running"})}}); err != nil {
		t.Fatal(err)
	}
}

func nodesOf(t *testing.T, path string) int {
	t.Helper()
	h := hub.New(hub.Config{})
	s, err := (&stateFile{path: path, hub: h}).read()
	if err != nil {
		t.Fatal(err)
	}
	h.Load(s)
	return int(h.Stats.Nodes.Load())
}

func TestStateFile_SavesChangesEveryMinute(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	path := filepath.Join(dir, "flows.state")
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Config{})
		f := &stateFile{path: path, hub: h, log: slog.New(slog.DiscardHandler)}
		if err := f.load(); err != nil {
			t.Fatal(err)
		}
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
		saves(time.Minute, 0, 1) // the directory does not exist
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		saves(time.Minute, 1, 1)
		if n := nodesOf(t, path); n != 1 {
			t.Errorf("%d nodes are saved", n)
		}
		saves(10*time.Minute, 1, 1)
		h.RecordActivity("F")
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

// TestStateFile_SequenceNumbersIncreaseWhenTheClockDoesNot kills a server several times.
func TestStateFile_SequenceNumbersIncreaseWhenTheClockDoesNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flows.state")
	now := time.UnixMilli(1_000_000)
	last := int64(0)
	for i := range 4 {
		h := hub.New(hub.Config{Now: func() time.Time { return now }})
		f := &stateFile{path: path, hub: h, log: slog.New(slog.DiscardHandler)}
		if err := f.load(); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			put(t, h, "a")
			f.save()
		}
		s, err := h.Snapshot("F")
		if err != nil || s.Seq <= last {
			t.Fatalf("start %d: seq %d after %d, %v", i, s.Seq, last, err)
		}
		put(t, h, "a")
		last = h.LastSeq()
	}
}

func TestStateFile_RemovesOnlyItsLeftovers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"s.123.tmp", "s.x.tmp", "s.tmp", "t.123.tmp", "s.1.tmp.old"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := &stateFile{path: filepath.Join(dir, "s"), hub: hub.New(hub.Config{}), log: slog.New(slog.DiscardHandler)}
	if err := f.load(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 4 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestStateFile_FollowsASymbolicLink(t *testing.T) {
	dir := t.TempDir()
	behind, path := filepath.Join(dir, "volume", "flows.state"), filepath.Join(dir, "flows.state")
	if err := errors.Join(os.Mkdir(filepath.Dir(behind), 0o755), os.Symlink(behind, path)); err != nil {
		t.Fatal(err)
	}
	for nodes := range 3 { // first the link leads nowhere yet
		h := hub.New(hub.Config{})
		f := &stateFile{path: path, hub: h, log: slog.New(slog.DiscardHandler)}
		if err := f.load(); err != nil {
			t.Fatal(err)
		}
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
		t.Error("no error for a link into a directory that does not exist")
	}
}

// TestResolveLinks_ParentOfALinkedFolder has a link to ../flows.state in a folder that is a link itself.
func TestResolveLinks_ParentOfALinkedFolder(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "volume", "sub"), 0o755), os.Symlink("volume/sub", filepath.Join(dir, "link")),
		os.Symlink("../flows.state", filepath.Join(dir, "volume", "sub", "state"))); err != nil {
		t.Fatal(err)
	}
	if got, want := resolveLinks(filepath.Join(dir, "link", "state")), filepath.Join(dir, "volume", "flows.state"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestLoad_UnusableFiles starts with files of all kinds. Only a file that the server may have saved is renamed.
func TestLoad_UnusableFiles(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "whole")
	h := hub.New(hub.Config{})
	put(t, h, "a")
	(&stateFile{path: whole, hub: h, log: slog.New(slog.DiscardHandler)}).save()
	text, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	flipped := func(at int) []byte {
		b := slices.Clone(text)
		b[at] ^= 1
		return b
	}
	write := func(b []byte) func(path string) error {
		return func(path string) error { return os.WriteFile(path, b, 0o600) }
	}
	sparse := func(begin []byte) func(path string) error {
		return func(path string) error { return errors.Join(write(begin)(path), os.Truncate(path, 6<<30)) }
	}
	behind := func(b []byte) func(path string) error {
		return func(path string) error {
			target := filepath.Join(filepath.Dir(path), "elsewhere", "file")
			return errors.Join(os.Mkdir(filepath.Dir(target), 0o755), write(b)(target), os.Symlink(target, path))
		}
	}
	for name, tt := range map[string]struct {
		make func(path string) error
		as   string // suffix after the rename; empty: the start fails
	}{
		"truncated":                  {write(text[:len(text)-30]), ".damaged"},
		"truncated at the beginning": {write(text[:9]), ".damaged"},
		"empty":                      {write(nil), ".damaged"},
		"a bit flipped":              {write(flipped(len(text) / 2)), ".damaged"},
		"the last bit flipped":       {write(flipped(len(text) - 3)), ".damaged"},
		"newer":                      {write([]byte(strings.Replace(string(text), `State":1`, `State":2`, 1))), ".newer"},
		"more follows":               {write(append(slices.Clone(text), "more"...)), ".damaged"},
		"the first bit flipped":      {write(flipped(0)), ""},
		"foreign":                    {write([]byte("root:x:0:0\n")), ""},
		"sparse":                     {sparse(nil), ""},
		"sparse after a beginning":   {sparse(text[:60]), ".damaged"},
		"directory":                  {func(path string) error { return os.Mkdir(path, 0o755) }, ""},
		"fifo":                       {func(path string) error { return syscall.Mkfifo(path, 0o600) }, ""},
		"device behind a link":       {func(path string) error { return os.Symlink("/dev/zero", path) }, ""},
		"loop":                       {func(path string) error { return os.Symlink(path, path) }, ""},
		"foreign behind a link":      {behind([]byte("root:x:0:0\n")), ""},
		"damaged behind a link":      {behind(text[:len(text)-30]), ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			if err := tt.make(path); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			allocated := m.TotalAlloc
			f := &stateFile{path: path, hub: hub.New(hub.Config{MaxFlowBytes: 1 << 20, MaxStateBytes: 4 << 20}), log: slog.New(slog.DiscardHandler)}
			err = f.load()
			runtime.ReadMemStats(&m)
			if n := m.TotalAlloc - allocated; n > 16<<20 {
				t.Errorf("the start allocates %d bytes", n)
			}
			if tt.as == "" {
				if after, lost := os.Lstat(path); err == nil || lost != nil || !os.SameFile(before, after) {
					t.Errorf("load: %v; then %v, %v", err, after, lost)
				}
				if left, _ := os.ReadDir(filepath.Dir(path)); len(left) > 2 || f.hub.Stats.StatesSetAside.Load() != 0 {
					t.Errorf("%v exists", left)
				}
				return
			}
			if after, lost := os.Lstat(path + tt.as); err != nil || lost != nil || !os.SameFile(before, after) || f.hub.Stats.StatesSetAside.Load() != 1 {
				t.Errorf("load: %v; then %v, %v", err, after, lost)
			}
		})
	}
}

func TestLoad_PathThatCannotBeExaminedRenamesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := &stateFile{path: filepath.Join(file, "s"), hub: hub.New(hub.Config{}), log: slog.New(slog.DiscardHandler)}
	err := f.load()
	var rename *os.LinkError
	if !errors.Is(err, errNotRead) || !errors.Is(err, syscall.ENOTDIR) || errors.As(err, &rename) {
		t.Errorf("load: %v", err)
	}
}

// TestLoad_FileWithoutReadPermission has a valid state that the server may not read. It is neither called foreign nor renamed.
func TestLoad_FileWithoutReadPermission(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir) // another user need not have access to the parents of dir
	path := "s"
	h := hub.New(hub.Config{})
	put(t, h, "a")
	(&stateFile{path: path, hub: h, log: slog.New(slog.DiscardHandler)}).save()
	if err := errors.Join(os.Chmod(dir, 0o777), os.Chmod(path, 0)); err != nil {
		t.Fatal(err)
	}
	f := &stateFile{path: path, hub: hub.New(hub.Config{}), log: slog.New(slog.DiscardHandler)}
	var err error
	unprivileged(t, func() { err = f.load() })
	if !errors.Is(err, errNotRead) || !errors.Is(err, fs.ErrPermission) || errors.Is(err, errForeign) {
		t.Errorf("load: %v", err)
	}
	if _, err := os.Lstat(path); err != nil || f.hub.Stats.StatesSetAside.Load() != 0 {
		t.Errorf("the file was renamed: %v", err)
	}
}
