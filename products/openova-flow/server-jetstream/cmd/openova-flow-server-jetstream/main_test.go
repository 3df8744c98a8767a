package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

var update = flag.Bool("update", false, "update the table in docs/configuration.md")

const testTimeout = 60 * time.Second

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestRun_BadSettingsNameTheVariable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	spoiled := t.TempDir()
	if err := os.WriteFile(filepath.Join(spoiled, "jetstream"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		env  []string
		want string // the variable, with its value if the message has that
	}{
		{nil, "FLOW_SERVER_DATA_DIR"},
		{[]string{"NATS_URL", "nats-0"}, `invalid NATS_URL "nats-0"`},
		{[]string{"NATS_URL", "http://nats-0:4222"}, `invalid NATS_URL "http://nats-0:4222"`},
		{[]string{"NATS_URL", "nats://nats-1:4222,nats://me:sec/ret@nats-0:4222"}, `invalid NATS_URL: `},
		{[]string{"NATS_CREDS_FILE", "/not/there"}, `invalid NATS_CREDS_FILE "/not/there"`},
		{[]string{"NATS_URL", "nats://127.0.0.1:1", "NATS_USER", "me"}, "NATS_PASSWORD_FILE"},
		{[]string{"NATS_URL", "nats://127.0.0.1:1", "NATS_CERT_FILE", file}, "NATS_KEY_FILE"},
		{[]string{"NATS_URL", "nats://127.0.0.1:1", "NATS_USER", "me", "NATS_PASSWORD_FILE", file, "NATS_TOKEN_FILE", file}, "NATS_TOKEN_FILE"},
		{[]string{"FLOW_SERVER_DATA_DIR", t.TempDir(), "NATS_TOKEN_FILE", file}, "NATS_URL"},
		{[]string{"FLOW_SERVER_DATA_DIR", t.TempDir(), "FLOW_SERVER_STREAM_REPLICAS", "3"}, "FLOW_SERVER_STREAM_REPLICAS is 3"},
		{[]string{"FLOW_SERVER_STREAM_REPLICAS", "2"}, `invalid FLOW_SERVER_STREAM_REPLICAS "2"`},
		{[]string{"FLOW_SERVER_STREAM_REPLICAS", "-"}, `invalid FLOW_SERVER_STREAM_REPLICAS "-"`},
		{[]string{"FLOW_SERVER_STREAM_REPLICAS", "-1"}, `invalid FLOW_SERVER_STREAM_REPLICAS "-1"`},
		{[]string{"FLOW_SERVER_STREAM_NAME", "a.b"}, `invalid FLOW_SERVER_STREAM_NAME "a.b"`},
		{[]string{"FLOW_SERVER_SYNC", "never"}, `invalid FLOW_SERVER_SYNC "never"`},
		{[]string{"FLOW_SERVER_DATA_DIR", t.TempDir(), "FLOW_SERVER_STATE_FILE", filepath.Join(t.TempDir(), "state")}, "FLOW_SERVER_STATE_FILE"},
		{[]string{"FLOW_SERVER_DATA_DIR", filepath.Join(file, "below")}, "FLOW_SERVER_DATA_DIR"},
		{[]string{"FLOW_SERVER_DATA_DIR", spoiled}, "FLOW_SERVER_DATA_DIR"},
	} {
		err := server().Run(t.Context(), []string{"--listen-addr=127.0.0.1:0"}, env(tt.env...), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v, want %s", tt.env, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "sec/ret") {
			t.Errorf("the error contains a secret: %v", err)
		}
	}
}

// TestDocs_Table compares the table in docs/configuration.md with the settings.
func TestDocs_Table(t *testing.T) {
	const path, begin, end = "../../../../../docs/configuration.md", "<!-- jetstream-config -->\n", "<!-- /jetstream-config -->"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| Variable | Flag | Default | Description | Allowed values |\n|---|---|---|---|---|\n")
	var c config
	for _, s := range c.settings() {
		def := ""
		if s.Default != "" {
			def = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `--%s` | %s | %s | %s |\n", s.Env, s.Flag(), def, s.Help, s.Allowed)
	}
	before, rest, ok1 := bytes.Cut(text, []byte(begin))
	table, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok1 || !ok2 {
		t.Fatal("docs/configuration.md lacks the markers of the table")
	}
	if string(table) == b.String() {
		return
	}
	if !*update {
		t.Fatal("the table in docs/configuration.md is outdated; run go test ./cmd/openova-flow-server-jetstream -run Docs -update")
	}
	if err := os.WriteFile(path, []byte(string(before)+begin+b.String()+end+string(after)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// output collects a log. It may be read while it is written.
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

// launch runs the program until stop, and returns its URL when it is ready.
func launch(t *testing.T, args ...string) (url string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	var log output
	started := regexp.MustCompile(`url=(http://[^/]+)/`)
	go func() {
		done <- server().Run(ctx, append([]string{"--listen-addr=127.0.0.1:0", "--drain-delay=0s"}, args...), env(), io.Discard, &log)
	}()
	t.Cleanup(cancel)
	for end := time.Now().Add(testTimeout); ; time.Sleep(5 * time.Millisecond) {
		if m := started.FindStringSubmatch(log.String()); m != nil {
			if resp, err := http.Get(m[1] + "/readyz"); err == nil {
				resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					return m[1], func() error { cancel(); return <-done }
				}
			}
		}
		select {
		case err := <-done:
			t.Fatalf("the server ended: %v", err)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("timeout waiting for /readyz: %s", log.String())
		}
	}
}

func TestOptions_LogEachOutageOnce(t *testing.T) {
	var log output
	var o nats.Options
	for _, set := range new(config).options(slog.New(slog.NewTextHandler(&log, nil))) {
		if err := set(&o); err != nil {
			t.Fatal(err)
		}
	}
	for outage := 1; outage <= 2; outage++ {
		for range 3 {
			o.ReconnectErrCB(&nats.Conn{}, nats.ErrNoServers)
		}
		if n := strings.Count(log.String(), nats.ErrNoServers.Error()); n != outage {
			t.Errorf("%d lines after %d outages: %s", n, outage, log.String())
		}
		o.ReconnectedCB(&nats.Conn{})
	}
}

func TestRun_DataDirIsLockedAndKeepsFlows(t *testing.T) {
	dir := t.TempDir()
	url, stop := launch(t, "--data-dir="+dir, "--sync=1m")
	resp, err := http.Post(url+"/v1/flows/F/events", "application/json", strings.NewReader(`{"type":"upsert-nodes","nodes":[{"id":"a","flowId":"F","label":"l","status":"x"}]}`))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	for range 2 {
		err = server().Run(t.Context(), []string{"--listen-addr=127.0.0.1:0", "--data-dir=" + dir}, env(), io.Discard, io.Discard)
		if !errors.Is(err, errLocked) {
			t.Errorf("a second server: %v, want errLocked", err)
		}
		_ = os.Remove(filepath.Join(dir, "lock")) // must not unlock the directory; fails where open files cannot be removed
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	url, stop = launch(t, "--data-dir="+dir, "--sync=1m")
	again, err := http.Get(url + "/v1/flows/F/snapshot")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Body.Close()
	if again.StatusCode != http.StatusOK || again.Header.Get("Flow-Incarnation") != resp.Header.Get("Flow-Incarnation") {
		t.Errorf("%s, incarnation %s, was %s", again.Status, again.Header.Get("Flow-Incarnation"), resp.Header.Get("Flow-Incarnation"))
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
