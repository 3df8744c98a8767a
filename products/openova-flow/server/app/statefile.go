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

// stateFile keeps the flows of a hub in a file, so that a restart shows no empty page. The file is only ever replaced whole.
type stateFile struct {
	path  string
	hub   *hub.Hub
	log   *slog.Logger
	saved int64 // how far the hub's changes were at the last save
}

// CheckStateFile reports why a state file could not be written, nil when it can. It changes nothing.
func CheckStateFile(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return errors.New("it is there and is no file")
	}
	path = behindLinks(path)
	f, err := os.CreateTemp(filepath.Dir(path), tempPattern(path))
	if err != nil {
		return fmt.Errorf("its directory can't be written to: %w", err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// behindLinks returns where a path leads that may be a symbolic link, to a file that need not be there yet: putting a file in its place
// would put it in place of the link.
func behindLinks(path string) string {
	for range 40 { // as many as Linux follows
		to, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return path
}

// tempPattern names the files that a state file is written as before it takes its place.
func tempPattern(path string) string { return filepath.Base(path) + ".*.tmp" }

// load makes the flows of the file again in a hub that has none. A state that is damaged, or from a newer version, is set aside: the server starts
// empty, and the emitters fill it. Of any other file the error says what to do: it is somebody else's, and stays as it is.
func (f *stateFile) load() error {
	named := f.path
	f.path = behindLinks(f.path)
	began, clock := time.Now(), f.hub.Number()
	f.removeLeftovers()
	state, err := f.read()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return f.unusable(named, err)
	}
	f.hub.Load(state)
	f.log.Info("state loaded", "file", f.path, "flows", len(state.Flows), "took", time.Since(began).Round(time.Millisecond))
	if f.hub.Number() > clock+int64(len(state.Flows)) { // the clock would not keep another start from giving the same numbers again
		f.save()
	}
	return nil
}

var errForeign = errors.New("it does not begin as a state of flows does")

// read reads the file, but nothing that is no file, which could have no end or not even a beginning.
func (f *stateFile) read() (*record.SavedState, error) {
	info, err := os.Lstat(f.path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: it is no regular file", errForeign)
	}
	in, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errForeign, err)
	}
	defer in.Close()
	if opened, err := in.Stat(); err != nil || !os.SameFile(info, opened) {
		return nil, fmt.Errorf("%w: it was replaced meanwhile", errForeign)
	}
	buffered := bufio.NewReaderSize(in, 64<<10)
	if begin, _ := buffered.Peek(64); !record.BeginsState(begin) { // an error shows when it is read
		return nil, errForeign
	}
	return f.hub.ReadState(buffered)
}

// unusable sets a state aside that can't be used. It returns an error for what is not this server's to rename, or not here.
func (f *stateFile) unusable(named string, reason error) error {
	const move = "move it away, or name another file in FLOW_SERVER_STATE_FILE"
	switch {
	case errors.Is(reason, errForeign):
		return fmt.Errorf("%s is no state that this server has saved: %w; %s", f.path, reason, move)
	case errors.Is(reason, record.ErrLargeState):
		return fmt.Errorf("state %s can't be read: %w; raise FLOW_SERVER_MAX_STATE_BYTES and FLOW_SERVER_MAX_FLOW_BYTES, or %s", f.path, reason, move)
	case filepath.Dir(f.path) != filepath.Dir(named):
		return fmt.Errorf("state %s can't be used, and is behind the symbolic link %s, through which nothing is set aside: %w; %s", f.path, named, reason, move)
	}
	to := f.path + ".damaged"
	if errors.Is(reason, record.ErrNewerState) {
		to = f.path + ".newer"
	}
	if err := os.Rename(f.path, to); err != nil { // what was set aside before for the same reason gives way
		return fmt.Errorf("state %s can't be used: %w, and can't be set aside: %w; %s", f.path, reason, err, move)
	}
	f.hub.Stats.StatesSetAside.Add(1)
	f.log.Error("state file not usable, starting without it", "file", f.path, "as", to, "err", reason)
	return nil
}

// removeLeftovers removes what a process that was killed had begun to write.
func (f *stateFile) removeLeftovers() {
	dir := filepath.Dir(f.path)
	entries, _ := os.ReadDir(dir) // what is wrong with it shows when the file is read or written
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

// run saves now and then what has changed, until ctx ends.
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

// save writes the file if anything has changed since. When that fails the file stays as it was, and it is tried again next time.
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

// replace writes the state beside the file and puts it in its place, so that at every instant there is a whole one.
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
		_ = d.Sync() // makes the rename last, on systems that have this for directories
		_ = d.Close()
	}
	return nil
}
