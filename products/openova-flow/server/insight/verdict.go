package insight

import "github.com/openova-io/openova/products/openova-flow/server/flow"

// Results of a verdict.
const (
	Passed  = "passed"  // all counted nodes are fine, and no problem concerns them
	Failed  = "failed"  // a problem concerns a counted node, or one is suspended without gate pass, and no counted node may still change by itself
	Pending = "pending" // neither
)

// Verdict is the answer to a pipeline that waits for a flow.
type Verdict struct {
	Result   string
	Final    bool      // failed, and a problem does not change without a person
	Problems []Problem // those that concern a counted node
	Open     []string  // ids of counted nodes that may still change by themselves, in byte order
	Unfit    []string  // ids of the other counted nodes that prevent Passed and are no root of a problem, in byte order
}

// Verdict judges the members for which counts returns true. A problem concerns them if one of its IDs or Blocks counts. Without any such member the result
// is Pending.
func (v *View) Verdict(counts func(*flow.Node) bool) Verdict {
	var d Verdict
	d.Result = Pending
	counted := make(map[string]bool)
	var unfit []string
	passed, failed := true, false
	for i := range v.nodes {
		n := &v.nodes[i]
		if n.node == nil || !n.member || !counts(n.node) {
			continue
		}
		counted[n.node.ID] = true
		s := v.segments[i]
		fine := v.states[i] == Ready || v.states[i] == Suspended && s.Gate == GatePass
		if !fine || v.stale[i] || v.outdated[i] || s.has(MarkNotObserved) || s.has(MarkOldRevision) || s.has(MarkSourceStale) {
			passed = false
			if !v.open[i] {
				unfit = append(unfit, n.node.ID)
			}
		}
		failed = failed || v.states[i] == Suspended && !fine
		if v.open[i] {
			d.Open = append(d.Open, n.node.ID)
		}
	}
	roots := make(map[string]bool)
	for _, p := range v.Problems() {
		if concerns(&p, counted) {
			d.Problems = append(d.Problems, p)
			roots[p.ID] = true
			d.Final = d.Final || p.Final
		}
	}
	for _, id := range unfit {
		if !roots[id] {
			d.Unfit = append(d.Unfit, id)
		}
	}
	switch failed = failed || len(d.Problems) > 0; {
	case len(counted) == 0:
	case failed && len(d.Open) == 0:
		d.Result = Failed
	case passed && !failed:
		d.Result = Passed
	}
	d.Final = d.Final && d.Result == Failed
	return d
}

func concerns(p *Problem, counted map[string]bool) bool {
	for _, list := range [][]string{p.IDs, p.Blocks} {
		for _, id := range list {
			if counted[id] {
				return true
			}
		}
	}
	return false
}
