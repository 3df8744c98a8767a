package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/natslog"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// embedded is a log on the NATS server in the process.
type embedded struct {
	*natslog.Log
	dir     string
	logger  *slog.Logger
	damaged bool
}

// Run runs the log, and records whether its files are damaged.
func (e *embedded) Run(ctx context.Context, h *hub.Hub) error {
	err := e.Log.Run(ctx, h)
	if d := new(natslog.DamagedError); errors.As(err, &d) {
		e.damaged = true
		return fmt.Errorf("FLOW_SERVER_DATA_DIR %q: %w; the files are renamed to %s, and the next start is empty", e.dir, err, asideName)
	}
	return err
}

const (
	filesName = "jetstream" // directory of NATS
	asideName = filesName + ".damaged"
)

// setAside renames the files if they are damaged, so that the next start is empty. The NATS server must have stopped.
func (e *embedded) setAside() {
	if !e.damaged {
		return
	}
	aside := filepath.Join(e.dir, asideName)
	err := os.RemoveAll(aside)
	if err == nil {
		err = os.Rename(filepath.Join(e.dir, filesName), aside)
	}
	if err != nil {
		e.logger.Error("damaged files not renamed", "dir", e.dir, "err", err)
	}
}

// spaceToRestart is how many bytes must be free before a restart helps.
const spaceToRestart = 4 << 20

// needsRestart is called while NATS rejects changes, and returns an error if a restart would end that. After a write error NATS accepts nothing until the
// process restarts. A restart helps only if the directory is writable.
func (e *embedded) needsRestart() error {
	file := filepath.Join(e.dir, "probe")
	defer os.Remove(file)
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil
	}
	_, err = f.Write(make([]byte, spaceToRestart))
	if errors.Join(err, f.Sync(), f.Close()) != nil {
		return nil
	}
	return fmt.Errorf("FLOW_SERVER_DATA_DIR %q: NATS accepts no changes since a write failed (see its log lines above), and the directory is writable again; restart the server", e.dir)
}

// watermark is a file with the greatest acknowledged entry. It is not synced: a crash of the process does not change it, but after a power failure it
// may be lower than the end of the stream.
type watermark struct {
	mu   sync.Mutex
	seq  uint64
	file *os.File
}

func openWatermark(path string) (*watermark, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	w := &watermark{file: f}
	var b [32]byte
	n, _ := f.ReadAt(b[:], 0)
	if seq, err := strconv.ParseUint(strings.TrimSpace(string(b[:n])), 10, 64); err == nil { // other text counts as 0
		w.seq = seq
	}
	return w, nil
}

func (w *watermark) close() { _ = w.file.Close() }

// raise records an acknowledged entry.
func (w *watermark) raise(seq uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if seq > w.seq {
		w.seq = seq
		_, _ = w.file.WriteAt(fmt.Appendf(nil, "%20d\n", seq), 0)
	}
}

var errLocked = errors.New("another server uses the directory")
