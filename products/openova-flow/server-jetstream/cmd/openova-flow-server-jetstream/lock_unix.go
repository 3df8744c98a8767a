//go:build unix

package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lock keeps a second process out of a directory for as long as this one lives: by the directory itself, whatever becomes of files in it, and by
// a file, where a file system does not lock directories (NFS).
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
		return nil, errors.New("another server has it")
	}
	return unlock, nil
}

func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
