package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/app"
	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/relay/internal/standin"
	server "github.com/openova-io/openova/products/openova-flow/server/app"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/pipenet"
)

const golden = "../../adapter-flux/testdata/golden/"

// stage is a server, the services of the relay, and the relay, with fake time.
type stage struct {
	t        *testing.T
	dir      string
	mu       sync.Mutex // guards hosts, handlers, isCut and conns
	hosts    map[string]*pipenet.Listener
	handlers map[string]http.Handler // of the services
	client   *http.Client
	own      *http.Client // from the relay to the server
	isCut    bool         // own cannot connect
	conns    []net.Conn   // of own
	limits   hub.Config   // of the server
	hook     *standin.Webhook
	alerts   *standin.Alertmanager
	slack    *standin.Slack
	github   *standin.GitHub
	traces   *standin.Collector
	log      *logBuffer
	queue    int

	stopServer func()
	stop       []func()
}

const channels = `
server: {url: "http://localhost"}
page: https://flow.example.com/
channels:
  hook: {webhook: {url: "http://hook/", secretFile: DIR/secret}}
  alerts: {alertmanager: {urls: ["http://alerts"], labels: {team: platform}}}
  team: {slack: {channel: C0123456789, tokenFile: DIR/token, apiURL: "http://slack/api/"}}
  traces: {otel: {url: "http://collector", protocol: http}}
  commits: {github: {apiURL: "http://github/", tokenFile: DIR/token, repositories: [{name: acme/fleet, sources: ["https://github.com/acme/fleet", "http://127.0.0.1:18420/git/fleet"]}]}}
`

func newStage(t *testing.T, start time.Time) *stage {
	s := &stage{t: t, dir: t.TempDir(), hosts: make(map[string]*pipenet.Listener), log: new(logBuffer),
		hook: &standin.Webhook{Secret: "open sesame"}, alerts: &standin.Alertmanager{}, slack: &standin.Slack{Token: "xoxb-1", Channel: "C0123456789"}, github: &standin.GitHub{Token: "xoxb-1", Repo: "acme/fleet"}, traces: &standin.Collector{}}
	time.Sleep(time.Until(start))
	transport := &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
		host, _, _ := net.SplitHostPort(addr)
		if l := s.host(host); l != nil {
			return l.Dial(ctx, "", "")
		}
		return nil, fmt.Errorf("no host %s", host)
	}}
	s.client = &http.Client{Transport: transport}
	own := &http.Transport{DialContext: s.dialOwn}
	s.own = &http.Client{Transport: own}
	s.stop = append(s.stop, transport.CloseIdleConnections, own.CloseIdleConnections)
	for _, host := range []string{"localhost", "hook", "alerts", "slack", "github", "collector"} {
		s.hosts[host] = pipenet.Listen()
	}
	s.serve()
	s.handlers = map[string]http.Handler{"hook": s.hook, "alerts": s.alerts, "slack": s.slack, "github": s.github, "collector": s.traces}
	for host := range s.handlers {
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			h := s.handlers[host]
			s.mu.Unlock()
			h.ServeHTTP(w, r)
		})}
		listener := s.hosts[host]
		go func() { _ = srv.Serve(listener) }()
		s.stop = append(s.stop, func() { _ = srv.Close() })
	}
	s.write("secret", s.hook.Secret)
	s.write("token", s.slack.Token)
	return s
}

// dialOwn connects the relay to the server.
func (s *stage) dialOwn(ctx context.Context, _, _ string) (net.Conn, error) {
	l := s.host("localhost")
	s.mu.Lock()
	isCut := s.isCut
	s.mu.Unlock()
	if isCut {
		return nil, errors.New("network is unreachable")
	}
	c, err := l.Dial(ctx, "", "")
	if err == nil {
		s.mu.Lock()
		s.conns = append(s.conns, c)
		s.mu.Unlock()
	}
	return c, err
}

// cut(true) disconnects the relay from the server; cut(false) lets it connect again.
func (s *stage) cut(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isCut = yes
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

// handle replaces what a service does.
func (s *stage) handle(host string, h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers[host] = h
}

// serve starts a server that has no flows.
func (s *stage) serve() {
	listener, config := s.hosts["localhost"], server.Config{Hub: s.limits, Logger: slog.New(slog.DiscardHandler)}
	s.stopServer = s.background(func(ctx context.Context) {
		if err := server.Serve(ctx, listener, config); err != nil {
			s.t.Error(err)
		}
	})
}

// restartServer replaces the server by one that has no flows.
func (s *stage) restartServer() {
	s.stopServer()
	s.mu.Lock()
	s.hosts["localhost"] = pipenet.Listen()
	s.mu.Unlock()
	s.serve()
}

func (s *stage) host(name string) *pipenet.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hosts[name]
}

func (s *stage) write(name, text string) {
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// background runs f until the stage is closed, or the returned function is called.
func (s *stage) background(f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f(ctx) }()
	stop = func() { cancel(); <-done }
	s.stop = append(s.stop, stop)
	return stop
}

// configure writes the configuration of the relay.
func (s *stage) configure(rules string) {
	s.write("relay.yaml", strings.ReplaceAll(channels, "DIR", s.dir)+rules)
}

// relay starts a relay with rules, and returns a function that stops it.
func (s *stage) relay(rules string) (stop func()) {
	s.configure(rules)
	return s.background(func(ctx context.Context) {
		err := app.Run(ctx, app.Config{File: filepath.Join(s.dir, "relay.yaml"), Outbox: filepath.Join(s.dir, "relay.db"), Queue: s.queue, Server: s.own, Channels: &http.Client{Transport: channel.Guard(s.client.Transport)},
			Log: slog.New(slog.NewTextHandler(s.log, nil))})
		if err != nil {
			s.t.Error(err)
		}
	})
}

// close stops everything, the last first, and reports the faults that the services have found.
func (s *stage) close() {
	for _, stop := range slices.Backward(s.stop) {
		stop()
	}
	for name, faults := range map[string][]string{"webhook": s.hook.Faults(), "alertmanager": s.alerts.Faults(), "slack": s.slack.Faults(), "github": s.github.Faults(), "collector": s.traces.Faults()} {
		for _, f := range faults {
			s.t.Errorf("%s: %s", name, f)
		}
	}
	if s.t.Failed() {
		s.t.Log(s.log.String())
	}
}

// logBuffer is a bytes.Buffer for any goroutine.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type recorded struct {
	At      int64
	Message json.RawMessage
}

// recording returns the messages of recordings, by time.
func recording(t *testing.T, names ...string) (all []recorded) {
	t.Helper()
	for _, name := range names {
		f, err := os.Open(golden + name + ".events.jsonl")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		in := bufio.NewScanner(f)
		in.Buffer(nil, 1<<20)
		for in.Scan() {
			var r recorded
			if err := json.Unmarshal(in.Bytes(), &r); err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
		if err := in.Err(); err != nil {
			t.Fatal(err)
		}
	}
	slices.SortStableFunc(all, func(a, b recorded) int { return int(a.At - b.At) })
	return all
}

// play posts messages at the instants at which they were recorded.
func (s *stage) play(messages []recorded) {
	for _, r := range messages {
		time.Sleep(time.Until(time.UnixMilli(r.At)))
		s.post(string(r.Message))
	}
}

// postBatch posts a message that has several lines.
func (s *stage) postBatch(message string) { s.post(strings.ReplaceAll(message, "\n", "")) }

func (s *stage) post(message string) {
	s.t.Helper()
	resp, err := s.client.Post("http://localhost/v1/flows/bootstrap/events", "application/json", strings.NewReader(message))
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		s.t.Fatal(resp.Status)
	}
}

// inBubble runs a test with fake time.
func inBubble(t *testing.T, start time.Time, f func(s *stage)) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, start)
		defer s.close()
		f(s)
	})
}

// phasesByObject returns the phases of the webhook's notices by object, or by kind if a notice has no object. Updates in a row count as one.
func phasesByObject(s *stage) map[string]string {
	all := make(map[string]string)
	for _, n := range s.hook.Received() {
		name := n.Object
		if name == "" {
			name = string(n.Kind)
		}
		switch {
		case n.Phase == "updated" && strings.HasSuffix(all[name], "updated"):
		case all[name] == "":
			all[name] = string(n.Phase)
		default:
			all[name] += " " + string(n.Phase)
		}
	}
	return all
}
