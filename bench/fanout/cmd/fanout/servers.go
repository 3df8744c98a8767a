//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/openova-io/openova/bench/fanout/free"
	"github.com/openova-io/openova/bench/fanout/load"
)

const (
	limit    = "limit"
	floor    = "floor" // only on request, and only for the scenario idle
	plain    = "plain"
	portable = "portable"
	fast     = "fast"
)

// serverModule is the folder of the server's module, relative to this module.
const serverModule = "../../products/openova-flow/server"

const startWithin = 10 * time.Second

type server struct {
	name    string
	binary  string
	env     []string
	ours    bool // a build of the flow server
	resumes bool // has resume and a stream of all flows
	silent  bool // accepts streams but delivers no messages
	args    func(addr string) []string
}

// build builds the named servers, by default all that deliver messages. also lists existing builds as name=binary.
func build(ctx context.Context, dir string, named, also []string) ([]server, error) {
	listen := func(addr string) []string { return []string{"-listen", addr} }
	ours := func(name, binary, mode string) server {
		return server{name: name, binary: binary, ours: true, resumes: true,
			env:  []string{"FLOW_SERVER_STREAM_MODE=" + mode, "FLOW_SERVER_LOG_LEVEL=warn", "FLOW_SERVER_MAX_SUBSCRIBERS=100000"},
			args: func(addr string) []string { return []string{"--listen-addr", addr} }}
	}
	binary := func(name string) string { return filepath.Join(dir, name) }
	all := []server{
		{name: limit, binary: binary("limit"), args: listen},
		{name: floor, binary: binary("floor"), args: listen, silent: true},
		{name: plain, binary: binary("plain"), args: listen, resumes: true},
		ours(portable, binary("openova-flow-server"), "portable"),
		ours(fast, binary("openova-flow-server"), "auto"),
	}
	for _, name := range named {
		if !slices.ContainsFunc(all, func(s server) bool { return s.name == name }) {
			return nil, fmt.Errorf("unknown server %q; allowed: limit, floor, plain, portable, fast", name)
		}
	}
	all = slices.DeleteFunc(all, func(s server) bool {
		if len(named) == 0 {
			return s.silent
		}
		return !slices.Contains(named, s.name)
	})
	for _, a := range also {
		name, path, ok := strings.Cut(a, "=")
		if !ok {
			return nil, fmt.Errorf("invalid -also %q; allowed: name=binary", a)
		}
		all = append(all, ours(name, path, "auto"))
	}
	for _, b := range []struct{ in, what string }{{".", "./limit"}, {".", "./floor"}, {".", "./plain"}, {serverModule, "./cmd/openova-flow-server"}} {
		if !slices.ContainsFunc(all, func(s server) bool { return filepath.Base(s.binary) == filepath.Base(b.what) }) {
			continue
		}
		if err := goBuild(ctx, b.in, dir, b.what); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func goBuild(ctx context.Context, in, to, what string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", to+string(filepath.Separator), what)
	cmd.Dir = in
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s in %s: %w\n%s", what, in, err, out)
	}
	return nil
}

func runOne(ctx context.Context, s server, what load.Scenario) (load.Result, error) {
	p, err := start(ctx, s)
	if err != nil {
		return load.Result{}, err
	}
	defer p.kill()
	return load.Run(load.Server{Addr: p.addr, PID: p.cmd.Process.Pid}, what)
}

type process struct {
	cmd  *exec.Cmd
	addr string
	done chan error
}

func start(ctx context.Context, s server) (*process, error) {
	addr, err := free.Addr()
	if err != nil {
		return nil, err
	}
	p := &process{addr: addr, cmd: exec.CommandContext(ctx, s.binary, s.args(addr)...), done: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), s.env...)
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.binary, err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	for deadline := time.Now().Add(startWithin); ; {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return p, conn.Close()
		}
		select {
		case <-p.done:
			return nil, fmt.Errorf("%s ended before it accepted connections: %s", s.binary, p.cmd.ProcessState)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.kill()
			return nil, fmt.Errorf("%s does not accept connections at %s: %w", s.binary, addr, err)
		}
	}
}

// kill ends the process without waiting for its connections.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// end asks the process to end and waits for it.
func (p *process) end() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return <-p.done
}
