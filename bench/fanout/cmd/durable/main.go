//go:build linux

// Command durable compares the server on NATS JetStream with the server in memory, and prints a table. It starts new servers for each scenario. With several
// replicas it runs the scenario on all of them at the same time, each on a flow of its own.
package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/openova-io/openova/bench/fanout/free"
	"github.com/openova-io/openova/bench/fanout/load"
)

var (
	memory    = flag.String("memory", "../../bin/openova-flow-server", "path of the server in memory")
	jetstream = flag.String("jetstream", "../../bin/openova-flow-server-jetstream", "path of the server on JetStream")
	nats      = flag.String("nats", "../../bin/nats-server", "path of the NATS server")
	seconds   = flag.Int("seconds", 5, "approximate duration of each scenario, in seconds")
)

// setup is a group of servers that are measured together.
type setup struct {
	name     string
	program  *string
	args     []string
	dir      bool // with a data directory
	nodes    int  // number of NATS servers
	replicas int
}

var setups = []setup{
	{name: "in memory", program: memory, replicas: 1},
	{name: "embedded, synced always", program: jetstream, dir: true, replicas: 1},
	{name: "embedded, synced every 10 s", program: jetstream, dir: true, args: []string{"--sync=10s"}, replicas: 1},
	{name: "3 NATS servers, 1 replica", program: jetstream, args: []string{"--stream-replicas=3"}, nodes: 3, replicas: 1},
	{name: "3 NATS servers, 2 replicas", program: jetstream, args: []string{"--stream-replicas=3"}, nodes: 3, replicas: 2},
	{name: "3 NATS servers, 3 replicas", program: jetstream, args: []string{"--stream-replicas=3"}, nodes: 3, replicas: 3},
}

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "durable: "+err.Error())
		os.Exit(1)
	}
}

func run() error {
	within := time.Duration(*seconds) * time.Second
	scenarios := []load.Scenario{
		{Kind: load.Fanout, Publishers: 16, Messages: 200_000, Warm: 200, Within: within},
		{Kind: load.Fanout, Publishers: 8, Readers: 200, Messages: 200_000, Warm: 50, Within: within},
		{Kind: load.Fanout, Publishers: 1, Readers: 200, Messages: 20 * *seconds, Warm: 20, Rate: 20},
	}
	fmt.Println("| | POST/s, 16 publishers each, no subscribers | deliveries/s, 8 publishers to 200 each | at 20 a second to 200 each: POST p50 ms | p99 ms | delivery p50 ms | p99 ms |")
	fmt.Println("|---|---|---|---|---|---|---|")
	for _, s := range setups {
		row := "| " + s.name
		for i, scenario := range scenarios {
			results, err := s.measure(scenario)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			row += " | " + cells(i, results)
		}
		fmt.Println(row + " |")
	}
	return nil
}

func cells(scenario int, results []load.Result) string {
	var posted, delivered float64
	var worst load.Result
	for _, r := range results {
		posted += float64(r.Accepted) / r.PublishSeconds
		delivered += float64(r.Delivered) / r.DeliverSeconds
		worst.PublishP50, worst.PublishP99 = max(worst.PublishP50, r.PublishP50), max(worst.PublishP99, r.PublishP99)
		worst.P50, worst.P99 = max(worst.P50, r.P50), max(worst.P99, r.P99)
	}
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/1e6) }
	switch scenario {
	case 0:
		return fmt.Sprintf("%.0f", posted)
	case 1:
		return fmt.Sprintf("%.0f", delivered)
	}
	return strings.Join([]string{ms(worst.PublishP50), ms(worst.PublishP99), ms(worst.P50), ms(worst.P99)}, " | ")
}

// measure starts a setup, runs a scenario on each replica, and stops the setup.
func (s setup) measure(scenario load.Scenario) ([]load.Result, error) {
	dir, err := os.MkdirTemp("", "durable")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var started []*exec.Cmd
	defer func() {
		for _, c := range started {
			_ = c.Process.Signal(syscall.SIGKILL)
			_ = c.Wait()
		}
	}()
	start := func(program string, args ...string) error {
		c := exec.Command(program, args...)
		log, err := os.Create(filepath.Join(dir, fmt.Sprintf("%d.log", len(started))))
		if err != nil {
			return err
		}
		defer log.Close()
		c.Stderr = log
		if err := c.Start(); err != nil {
			return err
		}
		started = append(started, c)
		return nil
	}
	args := s.args
	if s.dir {
		args = append(args, "--data-dir="+filepath.Join(dir, "data"))
	}
	if s.nodes > 0 {
		urls, err := cluster(dir, s.nodes, start)
		if err != nil {
			return nil, err
		}
		args = append(args, "--nats-url="+urls)
	}
	servers := make([]load.Server, s.replicas)
	for i := range servers {
		addr, err := free.Addr()
		if err != nil {
			return nil, err
		}
		servers[i] = load.Server{Addr: addr, Flow: fmt.Sprint("bench-", i)}
		if err := start(*s.program, append([]string{"--listen-addr=" + servers[i].Addr}, args...)...); err != nil {
			return nil, err
		}
		servers[i].PID = started[len(started)-1].Process.Pid
	}
	for _, server := range servers {
		if err := ready(server.Addr); err != nil {
			return nil, fmt.Errorf("%w\n%s", err, lastLines(dir))
		}
	}
	results, failures := make([]load.Result, len(servers)), make([]error, len(servers))
	var wg sync.WaitGroup
	for i, server := range servers {
		wg.Go(func() {
			results[i], failures[i] = load.Run(server, scenario)
			if wrong := results[i].Wrong(); failures[i] == nil && wrong != "" {
				failures[i] = fmt.Errorf("faults of the server: %s", wrong)
			}
		})
	}
	wg.Wait()
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	return results, nil
}

// lastLines returns the ends of all logs in dir.
func lastLines(dir string) string {
	var all strings.Builder
	logs, _ := filepath.Glob(filepath.Join(dir, "*.log")) // the pattern is valid
	for _, name := range logs {
		text, _ := os.ReadFile(name)
		fmt.Fprintf(&all, "%s: %s\n", filepath.Base(name), text[max(0, len(text)-1000):])
	}
	return all.String()
}

func cluster(dir string, n int, start func(string, ...string) error) (urls string, err error) {
	var clients, peers, routes []string
	for range n {
		client, err := free.Addr()
		if err != nil {
			return "", err
		}
		peer, err := free.Addr()
		if err != nil {
			return "", err
		}
		clients, peers, routes = append(clients, client), append(peers, peer), append(routes, "nats://"+peer)
	}
	for i := range n {
		conf := filepath.Join(dir, fmt.Sprintf("n%d.conf", i))
		text := fmt.Sprintf("server_name: n%d\nlisten: %q\njetstream { store_dir: %q }\ncluster { name: bench, listen: %q, routes: [%s] }\n",
			i, clients[i], filepath.Join(dir, fmt.Sprint("n", i)), peers[i], strings.Join(routes, ", "))
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			return "", err
		}
		if err := start(*nats, "-c", conf); err != nil {
			return "", err
		}
	}
	return "nats://" + strings.Join(clients, ",nats://"), nil
}

func ready(addr string) error {
	var last error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + addr + "/readyz")
		if err != nil {
			last = err
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
		last = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return fmt.Errorf("%s is not ready: %w", addr, last)
}
