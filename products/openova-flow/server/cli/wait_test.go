package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWait_JSONWithoutAnswerHasEmptyLists(t *testing.T) {
	var out strings.Builder
	err := Program{}.Run(t.Context(), []string{"wait", "--url=http://127.0.0.1:1", "--flow=F", "--timeout=1ms", "--output=json"}, env(), &out, io.Discard)
	if err != waitTimedOut {
		t.Fatal(err)
	}
	var answer map[string]json.RawMessage
	if err := json.Unmarshal([]byte(out.String()), &answer); err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"objects", "problems", "sources", "stale", "missing"} {
		if got := string(answer[list]); got != "[]" {
			t.Errorf("%s is %s, want []", list, got)
		}
	}
}

func TestWait_TimeoutWithoutAnswerNamesLastError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer server.Close()
	var out strings.Builder
	err := Program{}.Run(t.Context(), []string{"wait", "--url=" + server.URL, "--flow=F", "--timeout=1s"}, env(), &out, io.Discard)
	if err != waitTimedOut || !strings.Contains(out.String(), "418") {
		t.Errorf("%v: %s", err, &out)
	}
}

func TestWait_WithoutAnswerARunHasStartedIfNoneIsRequired(t *testing.T) {
	for since, want := range map[string]bool{"": true, "now": false, "2026-01-02T15:04:05Z": false} {
		var out strings.Builder
		_ = Program{}.Run(t.Context(), []string{"wait", "--url=http://127.0.0.1:1", "--flow=F", "--timeout=1ms", "--output=json", "--since=" + since}, env(), &out, io.Discard)
		var answer struct{ Started *bool }
		if err := json.Unmarshal([]byte(out.String()), &answer); err != nil || answer.Started == nil || *answer.Started != want {
			t.Errorf("--since=%s: %v\n%s", since, err, &out)
		}
	}
}

func TestWait_ReportOfAnInterruptedWait(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	report := filepath.Join(t.TempDir(), "report.html")
	if err := (Program{}).Run(ctx, []string{"wait", "--url=http://127.0.0.1:1", "--flow=F", "--report=" + report}, env(), io.Discard, io.Discard); err != waitInterrupted {
		t.Fatal(err)
	}
	text, err := os.ReadFile(report)
	if want := []byte(`"noRecord":"the wait was interrupted"`); err != nil || !bytes.Contains(text, want) {
		t.Errorf("%v, or no %s", err, want)
	}
}

func TestWait_PrintsWhyTheRepositoryIsNotUsed(t *testing.T) {
	for content, want := range map[string]int{"": 0, "not a repository": 1} {
		dir := t.TempDir()
		if content != "" {
			if err := os.WriteFile(filepath.Join(dir, ".git"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		t.Chdir(dir)
		ctx, interrupt := context.WithCancel(t.Context())
		interrupt()
		var errs strings.Builder
		if err := (Program{}).Run(ctx, []string{"wait", "--url=http://127.0.0.1:1", "--flow=F", "--revision=v1"}, env(), io.Discard, &errs); err != waitInterrupted {
			t.Error(err)
		}
		checkPrinted(t, errs.String(), want, "wait: open the Git repository of .: ")
	}
}
