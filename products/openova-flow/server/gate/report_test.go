package gate_test

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/gate"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

var update = flag.Bool("update", false, "update the golden file")

// reported returns an answer with everything that a report may contain.
func reported() *gate.Answer {
	db, fleet := "one/shop/db", "one/GitRepository/flux-system/fleet"
	return &gate.Answer{At: 100_000, Result: insight.Pending, Revision: a, Total: 8, Done: 1, Working: 1, Waiting: 1, Failed: 3, Suspended: 1,
		Objects: []gate.Object{
			{ID: "one/shop/web", Region: "one", Kind: "HelmRelease", State: insight.Ready, Outcome: gate.Done, Why: "not shown", StartedAt: flow.At(1000), EndedAt: flow.At(3500)},
			{ID: db, Region: "one", Kind: "HelmRelease", State: insight.Broken, Marks: []string{"not-observed", "retrying"}, Outcome: gate.Failed, Why: "not in the text", StartedAt: flow.At(3500), EndedAt: flow.At(1000)},
			{ID: "one/shop/cache", Region: "one", Kind: "HelmRelease", State: insight.Broken, Outcome: gate.Failed, StartedAt: flow.At(1000)},
			{ID: "one/shop/mail", Region: "one", Kind: "HelmRelease", State: insight.Broken, Outcome: gate.Failed, Why: "It failed\nwith a newline.", EndedAt: flow.At(1000)},
			{ID: "one/shop/queue", Region: "one", Kind: "HelmRelease", State: insight.Waiting, Outcome: gate.Failed, Why: "It waits.", HeldBy: []string{db, fleet}},
			{ID: "one/shop/paused", Region: "one", Kind: "HelmRelease", State: insight.Suspended, Outcome: gate.Failed, Why: "It is suspended.", HeldBy: []string{db}},
			{ID: "two/shop/web", Region: "two", Kind: "HelmRelease", State: insight.Working, Outcome: gate.Open, Why: "It is upgraded."},
			{ID: "group", State: insight.Waiting, Outcome: gate.Open},
		},
		Problems: []gate.Problem{
			{ID: db, Region: "one", Class: "given-up", Sentence: "It was given up.", Command: []string{"flux", "reconcile", "helmrelease", "db", "-n", "shop"}, Blocks: 2},
			{ID: fleet, Region: "one", Class: "fetch-failed", Command: []string{"rm", "-rf", "/\n"}},
			{ID: "one/shop/cache", Region: "one", Sentence: "It has no class."},
			{ID: "elsewhere", Class: "dependency-cycle", Sentence: "It waits for itself."},
		},
		Sources: []gate.Source{
			{ID: fleet, Region: "one", Revision: before, Since: flow.At(40_000), Interval: 60_000, ByName: true, Command: []string{"flux", "reconcile", "source", "git", "fleet", "-n", "flux-system"}},
			{ID: "two/GitRepository/flux-system/fleet", Region: "two", Revision: a, Has: true},
			{ID: "three/GitRepository/flux-system/fleet", Region: "three", Since: flow.At(200_000)},
		},
		Stale: []gate.Stale{{Region: "two", Since: 90_000}}, Missing: []string{"HelmRelease shop/gone"}}
}

func TestAnswer_GoldenReports(t *testing.T) {
	var out strings.Builder
	part := func(name string, err error) {
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(&out, "==== above: %s\n", name)
	}
	nothing := &gate.Answer{Revision: a, Started: true, Result: insight.Pending}
	for _, timedOut := range []bool{false, true} {
		part(fmt.Sprintf("text, timed out: %v", timedOut), reported().WriteText(&out, timedOut))
		part(fmt.Sprintf("text without objects, timed out: %v", timedOut), nothing.WriteText(&out, timedOut))
	}
	part("text without objects or revision", (&gate.Answer{Started: true}).WriteText(&out, true))
	was := reported()
	was.Objects[0].State, was.Sources[0].Revision, was.Sources[1].Revision, was.Sources[2].Revision = insight.Working, "", b, "gone"
	was.Objects = was.Objects[:len(was.Objects)-1]
	for _, l := range append(reported().Changes(was), reported().Changes(nil)...) {
		fmt.Fprintln(&out, l)
	}
	part("changes", nil)
	part("JUnit", reported().WriteJUnit(&out, "F"))
	part("JUnit without objects", nothing.WriteJUnit(&out, "F"))
	part("Markdown", reported().WriteMarkdown(&out, "F"))
	part("Markdown without objects", nothing.WriteMarkdown(&out, "F"))
	const file = "testdata/reports.txt"
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || string(want) != out.String() {
		t.Errorf("%v; the reports are\n%s\nwant\n%s", err, &out, want)
	}
}

// TestSource_HintOfHugeTimes: the times of a source may be longer apart than a time.Duration can hold.
func TestSource_HintOfHugeTimes(t *testing.T) {
	s := gate.Source{ID: "one/x", Since: flow.At(-8_640_000_000_000_000), Interval: 1<<53 - 1}
	longest := (math.MaxInt64 / time.Millisecond * time.Millisecond).String()
	if got := s.Hint(1_000_000_000_000); strings.Contains(got, "-") || !strings.Contains(got, longest) || strings.Contains(got, " 0s") {
		t.Error(got)
	}
}

func TestAnswer_TextListsNoProblemAsAnObjectToo(t *testing.T) {
	const size = 51
	a := &gate.Answer{Total: size, Started: true}
	for i := range size {
		id := fmt.Sprint("web", i)
		a.Problems = append(a.Problems, gate.Problem{ID: id, Class: "x"})
		a.Objects = append(a.Objects, gate.Object{ID: id, State: insight.Broken, Outcome: gate.Failed})
	}
	for _, timedOut := range []bool{false, true} {
		var text strings.Builder
		if err := a.WriteText(&text, timedOut); err != nil {
			t.Error(err)
		}
		if got := text.String(); strings.Contains(got, "web50") || !strings.HasSuffix(got, "\nand 1 more\n") {
			t.Errorf("timed out: %v: the text ends with %q", timedOut, got[max(0, len(got)-100):])
		}
	}
}

func TestAnswer_ReportsCutLongLists(t *testing.T) {
	for _, tt := range []struct{ size, lines, moreLines, problems, rows, moreInMarkdown int }{
		{50, 150, 0, 50, 100, 0},
		{51, 153, 3, 50, 102, 1},
		{100, 153, 3, 50, 200, 1},
		{101, 153, 3, 50, 200, 2},
	} {
		a := &gate.Answer{Total: tt.size, Started: true}
		for i := range tt.size {
			a.Problems = append(a.Problems, gate.Problem{ID: fmt.Sprint("problem", i), Class: "x"})
			a.Objects = append(a.Objects, gate.Object{ID: fmt.Sprint("paused", i), State: insight.Suspended, Outcome: gate.Failed}, gate.Object{ID: fmt.Sprint("open", i), Outcome: gate.Open})
		}
		var text, markdown strings.Builder
		if err := errors.Join(a.WriteText(&text, true), a.WriteMarkdown(&markdown, "F")); err != nil {
			t.Error(err)
		}
		count := func(in *strings.Builder, begin string) int { return strings.Count("\n"+in.String(), "\n"+begin) }
		if lines, more := strings.Count(text.String(), "\n"), count(&text, fmt.Sprintf("and %d more\n", tt.size-50)); lines != tt.lines || more != tt.moreLines {
			t.Errorf("%d: the text has %d lines, %d about more", tt.size, lines, more)
		}
		problems, rows, more := count(&markdown, "- **problem"), count(&markdown, "| paused")+count(&markdown, "| open"), count(&markdown, "and ")+count(&markdown, "- and ")
		if problems != tt.problems || rows != tt.rows || more != tt.moreInMarkdown {
			t.Errorf("%d: the summary has %d problems, %d rows, %d lines about more", tt.size, problems, rows, more)
		}
	}
}
