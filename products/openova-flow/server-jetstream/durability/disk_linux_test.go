package durability

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

// TestServer_FullDiskLosesNothing fills the disk of a server with embedded JetStream: by a limit on file sizes, and by a full file system where the test may mount
// one. POST and /readyz answer 503. When there is space again the process ends, and the next one has all acknowledged messages.
func TestServer_FullDiskLosesNothing(t *testing.T) {
	t.Parallel() // mostly waits
	t.Run("file size", func(t *testing.T) {
		limit := func(p *process, bytes uint64) {
			var was syscall.Rlimit
			prlimit(t, p.cmd.Process.Pid, nil, &was)
			prlimit(t, p.cmd.Process.Pid, &syscall.Rlimit{Cur: min(bytes, was.Max), Max: was.Max}, nil)
		}
		fullDisk(t, t.TempDir(), func(p *process) { limit(p, 64<<10) }, func(p *process) { limit(p, 1<<40) })
	})
	dir := t.TempDir()
	mount := func(flags uintptr, size string) error {
		return syscall.Mount("tmpfs", dir, "tmpfs", flags, "size="+size)
	}
	if err := mount(0, "3m"); err != nil {
		t.Logf("skip the full file system: mount: %v", err)
		return
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	t.Run("file system", func(t *testing.T) {
		fullDisk(t, dir, func(*process) {}, func(*process) {
			if err := mount(syscall.MS_REMOUNT, "64m"); err != nil {
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
	post := func() int { // adds a node
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
		t.Fatalf("POST %d: %d, want 503", n, code)
	}
	began := time.Now()
	eventually(t, "/readyz is 503", func() bool {
		if code := post(); code != http.StatusServiceUnavailable {
			t.Fatalf("POST: %d, want 503", code)
		}
		code, _ := statusOf(t, http.MethodGet, p.url("/readyz"))
		return code == http.StatusServiceUnavailable
	})
	t.Logf("%d messages; /readyz was 503 after %s", n, time.Since(began).Round(time.Second/10))
	select {
	case <-p.ended:
		t.Fatal("the server ended while the disk was full")
	default:
	}
	makeRoom(p)
	select {
	case <-p.ended:
		p.cmd = nil
	case <-time.After(testTimeout):
		t.Fatal("the server did not end when there was space again")
	}
	if !strings.Contains(p.log.String(), "FLOW_SERVER_DATA_DIR") {
		t.Error("the log does not name FLOW_SERVER_DATA_DIR")
	}
	p.start()
	p.ready()
	text, _ := get(t, p.url("/v1/flows/F/snapshot"))
	for i := range n {
		if !strings.Contains(text, fmt.Sprintf(`"n%d"`, i)) {
			t.Errorf("message %d of %d lost", i, n)
		}
	}
	n++
	if code := post(); code != http.StatusOK {
		t.Errorf("POST after the restart: %d", code)
	}
}

// prlimit sets or reads another process's limit on file sizes.
func prlimit(t *testing.T, pid int, limit, was *syscall.Rlimit) {
	t.Helper()
	if _, _, err := syscall.Syscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(limit)), uintptr(unsafe.Pointer(was)), 0, 0); err != 0 {
		t.Fatal(os.NewSyscallError("prlimit", err))
	}
}
