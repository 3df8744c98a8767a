package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/relay/app"
	"github.com/openova-io/openova/products/openova-flow/relay/internal/standin"
)

const recordings = "../../../adapter-flux/testdata/golden/"

// config writes a configuration with a webhook and an Alertmanager, and returns its file.
func config(t *testing.T, hook, alerts string) string {
	t.Helper()
	dir := t.TempDir()
	text := `
server: {url: "http://127.0.0.1:1"}
channels:
  hook: {webhook: {url: "` + hook + `", secretFile: ` + dir + `/secret}}
  alerts: {alertmanager: {urls: ["` + alerts + `"]}}
rules:
  - {name: all, channels: [hook]}
`
	for name, content := range map[string]string{"relay.yaml": text, "secret": "s3cret"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "relay.yaml")
}

func command(args ...string) (stdout, stderr string, err error) {
	var out, errOut bytes.Buffer
	err = run(context.Background(), args, strings.NewReader(""), &out, &errOut)
	return out.String(), errOut.String(), err
}

func TestDryRun_OfTheRecordings(t *testing.T) {
	file := config(t, "http://127.0.0.1:1", "http://127.0.0.1:1")
	for name, want := range map[string]struct{ rollouts, causes, resolved int }{
		"kit-fsn1": {1, 1, 2}, "kit-hel1": {1, 2, 3}, "real-a-bootstrap": {1, 0, 1},
	} {
		out, _, err := command("run", "--config", file, "--dry-run", recordings+name+".events.jsonl")
		if err != nil {
			t.Fatal(err)
		}
		rollouts := strings.Count(out, " opened: Rollout of bootstrap:")
		causes := strings.Count(out, " opened: ") - rollouts
		if resolved := strings.Count(out, " hook resolved: "); rollouts != want.rollouts || causes != want.causes || resolved != want.resolved {
			t.Errorf("%s: %d rollouts, %d causes, %d resolved:\n%s", name, rollouts, causes, resolved, out)
		}
	}
}

func TestDryRun_ReadsAnAnswerOfTheAPI(t *testing.T) {
	file := config(t, "http://127.0.0.1:1", "http://127.0.0.1:1")
	recording := filepath.Join(t.TempDir(), "events.json")
	if err := os.WriteFile(recording, []byte(`{"base":{"type":"snapshot","flow":{"id":"prod","status":"running","startedAt":1},"nodes":[],"relationships":[]},"baseSeq":1,"events":[`+
		`{"seq":2,"at":1795475147659,"message":{"type":"upsert-nodes","nodes":[{"id":"fsn1/db","flowId":"prod","label":"db","status":"failed","region":"fsn1"}]}}],"oldest":2,"head":2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _, err := command("--config", file, "--dry-run", recording); err != nil || !strings.Contains(out, "opened: db in fsn1 (prod)") {
		t.Errorf("%s %v", out, err)
	}
}

func TestDryRun_NoRuleForTheFlow(t *testing.T) {
	file := config(t, "http://127.0.0.1:1", "http://127.0.0.1:1")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), "[hook]}", "[hook], flows: [prod]}", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := command("--config", file, "--dry-run", recordings+"kit-fsn1.events.jsonl"); err == nil || !strings.Contains(err.Error(), "bootstrap") {
		t.Errorf("%v", err)
	}
}

// closedPipe fails each write.
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestDryRun_ReportsWriteErrors(t *testing.T) {
	file := config(t, "http://127.0.0.1:1", "http://127.0.0.1:1")
	err := run(t.Context(), []string{"--config", file, "--dry-run", recordings + "kit-fsn1.events.jsonl"}, nil, closedPipe{}, io.Discard)
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v", err)
	}
}

// TestDryRun_Revisions has a recording of real controllers that apply two commits.
func TestDryRun_Revisions(t *testing.T) {
	file := config(t, "http://127.0.0.1:1", "http://127.0.0.1:1")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), "[hook]}", "[hook], kinds: [revision], after: 0s}", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err := command("--config", file, "--dry-run", recordings+"real-d-kustomizations.events.jsonl")
	if err != nil || strings.Count(out, "hook opened: Commit ") != 2 || strings.Count(out, "hook resolved: Commit 8b4964259f57 in bootstrap: failed. ") != 1 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTest_SendsOneOfEachKind(t *testing.T) {
	hook, alerts := &standin.Webhook{Secret: "s3cret"}, &standin.Alertmanager{}
	a, b := httptest.NewServer(hook), httptest.NewServer(alerts)
	defer a.Close()
	defer b.Close()
	file := config(t, a.URL, b.URL)
	out, _, err := command("test", "--config", file)
	if err != nil || strings.Count(out, "hook: ") != 8 || strings.Count(out, ": taken\n") != 14 || strings.Contains(out, "alerts: rollout") {
		t.Errorf("%s %v", out, err)
	}
	if len(hook.Received()) != 8 || len(alerts.Alerts()) != 3 || alerts.Firing() != 0 || len(hook.Faults())+len(alerts.Faults()) != 0 {
		t.Errorf("%d notices, %d alerts, %q %q", len(hook.Received()), len(alerts.Alerts()), hook.Faults(), alerts.Faults())
	}
	alerts.SetAway(true)
	if out, _, err = command("test", "--config", file); !errors.Is(err, app.ErrNotTaken) || !strings.Contains(out, "alerts: cause opened: ") || !strings.Contains(out, "503") {
		t.Errorf("%s %v", out, err)
	}
}

func TestRun_RefusesWrongArguments(t *testing.T) {
	file := config(t, "http://127.0.0.1:1", "http://127.0.0.1:1")
	for _, args := range [][]string{
		{}, {"run"}, {"walk", "--config", file}, {"run", "--config", file, "x"}, {"check", "--config", file + "x"},
		{"run", "--config", file, "--log-level", "loud"}, {"run", "--config", file, "--queue", "-1"}, {"run", "--config", file, "--listen-addr", "x"},
		{"run", "--config", file, "--dry-run", file + "x"}, {"run", "--config", file, "--dry-run", file},
		{"check", "--config", file, "--dry-run", "x"}, {"check", "--config", file, "--queue", "-1"}, {"check", "--config", file, "--log-level", "loud"},
	} {
		if _, _, err := command(args...); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	if _, _, err := command("walk"); err == nil || !strings.Contains(err.Error(), "walk") {
		t.Errorf("%v", err)
	}
	if _, _, err := command("run", "--https://u:hunter2@host"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
	if _, stderr, err := command("run", "--\x1b[2J"); err == nil || stderr != "" { // main prints the error, escaped
		t.Errorf("%q %v", stderr, err)
	}
	if _, stderr, err := command("run", "--help"); !errors.Is(err, flag.ErrHelp) || !strings.Contains(stderr, " -config ") {
		t.Errorf("%q %v", stderr, err)
	}
	if out, _, err := command("check", "--config", file); err != nil || out != "valid: 2 channels, 1 rules\n" {
		t.Errorf("%q %v", out, err)
	}
	if out, _, err := command("version"); err != nil || out == "" {
		t.Errorf("%q %v", out, err)
	}
}
