//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lock locks a directory against other processes until unlock is called or this process ends. It locks the directory itself, which works even if the
// lock file is removed, and a file, for file systems that do not lock directories (NFS).
func lock(dir string) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	d, err := os.Open(dir)
	if err != nil {
		file.Close()
		return nil, err
	}
	unlock = func() { file.Close(); d.Close() }
	if err := lockError(flock(file), flock(d)); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// lockError returns the error of lock for the results of locking the file and the directory.
func lockError(byFile, byDir error) error {
	switch {
	case errors.Is(byFile, syscall.EWOULDBLOCK), errors.Is(byDir, syscall.EWOULDBLOCK):
		return errLocked
	case byFile != nil:
		return fmt.Errorf("lock its file \"lock\": %w; use a file system that supports locks", byFile)
	}
	return nil
}

func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
