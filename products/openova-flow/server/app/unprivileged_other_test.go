//go:build !linux

package app

import (
	"os"
	"testing"
)

// unprivileged calls f if the process does not run as root.
func unprivileged(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() == 0 {
		t.Skip("root may read every file")
	}
	f()
}
