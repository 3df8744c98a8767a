package mapping_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

// oneOf is a string, or a list of alternatives.
type oneOf []string

func (o *oneOf) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*o = oneOf{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(o))
}

// outcome is the expected state of a case at one time. What is absent is not checked, except the root of a problem.
type outcome struct {
	Display  map[string]string
	Marks    map[string][]string
	HeldBy   map[string][]string
	Problems *[]struct {
		Root, Command oneOf
		Also          []string
		Blocks        *int
		Says, Not     []string
	}
	AnyOrder bool
	Gate     string
}

// expectation is a file testdata/cases/*.expect.json.
type expectation struct {
	NoNewRun []string
	During   map[time.Time]outcome // after the events up to this time
	After    map[string]outcome    // this long after the last event
}

// caseFiles returns the names in testdata/cases, without extensions.
func caseFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("../testdata/cases/*.expect.json")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".expect.json")
	}
	return files
}

func playCase(t testing.TB, name string) *replay { return play(t, "../cases/"+name, "fsn1") }

// until returns the fold of all messages up to a time, in Unix milliseconds.
func (r *replay) until(now int64) *flow.Message {
	held := flow.NewState("bootstrap", 0)
	for _, s := range r.sent {
		if s.at <= now {
			held.Apply(s.message)
		}
	}
	return held.Snapshot()
}

func TestCases_HaveTheExpectedResult(t *testing.T) {
	for _, name := range caseFiles(t) {
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile("../testdata/cases/" + name + ".expect.json")
			if err != nil {
				t.Fatal(err)
			}
			var want expectation
			if err := json.Unmarshal(raw, &want); err != nil {
				t.Fatal(err)
			}
			r := playCase(t, name)
			var last int64
			for _, ev := range events(t, "../cases/"+name) {
				last = max(last, ev.At.Ms())
			}
			for at, o := range want.During {
				t.Run("during", func(t *testing.T) { o.check(t, r.until(at.UnixMilli()), at.UnixMilli()) })
			}
			for offset, o := range want.After {
				t.Run("after "+offset, func(t *testing.T) { o.check(t, r.held.Snapshot(), last+milliseconds(t, offset)) })
			}
			for _, id := range want.NoNewRun {
				noNewRun(t, r, id)
			}
		})
	}
}

// milliseconds parses a duration, also in days.
func milliseconds(t *testing.T, text string) int64 {
	days, inDays := strings.CutSuffix(text, "d")
	if inDays {
		text = days + "h"
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	if inDays {
		d *= 24
	}
	return d.Milliseconds()
}

func everything(*flow.Node) bool { return true }

func (o outcome) check(t *testing.T, held *flow.Message, now int64) {
	t.Helper()
	v := insight.Read(held).At(now, nil)
	for id, want := range o.Display {
		if got := string(v.State(id)); got != want {
			t.Errorf("%s is %q, want %q", id, got, want)
		}
	}
	for id, want := range o.Marks {
		for _, mark := range want {
			if got := v.Marks(id); !slices.Contains(got, mark) {
				t.Errorf("%s has the marks %q, want %q among them", id, got, mark)
			}
		}
	}
	for id, want := range o.HeldBy {
		if got := v.HeldBy(id); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
			t.Errorf("%s is blocked by %q, want %q", id, got, want)
		}
	}
	if got := v.Verdict(everything).Result; o.Gate != "" && got != o.Gate {
		t.Errorf("the verdict is %s, want %s", got, o.Gate)
	}
	if o.Problems == nil {
		return
	}
	got := v.Problems()
	if len(got) != len(*o.Problems) {
		t.Fatalf("the problems are %+v, want %d", got, len(*o.Problems))
	}
	before := -1
	for _, want := range *o.Problems {
		at := slices.IndexFunc(got, func(p insight.Problem) bool { return slices.Contains(want.Root, p.ID) })
		if at < 0 {
			t.Fatalf("no problem has the root %q: %+v", want.Root, got)
		}
		p := got[at]
		if at <= before && !o.AnyOrder {
			t.Errorf("problem %s comes too early", p.ID)
		}
		before = at
		for _, id := range want.Also {
			if !slices.Contains(p.IDs, id) {
				t.Errorf("problem %s has ids %q, want also %s", p.ID, p.IDs, id)
			}
		}
		if want.Blocks != nil && len(p.Blocks) != *want.Blocks {
			t.Errorf("problem %s blocks %q, want %d", p.ID, p.Blocks, *want.Blocks)
		}
		for _, w := range want.Says {
			if !saysAny(p.Sentence, w) {
				t.Errorf("the sentence of problem %s lacks %q: %s", p.ID, w, p.Sentence)
			}
		}
		for _, w := range want.Not {
			if saysAny(p.Sentence, w) {
				t.Errorf("the sentence of problem %s has %q: %s", p.ID, w, p.Sentence)
			}
		}
		if command := strings.Join(p.Command, " "); want.Command != nil && !slices.ContainsFunc(want.Command, func(w string) bool { return strings.ReplaceAll(w, "'", "") == command }) {
			t.Errorf("the command of problem %s is %q, want one of %q", p.ID, command, want.Command)
		}
	}
}

// saysAny reports whether a sentence contains one of the alternatives, separated by bars.
func saysAny(sentence, want string) bool {
	return slices.ContainsFunc(strings.Split(want, "|"), func(w string) bool { return strings.Contains(strings.ToLower(sentence), strings.ToLower(w)) })
}

// noNewRun checks that a node keeps its run after success: it stays succeeded, except while it waits for a dependency, and its start does not change.
func noNewRun(t *testing.T, r *replay, id string) {
	t.Helper()
	var first *flow.Node
	for _, n := range r.nodes[id] {
		if first != nil {
			waits := strings.Contains(string(n.Meta), `"reason":"DependencyNotReady"`)
			if n.Status != flow.StatusSucceeded && !waits || n.StartedAt != first.StartedAt {
				t.Errorf("%s runs again: %s", id, n.JSON())
			}
		} else if n.Status == flow.StatusSucceeded {
			first = &n
		}
	}
	if first == nil {
		t.Errorf("%s has never succeeded", id)
	}
}

func TestGolden_Cases(t *testing.T) {
	for _, name := range caseFiles(t) {
		t.Run(name, func(t *testing.T) { golden(t, playCase(t, name), "cases/"+name[:2]+".jsonl") })
	}
}

// judgements returns the judgement of a node and each of its `then`.
func judgements(t testing.TB, n flow.Node) []map[string]any {
	t.Helper()
	j, _ := meta(t, n)["judgement"].(map[string]any)
	if j == nil {
		t.Fatalf("%s has no judgement", n.ID)
	}
	all := []map[string]any{j}
	then, _ := j["then"].([]any)
	for _, s := range then {
		all = append(all, s.(map[string]any))
	}
	return all
}

// segmentAt returns the part of a node's judgement that holds at an instant, in Unix milliseconds.
func segmentAt(t testing.TB, n flow.Node, at int64) map[string]any {
	t.Helper()
	all := judgements(t, n)
	now := all[0]
	for _, s := range all[1:] {
		if int64(s["at"].(float64)) <= at {
			now = s
		}
	}
	return now
}
