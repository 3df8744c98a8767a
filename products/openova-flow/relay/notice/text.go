package notice

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/rollout"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

func itoa(n int) string { return strconv.Itoa(n) }

// progress describes how far a rollout is.
func progress(r *Rollout) string {
	switch r.Outcome {
	case rollout.Succeeded:
		return "All " + itoa(r.Total) + " succeeded."
	case rollout.Failed:
		return fmt.Sprintf("%d of %d failed.", r.Failed, r.Total)
	case rollout.Incomplete:
		return fmt.Sprintf("It ended with %d of %d done.", r.Done, r.Total)
	}
	s := fmt.Sprintf("%d of %d done", r.Done, r.Total)
	if r.Failed > 0 {
		s += fmt.Sprintf(", %d failed", r.Failed)
	}
	return s + "."
}

// Title names the subject in a few words, without its state.
func (n *Notice) Title() string {
	flows := strings.Join(n.Flows, ", ")
	switch n.Kind {
	case KindRollout:
		return "Rollout of " + flows
	case KindRevision:
		return "Commit " + n.Label + " in " + flows
	case KindRegion:
		return "Region " + n.Label + " of " + flows
	}
	if where := strings.Join(n.Regions, ", "); where != "" && where != n.Label {
		return n.Label + " in " + where + " (" + flows + ")"
	}
	return n.Label + " (" + flows + ")"
}

// Status is the state in a few words.
func (n *Notice) Status() string {
	switch {
	case n.Kind == KindRollout && n.Rollout != nil:
		return n.Rollout.Outcome
	case n.Kind == KindRevision && n.Revision != nil:
		return n.Revision.Worst().Result
	case n.Phase == Resolved && n.Kind == KindRegion:
		return "fresh again"
	case n.Phase == Resolved:
		return "resolved"
	case n.Kind == KindRegion:
		return "stale"
	case n.Severity == Critical:
		return "needs a person"
	}
	return "failing"
}

// Fact is one detail of a notice.
type Fact struct{ Name, Value string }

// Facts returns details besides the title, the status and the sentence, in the order in which they are shown.
func (n *Notice) Facts() []Fact {
	var facts []Fact
	if n.Since != 0 {
		facts = append(facts, Fact{"Since", clock(n.Since)})
	}
	if n.Phase == Resolved && n.Until > n.Since && n.Since != 0 {
		facts = append(facts, Fact{"Took", (time.Duration(n.Until-n.Since) * time.Millisecond).Round(time.Second).String()})
	}
	if n.Blocked > 0 && n.Phase != Resolved {
		facts = append(facts, Fact{"Blocks " + itoa(n.Blocked), listed(n.Blocks, n.Blocked)})
	}
	if n.Rollout != nil {
		facts = append(facts, n.Rollout.facts()...)
	}
	if line, ok := terminal.Shell(n.Command); ok && n.Phase != Resolved {
		facts = append(facts, Fact{"Run", line})
	}
	return facts
}

func (r *Rollout) facts() (facts []Fact) {
	var failed, changed []string
	for _, m := range r.Members {
		if m.Status == "failed" {
			failed = append(failed, m.ID)
		}
		if m.VersionTo != "" && m.VersionFrom != "" && m.VersionTo != m.VersionFrom {
			changed = append(changed, m.ID+" "+m.VersionFrom+" → "+m.VersionTo)
		}
	}
	slices.Sort(failed)
	slices.Sort(changed)
	if len(failed) > 0 {
		facts = append(facts, Fact{"Failed", listed(failed, len(failed))})
	}
	if len(changed) > 0 {
		facts = append(facts, Fact{"Changed", listed(changed, len(changed))})
	}
	return facts
}

// shown is how many ids a fact lists.
const shown = 10

func listed(ids []string, of int) string {
	text := strings.Join(ids[:min(shown, len(ids))], ", ")
	if more := of - min(shown, len(ids)); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func clock(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05 UTC") }
