package monitoring

import (
	"bytes"
	"encoding/json"
	"net"
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

const (
	products   = "../../products/openova-flow/"
	recordings = products + "adapter-flux/testdata/recordings/"
	cases      = products + "adapter-flux/testdata/cases/"
)

// parts are the programs, by name: the folder or module with the package of each, the package, and its tags. Modules with a version are built on their own,
// with the library versions of their release, since they need other versions than Prometheus.
var parts = map[string]struct{ from, pkg, tags string }{
	"openova-flow-server":       {products + "server", "./cmd/openova-flow-server", ""},
	"openova-flow-adapter-flux": {products + "adapter-flux", "./cmd/openova-flow-adapter-flux", ""},
	"openova-flow-relay":        {products + "relay", "./cmd/openova-flow-relay", ""},
	"prometheus":                {".", "github.com/prometheus/prometheus/cmd/prometheus", "remove_all_sd"}, // static targets remain
	"alertmanager":              {"github.com/prometheus/alertmanager@v0.35.0", "./cmd/alertmanager", ""},
	"jaeger":                    {"github.com/jaegertracing/jaeger@v1.76.0", "./cmd/all-in-one", ""},
}

type stage struct {
	*testing.T
	dir      string // of binaries, configurations and data
	server   string // address of the flow server
	overGRPC jaeger // gets traces over gRPC
	overHTTP jaeger // gets the same traces over HTTP
}

func (s *stage) build(name string) {
	s.Helper()
	p := parts[name]
	begin := time.Now()
	cmd := exec.Command("go", "build", "-tags", p.tags, "-o", filepath.Join(s.dir, name), p.pkg)
	cmd.Dir = p.from
	if strings.Contains(p.from, "@") {
		cmd.Dir = s.download(p.from)
	}
	if name == "alertmanager" {
		cmd.Dir = s.withPage(cmd.Dir)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Fatalf("build %s: %v\n%s", name, err, out)
	}
	s.Logf("%s built in %v", name, time.Since(begin).Round(time.Second))
}

func (s *stage) download(module string) string {
	s.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Dir = s.dir
	out, err := cmd.Output()
	var downloaded struct{ Dir string }
	if err == nil {
		err = json.Unmarshal(out, &downloaded)
	}
	if err != nil {
		s.Fatal(err, string(out))
	}
	return downloaded.Dir
}

// withPage returns the folder of a copy of Alertmanager with an empty page: Alertmanager embeds a page that its module does not contain.
func (s *stage) withPage(module string) string {
	s.Helper()
	source := filepath.Join(s.dir, "alertmanager.source")
	dist := filepath.Join(source, "ui/app/dist")
	if err := os.CopyFS(source, os.DirFS(module)); err != nil {
		s.Fatal(err)
	}
	if err := os.Mkdir(dist, 0o755); err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dist, "index.html"), nil, 0o644); err != nil {
		s.Fatal(err)
	}
	return source
}

func (s *stage) write(name, text string) string {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

type process struct {
	*exec.Cmd
	out  *output
	done chan struct{}
}

type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start runs a part until the test ends. The end of its log is printed if the test fails.
func (s *stage) start(env []string, name string, args ...string) *process {
	s.Helper()
	p := &process{Cmd: exec.Command(filepath.Join(s.dir, name), args...), out: new(output), done: make(chan struct{})}
	p.Env = append(os.Environ(), env...)
	p.Stdout, p.Stderr = p.out, p.out
	if err := p.Start(); err != nil {
		s.Fatal(err)
	}
	go func() { defer close(p.done); _ = p.Wait() }()
	s.Cleanup(func() {
		p.stop()
		if s.Failed() {
			s.Logf("%s %s:\n%s", name, strings.Join(args, " "), last(p.out.String(), 6000))
		}
	})
	return p
}

// stop ends a process, by force if it does not end within 10 s.
func (p *process) stop() {
	_ = p.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.kill()
	}
}

func (p *process) kill() {
	_ = p.Process.Kill()
	<-p.done
}

func last(text string, n int) string { return text[max(0, len(text)-n):] }

func (s *stage) free() string {
	s.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *stage) until(what string, most time.Duration, ok func() bool) {
	s.Helper()
	for end := time.Now().Add(most); !ok(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("not after %v: %s", most, what)
		}
	}
}

// answers waits until GET url answers 200.
func (s *stage) answers(url string) {
	s.Helper()
	s.until(url+" answers", 30*time.Second, func() bool {
		resp, err := http.Get(url)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}
