package plane

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

// Process is a running program with a log file of its own.
type Process struct {
	Log   string // path
	cmd   *exec.Cmd
	ended chan struct{}
}

// Start starts a program with the environment env; nil: the environment of this process. Its output is appended to the log.
func Start(log string, env []string, program string, args ...string) (*Process, error) {
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return nil, err
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &Process{Log: log, cmd: exec.Command(program, args...), ended: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, out, out
	// Kill the process if the tests are killed.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // the log has the reason
		close(p.ended)
	}()
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended returns a channel that is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Kill sends SIGKILL and returns when the process has ended.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Stop sends SIGTERM and returns when the process has ended. After 20 s it kills the process and returns an
// error.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(20 * time.Second)
	defer timer.Stop()
	select {
	case <-p.ended:
		return nil
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("not ended 20 s after SIGTERM, see %s", p.Log)
	}
}

// tried counts the ports that FreeAddr has tried, from a random start.
var tried = func() *atomic.Uint32 { n := new(atomic.Uint32); n.Store(rand.Uint32N(1 << 30)); return n }()

// FreeAddr returns an unused address on loopback. Its port is outside the kernel's default ephemeral range, so that no outgoing connection takes it before
// the caller listens, or while the listener restarts.
func FreeAddr() (addr string, err error) {
	for range 1000 {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+tried.Add(1)%12_000)); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", fmt.Errorf("1,000 ports are not free: %w", err)
}
