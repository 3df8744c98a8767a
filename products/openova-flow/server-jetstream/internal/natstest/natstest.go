// Package natstest runs NATS servers as processes of their own, for tests.
package natstest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// Cluster is a cluster of NATS servers with JetStream.
type Cluster struct {
	t     testing.TB
	dir   string
	extra string // further lines of each server's configuration
	nodes []*node
	wires map[[2]int]*Wire // from the first node to the second; nil: direct routes
}

type node struct {
	client, route int
	mu            sync.Mutex
	cmd           *exec.Cmd
}

var scratch = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "natstest") })

// Scratch returns a new directory that Main removes.
func Scratch() (string, error) {
	root, err := scratch()
	if err != nil {
		return "", err
	}
	return os.MkdirTemp(root, "")
}

// Main runs a package's tests and then removes the directories of Scratch. It does not return.
func Main(m *testing.M) {
	code := m.Run()
	if root, err := scratch(); err == nil {
		_ = os.RemoveAll(root)
	}
	os.Exit(code)
}

// Program returns a function that builds a Go program on its first call and returns its path. The package's TestMain must call Main.
func Program(pkg string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		dir, err := Scratch()
		if err != nil {
			return "", err
		}
		program := filepath.Join(dir, "program")
		build := exec.Command("go", "build", "-trimpath", "-o", program, pkg)
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // like a release
		if out, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w: %s", pkg, err, out)
		}
		return program, nil
	})
}

var build = Program("github.com/nats-io/nats-server/v2")

// Start starts n servers and waits until JetStream accepts requests. The test's end stops them.
func Start(t testing.TB, n int) *Cluster {
	t.Helper()
	c := StartWith(t, n, "")
	c.awaitLeader()
	return c
}

// StartWith starts n servers with extra lines of configuration, and does not wait for them.
func StartWith(t testing.TB, n int, extra string) *Cluster {
	t.Helper()
	if _, err := build(); err != nil {
		t.Fatal(err)
	}
	c := &Cluster{t: t, dir: t.TempDir(), extra: extra}
	for range n {
		c.nodes = append(c.nodes, &node{client: FreePort(t), route: FreePort(t)})
	}
	c.startAll()
	return c
}

// StartRouted is Start with a Wire in each route, for Cut and Stall.
func StartRouted(t testing.TB, n int) *Cluster {
	t.Helper()
	if _, err := build(); err != nil {
		t.Fatal(err)
	}
	c := &Cluster{t: t, dir: t.TempDir(), wires: make(map[[2]int]*Wire)}
	for range n {
		c.nodes = append(c.nodes, &node{client: FreePort(t), route: FreePort(t)})
	}
	for i := range n {
		for j := range n {
			if i != j {
				c.wires[[2]int{i, j}] = NewWire(t, fmt.Sprintf("127.0.0.1:%d", c.nodes[j].route))
			}
		}
	}
	c.startAll()
	c.awaitLeader()
	return c
}

func (c *Cluster) startAll() {
	c.t.Helper()
	c.t.Cleanup(func() {
		for i := range c.nodes {
			c.Kill(i)
		}
	})
	for i := range c.nodes {
		c.StartNode(i)
	}
}

// Cut closes the routes between two nodes of StartRouted and rejects new ones if cut is true, and accepts routes again if it is false.
func (c *Cluster) Cut(i, j int, cut bool) {
	c.wires[[2]int{i, j}].Cut(cut)
	c.wires[[2]int{j, i}].Cut(cut)
}

// Stall holds back all bytes from one node of StartRouted to another if stall is true, while their connections stay open. If it is false, bytes flow
// again, and the connections that were stalled are closed.
func (c *Cluster) Stall(from, to int, stall bool) {
	c.wires[[2]int{from, to}].Stall(ToServer, stall)
	c.wires[[2]int{to, from}].Stall(ToClient, stall)
}

// Leader returns the node that leads a stream, -1 if it is unknown.
func (c *Cluster) Leader(conn *nats.Conn, stream string) int {
	answer, err := conn.Request("$JS.API.STREAM.INFO."+stream, nil, 2*time.Second)
	if err != nil {
		return -1
	}
	for i := range c.nodes {
		if strings.Contains(string(answer.Data), fmt.Sprintf(`"leader":"n%d"`, i)) {
			return i
		}
	}
	return -1
}

// lastPort is the counter behind FreePort, with a random start.
var lastPort = func() *atomic.Uint32 { n := new(atomic.Uint32); n.Store(rand.Uint32N(1 << 30)); return n }()

// FreePort returns a free port on loopback, outside of Linux's ephemeral range: the caller listens on it later, and again after a restart.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 20_000 + int(lastPort.Add(1)%12_000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// StartNode starts a server, also after Kill.
func (c *Cluster) StartNode(i int) {
	c.t.Helper()
	var routes []string
	for j, n := range c.nodes {
		if w := c.wires[[2]int{i, j}]; w != nil {
			routes = append(routes, w.URL())
		} else if c.wires == nil {
			routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", n.route))
		}
	}
	cluster, advertise := "", ""
	if c.wires != nil {
		advertise = `advertise: "127.0.0.1:1",` // without this, servers would exchange their addresses in spite of no_advertise, and bypass the wires
	}
	if len(c.nodes) > 1 {
		cluster = fmt.Sprintf("cluster { name: test, no_advertise: true, %s listen: \"127.0.0.1:%d\", routes: [%s] }\n", advertise, c.nodes[i].route, strings.Join(routes, ", "))
	}
	conf := filepath.Join(c.dir, fmt.Sprintf("n%d.conf", i))
	text := fmt.Sprintf("server_name: n%d\nlisten: \"127.0.0.1:%d\"\nclient_advertise: \"127.0.0.1:%d\"\njetstream { store_dir: %q, sync_interval: \"1m\" }\n%s%s\n",
		i, c.nodes[i].client, c.nodes[i].client, filepath.Join(c.dir, fmt.Sprintf("n%d", i)), cluster, c.extra)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	program, _ := build()
	log, err := os.OpenFile(filepath.Join(c.dir, fmt.Sprintf("n%d.log", i)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, "-c", conf)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.nodes[i].mu.Lock()
	c.nodes[i].cmd = cmd
	c.nodes[i].mu.Unlock()
}

// Kill sends SIGKILL to a server and waits for its end. A server that does not run stays so.
func (c *Cluster) Kill(i int) {
	n := c.nodes[i]
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		_ = n.cmd.Process.Signal(syscall.SIGKILL)
		_ = n.cmd.Wait()
		n.cmd = nil
	}
}

// Dir returns the directory of a server's files.
func (c *Cluster) Dir(i int) string { return filepath.Join(c.dir, fmt.Sprintf("n%d", i)) }

// Addr returns the address of a server's client port.
func (c *Cluster) Addr(i int) string { return fmt.Sprintf("127.0.0.1:%d", c.nodes[i].client) }

// URL returns the URLs of all servers, separated by commas.
func (c *Cluster) URL() string {
	var all []string
	for i := range c.nodes {
		all = append(all, "nats://"+c.Addr(i))
	}
	return strings.Join(all, ",")
}

// Connect returns a connection that the test's end closes.
func (c *Cluster) Connect() *nats.Conn {
	c.t.Helper()
	conn, err := nats.Connect(c.URL(), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(conn.Close)
	return conn
}

func (c *Cluster) awaitLeader() {
	c.t.Helper()
	conn := c.Connect()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		answer, err := conn.Request("$JS.API.INFO", nil, time.Second)
		if err == nil && !strings.Contains(string(answer.Data), `"error"`) && len(c.nodes) == 1 {
			return
		}
		if err == nil && !strings.Contains(string(answer.Data), `"error"`) {
			answer, err = conn.Request("$JS.API.STREAM.CREATE.PROBE", fmt.Appendf(nil, `{"name":"PROBE","subjects":["probe"],"num_replicas":%d,"storage":"memory"}`, len(c.nodes)), 2*time.Second)
			if err == nil && !strings.Contains(string(answer.Data), `"error"`) {
				_, _ = conn.Request("$JS.API.STREAM.DELETE.PROBE", nil, 2*time.Second)
				return
			}
		}
		if time.Now().After(end) {
			log, _ := os.ReadFile(filepath.Join(c.dir, "n0.log"))
			c.t.Fatalf("JetStream not available: %v\n%s", err, log)
		}
	}
}
