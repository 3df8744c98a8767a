package app

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCertificates_SameFailureIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	dir := t.TempDir()
	c := &certificates{certFile: filepath.Join(dir, "tls.crt"), keyFile: filepath.Join(dir, "tls.key"), log: slog.New(slog.NewTextHandler(&log, nil))}
	for range 3 {
		c.checked = time.Time{}
		if _, err := c.get(nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "certificate not reloaded"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &log)
	}
}
