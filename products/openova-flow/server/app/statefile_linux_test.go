package app

import (
	"errors"
	"log/slog"
	"os"
	"syscall"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// TestLoad_ReadErrorRenamesNothing: a file that the file system can't read may be a good state. Address 0 of a process's memory has no content, so reading
// it fails with EIO.
func TestLoad_ReadErrorRenamesNothing(t *testing.T) {
	f := &stateFile{path: "/proc/self/mem", hub: hub.New(hub.Config{}), log: slog.New(slog.DiscardHandler)}
	err := f.load()
	var rename *os.LinkError
	if !errors.Is(err, errNotRead) || !errors.Is(err, syscall.EIO) || errors.As(err, &rename) {
		t.Errorf("load: %v", err)
	}
}
