package gate

import (
	"fmt"
	"slices"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// Outcome is the gate's result for one object.
type Outcome string

// The outcomes.
const (
	Done   Outcome = "done"   // meets the question
	Open   Outcome = "open"   // may still become Done by itself
	Failed Outcome = "failed" // neither
)

// Answer is the result of one look. In JSON, times are Unix milliseconds.
type Answer struct {
	At       int64  `json:"at"`
	Result   string `json:"result"` // insight.Passed, insight.Failed or insight.Pending
	Final    bool   `json:"final"`  // failed, and a failure does not change without a person
	Revision string `json:"revision,omitempty"`

	Total     int  `json:"total"` // number of Objects
	Done      int  `json:"done"`
	Working   int  `json:"working"`
	Waiting   int  `json:"waiting"`
	Failed    int  `json:"failed"`
	Suspended int  `json:"suspended"`
	Started   bool `json:"started"` // a run has begun since Ask.Since; also true if Ask.Since is not set, or if the question is Exact

	Objects  []Object  `json:"objects"`  // the objects that count, except auxiliary ones, by id
	Problems []Problem `json:"problems"` // root causes that count, worst first
	Sources  []Source  `json:"sources"`  // sources that are required to have the revision, by id
	Stale    []Stale   `json:"stale"`    // stale regions that concern the question, by name
	Missing  []string  `json:"missing"`  // objects named in the question that do not exist
}

// Object is one release, Kustomization or other node that counts.
type Object struct {
	ID        string        `json:"id"`
	Region    string        `json:"region,omitempty"`
	Kind      string        `json:"kind,omitempty"`
	Namespace string        `json:"namespace,omitempty"`
	Name      string        `json:"name"`
	State     insight.State `json:"state"`
	Marks     []string      `json:"marks,omitempty"`
	Outcome   Outcome       `json:"outcome"`
	Why       string        `json:"why,omitempty"`      // one sentence, if it is not done
	HeldBy    []string      `json:"heldBy,omitempty"`   // ids of the nodes that block it
	Revision  string        `json:"revision,omitempty"` // applied revision of a Kustomization, chart version of a release
	StartedAt flow.Time     `json:"startedAt,omitzero"`
	EndedAt   flow.Time     `json:"endedAt,omitzero"`
}

// Problem is one root cause.
type Problem struct {
	ID       string    `json:"id"`
	Region   string    `json:"region,omitempty"`
	Class    string    `json:"class"`
	Sentence string    `json:"sentence"`
	Command  []string  `json:"command,omitempty"` // argv of the command to run next
	Since    flow.Time `json:"since,omitzero"`
	Blocks   int       `json:"blocks"` // number of nodes that wait for it
	Final    bool      `json:"final"`
}

// Source is a source that the revision has to come from.
type Source struct {
	ID       string    `json:"id"`
	Region   string    `json:"region,omitempty"`
	Revision string    `json:"revision,omitempty"` // current revision
	Since    flow.Time `json:"since,omitzero"`     // when that was fetched
	Interval int64     `json:"interval,omitempty"` // milliseconds between two fetches
	Has      bool      `json:"has"`                // the current revision counts
	Left     bool      `json:"left"`               // it had the revision before, and now has another one that does not count
	ByName   bool      `json:"byName,omitempty"`   // required because of its name, since its URL or that of the source with the revision is unknown
	Command  []string  `json:"command,omitempty"`  // argv of the command that makes it fetch now
}

// Stale is a region whose claim has expired.
type Stale struct {
	Region string `json:"region"`
	Since  int64  `json:"since"` // when the region was last seen
}

// Line returns the answer as one line of text.
func (a *Answer) Line() string {
	line := fmt.Sprintf("%d of %d done, %d working, %d waiting, %d failed", a.Done, a.Total, a.Working, a.Waiting, a.Failed)
	if a.Suspended > 0 {
		line += fmt.Sprintf(", %d suspended", a.Suspended)
	}
	for _, s := range a.Stale {
		line += "; region " + terminal.Text(s.Region, shownName) + " is stale"
	}
	if !a.Started {
		line += "; no run has started yet"
	}
	if len(a.Sources) > 0 && !slices.ContainsFunc(a.Sources, func(s Source) bool { return s.Has }) {
		line += "; no source has the revision yet"
	}
	return line
}
