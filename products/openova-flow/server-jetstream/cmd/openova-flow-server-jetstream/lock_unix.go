//go:build unix

package main

import (
	"errors"
	"os"
	"syscall"
)

// lock keeps a second process out of a directory for as long as this one lives.
func lock(file string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, errors.New("another server has it")
	}
	return func() { f.Close() }, nil
}
