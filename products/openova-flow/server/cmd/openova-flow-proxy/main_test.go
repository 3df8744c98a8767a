package main

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

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

func TestParseConfig_Errors(t *testing.T) {
	good := []string{"FLOW_PROXY_UPSTREAM_URL", "http://flow", "FLOW_PROXY_FLOWS", "*"}
	for _, tt := range []struct {
		env  []string
		args []string
		want string
	}{
		{nil, nil, `FLOW_PROXY_UPSTREAM_URL is not set`},
		{[]string{"FLOW_PROXY_UPSTREAM_URL", "flow:8080"}, nil, `invalid FLOW_PROXY_UPSTREAM_URL "flow:8080"`},
		{[]string{"FLOW_PROXY_UPSTREAM_URL", "http://me:pw@flow"}, nil, `invalid FLOW_PROXY_UPSTREAM_URL: `},
		{[]string{"FLOW_PROXY_UPSTREAM_URL", "http://me:p/w@flow"}, nil, `invalid FLOW_PROXY_UPSTREAM_URL: `},
		{good[:2], nil, `FLOW_PROXY_FLOWS is not set`},
		{good, []string{"--flows=a,,b"}, `invalid --flows "a,,b"`},
		{good, []string{"--flows=[a"}, `invalid --flows "[a"`},
		{good, []string{"--listen-addr=8080"}, `invalid --listen-addr "8080"`},
		{good, []string{"--hosts=a.example.com:80"}, `invalid --hosts "a.example.com:80"`},
		{good, []string{"--prefix=api"}, `invalid --prefix "api"`},
		{good, []string{"--allow-ingest=yes"}, `invalid --allow-ingest "yes"`},
		{good, []string{"--token-file=/not/there"}, `invalid --token-file "/not/there"`},
		{good, []string{"--token-file=main.go"}, `invalid --token-file "main.go"`},
		{good, []string{"--ca-file=main.go"}, `invalid --ca-file "main.go"`},
		{good, []string{"--listen-addr=192.0.2.1:1"}, `listen on FLOW_PROXY_LISTEN_ADDR "192.0.2.1:1": `},
		{good, []string{"extra"}, `unexpected argument "extra"`},
	} {
		err := run(t.Context(), tt.args, env(tt.env...), io.Discard)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v %v: %v, want %s", tt.env, tt.args, err, tt.want)
		}
		if strings.Contains(fmt.Sprint(tt.env), "@") && strings.ContainsAny(fmt.Sprint(err), "@") {
			t.Errorf("the error has a password: %v", err)
		}
	}
}

func TestUsage_ListsEverySetting(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"--help"}, env(), &out); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
	for _, s := range new(config).settings() {
		if !strings.Contains(out.String(), s.Env) {
			t.Error("no", s.Env)
		}
	}
}

// TestRun_ServesAndStops runs the whole program in front of an upstream with its own certificate.
func TestRun_ServesAndStops(t *testing.T) {
	upstream := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: "+r.URL.Path+" "+r.Header.Get("Authorization")+"\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer upstream.Close()
	dir := t.TempDir()
	ca, token := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "token")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: upstream.Certificate().Raw})))
	write(t, token, "first\n")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	logs, stderr := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"--listen-addr=127.0.0.1:0", "--prefix=/api/", "--hosts=a.example.com, Flows.example.com", "--flows=prod-*"},
			env("FLOW_PROXY_UPSTREAM_URL", upstream.URL, "FLOW_PROXY_CA_FILE", ca, "FLOW_PROXY_TOKEN_FILE", token), stderr)
		stderr.Close()
		done <- err
	}()
	var started struct{ Addr string }
	lines := bufio.NewReader(logs)
	line, err := lines.ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &started) != nil {
		t.Fatal(err, string(line))
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	base := "http://" + started.Addr

	if resp := get(t, base+"/healthz"); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
	for _, path := range []string{"/api/v1/flows/other/stream", "/v1/flows/prod-1/stream"} {
		if resp := get(t, base+path); resp.StatusCode != 404 {
			t.Error(path, resp.Status)
		}
	}
	for _, tt := range []struct {
		host, origin, path string
		want               int
	}{
		{"console.example.com", "", "/api/v1/flows/prod-1/stream", 403},
		{"console.example.com:8082", "http://console.example.com:8082", "/api/v1/flows/prod-1/stream", 403},
		{"", "https://elsewhere.example.com", "/api/v1/flows/prod-1/stream", 403},
		{"console.example.com", "", "/healthz", 200},
		{"flows.example.com:8082", "", "/api/v1/flows/prod-1/stream", 200},
		{"flows.example.com", "https://flows.example.com:8443", "/api/v1/flows/prod-1/stream", 200},
		{"flows.example.com", "https://a.example.com", "/api/v1/flows/prod-1/stream", 200},
		{"flows.example.com", "https://elsewhere.example.com", "/api/v1/flows/prod-1/stream", 403},
		{"flows.example.com", "null", "/api/v1/flows/prod-1/stream", 403},
	} {
		req, err := http.NewRequest("GET", base+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if req.Host = tt.host; tt.origin != "" {
			req.Header.Set("Origin", tt.origin)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%s to %q from %q: %s", tt.path, tt.host, tt.origin, resp.Status)
		}
		if got := resp.Header.Get("Content-Type"); tt.want == 403 && got != "application/problem+json" {
			t.Errorf("%s to %q from %q: Content-Type %q", tt.path, tt.host, tt.origin, got)
		}
	}
	for _, host := range []string{"", "flows.example.com"} {
		for _, tt := range []struct {
			site, mode, referer string
			want                int
		}{
			{"cross-site", "no-cors", "", 403}, {"same-site", "no-cors", "", 403}, {"same-origin", "no-cors", "", 200},
			{"cross-site", "navigate", "", 200}, {"same-site", "navigate", "", 200},
			{"", "", "http://elsewhere.example.com/", 403},
		} {
			req, err := http.NewRequest("GET", base+"/api/v1/flows/prod-1/stream", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			for name, value := range map[string]string{"Sec-Fetch-Site": tt.site, "Sec-Fetch-Mode": tt.mode, "Referer": tt.referer} {
				if value != "" {
					req.Header.Set(name, value)
				}
			}
			req.Header.Set("Sec-Fetch-Dest", "document")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if resp.Body.Close(); resp.StatusCode != tt.want {
				t.Errorf("%+v to %q: %s", tt, host, resp.Status)
			}
		}
	}
	var open *bufio.Reader
	for _, want := range []string{"first", "second"} {
		write(t, token, want)
		open = bufio.NewReader(get(t, base+"/api/v1/flows/prod-1/stream").Body)
		if line, err := open.ReadString('\n'); line != "data: /v1/flows/prod-1/stream Bearer "+want+"\n" {
			t.Errorf("%q %v", line, err)
		}
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(within):
		t.Fatal("run does not end while a stream is open")
	}
	if rest, _ := io.ReadAll(open); len(strings.TrimSpace(string(rest))) != 0 {
		t.Errorf("%q", rest)
	}
}

func get(t *testing.T, url string) *http.Response {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestServe_TimesOutABody(t *testing.T) {
	srv := httptest.NewServer(timed(100*time.Millisecond, under("/", http.NotFoundHandler())))
	defer srv.Close()
	for _, request := range []string{"GET /healthz", "POST /v1/flows/F/events"} {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n", request)
		if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 ") {
			t.Errorf("%s: %q, %v", request, answer, err)
		}
	}
}
