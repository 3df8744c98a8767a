//go:build unix

package main

import (
	"errors"
	"syscall"
	"testing"
)

func TestLockError_KeepsTheCause(t *testing.T) {
	for _, tt := range []struct{ byFile, byDir, want error }{
		{nil, nil, nil},
		{syscall.EWOULDBLOCK, nil, errLocked},
		{nil, syscall.EWOULDBLOCK, errLocked},
		{syscall.ENOLCK, nil, syscall.ENOLCK},
		{nil, syscall.ENOLCK, nil}, // some file systems lock no directories
	} {
		if err := lockError(tt.byFile, tt.byDir); !errors.Is(err, tt.want) {
			t.Errorf("file %v, directory %v: %v, want %v", tt.byFile, tt.byDir, err, tt.want)
		}
	}
}
