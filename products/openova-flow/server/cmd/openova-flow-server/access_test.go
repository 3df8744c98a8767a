package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
)

// newToken runs token new. It returns the two printed lines.
func newToken(t *testing.T, args ...string) (token, entry string) {
	t.Helper()
	var out, errs bytes.Buffer
	if err := run(t.Context(), append([]string{"token", "new"}, args...), env(), &out, &errs); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if len(lines) != 3 || lines[2] != "" {
		t.Fatalf("%q", out.String())
	}
	if strings.Contains(errs.String(), lines[0]) {
		t.Error("the token is printed twice")
	}
	return lines[0], lines[1]
}

func tokensFile(t *testing.T, path string, entries ...string) string {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(`{"tokens":[`+strings.Join(entries, ",")+`]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestToken_NewIsValidInTheFile(t *testing.T) {
	token, entry := newToken(t, "--name=fsn1", "--scopes=read, ingest", "--flows=prod-*,x", "--regions=fsn1")
	want := `{"name":"fsn1","sha256":"` + auth.Hash(token) + `","scopes":["read","ingest"],"flows":["prod-*","x"],"regions":["fsn1"]}`
	if entry != want || strings.Contains(entry, token) {
		t.Errorf("%s, want %s", entry, want)
	}
	other, plain := newToken(t)
	var e auth.Entry
	if err := json.Unmarshal([]byte(plain), &e); err != nil || e.Validate() != nil || e.Name == "" || strings.Join(e.Scopes, " ") != "read" || strings.Join(e.Flows, " ") != "*" || other == token {
		t.Errorf("%s %v", plain, err)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "token has one command: token new"},
		{[]string{"old"}, "token has one command: token new"},
		{[]string{"new", "--scopes=write"}, "allowed: read, ingest, admin"},
		{[]string{"new", "--scopes="}, "scopes"},
		{[]string{"new", "--flows=a b"}, "flows[0]"},
		{[]string{"new", "--regions=fsn1"}, "needs the scope ingest"},
		{[]string{"new", "--scopes=ingest", "--regions="}, "--regions"},
		{[]string{"new", "--scopes=ingest", "--regions= ,"}, "--regions"},
		{[]string{"new", "--name=a b"}, "name"},
		{[]string{"new", "x"}, `unexpected argument "x"`},
	} {
		var out bytes.Buffer
		if err := run(t.Context(), append([]string{"token"}, tt.args...), env(), &out, io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) || out.Len() > 0 {
			t.Errorf("%v: %v, want %s; prints %q", tt.args, err, tt.want, out.String())
		}
	}
}

func TestServe_OtherAddressesNeedTokensOrInsecure(t *testing.T) {
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0"} {
		err := run(t.Context(), []string{"--listen-addr=" + addr}, env(), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "FLOW_SERVER_TOKENS_FILE") || !strings.Contains(err.Error(), "FLOW_SERVER_INSECURE=true") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", addr, err)
		}
	}
	_, entry := newToken(t)
	file := tokensFile(t, filepath.Join(t.TempDir(), "tokens.json"), entry)
	for _, flag := range []string{"--insecure=true", "--tokens-file=" + file} {
		p := launch(t, "--listen-addr=0.0.0.0:0", flag)
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(p.url, "http://"))
		for path, want := range map[string]int{"/v1/flows": map[bool]int{true: 200, false: 401}[flag == "--insecure=true"], "/healthz": 200, "/readyz": 200} {
			req, _ := http.NewRequest("GET", "http://127.0.0.1:"+port+path, nil)
			req.Host = "flow.example.com" // as a gateway forwards it
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s, %s: %d, want %d", flag, path, resp.StatusCode, want)
			}
		}
		if warned := strings.Contains(p.log.String(), "serving without access control"); warned != (flag == "--insecure=true") {
			t.Errorf("%s: log:\n%s", flag, p.log)
		}
		if err := run(t.Context(), []string{"healthcheck", "--listen-addr=0.0.0.0:" + port, flag}, env(), io.Discard, io.Discard); err != nil {
			t.Errorf("%s: healthcheck: %v", flag, err)
		}
	}
}

func TestServe_LoopbackRejectsOtherHosts(t *testing.T) {
	p := launch(t)
	for host, want := range map[string]int{"rebound.example": 403, "localhost": 200, strings.TrimPrefix(p.url, "http://"): 200} {
		req, _ := http.NewRequest("GET", p.url+"/v1/flows", nil)
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", host, resp.StatusCode, want)
		}
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "OPTIONS * HTTP/1.1\r\nHost: rebound.example\r\n\r\n") // a request without a path
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 403 || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("OPTIONS *: %d %v", resp.StatusCode, resp.Header)
	}
}

func TestServe_InvalidAccessSettings(t *testing.T) {
	_, entry := newToken(t)
	good := tokensFile(t, filepath.Join(t.TempDir(), "tokens.json"), entry)
	bad := tokensFile(t, filepath.Join(t.TempDir(), "tokens.json"), `{"name":"x"}`)
	for _, tt := range []struct {
		env  []string
		want string
	}{
		{[]string{"FLOW_SERVER_TOKENS_FILE", "/not/there"}, `invalid FLOW_SERVER_TOKENS_FILE "/not/there": open /not/there: no such file or directory`},
		{[]string{"FLOW_SERVER_TOKENS_FILE", bad}, `tokens[0] (x)`},
		{[]string{"FLOW_SERVER_TOKENS_FILE", good, "FLOW_SERVER_INSECURE", "true"}, `FLOW_SERVER_TOKENS_FILE and FLOW_SERVER_INSECURE`},
		{[]string{"FLOW_SERVER_INSECURE", "yes"}, `invalid FLOW_SERVER_INSECURE "yes"`},
		{[]string{"FLOW_SERVER_CORS_ORIGINS", "*"}, `invalid FLOW_SERVER_CORS_ORIGINS "*"`},
		{[]string{"FLOW_SERVER_CORS_ORIGINS", "https://a.example,https://b.example/path"}, `invalid FLOW_SERVER_CORS_ORIGINS`},
		{[]string{"FLOW_SERVER_CORS_ORIGINS", "https://A.example"}, `invalid FLOW_SERVER_CORS_ORIGINS`},
		{[]string{"FLOW_SERVER_CORS_ORIGINS", "null"}, `invalid FLOW_SERVER_CORS_ORIGINS`},
		{[]string{"FLOW_SERVER_FRAME_ANCESTORS", "*"}, `invalid FLOW_SERVER_FRAME_ANCESTORS "*"`},
		{[]string{"FLOW_SERVER_FRAME_ANCESTORS", "self,none"}, `invalid FLOW_SERVER_FRAME_ANCESTORS`},
		{[]string{"FLOW_SERVER_FRAME_ANCESTORS", "https://a.example;script-src *"}, `invalid FLOW_SERVER_FRAME_ANCESTORS`},
		{[]string{"FLOW_SERVER_FRAME_ANCESTORS", "https://a.example/path"}, `invalid FLOW_SERVER_FRAME_ANCESTORS`},
	} {
		err := run(t.Context(), []string{"--listen-addr=127.0.0.1:0"}, env(tt.env...), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v, want %s", tt.env, err, tt.want)
		}
	}
}

// TestServe_TokenIsAddedAndRevoked adds a token to the tokens file of a running server and removes it again. wait uses it meanwhile.
func TestServe_TokenIsAddedAndRevoked(t *testing.T) {
	dir := t.TempDir()
	admin, adminEntry := newToken(t, "--name=admin", "--scopes=admin")
	viewer, viewerEntry := newToken(t, "--name=viewer")
	file := tokensFile(t, filepath.Join(dir, "tokens.json"), adminEntry)
	p := launch(t, "--tokens-file="+file)
	req, _ := http.NewRequest("POST", p.url+"/v1/flows/F/events", strings.NewReader(`{"type":"upsert-nodes","nodes":[`+nodeJSON("r1/a", "r1", "succeeded", "")+`]}`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+admin)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	secret := filepath.Join(dir, "viewer")
	if err := os.WriteFile(secret, []byte(viewer+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// denied runs wait until it prints that the server answers 401.
	denied := func(args ...string) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		errs, done := newLog(), make(chan error, 1)
		go func() {
			done <- run(ctx, append([]string{"wait", "--url=" + p.url, "--flow=F", "--settle=0s"}, args...), env(), io.Discard, errs)
		}()
		errs.wait(t, "the server answers 401 Unauthorized: .*; trying again")
		cancel()
		<-done
	}
	denied()
	denied("--token-file=" + secret)
	tokensFile(t, file, adminEntry, viewerEntry)
	var out bytes.Buffer
	if err := run(t.Context(), []string{"wait", "--url=" + p.url, "--flow=F", "--settle=0s", "--timeout=" + within.String(), "--token-file=" + secret}, env(), &out, io.Discard); err != nil || !strings.Contains(out.String(), "1 of 1 done") {
		t.Errorf("%v %s", err, out.String())
	}
	p.log.wait(t, `msg="tokens file reloaded" .*tokens=2`)
	tokensFile(t, file, adminEntry)
	p.log.wait(t, `msg="tokens file reloaded" .*tokens=1`)
	denied("--token-file=" + secret)
	for _, token := range []string{admin, viewer} {
		if strings.Contains(p.log.String(), token) {
			t.Errorf("a token is in the log:\n%s", p.log)
		}
	}
}

// TestDocs_Access runs the commands of docs/access.md that create tokens, and loads the tokens file in it.
func TestDocs_Access(t *testing.T) {
	text, err := os.ReadFile(docs("access.md"))
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	for line := range strings.Lines(string(text)) {
		if args, ok := strings.CutPrefix(line, "bin/openova-flow-server token new "); ok {
			newToken(t, strings.Fields(strings.ReplaceAll(args, "'", ""))...)
			made++
		}
	}
	_, rest, _ := strings.Cut(string(text), "<!-- access-example -->\n```json\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok || made != 2 {
		t.Fatalf("docs/access.md lacks its example, or has %d commands", made)
	}
	path := filepath.Join(t.TempDir(), "tokens.json")
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.Load(path, slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
}
