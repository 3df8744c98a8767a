package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/pipenet"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

const hostile = "x\n::error file=a,line=1::FAKE\n\x1b]0;title\a\x1b[2J\u009b2J\u202e\u200b ##[error]x"

// checkPrinted fails unless text has this number of lines, each safe to print and beginning with one of the words.
func checkPrinted(t *testing.T, text string, lines int, begins ...string) {
	t.Helper()
	if got := strings.Count(text, "\n"); got != lines {
		t.Errorf("%d lines, want %d:\n%q", got, lines, text)
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		known := false
		for _, begin := range begins {
			known = known || strings.HasPrefix(line, begin)
		}
		if !known || terminal.Text(line, len(line)) != line {
			t.Errorf("printed: %.200q", line)
		}
	}
}

// waitInFakeTime runs wait against a server. stop ends the server and its listener.
func waitInFakeTime(t *testing.T, serve func(net.Listener) (stop func())) (out, errs string, err error) {
	synctest.Test(t, func(t *testing.T) {
		listener := pipenet.Listen()
		stop := serve(listener)
		transport := &http.Transport{DialContext: listener.Dial}
		before := http.DefaultTransport
		http.DefaultTransport = transport
		defer func() {
			http.DefaultTransport = before
			transport.CloseIdleConnections()
			stop()
		}()
		var stdout, stderr strings.Builder
		err = Program{}.Run(t.Context(), []string{"wait", "--url=http://flow", "--flow=F", "--settle=0s", "--timeout=3s"}, env(), &stdout, &stderr)
		out, errs = stdout.String(), stderr.String()
	})
	return out, errs, err
}

func TestWait_PrintsHostileNodesAsText(t *testing.T) {
	node := func(name, status, reason string) map[string]any {
		return map[string]any{"id": name + hostile, "flowId": "F", "label": hostile, "status": status, "region": "r",
			"meta": map[string]any{"reason": reason, "message": hostile + strings.Repeat("m", 50_000), "versionWanted": hostile}}
	}
	body, err := json.Marshal(map[string]any{"type": "upsert-nodes", "nodes": []any{
		node("", "failed", hostile), node("::error::", "failed", ""), node("##[error]", hostile, ""), node(strings.Repeat("i", 10_000), "running", strings.Repeat("r", 10_000)),
	}})
	if err != nil {
		t.Fatal(err)
	}
	server := httpapi.New(hub.New(hub.Config{}), httpapi.Config{})
	posted := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/v1/flows/F/events", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if server.ServeHTTP(posted, r); posted.Code != http.StatusOK {
		t.Fatal(posted.Body)
	}
	out, errs, err := waitInFakeTime(t, func(l net.Listener) func() {
		s := &http.Server{Handler: server}
		go func() { _ = s.Serve(l) }()
		return func() { s.Close() }
	})
	if err != waitTimedOut || errs != "" {
		t.Fatalf("%v\n%q", err, errs)
	}
	checkPrinted(t, out, 5, "0 of 4 done", "failed: ", "timed out waiting for: ")
	if len(out) > 10_000 {
		t.Errorf("%d bytes", len(out))
	}
}

// answer serves the same bytes in response to each request.
func answer(response string) func(net.Listener) (stop func()) {
	serve := func(conn net.Conn) {
		defer conn.Close()
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_, _ = io.WriteString(conn, response)
		}
	}
	return func(l net.Listener) func() {
		go func() {
			for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
				go serve(conn)
			}
		}()
		return func() { l.Close() }
	}
}

func TestWait_PrintsAHostileServerAsText(t *testing.T) {
	problem, _ := json.Marshal(map[string]any{"detail": hostile + strings.Repeat("d", 50_000)})
	for name, response := range map[string]string{
		"status":  "HTTP/1.1 500 \x1b[2J\u009b::error::x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		"detail":  "HTTP/1.1 500 x\r\nConnection: close\r\n\r\n" + string(problem),
		"state":   "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + `{"type":"\u001b[2J` + "\u009b" + `\n::error::x"}`,
		"no HTTP": "\x1b[2J\n::error::x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, err := waitInFakeTime(t, answer(response))
			if err != waitTimedOut {
				t.Error(err)
			}
			checkPrinted(t, out, 1, "timed out: ")
			checkPrinted(t, errs, 1, "wait: ")
			if len(errs) > 2000 {
				t.Errorf("%d bytes on stderr", len(errs))
			}
		})
	}
}

func TestHealthcheck_PrintsAHostileServerAsText(t *testing.T) {
	for _, response := range []string{"HTTP/1.1 503 \x1b[2J\u009b::error::x\r\nContent-Length: 0\r\n\r\n", "\x1b[2J\n::error::x\r\n\r\n"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer answer(response)(listener)()
		var errs strings.Builder
		err = Program{Name: "p"}.Run(t.Context(), []string{"healthcheck"}, env("FLOW_SERVER_LISTEN_ADDR", listener.Addr().String()), io.Discard, &errs)
		if err != ExitCode(1) {
			t.Error(err)
		}
		checkPrinted(t, errs.String(), 1, "p: not re")
	}
}

func TestCommands_PrintHostileFlagsAsText(t *testing.T) {
	for command, exit := range map[string]ExitCode{"wait": 3, "token new": 2} {
		for _, args := range [][]string{{"--" + hostile}, {"--=" + hostile}, {"---" + hostile}, {"--timeout=" + hostile}} {
			var out, errs strings.Builder
			err := Program{}.Run(t.Context(), append(strings.Fields(command), args...), env(), &out, &errs)
			if err != exit || out.Len() > 0 {
				t.Errorf("%s %q: %v, %q", command, args, err, out.String())
			}
			first, _, _ := strings.Cut(errs.String(), "\n")
			checkPrinted(t, first+"\n", 1, command+": ")
			if strings.Contains(errs.String(), "\x1b") || strings.Contains(errs.String(), "\n::") {
				t.Errorf("%q", errs.String())
			}
		}
	}
	for _, args := range [][]string{{"--url=" + hostile}, {"--url=http://x", "--flow=" + hostile}, {"--url=http://x", "--flow=F", "--since=" + hostile}} {
		var errs strings.Builder
		if err := (Program{}).Run(t.Context(), append([]string{"wait"}, args...), env(), io.Discard, &errs); err != ExitCode(3) {
			t.Error(err)
		}
		checkPrinted(t, errs.String(), 1, "wait: ")
	}
}

func TestServer_LogsAreSafeToPrint(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out strings.Builder
		newLogger(config{logFormat: format}, &out).Warn(hostile, "err", errors.New(hostile+strings.Repeat("e", 50_000)))
		checkPrinted(t, out.String(), 1, "time=", "{")
		if out.Len() > 3*terminal.LogLimit {
			t.Errorf("%s: %d bytes", format, out.Len())
		}
	}
}
