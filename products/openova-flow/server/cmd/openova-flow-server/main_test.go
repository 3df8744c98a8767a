package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/cli"
	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

var update = flag.Bool("update", false, "update the tables of the documentation")

const within = 30 * time.Second

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

func TestParse_ErrorsNameVariableAndValue(t *testing.T) {
	for _, tt := range []struct {
		env  []string
		args []string
		want string
	}{
		{[]string{"FLOW_SERVER_LISTEN_ADDR", "8080"}, nil, `invalid FLOW_SERVER_LISTEN_ADDR "8080"`},
		{[]string{"FLOW_SERVER_LISTEN_ADDR", "a:99999"}, nil, `invalid FLOW_SERVER_LISTEN_ADDR "a:99999"`},
		{[]string{"FLOW_SERVER_RING_CAPACITY", "0"}, nil, `invalid FLOW_SERVER_RING_CAPACITY "0"`},
		{[]string{"FLOW_SERVER_RING_CAPACITY", "4k"}, nil, `invalid FLOW_SERVER_RING_CAPACITY "4k"`},
		{nil, []string{"--ring-capacity=-1"}, `invalid --ring-capacity "-1"`},
		{[]string{"FLOW_SERVER_IDLE_TIMEOUT", "72"}, nil, `invalid FLOW_SERVER_IDLE_TIMEOUT "72"`},
		{[]string{"FLOW_SERVER_LOG_FORMAT", "xml"}, nil, `invalid FLOW_SERVER_LOG_FORMAT "xml"`},
		{[]string{"FLOW_SERVER_LOG_LEVEL", "loud"}, nil, `invalid FLOW_SERVER_LOG_LEVEL "loud"`},
		{[]string{"FLOW_SERVER_BASE_PATH", "sovereign"}, nil, `invalid FLOW_SERVER_BASE_PATH "sovereign"`},
		{[]string{"FLOW_SERVER_TLS_CERT_FILE", "/not/there"}, nil, `invalid FLOW_SERVER_TLS_CERT_FILE "/not/there"`},
		{[]string{"FLOW_SERVER_TLS_CERT_FILE", "main_test.go"}, nil, `FLOW_SERVER_TLS_CERT_FILE and FLOW_SERVER_TLS_KEY_FILE`},
		{[]string{"FLOW_SERVER_MAX_BATCH_BYTES", "2048"}, nil, `FLOW_SERVER_MAX_BATCH_BYTES is 2048; allowed: at least FLOW_SERVER_MAX_MESSAGE_BYTES`},
		{nil, []string{"--listen-addr=:0", "extra"}, `unexpected argument "extra"`},
		{nil, []string{"dance"}, `unknown command "dance"`},
	} {
		err := run(t.Context(), tt.args, env(tt.env...), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v %v: %v, want %s", tt.env, tt.args, err, tt.want)
		}
	}
}

func settingsTable() string {
	var b strings.Builder
	b.WriteString("| Variable | Flag | Default | Description | Allowed values |\n|---|---|---|---|---|\n")
	for _, s := range server().All() {
		def := ""
		if s.Default != "" {
			def = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `--%s` | %s | %s | %s |\n", s.Env, s.Flag(), def, s.Help, s.Allowed)
	}
	return b.String()
}

// metricsTable returns the table for docs/metrics.md, made from the output of /metrics.
func metricsTable(t *testing.T) string {
	w := httptest.NewRecorder()
	httpapi.New(hub.New(hub.Config{}), httpapi.Config{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	table := "| Metric | Type | Description |\n|---|---|---|\n"
	families := regexp.MustCompile(`(?m)^# HELP (\S+) (.*)\n# TYPE \S+ (\S+)$`).FindAllStringSubmatch(w.Body.String(), -1)
	if len(families) < 40 {
		t.Fatalf("%d metrics:\n%s", len(families), w.Body)
	}
	for _, f := range families {
		table += fmt.Sprintf("| `%s` | %s | %s |\n", f[1], f[3], f[2])
	}
	return table
}

// TestDocs_Tables compares the tables of docs/configuration.md and docs/metrics.md with the code.
func TestDocs_Tables(t *testing.T) {
	for name, table := range map[string]string{"configuration": settingsTable(), "metrics": metricsTable(t)} {
		path, section := docs(name+".md"), regexp.MustCompile(`(?s)(<!-- server-\w+ -->\n).*?(<!-- /server-\w+ -->)`)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(section.FindAll(text, -1)); n != 1 {
			t.Fatalf("%s has %d sections", path, n)
		}
		want := section.ReplaceAllString(string(text), "${1}"+strings.ReplaceAll(table, "$", "$$")+"${2}")
		if want == string(text) {
			continue
		}
		if !*update {
			t.Errorf("%s: the table differs from the code; in products/openova-flow/server run go test ./cmd/openova-flow-server -run Docs -update\n%s", path, firstDifference(string(text), want))
			continue
		}
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d: %s\nwant:   %s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

func docs(page string) string { return "../../../../../docs/" + page }

func TestDocs_Links(t *testing.T) {
	root := "../../../../../"
	pages, err := filepath.Glob(root + "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "bench/README.md"} {
		pages = append(pages, root+page)
	}
	anchors := func(page string) []string {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, heading := range regexp.MustCompile("(?m)^#+ (.*)$").FindAllStringSubmatch(string(text), -1) {
			plain := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
			all = append(all, strings.ReplaceAll(plain, " ", "-"))
		}
		return all
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(string(text), -1) {
			path, anchor, _ := strings.Cut(link[1], "#")
			if strings.Contains(path, "://") {
				continue
			}
			to := page
			if path != "" {
				to = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, link[1])
			} else if anchor != "" && !slices.Contains(anchors(to), anchor) {
				t.Errorf("%s links to %s, which has no such heading", page, link[1])
			}
		}
	}
}

// TestDocs_APIExamples runs the examples of docs/api.md with another address. Errors of curl are failures.
func TestDocs_APIExamples(t *testing.T) {
	text, err := os.ReadFile(docs("api.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```sh\n")
	script, _, ok := strings.Cut(rest, "```")
	if !ok || strings.Count(script, "curl ") < 8 {
		t.Fatalf("docs/api.md lacks its examples: %q", script)
	}
	p := launch(t)
	demo := strings.ReplaceAll(`{"type":"upsert-nodes","nodes":[`+nodeJSON("fsn1", "fsn1", "running", "")+`]}`, `"flowId":"F"`, `"flowId":"bootstrap"`)
	resp, err := http.Post(p.url+"/v1/flows/bootstrap/events", "application/json", strings.NewReader(demo))
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	script = strings.ReplaceAll(script, "http://127.0.0.1:8080", p.url)
	// A stream has no end, so curl is expected to time out (28).
	script = strings.ReplaceAll(script, "curl -N", "! curl -fsS -N")
	script = regexp.MustCompile(`(?m)(^|\s)curl (-X|http|')`).ReplaceAllString(script, "${1}curl -fsS ${2}")
	out, err := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	for _, want := range []string{`{"flows":[{"id":"bootstrap"`, `"rollouts":[`, "event: heartbeat", "event: snapshot", `{"seq":`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}

// log collects the log of a server, and can wait for a line.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newLog() *log { return &log{more: make(chan struct{}, 1)} }

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// wait waits until the log matches, and returns the last group of the pattern, or the match if it has no groups.
func (l *log) wait(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.After(within)
	for {
		if m := re.FindStringSubmatch(l.String()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-l.more:
		case <-deadline:
			t.Fatalf("no %s in the log:\n%s", pattern, l)
		}
	}
}

// process is a server that runs in the process of the test.
type process struct {
	t    *testing.T
	log  *log
	url  string
	stop context.CancelFunc
	done chan error
}

func launch(t *testing.T, args ...string) *process {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p := &process{t: t, log: newLog(), stop: stop, done: make(chan error, 1)}
	go func() {
		p.done <- run(ctx, append([]string{"--listen-addr=127.0.0.1:0", "--drain-delay=0s"}, args...), env(), io.Discard, p.log)
	}()
	t.Cleanup(stop)
	p.url = strings.TrimSuffix(p.log.wait(t, `started.* url=(\S+)`), "/")
	return p
}

func (p *process) ended() error {
	p.t.Helper()
	select {
	case err := <-p.done:
		return err
	case <-time.After(within):
		p.t.Fatal("the server does not stop")
		return nil
	}
}

func get(t *testing.T, client *http.Client, url string) (*http.Response, string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestServe_ShutdownEndsStreams(t *testing.T) {
	p := launch(t, "--drain-delay=100ms")
	client := &http.Client{}
	stream, err := client.Get(p.url + "/v1/flows/F/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	if resp, _ := get(t, client, p.url+"/readyz"); resp.StatusCode != 200 {
		t.Fatalf("readyz: %s", resp.Status)
	}
	began := time.Now()
	p.stop()
	rest, err := io.ReadAll(stream.Body)
	if err != nil || !bytes.HasSuffix(rest, []byte("\n\n")) {
		t.Errorf("the stream ends with %q, %v", rest, err)
	}
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("draining took %v", took)
	}
	p.log.wait(t, "draining")
	if err := p.ended(); err != nil {
		t.Error(err)
	}
}

func TestServe_ListenAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = run(t.Context(), nil, env("FLOW_SERVER_LISTEN_ADDR", l.Addr().String()), io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "FLOW_SERVER_LISTEN_ADDR") || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Error(err)
	}
}

// writePair writes a new self-signed certificate and key, and returns the certificate.
func writePair(t *testing.T, dir string, serial int64) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"flow.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestServe_ReloadsCertificates(t *testing.T) {
	dir := t.TempDir()
	first := writePair(t, dir, 1)
	p := launch(t, "--tls-cert-file="+filepath.Join(dir, "tls.crt"), "--tls-key-file="+filepath.Join(dir, "tls.key"))
	serves := func(cert *x509.Certificate) (*http.Response, error) {
		pool := x509.NewCertPool()
		pool.AddCert(cert)
		client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "flow.test"}}}
		defer client.CloseIdleConnections()
		resp, err := client.Get(p.url + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		return resp, err
	}
	resp, err := serves(first)
	if err != nil || resp.ProtoMajor != 2 {
		t.Fatalf("%+v %v", resp, err)
	}
	if err := run(t.Context(), []string{"healthcheck", "--listen-addr=" + strings.TrimPrefix(p.url, "https://"), "--tls-cert-file=" + filepath.Join(dir, "tls.crt"), "--tls-key-file=" + filepath.Join(dir, "tls.key")}, env(), io.Discard, io.Discard); err != nil {
		t.Errorf("healthcheck: %v", err)
	}
	second := writePair(t, dir, 2)
	deadline := time.Now().Add(within)
	for {
		if _, err := serves(second); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the new certificate is not served")
		}
	}
	p.log.wait(t, "certificate reloaded")
	if err := os.WriteFile(filepath.Join(dir, "tls.crt"), []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(p.log.String(), "not reloaded") {
		if _, err := serves(second); err != nil {
			t.Fatalf("after a damaged file the old pair is not served: %v", err)
		}
		if time.Now().After(deadline) {
			t.Fatal("a damaged file is not reported")
		}
	}
}

func TestServe_UnencryptedHTTP2(t *testing.T) {
	p := launch(t)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	defer client.CloseIdleConnections()
	resp, err := client.Get(p.url + "/v1/flows/F/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, 16)
	if _, err := io.ReadFull(resp.Body, first); err != nil || resp.ProtoMajor != 2 || string(first) != "event: heartbeat" {
		t.Errorf("the stream begins with %q (%s, %v), want event: heartbeat over HTTP/2.0", first, resp.Proto, err)
	}
}

func TestServe_BasePath(t *testing.T) {
	p := launch(t, "--base-path=/sovereign/")
	base := strings.TrimSuffix(p.url, "/sovereign")
	for path, want := range map[string]int{"/sovereign/v1/flows": 200, "/v1/flows": 404, "/healthz": 200, "/sovereign/healthz": 200, "/sovereign/": 200, "/sovereign": 200} {
		if resp, _ := get(t, http.DefaultClient, base+path); resp.StatusCode != want {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

func TestHealthcheck(t *testing.T) {
	p := launch(t)
	addr := strings.TrimPrefix(p.url, "http://")
	_, port, _ := net.SplitHostPort(addr)
	for _, a := range []string{addr, ":" + port, "0.0.0.0:" + port} {
		if err := run(t.Context(), []string{"healthcheck"}, env("FLOW_SERVER_LISTEN_ADDR", a), io.Discard, io.Discard); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	p.stop()
	if err := p.ended(); err != nil {
		t.Fatal(err)
	}
	var exit cli.ExitCode
	if err := run(t.Context(), []string{"healthcheck"}, env("FLOW_SERVER_LISTEN_ADDR", addr), io.Discard, io.Discard); !errors.As(err, &exit) || exit != 1 {
		t.Errorf("without the server: %v", err)
	}
}

func post(t *testing.T, url, body string) {
	t.Helper()
	resp, err := http.Post(url+"/v1/flows/F/events", "application/x-ndjson", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		b, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s %s", resp.Status, b)
	}
}

func nodeJSON(id, region, status, more string) string {
	return fmt.Sprintf(`{"id":%q,"flowId":"F","label":%q,"status":%q,"region":%q%s}`, id, id, status, region, more)
}

// direct sends the requests of http.DefaultTransport to h for the time of a test. It uses no sockets: fake time stands still while a goroutine waits for one.
func direct(t *testing.T, h http.Handler) {
	before := http.DefaultTransport
	http.DefaultTransport = answering{h}
	t.Cleanup(func() { http.DefaultTransport = before })
}

type answering struct{ http.Handler }

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w.Result(), nil
}

func TestWait(t *testing.T) {
	state := `{"type":"upsert-nodes","nodes":[` + strings.Join([]string{
		nodeJSON("r1", "r1", "failed", `,"meta":{"kind":"Region"}`),
		nodeJSON("r1/a", "r1", "failed", `,"startedAt":1000,"endedAt":2000,"meta":{"reason":"InstallFailed","message":"no such chart"}`),
		nodeJSON("r1/b", "r1", "running", `,"meta":{"reason":"DependencyNotReady","waitingFor":["r1/a"],"message":"dependency 'x/a' is not ready"}`),
		nodeJSON("r1/c", "r1", "running", `,"meta":{"reason":"DependencyNotReady","waitingFor":["r1/b"]}`),
		nodeJSON("r2/a", "r2", "succeeded", `,"startedAt":5000,"endedAt":6000`),
		nodeJSON("r2/s", "r2", "succeeded", `,"meta":{"suspended":true}`),
		nodeJSON("r3/a", "r3", "running", `,"startedAt":5000,"meta":{"reason":"Progressing"}`),
		nodeJSON("r4/s", "r4", "running", `,"meta":{"suspended":true}`),
		nodeJSON("r5/source", "r5", "failed", `,"meta":{"auxiliary":true,"judgement":{"state":"broken","since":1000,"problem":true,"cause":{"class":"fetch-failed","sentence":"source can not be read.\u001b[2J"},"command":["flux","get","it's\u001b"]}}`),
		nodeJSON("r5/a", "r5", "succeeded", `,"startedAt":5000,"meta":{"judgement":{"state":"ready","gate":"pass","source":"r5/source"}}`),
		nodeJSON("r6/a", "r6", "failed", `,"startedAt":4500,"endedAt":4500`),
		nodeJSON("r6/b", "r6", "failed", `,"startedAt":1000,"endedAt":3999`),
		nodeJSON("r6/c", "r6", "succeeded", `,"startedAt":5000`),
		nodeJSON("r7/a", "r7", "running", `,"meta":{"judgement":{"state":"broken","since":1000,"problem":true,"gate":"wait","marks":["retrying"],"cause":{"class":"install-failed","sentence":"a could not be installed."}}}`),
		nodeJSON("r7/b", "r7", "running", `,"meta":{"judgement":{"state":"waiting","since":1000,"gate":"wait","needs":["r7/a"]}}`),
		nodeJSON("r8/a", "r8", "failed", `,"meta":{"judgement":{"state":"broken","since":1000,"problem":true,"final":true,"cause":{"class":"given-up","sentence":"a was given up."},"command":["flux","reconcile","helmrelease","a","-n","it's"]}}`),
	}, ",") + `]}` + "\n" + `{"type":"upsert-rels","relationships":[{"fromId":"r1/a","toId":"r1/b","type":"finish-to-start"},{"fromId":"r1/b","toId":"r1/c","type":"finish-to-start"}]}`
	for _, tt := range []struct {
		name  string
		args  []string
		exit  int
		parts []string
	}{
		{"succeeded", []string{"--region=r2"}, 0, []string{"1 of 2 done, 0 working, 0 waiting, 0 failed, 1 suspended"}},
		{"failed, and blocks others", []string{"--region=r1"}, 1, []string{"0 of 3 done, 0 working, 2 waiting, 1 failed", "failed: r1/a: r1/a: InstallFailed: no such chart Blocks 2."}},
		{"timed out while waiting for a node", []string{"--region=r3", "--timeout=50ms"}, 2, []string{"timed out waiting for: r3/a: working"}},
		{"a node is working, so it has not failed yet", []string{"--timeout=50ms"}, 2, []string{"3 of 14 done", "failed: r1/a", "timed out waiting for: r3/a"}},
		{"no run since", []string{"--region=r2", "--since=2020-01-01T00:00:00Z", "--timeout=50ms"}, 2, []string{"no run has started"}},
		{"a run since, earlier failures do not count", []string{"--region=r2", "--since=1970-01-01T00:00:04Z"}, 0, []string{"1 of 2 done"}},
		{"suspended, and not ready", []string{"--region=r4"}, 1, []string{"0 of 1 done", "1 suspended", "failed: r4/s"}},
		{"a broken source with a ready release", []string{"--region=r5"}, 1, []string{"1 of 1 done", `failed: r5/source: source can not be read.\x1b[2J` + "\n"}},
		{"an earlier failure, in whole seconds", []string{"--region=r6", "--since=1970-01-01T00:00:04.999Z"}, 1, []string{"1 of 3 done", "failed: r6/a", "failed: r6/b"}},
		{"an earlier failure without a run since", []string{"--region=r6", "--since=1970-01-01T00:00:05Z"}, 1, []string{"1 of 3 done", "failed: r6/a"}},
		{"an earlier failure that a run may still repair", []string{"--region=r8", "--since=1970-01-01T00:00:05Z", "--timeout=50ms"}, 2, []string{"no run has started"}},
		{"a failure with retries, and the node that it blocks", []string{"--region=r7", "--timeout=50ms"}, 2,
			[]string{"1 waiting, 1 failed", "failed: r7/a: a could not be installed. Blocks 1.", "timed out waiting for: r7/a: broken (retrying)", "timed out waiting for: r7/b: waiting, blocked by r7/a"}},
		{"a final failure does not settle", []string{"--region=r8", "--settle=1h", "--timeout=50ms"}, 1, []string{`failed: r8/a: a was given up. Run: flux reconcile helmrelease a -n 'it'\''s'`}},
		{"another failure settles first", []string{"--region=r1", "--settle=1h", "--timeout=50ms"}, 2, []string{"failed: r1/a"}},
		{"an unknown flow", []string{"--flow=G", "--timeout=50ms"}, 2, []string{"no state of this flow"}},
		{"no nodes in the region", []string{"--region=nowhere", "--timeout=50ms"}, 2, []string{"no object to wait for"}},
	} {
		inFakeTime := func(t *testing.T) { // so that the server answers in time even with a short --timeout
			direct(t, httpapi.New(hub.New(hub.Config{}), httpapi.Config{}))
			post(t, "http://flow", state)
			var out, errs bytes.Buffer
			args := append([]string{"wait", "--url=http://flow", "--flow=F", "--settle=0s", "--timeout=30s"}, tt.args...)
			err := run(t.Context(), args, env(), &out, &errs)
			var exit cli.ExitCode
			errors.As(err, &exit)
			if int(exit) != tt.exit {
				t.Fatalf("exit %v, want %d\n%s%s", err, tt.exit, &out, &errs)
			}
			for _, text := range tt.parts {
				if !strings.Contains(out.String(), text) {
					t.Errorf("the output lacks %q:\n%s%s", text, &out, &errs)
				}
			}
		}
		t.Run(tt.name, func(t *testing.T) { synctest.Test(t, inFakeTime) })
	}
	t.Run("bad arguments", func(t *testing.T) {
		for _, args := range [][]string{{"--url=x", "--flow=F"}, {"--url=http://x", "--flow=a b"}, {"--url=http://x", "--flow=F", "--since=yesterday"}, {"--nonsense"}} {
			var exit cli.ExitCode
			if err := run(t.Context(), append([]string{"wait"}, args...), env(), io.Discard, io.Discard); !errors.As(err, &exit) || exit != 3 {
				t.Errorf("%v: %v", args, err)
			}
		}
	})
	t.Run("follows until it is done", func(t *testing.T) {
		p, out := launch(t), newLog()
		post(t, p.url, state)
		done := make(chan error, 1)
		go func() {
			done <- run(t.Context(), []string{"wait", "--url=" + p.url, "--flow=F", "--region=r3", "--settle=0s"}, env(), out, io.Discard)
		}()
		out.wait(t, "0 of 1 done, 1 working")
		post(t, p.url, `{"type":"upsert-nodes","nodes":[`+nodeJSON("r3/a", "r3", "succeeded", "")+`]}`)
		out.wait(t, "1 of 1 done")
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
