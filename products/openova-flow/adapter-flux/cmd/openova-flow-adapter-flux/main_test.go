package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// The programs, built by TestMain.
var adapterBinary, serverBinary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "adapter")
	if err != nil {
		panic(err)
	}
	build := exec.Command("go", "build", "-trimpath", "-o", dir+string(filepath.Separator), ".",
		"github.com/openova-io/openova/products/openova-flow/server/cmd/openova-flow-server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // like a release
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		_ = os.RemoveAll(dir)
		os.Exit(1)
	}
	adapterBinary, serverBinary = filepath.Join(dir, "openova-flow-adapter-flux"), filepath.Join(dir, "openova-flow-server")
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

type process struct {
	cmd     *exec.Cmd
	out     *output
	ended   chan struct{} // closed after the end
	exitErr error         // set when ended is closed
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

// spawn starts a program with only env as its environment. It is killed at the end of the test.
func spawn(t testing.TB, env []string, binary string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary, args...), out: &output{}, ended: make(chan struct{})}
	p.cmd.Env = append([]string{}, env...) // not nil, which would mean the environment of the test
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.exitErr = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// grace is terminationGracePeriodSeconds in the chart: the time after SIGTERM until Kubernetes kills the adapter.
const grace = 15 * time.Second

func (p *process) terminate(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(grace):
		t.Fatalf("still running %v after SIGTERM:\n%s", grace, p.out)
	}
}

func (p *process) wait(t testing.TB) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		t.Fatalf("still running after a minute:\n%s", p.out)
	}
}

var lastPort = func() *atomic.Uint32 { n := new(atomic.Uint32); n.Store(rand.Uint32N(1 << 30)); return n }()

// freeAddr returns a free loopback address. Its port is outside the range that the kernel assigns to connections and to listeners on port 0, so that it stays
// free until it is used, also again after a restart.
func freeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+lastPort.Add(1)%12_000))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// flowServer starts a flow server and returns when it is ready.
func flowServer(t testing.TB, addr string) *process {
	t.Helper()
	p := spawn(t, []string{"FLOW_SERVER_LISTEN_ADDR=" + addr}, serverBinary)
	eventually(t, "the flow server is ready", p.out, func() bool {
		code, _ := get("http://" + addr + "/readyz")
		return code == http.StatusOK
	})
	return p
}

// get returns the status and the body; without a complete answer, 0 and the error.
func get(url string) (int, string) {
	res, err := (&http.Client{Timeout: 5 * time.Second}).Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(body)
}

// snapshot returns the folded state on a server, nil if the answer is not 200.
func snapshot(t testing.TB, addr, flowID string) *flow.Message {
	t.Helper()
	code, body := get("http://" + addr + "/v1/flows/" + flowID + "/snapshot")
	if code != http.StatusOK {
		return nil
	}
	m, err := flow.Decode(flowID, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func statuses(nodes []flow.Node) map[string]string {
	out := map[string]string{}
	for _, n := range nodes {
		out[n.ID] = n.Status
	}
	return out
}

// eventually waits until ok returns true. On a timeout it fails the test and prints state.
func eventually(t testing.TB, what string, state fmt.Stringer, ok func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("timed out waiting for: %s\n%s", what, state)
		}
	}
}

const recordings = "../../testdata/recordings/"

// truth returns the final statuses in a recording, by node id.
func truth(t *testing.T, region, file string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(recordings + file + ".truth.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Name, Ready, Reason string
		Stalled             bool
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	order := []string{"succeeded", "pending", "running", "failed"}
	want, worst := map[string]string{}, 0
	for _, r := range list {
		status := "running"
		switch {
		case r.Ready == "True":
			status = "succeeded"
		case r.Stalled || r.Ready == "False" && slices.Contains([]string{"InstallFailed", "UpgradeFailed", "RetriesExhausted"}, r.Reason):
			status = "failed"
		case r.Ready == "":
			status = "pending"
		}
		want[region+"/"+r.Name] = status
		worst = max(worst, slices.Index(order, status))
	}
	want[region] = order[worst]
	return want
}

func call(t *testing.T, env map[string]string, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs output
	getenv := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	err = run(context.Background(), args, getenv, strings.NewReader(stdin), &out, &errs)
	return out.String(), errs.String(), err
}

func TestVersion_DevelopmentBuildIsNamedAsByTheServer(t *testing.T) {
	if out, _, err := call(t, nil, "", "version"); err != nil || out != "dev\n" {
		t.Errorf("%v: %q", err, out)
	}
}
