// Package reportpage writes the report of a gate as one HTML file, which needs no network and no other file.
//
// The page is built from the console (`make page`) and embedded. It has an empty element for its data, which Write fills.
package reportpage

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"io"
	"slices"

	"github.com/openova-io/openova/products/openova-flow/server/gate"
)

//go:embed page.html
var page []byte

// data is the start tag of the element for the data. The page has it once.
const data = `<script type="application/json" id="report">`

// Maximum numbers of objects and problems in a report. LeftOut counts the omitted ones.
const (
	maxObjects  = 2000
	maxProblems = 500
)

// Content is the data of a report. Times are Unix milliseconds.
type Content struct {
	Flow     string       `json:"flow"`
	Exit     int          `json:"exit"`  // exit code of wait
	Began    int64        `json:"began"` // when the wait began
	Ended    int64        `json:"ended"`
	Region   string       `json:"region,omitempty"` // the region that was waited for; empty: all
	Line     string       `json:"line"`             // the answer as one line of text
	Answer   *gate.Answer `json:"answer"`
	LeftOut  LeftOut      `json:"leftOut"`
	NoRecord string       `json:"noRecord,omitempty"` // why there is no recording

	Recording *gate.Recording `json:"recording"`
}

// LeftOut counts what the limits left out of an answer.
type LeftOut struct {
	Objects  int `json:"objects"`
	Problems int `json:"problems"`
}

// Write writes the page with its content. Objects that are not done come first.
func Write(w io.Writer, c Content) error {
	a := *c.Answer
	rank := map[gate.Outcome]int{gate.Failed: 0, gate.Open: 1, gate.Done: 2}
	a.Objects = slices.Clone(a.Objects)
	slices.SortStableFunc(a.Objects, func(x, y gate.Object) int { return rank[x.Outcome] - rank[y.Outcome] })
	c.LeftOut = LeftOut{max(0, len(a.Objects)-maxObjects), max(0, len(a.Problems)-maxProblems)}
	a.Objects, a.Problems = a.Objects[:min(maxObjects, len(a.Objects))], a.Problems[:min(maxProblems, len(a.Problems))]
	c.Answer = &a
	text, err := json.Marshal(c) // escapes <, >, & and U+2028, also in raw JSON from the server
	if err != nil {
		return err
	}
	before, after, _ := bytes.Cut(page, []byte(data)) // a test checks that the page has the tag
	for _, part := range [][]byte{before, []byte(data), text, after} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}
