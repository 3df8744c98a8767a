package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// fold folds the output of a dry run. Every line must be a message.
func fold(t *testing.T, flowID, printed string) *flow.State {
	t.Helper()
	state := flow.NewState(flowID, 0)
	lines := bufio.NewScanner(strings.NewReader(printed))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		m, err := flow.Decode(flowID, lines.Bytes())
		if err != nil {
			t.Fatalf("line %d: %v", n, err)
		}
		state.Apply(m)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return state
}

func dryRun(t *testing.T, env map[string]string, stdin string, args ...string) string {
	t.Helper()
	out, errs, err := call(t, env, stdin, append([]string{"replay", "--dry-run", "--speed", "max"}, args...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	return out
}

func TestReplay_DryRunFoldsToTheRecordedFinalState(t *testing.T) {
	args := []string{"fsn1=" + recordings + "kit-fsn1.jsonl", "hel1=" + recordings + "kit-hel1.jsonl"}
	printed := dryRun(t, nil, "", args...)
	want := truth(t, "fsn1", "kit-fsn1")
	maps.Copy(want, truth(t, "hel1", "kit-hel1"))
	if got := statuses(fold(t, "replay", printed).Snapshot().Nodes); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for range 3 {
		if again := dryRun(t, nil, "", args...); again != printed {
			t.Fatal("another run prints something else")
		}
	}
}

// TestReplay_DryRunPrintsOnlyMessages runs the real program: every line that it prints must be a message.
func TestReplay_DryRunPrintsOnlyMessages(t *testing.T) {
	p := spawn(t, []string{"LOG_LEVEL=error", "NAMESPACE_FILTER="}, adapterBinary, "replay", "--dry-run", "--speed", "max", "x="+recordings+"scenarios.jsonl")
	p.wait(t)
	if p.exitErr != nil {
		t.Fatalf("%v\n%s", p.exitErr, p.out)
	}
	if got := len(fold(t, "replay", p.out.String()).Snapshot().Nodes); got < 20 {
		t.Errorf("%d nodes", got)
	}
}

// TestReplay_DuplicateEventsChangeNothing plays each recording as it is, and with every event twice.
func TestReplay_DuplicateEventsChangeNothing(t *testing.T) {
	for _, file := range []string{"kit-fsn1", "kit-hel1", "scenarios"} {
		raw, err := os.ReadFile(recordings + file + ".jsonl")
		if err != nil {
			t.Fatal(err)
		}
		var doubled strings.Builder
		for line := range strings.Lines(string(raw)) {
			doubled.WriteString(line + line)
		}
		once := dryRun(t, nil, string(raw), "r=-")
		if twice := dryRun(t, nil, doubled.String(), "r=-"); twice != once {
			t.Errorf("%s: doubled events print something else", file)
		}
	}
}

// TestReplay_ReadsKubectlOutput: kubectl get --watch --output-watch-events prints objects over several lines, without times.
func TestReplay_ReadsKubectlOutput(t *testing.T) {
	raw, err := os.ReadFile(recordings + "kit-fsn1.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	for line := range strings.Lines(string(raw)) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		delete(e, "at")
		b, err := json.MarshalIndent(e, "", "    ")
		if err != nil {
			t.Fatal(err)
		}
		printed.Write(b)
	}
	// Without --speed: with invented times this would take five minutes.
	out, errs, err := call(t, nil, printed.String(), "replay", "--dry-run", "r=-")
	if err != nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	if got, want := statuses(fold(t, "replay", out).Snapshot().Nodes), truth(t, "r", "kit-fsn1"); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestReplay_UsesFlowIDAndNamespaceFilter(t *testing.T) {
	line := func(namespace string) string {
		return `{"type":"ADDED","object":{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{"name":"x","namespace":"` + namespace +
			`","uid":"` + namespace + `","generation":1},"spec":{"interval":"1m"}}}` + "\n"
	}
	in := line("flux-system") + line("apps") + line("other")
	for _, c := range []struct {
		name string
		env  map[string]string
		args []string
		want []string
	}{
		{"by default", nil, nil, []string{"r", "r/apps/x", "r/other/x", "r/x"}},
		{"empty is all", map[string]string{"NAMESPACE_FILTER": ""}, nil, []string{"r", "r/apps/x", "r/other/x", "r/x"}},
		{"one", map[string]string{"NAMESPACE_FILTER": "apps"}, nil, []string{"r", "r/apps/x"}},
		{"a list", map[string]string{"NAMESPACE_FILTER": "apps,other"}, nil, []string{"r", "r/apps/x", "r/other/x"}},
		{"by flag", nil, []string{"--namespaces", ""}, []string{"r", "r/apps/x", "r/other/x", "r/x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := map[string]string{"FLOW_ID": "other-flow"}
			maps.Copy(env, c.env)
			got := statuses(fold(t, "other-flow", dryRun(t, env, in, append(c.args, "r=-")...)).Snapshot().Nodes)
			if ids := slices.Sorted(maps.Keys(got)); !slices.Equal(ids, c.want) {
				t.Errorf("got %q, want %q", ids, c.want)
			}
		})
	}
}

func TestReplay_LogsFilteredEvents(t *testing.T) {
	line := `{"type":"ADDED","object":{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{"name":"x","namespace":"%s","uid":"1"},"spec":{}}}` + "\n"
	in := fmt.Sprintf(line, "apps") + fmt.Sprintf(line, "other") + fmt.Sprintf(line, "other") + fmt.Sprintf(line, "flux-system")
	_, errs, err := call(t, map[string]string{"NAMESPACE_FILTER": "apps"}, in, "replay", "--dry-run", "--speed", "max", "r=-")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"namespace":"other","events":2`, `"namespace":"flux-system","events":1`, `"msg":"replayed","events":1,`} {
		if !strings.Contains(errs, want) {
			t.Errorf("no %s in:\n%s", want, errs)
		}
	}
	if strings.Contains(errs, `"namespace":"apps"`) {
		t.Errorf("a watched namespace is logged as left out:\n%s", errs)
	}
}

func TestReplay_ErrorNamesTheLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.jsonl")
	good := `{"type":"ADDED","object":{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{"name":"x","namespace":"flux-system","uid":"1"},"spec":{}}}` + "\n"
	if err := os.WriteFile(path, []byte(good+good+`{"type":`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := call(t, nil, "", "replay", "--dry-run", "r="+path)
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("got %v", err)
	}
}

// TestReplay_ClosedOutputIsAnError: if the reader closes the output, the rest is lost, so replay fails.
func TestReplay_ClosedOutputIsAnError(t *testing.T) {
	r, w := io.Pipe()
	_ = r.CloseWithError(errors.New("reader has gone"))
	err := run(context.Background(), []string{"replay", "--dry-run", "--speed", "max", "r=" + recordings + "kit-fsn1.jsonl"},
		func(string) (string, bool) { return "", false }, nil, w, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "reader has gone") {
		t.Errorf("got %v", err)
	}
}

// played is an event and the time of its replay.
type played struct {
	region string
	after  time.Duration // since the start of the replay
	at     flow.Time
	object map[string]any
}

func playAt(t *testing.T, speed float64, rebase bool) (all []played) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var tapes []*tape
		for _, region := range []string{"fsn1", "hel1"} {
			f, err := os.Open(recordings + "kit-" + region + ".jsonl")
			if err != nil {
				t.Fatal(err)
			}
			tapes = append(tapes, newTape(region, region, f))
		}
		defer closeTapes(tapes)
		p := player{tapes: tapes, speed: speed, rebase: rebase, play: func(_ context.Context, tp *tape, e mapping.Event) error {
			all = append(all, played{tp.region, time.Since(began), e.At, e.Object.Object})
			return nil
		}}
		if err := p.run(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	return all
}

func TestReplay_KeepsTheRecordedPace(t *testing.T) {
	normal, fast := playAt(t, 1, false), playAt(t, 10, false)
	if len(normal) != len(fast) || len(normal) < 1200 {
		t.Fatalf("%d and %d events", len(normal), len(fast))
	}
	for i := range normal {
		if d := fast[i].after - normal[i].after/10; d < -time.Millisecond || d > time.Millisecond || normal[i].region != fast[i].region {
			t.Fatalf("event %d is of %s and played after %v; ten times as fast it is of %s and played after %v", i, normal[i].region, normal[i].after, fast[i].region, fast[i].after)
		}
	}
	// The second recording is from a later time than the first.
	if first, end := normal[0], normal[len(normal)-1]; first.region != "fsn1" || first.after != 0 || end.region != "hel1" || end.after < 15*time.Minute {
		t.Errorf("from %v of %s to %v of %s", first.after, first.region, end.after, end.region)
	}
}

func TestReplay_RebasedRegionsBeginTogether(t *testing.T) {
	events := playAt(t, 1, true)
	if end := events[len(events)-1].after; end < 330*time.Second || end > 333*time.Second {
		t.Errorf("took %v, the longer one was recorded over 331 s", end)
	}
	switches := 0
	for i := 1; i < len(events); i++ {
		if events[i].at.Ms() < events[i-1].at.Ms() {
			t.Fatalf("event %d is from before the previous one", i)
		}
		if events[i].region != events[i-1].region {
			switches++
		}
	}
	if switches < 100 {
		t.Errorf("the regions are not interleaved: %d switches", switches)
	}
}

func TestReplay_RebasedTimesAreNow(t *testing.T) {
	for _, e := range playAt(t, 10, true) {
		created := e.object["metadata"].(map[string]any)["creationTimestamp"].(string)
		at, err := time.Parse(time.RFC3339Nano, created)
		if err != nil {
			t.Fatal(err)
		}
		// A bubble's clock starts at midnight UTC 2000-01-01.
		start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		if at.Before(start.Add(-time.Second)) || at.After(start.Add(e.after+time.Second)) {
			t.Fatalf("%v after the start an object has creationTimestamp %v", e.after, at)
		}
		if came := time.UnixMilli(e.at.Ms()).Sub(start.Add(e.after)).Abs(); came > time.Second {
			t.Fatalf("%v after the start an event has the time %v", e.after, time.UnixMilli(e.at.Ms()).UTC())
		}
	}
}

func TestPlayer_WaitsAtTheSlowestSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := player{speed: 1e-300, start: time.Now().UnixMilli(), origin: map[string]int64{"": time.Now().UnixMilli()}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := p.wait(ctx, &tape{at: time.Now().UnixMilli() + 1, dated: true}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want to wait for more than an hour", err)
		}
	})
}
