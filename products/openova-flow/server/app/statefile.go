package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// saveEvery is how often a state that has changed is written.
const saveEvery = time.Minute

// stateFile keeps the flows of a hub in a file over a restart. The file is always replaced as a whole.
type stateFile struct {
	path       string
	hub        *hub.Hub
	maxRequest int64 // bytes of the largest body that the API accepts
	log        *slog.Logger
	saved      int64 // hub.Changes at the last save
}

// CheckStateFile returns nil if a state file can be written, else the reason. It creates and removes a temporary file beside it.
func CheckStateFile(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	path = resolveLinks(path)
	f, err := os.CreateTemp(filepath.Dir(path), tempPattern(path))
	if err != nil {
		return fmt.Errorf("directory not writable: %w", err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// resolveLinks follows symbolic links to a file that need not exist yet. The state is written by a rename, which would replace a link.
func resolveLinks(path string) string {
	for range 40 { // the limit of Linux
		to, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			parent := filepath.Dir(path)
			if real, err := filepath.EvalSymlinks(parent); err == nil { // a .. in the link is the parent of the real directory
				parent = real
			}
			to = filepath.Join(parent, to)
		}
		path = to
	}
	return path
}

// tempPattern returns the pattern for names of temporary files, which are renamed to the state file.
func tempPattern(path string) string { return filepath.Base(path) + ".*.tmp" }

// load restores the flows of the file in an empty hub, if the file exists. It renames a damaged state, or one from a newer version: the server starts empty,
// and emitters send their flows again. It fails, and renames nothing, for a foreign file, one that can't be read, a state above the limit, and an unusable
// state behind a symbolic link to another folder.
func (f *stateFile) load() error {
	configured := f.path
	f.path = resolveLinks(f.path)
	began, clock := time.Now(), f.hub.LastSeq()
	f.removeLeftovers()
	state, err := f.read()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return f.unusable(configured, err)
	}
	f.hub.Load(state)
	f.log.Info("state loaded", "file", f.path, "flows", len(state.Flows), "took", time.Since(began).Round(time.Millisecond))
	if f.hub.LastSeq() > clock+int64(len(state.Flows)) { // the sequence numbers are ahead of the clock, so another start would assign the same ones again
		f.save()
	}
	return nil
}

var (
	errForeign = errors.New("not a saved state")
	errNotRead = errors.New("can't be read")
)

// read reads the file if it is a regular one. Reading a device may never end, and opening a pipe may block.
func (f *stateFile) read() (*record.SavedState, error) {
	info, err := os.Lstat(f.path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotRead, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: not a regular file", errForeign)
	}
	in, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotRead, err)
	}
	defer in.Close()
	if opened, err := in.Stat(); err != nil || !os.SameFile(info, opened) {
		return nil, fmt.Errorf("%w: replaced during the check", errForeign)
	}
	buffered := bufio.NewReaderSize(in, 64<<10)
	if begin, _ := buffered.Peek(64); !record.BeginsState(begin) { // ReadState returns the error of Peek
		return nil, errForeign
	}
	state, err := f.hub.ReadState(buffered, f.maxRequest)
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) { // of the file system: the state may be good
		return nil, fmt.Errorf("%w: %w", errNotRead, err)
	}
	return state, err
}

// unusable renames an unusable state, or returns an error that says why it does not.
func (f *stateFile) unusable(configured string, reason error) error {
	const move = "move it away, or name another file in FLOW_SERVER_STATE_FILE"
	switch {
	case errors.Is(reason, errNotRead):
		return fmt.Errorf("state %s %w; make it readable, or %s", f.path, reason, move)
	case errors.Is(reason, errForeign):
		return fmt.Errorf("%s was not written by this server: %w; %s", f.path, reason, move)
	case errors.Is(reason, record.ErrLargeState):
		return fmt.Errorf("state %s can't be read: %w; raise FLOW_SERVER_MAX_STATE_BYTES, or %s", f.path, reason, move)
	case filepath.Dir(f.path) != filepath.Dir(configured):
		return fmt.Errorf("state %s can't be used, and is not renamed since %s is a symbolic link to it: %w; %s", f.path, configured, reason, move)
	}
	to := f.path + ".damaged"
	if errors.Is(reason, record.ErrNewerState) {
		to = f.path + ".newer"
	}
	if err := os.Rename(f.path, to); err != nil { // replaces a state that was renamed before for the same reason
		return fmt.Errorf("state %s can't be used: %w, and can't be renamed: %w; %s", f.path, reason, err, move)
	}
	f.hub.Stats.StatesSetAside.Add(1)
	f.log.Error("state file not usable, starting without it", "file", f.path, "as", to, "err", reason)
	return nil
}

// removeLeftovers removes temporary files of killed processes.
func (f *stateFile) removeLeftovers() {
	dir := filepath.Dir(f.path)
	entries, _ := os.ReadDir(dir) // an error also occurs when the file is read or written
	before, after, _ := strings.Cut(tempPattern(f.path), "*")
	for _, e := range entries {
		middle, ok := strings.CutPrefix(e.Name(), before)
		if middle, ok2 := strings.CutSuffix(middle, after); ok && ok2 && strings.Trim(middle, "0123456789") == "" {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				f.log.Warn("temporary state file not removed", "file", e.Name(), "err", err)
			}
		}
	}
}

// run saves changes every saveEvery, until ctx ends.
func (f *stateFile) run(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.save()
		}
	}
}

// save writes the file if anything has changed since the last save. If that fails, the file stays unchanged, and the next save tries again.
func (f *stateFile) save() {
	changes := f.hub.Changes()
	if changes == f.saved {
		return
	}
	if err := f.replace(); err != nil {
		f.hub.Stats.SaveFailures.Add(1)
		f.log.Error("state not saved", "file", f.path, "err", err)
		return
	}
	f.saved = changes
	f.hub.Stats.Saves.Add(1)
	f.hub.Stats.SavedAt.Store(time.Now().Unix())
}

// replace writes the state to a temporary file and renames it, so that the state file is complete at any time.
func (f *stateFile) replace() (err error) {
	dir := filepath.Dir(f.path)
	out, err := os.CreateTemp(dir, tempPattern(f.path)) // with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(out.Name()))
		}
	}()
	if err := errors.Join(f.hub.Save(out), out.Sync(), out.Close()); err != nil {
		return err
	}
	if err := os.Rename(out.Name(), f.path); err != nil {
		return err
	}
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync() // makes the rename durable, on systems where directories can be synced
		_ = d.Close()
	}
	return nil
}
