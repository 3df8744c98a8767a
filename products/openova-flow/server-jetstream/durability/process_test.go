package durability

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/internal/natstest"
)

// testTimeout is how long a test waits for an expected state or answer before it fails.
const testTimeout = 90 * time.Second

func TestMain(m *testing.M) { natstest.Main(m) }

var build = natstest.Program("../cmd/openova-flow-server-jetstream")

// process is the real server as a separate process that a test can stop and start again.
type process struct {
	t     testing.TB
	build func() (string, error)
	args  []string
	env   []string
	addr  string
	cmd   *exec.Cmd
	ended chan struct{} // closed when cmd has ended
	log   *lockedBuffer
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer // not embedded: its ReadFrom would bypass the lock
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newProcess(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	if _, err := build(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, build: build, args: args, env: env, addr: fmt.Sprintf("127.0.0.1:%d", natstest.FreePort(t)), log: new(lockedBuffer)}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("log of the server:\n%s", p.log.String())
		}
	})
	return p
}

func (p *process) start() {
	p.t.Helper()
	program, err := p.build()
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd = exec.Command(program, append([]string{"--listen-addr=" + p.addr, "--drain-delay=0s"}, p.args...)...)
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	cmd, ended := p.cmd, make(chan struct{})
	p.ended = ended
	go func() { _ = cmd.Wait(); close(ended) }()
}

// kill sends SIGKILL and waits for the end.
func (p *process) kill() { p.end(syscall.SIGKILL) }

// stop sends SIGTERM and waits for the end.
func (p *process) stop() { p.end(syscall.SIGTERM) }

func (p *process) end(s syscall.Signal) {
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s)
		<-p.ended
		p.cmd = nil
	}
}

func (p *process) url(path string) string { return "http://" + p.addr + path }

func (p *process) ready() {
	p.t.Helper()
	for end := time.Now().Add(testTimeout); ; time.Sleep(5 * time.Millisecond) {
		resp, err := http.Get(p.url("/readyz"))
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(end) {
			p.t.Fatalf("not ready: %v\n%s", err, p.log.String())
		}
	}
}

func get(t testing.TB, url string) (string, http.Header) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %v %s", url, resp.Status, err, body)
	}
	return strings.TrimSpace(string(body)), resp.Header
}
