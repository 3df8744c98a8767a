package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

const hostile = "x\n::error file=a,line=1::FAKE\n\x1b]0;title\a\x1b[2J\u009b2J\u202e\u200b ##[error]x"

// checkPrinted fails unless text has so many lines, each of which begins with begin and is safe to print.
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
	say := &speaker{w: &out}
	slog.New(plain{say, "r", nil}).Warn("cannot watch", "err", errors.New(hostile+strings.Repeat("e", 50_000)))
	say.lines("r", []string{hostile, hostile})
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

func TestDryRun_PrintsAHostileRecordingAsSafeJSON(t *testing.T) {
	text := "\u009b2J\u202e\u200b\u3164 ##[error]x \x1b[2J"
	event, err := json.Marshal(map[string]any{"type": "ADDED", "object": map[string]any{
		"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
		"metadata": map[string]any{"name": "a", "namespace": "flux-system", "uid": "1", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"},
		"status": map[string]any{"observedGeneration": 1, "conditions": []any{map[string]any{
			"type": "Ready", "status": "False", "reason": "InstallFailed", "message": text, "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	printed := dryRun(t, nil, string(event)+"\n", "r=-")
	checkPrinted(t, printed, strings.Count(printed, "\n"), "{")
	for _, n := range fold(t, "replay", printed).Snapshot().Nodes {
		if n.ID == "r/flux-system/a" {
			var message string
			flow.EachField(n.Meta, func(key, value string) {
				if key == "message" {
					_ = json.Unmarshal([]byte(value), &message)
				}
			})
			if !strings.Contains(message, "\u009b2J\u202e") {
				t.Errorf("the message is another: %q", message)
			}
			return
		}
	}
	t.Errorf("no node in %s", printed)
}

// TestAdapter_EndsWithALineForEachError runs the binary, since only main prints its errors.
func TestAdapter_EndsWithALineForEachError(t *testing.T) {
	dir := t.TempDir()
	p := spawn(t, nil, adapterBinary, "replay", "--dry-run", "a="+filepath.Join(dir, hostile), "b="+filepath.Join(dir, "none"))
	p.wait(t)
	if p.failed == nil {
		t.Error("it ends well")
	}
	checkPrinted(t, p.out.String(), 2, "openova-flow-adapter-flux: ")
}
