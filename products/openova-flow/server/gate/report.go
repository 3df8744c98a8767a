package gate

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

const (
	// Limits for texts from a flow, in bytes.
	shownName    = 256 // also for revisions and marks
	shownMessage = 1 << 10
	// shownLines limits each list in a text, and the problems in a Markdown summary.
	shownLines = 50
	// shownRows limits the objects in a Markdown summary.
	shownRows = 200
)

// WriteText writes the root causes and other failures; after a timeout also hints and the objects that the gate waited for. Long lists of problems and objects
// are cut. Each line is safe to print.
func (a *Answer) WriteText(w io.Writer, timedOut bool) error {
	var b strings.Builder
	listed := make(map[string]bool)
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if timedOut {
		a.writeHints(line)
	}
	for i, p := range a.Problems {
		listed[p.ID] = true
		if i >= shownLines {
			continue
		}
		text := "failed: " + terminal.Text(p.ID, shownName) + ": " + terminal.Text(cmp.Or(p.Sentence, p.Class), shownMessage)
		if p.Blocks > 0 {
			text += fmt.Sprintf(" Blocks %d.", p.Blocks)
		}
		if command, ok := terminal.Shell(p.Command); ok {
			text += " Run: " + command
		}
		line("%s", text)
	}
	more := func(of int) {
		if of > shownLines {
			line("and %d more", of-shownLines)
		}
	}
	more(len(a.Problems))
	var failed, open []Object
	for _, o := range a.Objects {
		switch {
		case o.Outcome == Open:
			open = append(open, o)
		case o.Outcome != Failed || listed[o.ID]:
		case o.State == insight.Suspended || len(o.HeldBy) == 0 && !timedOut:
			failed = append(failed, o)
		case timedOut:
			open = append(open, o)
		}
	}
	for _, o := range failed[:min(shownLines, len(failed))] {
		line("failed: %s: %s", terminal.Text(o.ID, shownName), terminal.Text(cmp.Or(o.Why, string(o.State)), shownMessage))
	}
	more(len(failed))
	if timedOut {
		for _, o := range open[:min(shownLines, len(open))] {
			line("timed out waiting for: %s", o.line())
		}
		more(len(open))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// line describes an object in one line, safe to print.
func (o *Object) line() string {
	text := terminal.Text(o.ID, shownName) + ": " + string(o.State)
	if len(o.Marks) > 0 {
		text += " (" + terminal.Text(strings.Join(o.Marks, ", "), shownName) + ")"
	}
	if len(o.HeldBy) > 0 {
		text += ", blocked by " + terminal.Text(strings.Join(o.HeldBy, ", "), shownMessage)
	} else if o.Outcome != Done && o.Why != "" {
		text += ": " + terminal.Text(o.Why, shownMessage)
	}
	return text
}

// writeHints writes what else may explain a timeout.
func (a *Answer) writeHints(line func(string, ...any)) {
	switch {
	case a.Total == 0 && a.Revision != "" && len(a.Sources) == 0:
		line("timed out: no object whose source has revisions, such as a GitRepository, has been reported yet")
	case a.Total == 0:
		line("timed out: no object to wait for has been reported yet")
	}
	if !a.Started {
		line("timed out: no run has started since the given time")
	}
	for _, m := range a.Missing {
		line("timed out waiting for: %s: does not exist", terminal.Text(m, shownName))
	}
	for _, s := range a.Stale {
		line("timed out: region %s is stale, last seen at %s", terminal.Text(s.Region, shownName), clock(s.Since))
	}
	for _, s := range a.Sources {
		if !s.Has {
			line("timed out: %s", s.Hint(a.At))
		}
	}
}

// Hint returns one line, safe to print: which revision a source has instead, since when, and the command, if any, that makes it fetch now. now is in Unix
// milliseconds.
func (s *Source) Hint(now int64) string {
	text := terminal.Text(s.ID, shownName) + " has " + cmp.Or(terminal.Text(s.Revision, shownName), "no revision")
	if since, ok := s.Since.Get(); ok {
		text += fmt.Sprintf(" for %s", milliseconds(max(0, now-since)).Round(time.Second))
	}
	if s.Interval > 0 {
		text += fmt.Sprintf(", fetches every %s", milliseconds(s.Interval))
	}
	if s.ByName {
		text += ", required for its name since a URL is unknown"
	}
	if command, ok := terminal.Shell(s.Command); ok {
		text += ". Run: " + command
	}
	return text
}

// Changes returns a line for each object that is new or described differently than in the answer before, and for each source with a revision that it did not
// have there. It returns nil if before is nil.
func (a *Answer) Changes(before *Answer) []string {
	if before == nil {
		return nil
	}
	was := make(map[string]string, len(before.Objects))
	for i := range before.Objects {
		was[before.Objects[i].ID] = before.Objects[i].line()
	}
	var lines []string
	for i := range a.Objects {
		if l := a.Objects[i].line(); was[a.Objects[i].ID] != l {
			lines = append(lines, l)
		}
	}
	for i := range a.Sources {
		if s := &a.Sources[i]; !slices.ContainsFunc(before.Sources, func(b Source) bool { return b.ID == s.ID && b.Revision == s.Revision }) && s.Revision != "" {
			lines = append(lines, terminal.Text(s.ID, shownName)+": has "+terminal.Text(s.Revision, shownName))
		}
	}
	return lines
}

// milliseconds returns ms as a duration, or the longest duration if ms, which a flow may choose, exceeds it.
func milliseconds(ms int64) time.Duration {
	return time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}

func clock(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Timestamp string      `xml:"timestamp,attr"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	ClassName string       `xml:"classname,attr"`
	Name      string       `xml:"name,attr"`
	Time      string       `xml:"time,attr"`
	Failure   *junitDetail `xml:"failure"`
	Error     *junitDetail `xml:"error"`
}

type junitDetail struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the answer as a JUnit report: a suite for each region, a case for each object, each other root cause and each missing object. An answer
// without any of these has one case, an error. Failed objects and the other root causes are failures. Open and missing objects are errors of type timeout.
func (a *Answer) WriteJUnit(w io.Writer, flowID string) error {
	all := junitSuites{Name: flowID}
	suite := func(region string) *junitSuite {
		for i := range all.Suites {
			if all.Suites[i].Name == region {
				return &all.Suites[i]
			}
		}
		all.Suites = append(all.Suites, junitSuite{Name: region, Timestamp: time.UnixMilli(a.At).UTC().Format("2006-01-02T15:04:05")})
		return &all.Suites[len(all.Suites)-1]
	}
	add := func(region string, c junitCase) {
		s := suite(text(cmp.Or(region, "no region")))
		s.Cases = append(s.Cases, c)
		s.Tests, all.Tests = s.Tests+1, all.Tests+1
		if c.Failure != nil {
			s.Failures, all.Failures = s.Failures+1, all.Failures+1
		}
		if c.Error != nil {
			s.Errors, all.Errors = s.Errors+1, all.Errors+1
		}
	}
	problems := make(map[string]Problem, len(a.Problems))
	for _, p := range a.Problems {
		problems[p.ID] = p
	}
	for _, o := range a.Objects {
		c := junitCase{ClassName: text(cmp.Or(o.Region, "no region") + "." + cmp.Or(o.Kind, "node")), Name: text(o.ID), Time: "0"}
		if took := o.EndedAt.Ms() - o.StartedAt.Ms(); !o.StartedAt.IsZero() && !o.EndedAt.IsZero() && took > 0 {
			c.Time = fmt.Sprintf("%.3f", float64(took)/1000)
		}
		detail := &junitDetail{Message: text(cmp.Or(o.Why, string(o.State))), Type: string(o.State), Text: text(o.line())}
		p, rooted := problems[o.ID]
		if rooted {
			detail.Message, detail.Type = text(cmp.Or(p.Sentence, p.Class)), text(cmp.Or(p.Class, detail.Type))
			if command, ok := terminal.Shell(p.Command); ok {
				detail.Text += "\nRun: " + command
			}
			delete(problems, o.ID)
		}
		switch {
		case o.Outcome == Failed:
			c.Failure = detail
		case o.Outcome == Open:
			detail.Type = "timeout"
			c.Error = detail
		}
		add(o.Region, c)
	}
	for _, p := range a.Problems { // root causes that are not among the objects, such as sources
		if _, left := problems[p.ID]; left {
			message := text(cmp.Or(p.Sentence, p.Class))
			add(p.Region, junitCase{ClassName: text(cmp.Or(p.Region, "no region") + ".cause"), Name: text(p.ID), Time: "0", Failure: &junitDetail{Message: message, Type: text(p.Class), Text: message}})
		}
	}
	for _, m := range a.Missing {
		add("", junitCase{ClassName: "missing", Name: text(m), Time: "0", Error: &junitDetail{Message: "does not exist", Type: "timeout"}})
	}
	if all.Tests == 0 { // CI systems show a report without tests as a success
		add("", junitCase{ClassName: "missing", Name: "objects", Time: "0", Error: &junitDetail{Message: "no object to wait for has been reported", Type: "timeout"}})
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", " ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// text shortens and escapes a text from a flow.
func text(s string) string { return terminal.Text(s, shownMessage) }

// WriteMarkdown writes the answer as a Markdown summary for CI systems. Texts from the flow are escaped. Long lists of problems and
// objects are cut.
func (a *Answer) WriteMarkdown(w io.Writer, flowID string) error {
	var b strings.Builder
	name := func(s string) string { return terminal.Markdown(s, shownName) }
	fmt.Fprintf(&b, "## Flow %s: %s\n\n%s\n", name(flowID), a.Result, terminal.Markdown(a.Line(), shownMessage))
	for i, p := range a.Problems[:min(shownLines, len(a.Problems))] {
		if i == 0 {
			b.WriteString("\n### Root causes\n\n")
		}
		fmt.Fprintf(&b, "- **%s**: %s", name(p.ID), terminal.Markdown(cmp.Or(p.Sentence, p.Class), shownMessage))
		if p.Blocks > 0 {
			fmt.Fprintf(&b, " Blocks %d.", p.Blocks)
		}
		b.WriteString("\n")
		if command, ok := terminal.Shell(p.Command); ok {
			fmt.Fprintf(&b, "\n      %s\n\n", command) // an indented code block, without markup
		}
	}
	if len(a.Problems) > shownLines {
		fmt.Fprintf(&b, "- and %d more\n", len(a.Problems)-shownLines)
	}
	if len(a.Sources) > 0 {
		b.WriteString("\n| source | revision | |\n|---|---|---|\n")
		for _, s := range a.Sources {
			state := "not yet"
			if s.Has {
				state = "has it"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", name(s.ID), name(s.Revision), state)
		}
	}
	b.WriteString("\n| object | state | outcome | |\n|---|---|---|---|\n")
	objects := slices.Clone(a.Objects)
	rank := map[Outcome]int{Failed: 0, Open: 1, Done: 2}
	slices.SortStableFunc(objects, func(x, y Object) int { return cmp.Compare(rank[x.Outcome], rank[y.Outcome]) })
	for _, o := range objects[:min(shownRows, len(objects))] {
		why := o.Why
		if len(o.HeldBy) > 0 {
			why = "blocked by " + strings.Join(o.HeldBy, ", ")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name(o.ID), o.State, o.Outcome, terminal.Markdown(why, shownMessage))
	}
	if len(objects) > shownRows {
		fmt.Fprintf(&b, "\nand %d more\n", len(objects)-shownRows)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
