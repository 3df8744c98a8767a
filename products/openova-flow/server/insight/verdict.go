package insight

import "github.com/openova-io/openova/products/openova-flow/server/flow"

// Results of a verdict.
const (
	Passed  = "passed"  // everything is as it should be
	Failed  = "failed"  // there is a problem, and nothing goes on by itself any more
	Pending = "pending" // neither
)

// Verdict is what a pipeline that waits for a flow is told.
type Verdict struct {
	Result   string
	Final    bool      // failed, and nothing changes without a person: there is no use in seeing whether it stays so
	Problems []Problem // those that concern what counts
	Open     []string  // ids at which something goes on by itself, in byte order
	Unfit    []string  // ids of what is not as it should be besides: neither open nor a problem's root, in byte order
}

// Verdict judges those of the members that count. A problem concerns them when its root, or what it blocks or takes along, counts. With
// nothing that counts, the verdict is pending.
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
		asItShouldBe := v.states[i] == Ready || v.states[i] == Suspended && s.Gate == GatePass
		if !asItShouldBe || v.stale[i] || v.outdated[i] || s.has(MarkNotObserved) || s.has(MarkOldRevision) || s.has(MarkSourceStale) {
			passed = false
			if !v.open[i] {
				unfit = append(unfit, n.node.ID)
			}
		}
		failed = failed || v.states[i] == Suspended && !asItShouldBe
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
