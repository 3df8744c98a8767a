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

// embedded is the log on the NATS server of this process.
type embedded struct {
	*natslog.Log
	dir     string
	log     *slog.Logger
	damaged bool
}

// Run is that of the log, and remembers whether the files are damaged.
func (e *embedded) Run(ctx context.Context, h *hub.Hub) error {
	err := e.Log.Run(ctx, h)
	if d := new(natslog.DamagedError); errors.As(err, &d) {
		e.damaged = true
		return fmt.Errorf("FLOW_SERVER_DATA_DIR is %q: %w; the files are renamed to %s, and the next start begins anew", e.dir, err, asideName)
	}
	return err
}

const (
	filesName = "jetstream" // where NATS keeps its files
	asideName = filesName + ".damaged"
)

// setAside renames the files of NATS, which has ended, when they are damaged: the next start begins anew.
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
		e.log.Error("damaged files not renamed", "dir", e.dir, "err", err)
	}
}

// roomToStart is how many bytes must be free for another start to be of use.
const roomToStart = 4 << 20

// hopeless says whether a restart would help NATS, which after an error of a file takes nothing for as long as the process lives: it would once
// the directory can be written to.
func (e *embedded) hopeless() error {
	file := filepath.Join(e.dir, "probe")
	defer os.Remove(file)
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil
	}
	_, err = f.Write(make([]byte, roomToStart))
	if errors.Join(err, f.Sync(), f.Close()) != nil {
		return nil
	}
	return fmt.Errorf("FLOW_SERVER_DATA_DIR is %q: NATS takes no changes since a file could not be written (its log says which), and it can be written now; start the server again", e.dir)
}

// watermark is a file with the greatest number that was acknowledged. It is not synced: after a power cut it may be lower than what the stream
// has, and the end of the process leaves it as it is.
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
	w.seq, _ = strconv.ParseUint(strings.TrimSpace(string(b[:n])), 10, 64) // a file that is damaged says nothing
	return w, nil
}

func (w *watermark) close() { _ = w.file.Close() }

// raise notes that an entry has been acknowledged.
func (w *watermark) raise(seq uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if seq > w.seq {
		w.seq = seq
		_, _ = w.file.WriteAt(fmt.Appendf(nil, "%20d\n", seq), 0)
	}
}
