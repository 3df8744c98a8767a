package main

import (
	"errors"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

const hostile = "x\n::error file=a,line=1::FAKE\n\x1b]0;title\a\x1b[2J\u009b2J\u202e\u200b ##[error]x"

// checkPrinted fails unless text has this number of lines, each safe to print and beginning with begin.
func checkPrinted(t *testing.T, text string, lines int, begin string) {
	t.Helper()
	if got := strings.Count(text, "\n"); got != lines {
		t.Errorf("%d lines, want %d:\n%q", got, lines, text)
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, begin) || terminal.Text(line, len(line)) != line {
			t.Errorf("printed: %.200q", line)
		}
	}
}

func TestPlain_PrintsHostileErrorsAsText(t *testing.T) {
	var out strings.Builder
	lines := &lineWriter{w: &out}
	slog.New(plain{lines, "r", nil}).Warn("cannot watch", "err", errors.New(hostile+strings.Repeat("e", 50_000)))
	lines.write("r", []string{hostile, hostile})
	checkPrinted(t, out.String(), 3, "r: ")
	if out.Len() > 3000 {
		t.Errorf("%d bytes", out.Len())
	}
}

func TestReadyz_ShowsHostileReasonsAsText(t *testing.T) {
	h := newHealth(prometheus.NewRegistry(), func() []string { return []string{hostile + strings.Repeat("e", 50_000)} })
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	checkPrinted(t, w.Body.String(), 1, "x")
	if w.Code != 503 || w.Body.Len() > 3000 {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
}

func TestAdapter_LogsAreSafeToPrint(t *testing.T) {
	for format, begin := range map[string]string{"text": "time=", "json": "{"} {
		var out strings.Builder
		config{logFormat: format}.logger(&out).Warn(hostile, "err", errors.New(hostile+strings.Repeat("e", 50_000)))
		checkPrinted(t, out.String(), 1, begin)
		if out.Len() > 3*terminal.LogLimit {
			t.Errorf("%s: %d bytes", format, out.Len())
		}
	}
}

func TestDryRun_PrintsHostileTextAsSafeJSON(t *testing.T) {
	text := "\u009b2J\u202e\u200b\u3164 ##[error]x \x1b[2J"
	var out strings.Builder
	(&printer{out: &out}).Put([]mapping.Change{{Node: &flow.Node{ID: "r/a", FlowID: "F", Label: text, Status: "failed"}}})
	checkPrinted(t, out.String(), 1, "{")
	if nodes := fold(t, "F", out.String()).Snapshot().Nodes; len(nodes) != 1 || nodes[0].Label != text {
		t.Errorf("not the same node: %+v", nodes)
	}
}

// TestAdapter_EndsWithALineForEachError runs the binary, since only main prints its errors.
func TestAdapter_EndsWithALineForEachError(t *testing.T) {
	dir := t.TempDir()
	p := spawn(t, nil, adapterBinary, "replay", "--dry-run", "a="+filepath.Join(dir, hostile), "b="+filepath.Join(dir, "none"))
	p.wait(t)
	if p.exitErr == nil {
		t.Error("exit code 0")
	}
	checkPrinted(t, p.out.String(), 2, "openova-flow-adapter-flux: ")
}
