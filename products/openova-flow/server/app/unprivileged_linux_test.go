package app

import (
	"os"
	"runtime"
	"syscall"
	"testing"
)

// unprivileged calls f. If the user is root, it calls f on a thread that accesses files as another user.
func unprivileged(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		f()
		return
	}
	const other = 65534
	var uid uintptr
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()                                            // without an unlock: the thread ends with the goroutine
		syscall.RawSyscall(syscall.SYS_SETFSUID, other, 0, 0)             // reports no error
		uid, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, other, 0, 0) // returns the previous one
		if uid == other {
			f()
		}
	}()
	<-done
	if uid != other {
		t.Fatalf("the user id for files is %d, want %d: root may not change it here", uid, other)
	}
}
