package truth

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// TestServer_FullDiskLosesNothing lets an embedded server write no more: a file may not grow over a limit, as anybody may set one, and, where the test
// may mount a file system, that is full. POST and /readyz answer 503; with room again the process ends, and the next has what was acknowledged.
func TestServer_FullDiskLosesNothing(t *testing.T) {
	t.Parallel() // most of it is waiting
	t.Run("file size", func(t *testing.T) {
		limit := func(p *process, bytes uint64) {
			var was syscall.Rlimit
			prlimit(t, p.cmd.Process.Pid, nil, &was)
			prlimit(t, p.cmd.Process.Pid, &syscall.Rlimit{Cur: min(bytes, was.Max), Max: was.Max}, nil)
		}
		fullDisk(t, t.TempDir(), func(p *process) { limit(p, 64<<10) }, func(p *process) { limit(p, 1<<40) })
	})
	dir := t.TempDir()
	size := func(flags uintptr, size string) error {
		return syscall.Mount("tmpfs", dir, "tmpfs", flags, "size="+size)
	}
	if err := size(0, "3m"); err != nil {
		t.Logf("no full file system, as none can be mounted: %v", err)
		return
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	t.Run("file system", func(t *testing.T) {
		fullDisk(t, dir, func(*process) {}, func(*process) {
			if err := size(syscall.MS_REMOUNT, "64m"); err != nil {
				t.Fatal(err)
			}
		})
	})
}

func fullDisk(t *testing.T, dir string, fill, makeRoom func(*process)) {
	p := newProcess(t, nil, "--data-dir="+dir, "--sync=1m", "--ring-capacity=4096")
	p.start()
	p.ready()
	label := strings.Repeat("x", 4000)
	n := 0
	post := func() int { // each adds a node
		body := fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"n%d","flowId":"F","label":%q,"status":"s"}]}`, n, label)
		resp, err := http.Post(p.url("/v1/flows/F/events"), "application/x-ndjson", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for ; n < 5; n++ {
		if code := post(); code != http.StatusOK {
			t.Fatal(code)
		}
	}
	fill(p)
	code := 0
	for ; n < 2000; n++ {
		if code = post(); code != http.StatusOK {
			break
		}
	}
	if code != http.StatusServiceUnavailable {
		t.Fatalf("POST %d is answered with %d", n, code)
	}
	began := time.Now()
	eventually(t, "it says that it takes nothing", func() bool {
		if code := post(); code != http.StatusServiceUnavailable {
			t.Fatalf("POST is answered with %d", code)
		}
		code, _ := statusOf(t, http.MethodGet, p.url("/readyz"))
		return code == http.StatusServiceUnavailable
	})
	t.Logf("%d messages; it said so within %s", n, time.Since(began).Round(time.Second/10))
	select {
	case <-p.ended:
		t.Fatal("it ends though a start is of no use")
	default:
	}
	makeRoom(p)
	select {
	case <-p.ended:
		p.cmd = nil
	case <-time.After(within):
		t.Fatal("it does not end with room again")
	}
	if !strings.Contains(p.log.String(), "start the server again") {
		t.Error("it does not say why it ends")
	}
	p.start()
	p.ready()
	text, _ := get(t, p.url("/v1/flows/F/snapshot"))
	for i := range n {
		if !strings.Contains(text, fmt.Sprintf(`"n%d"`, i)) {
			t.Errorf("message %d of %d is lost", i, n)
		}
	}
	n++
	if code := post(); code != http.StatusOK {
		t.Errorf("POST after that: %d", code)
	}
}

// prlimit changes or reads the greatest size of a file that another process may write.
func prlimit(t *testing.T, pid int, limit, was *syscall.Rlimit) {
	t.Helper()
	if _, _, err := syscall.Syscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(limit)), uintptr(unsafe.Pointer(was)), 0, 0); err != 0 {
		t.Fatal(os.NewSyscallError("prlimit", err))
	}
}
