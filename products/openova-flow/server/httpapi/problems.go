package httpapi

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// What of the problems of a flow an answer has. Real flows have a handful.
const (
	maxProblems     = 500
	maxProblemIDs   = 200      // of ids and of blocks
	maxProblemNames = 32 << 10 // bytes of the ids, and of the blocks, beyond which no more are listed
	maxProblemText  = 2000     // bytes of a sentence
	shownProblemIDs = 10       // in text
)

// problemsAnswer is what is wrong in a flow.
type problemsAnswer struct {
	At       int64       `json:"at"`
	Verdict  string      `json:"verdict"`
	Problems []rootCause `json:"problems"`
	Omitted  int         `json:"omitted,omitempty"` // those beyond maxProblems, see firstOfEach
}

type rootCause struct {
	ID       string    `json:"id"`
	IDs      []string  `json:"ids"`
	Label    string    `json:"label"`
	Region   string    `json:"region"`
	Class    string    `json:"class"`
	Sentence string    `json:"sentence"`
	Command  []string  `json:"command,omitempty"`
	Since    flow.Time `json:"since,omitzero"`
	Blocks   []string  `json:"blocks"`
	Blocked  int       `json:"blocked"` // how many, also where blocks is cut
	Marks    []string  `json:"marks"`
}

// problems answers with what is wrong in a flow now, or in one region of it: root causes first those that matter most.
func (s *Server) problems(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string) {
	region, query := "", r.URL.Query()
	if query.Has("region") {
		if region = query.Get("region"); len(query["region"]) != 1 || region == "" || !utf8.ValidString(region) {
			writeProblem(w, problem{Status: http.StatusBadRequest, Field: "region", Detail: "name one region, percent-encoded, or leave the parameter out for all"})
			return
		}
	}
	kind := preferred(r.Header.Get("Accept"))
	var body bytes.Buffer
	incarnation := ""
	var err error
	if !s.making(r, g, func() {
		var view *insight.View
		var now int64
		if view, now, incarnation, err = s.hub.Insight(flowID); err != nil {
			return
		}
		answer := answerOf(view.Verdict(func(n *flow.Node) bool { return region == "" || n.Region == region }), now)
		if kind == typeJSON {
			err = encodeJSON(&body, answer)
			return
		}
		body.WriteString(answer.text(kind == "text/markdown"))
	}) {
		return
	}
	w.Header().Set(headerIncarnation, incarnation)
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	if kind != typeJSON {
		kind += "; charset=utf-8"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Add("Vary", "Accept")
	s.send(w, r, g, body.Bytes())
}

// preferred returns the first type of an Accept header that problems come in, JSON when it names none.
func preferred(accept string) string {
	for part := range strings.SplitSeq(accept, ",") {
		kind, _, _ := strings.Cut(part, ";")
		switch kind = strings.TrimSpace(kind); kind {
		case typeJSON, "text/plain", "text/markdown":
			return kind
		}
	}
	return typeJSON
}

func answerOf(d insight.Verdict, now int64) problemsAnswer {
	a := problemsAnswer{At: now, Verdict: d.Result, Problems: []rootCause{}, Omitted: max(0, len(d.Problems)-maxProblems)}
	for _, p := range firstOfEach(d.Problems, maxProblems) {
		a.Problems = append(a.Problems, rootCause{ID: p.ID, IDs: some(p.IDs, 1), Label: p.Label, Region: p.Region, Class: p.Class,
			Sentence: cut(p.Sentence, maxProblemText), Command: p.Command, Since: p.Since, Blocks: some(p.Blocks, 0), Blocked: len(p.Blocks), Marks: some(p.Marks, 0)})
	}
	return a
}

// some returns the first of a list, so many of them in any case; never nil. Many problems may list the same ids, however long those are.
func some(list []string, always int) []string {
	first, size := []string{}, 0
	for _, s := range list[:min(maxProblemIDs, len(list))] {
		if size += len(s); size > maxProblemNames && len(first) >= always {
			break
		}
		first = append(first, s)
	}
	return first
}

// text returns the answer for a person at a terminal, or as Markdown. What a flow says is escaped: it does nothing but show itself.
func (a problemsAnswer) text(markdown bool) string {
	show := func(s string, most int) string {
		s = terminal.Text(s, most)
		if markdown {
			s = markdownEscapes.Replace(s)
		}
		return s
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s, problems: %d\n", a.Verdict, time.UnixMilli(a.At).UTC().Format(time.RFC3339), len(a.Problems)+a.Omitted)
	for i, p := range a.Problems {
		sentence := p.Sentence
		if sentence == "" {
			sentence = p.Class
		}
		fmt.Fprintf(&b, "\n%d. %s\n   id: %s\n", i+1, show(sentence, maxProblemText), show(p.ID, 256))
		if ms, ok := p.Since.Get(); ok {
			fmt.Fprintf(&b, "   since: %s\n", time.UnixMilli(ms).UTC().Format(time.RFC3339))
		}
		if len(p.Marks) > 0 {
			fmt.Fprintf(&b, "   marks: %s\n", show(strings.Join(p.Marks, ", "), 256))
		}
		if len(p.IDs) > 1 {
			fmt.Fprintf(&b, "   also: %s\n", show(listed(p.IDs[1:], len(p.IDs)-1), maxProblemText))
		}
		if p.Blocked > 0 {
			fmt.Fprintf(&b, "   blocks %d: %s\n", p.Blocked, show(listed(p.Blocks, p.Blocked), maxProblemText))
		}
		if line, ok := terminal.Shell(p.Command); ok {
			if markdown {
				line = "\n\n       " + line // an indented block of the item, in which nothing has a meaning
			}
			fmt.Fprintf(&b, "   run: %s\n", line)
		}
	}
	if a.Omitted > 0 {
		fmt.Fprintf(&b, "\nand %d more\n", a.Omitted)
	}
	return b.String()
}

// firstOfEach returns so many of some problems at most, in their order: of each region the first ones, as many as of any other that has more. So no
// region takes another's out of the list.
func firstOfEach(problems []insight.Problem, most int) []insight.Problem {
	if len(problems) <= most {
		return problems
	}
	places, ranks, met := make([]int, len(problems)), make([]int, len(problems)), make(map[string]int)
	for i := range problems {
		places[i], ranks[i] = i, met[problems[i].Region]
		met[problems[i].Region]++
	}
	slices.SortStableFunc(places, func(a, b int) int { return cmp.Compare(ranks[a], ranks[b]) })
	places = places[:most]
	slices.Sort(places)
	listed := make([]insight.Problem, most)
	for i, place := range places {
		listed[i] = problems[place]
	}
	return listed
}

// listed names the first of some ids.
func listed(ids []string, of int) string {
	text := strings.Join(ids[:min(shownProblemIDs, len(ids))], ", ")
	if of > shownProblemIDs {
		text += fmt.Sprintf(" and %d more", of-shownProblemIDs)
	}
	return text
}

// markdownEscapes takes their meaning from characters that Markdown or HTML gives one.
var markdownEscapes = func() *strings.Replacer {
	var pairs []string
	for _, c := range "\\`*_{}[]()<>#+-!|~&:@." {
		pairs = append(pairs, string(c), "\\"+string(c))
	}
	return strings.NewReplacer(pairs...)
}()
