//go:build unix

package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lock locks a directory against other processes until this one ends. It locks the directory itself, which works even if the lock file is removed,
// and a file, for file systems that do not lock directories (NFS).
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
	byFile, byDir := flock(file), flock(d)
	if byFile != nil || errors.Is(byDir, syscall.EWOULDBLOCK) {
		unlock()
		return nil, errLocked
	}
	return unlock, nil
}

func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
