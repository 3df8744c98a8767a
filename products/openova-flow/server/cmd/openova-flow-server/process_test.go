package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "openova-flow-server")
	if err != nil {
		panic(err)
	}
	binary.path = filepath.Join(dir, "openova-flow-server")
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

var binary struct {
	once sync.Once
	path string
	err  error
}

// program is the server in its own process.
type program struct {
	t   *testing.T
	cmd *exec.Cmd
	log *log
	url string
	end chan error
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	binary.once.Do(func() {
		build := exec.Command("go", "build", "-trimpath", "-o", binary.path, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // as a release is
		if out, err := build.CombinedOutput(); err != nil {
			binary.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	cmd := exec.Command(binary.path, append([]string{"--listen-addr=127.0.0.1:0", "--drain-delay=0s"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	return cmd
}

// spawn starts the program and waits until it serves.
func spawn(t *testing.T, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{t: t, cmd: cmd, log: newLog(), end: make(chan error, 1)}
	cmd.Stderr = p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.end <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	p.url = strings.TrimSuffix(p.log.wait(t, `started.* url=(\S+)`), "/")
	return p
}

// signal sends a signal and waits for the end.
func (p *program) signal(s syscall.Signal) error {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
	return p.wait()
}

func (p *program) wait() error {
	p.t.Helper()
	select {
	case err := <-p.end:
		return err
	case <-time.After(within):
		p.t.Fatalf("the process does not exit:\n%s", p.log)
		return nil
	}
}

func metric(t *testing.T, url, name string) string {
	t.Helper()
	_, body := get(t, http.DefaultClient, url+"/metrics")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no %s in\n%s", name, body)
	return ""
}

func drain(body io.ReadCloser) {
	defer body.Close()
	_, _ = io.Copy(io.Discard, body)
}
