package soak

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Build builds the server, without cgo, into the file program.
func Build(ctx context.Context, program string) error {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, "github.com/openova-io/openova/products/openova-flow/server/cmd/openova-flow-server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the server: %w\n%s", err, out)
	}
	return nil
}

// server is the program under load, with the live heap after each garbage collection.
type server struct {
	cmd  *exec.Cmd
	done chan struct{}
	tail tail
	mu   sync.Mutex
	live []sample
}

type sample struct {
	at  time.Time
	mib int64
}

type tail struct {
	mu    sync.Mutex
	lines []string
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lines = append(t.lines, line); len(t.lines) > 20 {
		t.lines = t.lines[1:]
	}
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}

var collected = regexp.MustCompile(`^gc \d+ @.*->(\d+) MB, \d+ MB goal`)

// start runs the program and waits until it is ready. After an error the process may still run.
func (r *run) start() error {
	args := []string{"--listen-addr=" + r.addr, "--state-file=" + r.stateFile, "--drain-delay=0s", "--log-level=warn",
		"--ring-capacity=" + strconv.Itoa(r.Ring), "--write-timeout=" + r.WriteTimeout.String()}
	s := &server{cmd: exec.Command(r.Program, args...), done: make(chan struct{})}
	s.cmd.Env = append(os.Environ(), "GODEBUG=gctrace=1")
	out, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		s.read(out)
		_ = s.cmd.Wait()
		close(s.done)
	}()
	r.server = s
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if resp, err := r.client.Get(r.url + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-s.done:
			return fmt.Errorf("the server ended during its start: %v", s.cmd.ProcessState)
		default:
		}
	}
	return errors.New("timeout waiting for the server to be ready")
}

func (s *server) read(out io.Reader) {
	for in := bufio.NewScanner(out); in.Scan(); {
		m := collected.FindStringSubmatch(in.Text())
		if m == nil {
			s.tail.add(in.Text())
			continue
		}
		mib, _ := strconv.ParseInt(m[1], 10, 64)
		s.mu.Lock()
		s.live = append(s.live, sample{time.Now(), mib})
		s.mu.Unlock()
	}
}

func (r *run) restart(with syscall.Signal) error {
	if err := r.stop(with); err != nil {
		return err
	}
	if with == syscall.SIGKILL { // counted after the process has ended, since it also loses what publishers resend until then
		r.kills.Add(1)
	}
	r.stats.restarts.Add(1)
	return r.start()
}

func (r *run) stop(with syscall.Signal) error {
	s := r.server
	if err := s.cmd.Process.Signal(with); err != nil {
		return fmt.Errorf("send %v to the server: %w", with, err)
	}
	select {
	case <-s.done:
	case <-time.After(30 * time.Second):
		return fmt.Errorf("timeout waiting for the server to end after %v", with)
	}
	s.mu.Lock()
	r.live = append(r.live, s.live...)
	s.mu.Unlock()
	if with == syscall.SIGTERM && !s.cmd.ProcessState.Success() {
		return fmt.Errorf("the server ended with %v", s.cmd.ProcessState)
	}
	return nil
}

func (r *run) metric(name string) (int64, error) {
	resp, err := r.client.Get(r.url + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	for in := bufio.NewScanner(resp.Body); in.Scan(); {
		if value, ok := strings.CutPrefix(in.Text(), name+" "); ok {
			return strconv.ParseInt(value, 10, 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}

// resident returns the server's resident memory, in MiB.
func (r *run) resident() int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.server.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, _ := strconv.ParseInt(strings.Fields(rest + " 0")[0], 10, 64)
	return kib >> 10
}
