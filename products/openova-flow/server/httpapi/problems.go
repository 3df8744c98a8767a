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
	"github.com/openova-io/openova/products/openova-flow/server/internal/web"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// Limits of an answer. Usually a flow has a handful of problems.
const (
	maxProblems     = 500
	maxProblemIDs   = 200      // entries in each of ids, blocks and marks
	maxProblemBytes = 32 << 10 // bytes in each of them, except that ids has at least one entry
	maxProblemText  = 2000     // bytes of a sentence; in a text answer, also of a list of ids
	shownProblemIDs = 10       // ids of a list in a text answer
)

// problemsAnswer is the answer as JSON.
type problemsAnswer struct {
	At       int64       `json:"at"`
	Verdict  string      `json:"verdict"`
	Problems []rootCause `json:"problems"`
	Omitted  int         `json:"omitted,omitempty"` // problems that are not listed
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
	Blocked  int       `json:"blocked"` // number of blocked nodes, also if blocks has only the first
	Marks    []string  `json:"marks"`

	nodes int // number of nodes, also if ids has only the first
}

// problems answers with the current root causes in a flow, or with those that concern one of its regions, the most important first.
func (s *Server) problems(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string) {
	region, query := "", r.URL.Query()
	if query.Has("region") {
		if region = query.Get("region"); len(query["region"]) != 1 || region == "" || !utf8.ValidString(region) {
			writeProblem(w, problem{Status: http.StatusBadRequest, Field: "region", Detail: "name one region, percent-encoded, or leave the parameter out for all"})
			return
		}
	}
	kind := cmp.Or(web.FirstAccepted(r.Header.Values("Accept"), typeJSON, "text/plain", "text/markdown"), typeJSON)
	s.answer(w, r, g, func() ([]byte, error) {
		view, now, incarnation, err := s.hub.Insight(flowID)
		h := w.Header()
		h.Set(headerIncarnation, incarnation)
		if err != nil {
			return nil, err
		}
		answer := answerOf(view.Verdict(func(n *flow.Node) bool { return region == "" || n.Region == region }), now)
		h.Set("Cache-Control", "no-store")
		h.Add("Vary", "Accept")
		if kind != typeJSON {
			h.Set("Content-Type", kind+"; charset=utf-8")
			return []byte(answer.text(kind == "text/markdown")), nil
		}
		h.Set("Content-Type", typeJSON)
		var body bytes.Buffer
		err = encodeJSON(&body, answer)
		return body.Bytes(), err
	})
}

func answerOf(d insight.Verdict, now int64) problemsAnswer {
	a := problemsAnswer{At: now, Verdict: d.Result, Problems: []rootCause{}, Omitted: max(0, len(d.Problems)-maxProblems)}
	for _, p := range fairShare(d.Problems, maxProblems) {
		a.Problems = append(a.Problems, rootCause{ID: p.ID, IDs: firstIDs(p.IDs, 1), Label: p.Label, Region: p.Region, Class: p.Class,
			Sentence: web.Cut(p.Sentence, maxProblemText), Command: p.Command, Since: p.Since, Blocks: firstIDs(p.Blocks, 0), Blocked: len(p.Blocks), Marks: firstIDs(p.Marks, 0), nodes: len(p.IDs)})
	}
	return a
}

// firstIDs returns the first ids: at most maxProblemIDs, and of these at most maxProblemBytes, but the first atLeast in any case; never nil. It bounds the
// answer when many problems list the same long ids.
func firstIDs(ids []string, atLeast int) []string {
	first, size := []string{}, 0
	for _, s := range ids[:min(maxProblemIDs, len(ids))] {
		if size += len(s); size > maxProblemBytes && len(first) >= atLeast {
			break
		}
		first = append(first, s)
	}
	return first
}

// text returns the answer for a terminal, or as Markdown. Text of the flow is escaped.
func (a problemsAnswer) text(markdown bool) string {
	show := func(s string, most int) string {
		if markdown {
			return terminal.Markdown(s, most)
		}
		return terminal.Text(s, most)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s, problems: %d\n", a.Verdict, time.UnixMilli(a.At).UTC().Format(time.RFC3339), len(a.Problems)+a.Omitted)
	for i, p := range a.Problems {
		sentence := p.Sentence
		if sentence == "" {
			sentence = p.Class
		}
		number := fmt.Sprintf("%d. ", i+1)
		fmt.Fprintf(&b, "\n%s%s\n   id: %s\n", number, show(sentence, maxProblemText), show(p.ID, 256))
		if ms, ok := p.Since.Get(); ok {
			fmt.Fprintf(&b, "   since: %s\n", time.UnixMilli(ms).UTC().Format(time.RFC3339))
		}
		if len(p.Marks) > 0 {
			fmt.Fprintf(&b, "   marks: %s\n", show(strings.Join(p.Marks, ", "), 256))
		}
		if p.nodes > 1 {
			fmt.Fprintf(&b, "   also: %s\n", show(listed(p.IDs[1:], p.nodes-1), maxProblemText))
		}
		if p.Blocked > 0 {
			fmt.Fprintf(&b, "   blocks %d: %s\n", p.Blocked, show(listed(p.Blocks, p.Blocked), maxProblemText))
		}
		if line, ok := terminal.Shell(p.Command); ok {
			if markdown {
				line = "\n\n" + strings.Repeat(" ", len(number)+4) + line // an indented code block within the item of the list
			}
			fmt.Fprintf(&b, "   run: %s\n", line)
		}
	}
	if a.Omitted > 0 {
		fmt.Fprintf(&b, "\nand %d more\n", a.Omitted)
	}
	return b.String()
}

// fairShare returns at most `most` problems, in their order. It takes them from the regions in turns, so that no region fills the list alone.
func fairShare(problems []insight.Problem, most int) []insight.Problem {
	if len(problems) <= most {
		return problems
	}
	indices, ranks, seen := make([]int, len(problems)), make([]int, len(problems)), make(map[string]int)
	for i := range problems {
		indices[i], ranks[i] = i, seen[problems[i].Region]
		seen[problems[i].Region]++
	}
	slices.SortStableFunc(indices, func(a, b int) int { return cmp.Compare(ranks[a], ranks[b]) })
	indices = indices[:most]
	slices.Sort(indices)
	listed := make([]insight.Problem, most)
	for i, index := range indices {
		listed[i] = problems[index]
	}
	return listed
}

// listed returns the first ids as text, and how many more of total there are.
func listed(ids []string, total int) string {
	ids = ids[:min(shownProblemIDs, len(ids))]
	text := strings.Join(ids, ", ")
	if more := total - len(ids); more > 0 {
		text = strings.TrimPrefix(fmt.Sprintf("%s and %d more", text, more), " ")
	}
	return text
}
