package flow

// Classes of status, worst first: how a container's status follows from those of its leaves.
const (
	classFailed = iota
	classRunning
	classPending
	classSucceeded
	classes
)

var classStatus = [classes]string{StatusFailed, StatusRunning, StatusPending, StatusSucceeded}

func classOf(status string) int {
	switch status {
	case StatusFailed:
		return classFailed
	case StatusPending:
		return classPending
	case StatusSucceeded:
		return classSucceeded
	}
	return classRunning
}

// Worst returns the worst of some statuses: failed > running > pending > succeeded, others counting as running. It is pending
// when there are none.
func Worst(statuses ...string) string {
	worst := classes
	for _, s := range statuses {
		worst = min(worst, classOf(s))
	}
	if worst == classes {
		return StatusPending
	}
	return classStatus[worst]
}

// rollup sums up the leaves. The extremes are found anew only when the leaf that held one goes.
type rollup struct {
	count       [classes]int
	first, last Time // least startedAt, greatest endedAt
	stale       bool // first and last must be found anew
}

func (r *rollup) add(n *Node) {
	r.count[classOf(n.Status)]++
	if ms, ok := n.StartedAt.Get(); ok && (r.first.IsZero() || ms < r.first.ms) {
		r.first = n.StartedAt
	}
	if ms, ok := n.EndedAt.Get(); ok && (r.last.IsZero() || ms > r.last.ms) {
		r.last = n.EndedAt
	}
}

func (r *rollup) remove(n *Node) {
	r.count[classOf(n.Status)]--
	if !n.StartedAt.IsZero() && n.StartedAt == r.first || !n.EndedAt.IsZero() && n.EndedAt == r.last {
		r.stale = true
	}
}

// replace is remove and add; the extremes stay known when the times are the same, as they nearly always are.
func (r *rollup) replace(old, n *Node) {
	if old.StartedAt == n.StartedAt && old.EndedAt == n.EndedAt {
		r.count[classOf(old.Status)]--
		r.count[classOf(n.Status)]++
		return
	}
	r.remove(old)
	r.add(n)
}

func (r *rollup) status() string {
	for class, n := range r.count {
		if n > 0 {
			return classStatus[class]
		}
	}
	return StatusPending
}

// Derive works out the FlowInstance of a flow that no emitter has described. When it has changed, Derive makes it the state's
// and returns it, as an upsert-flow message that others fold to the same; else it returns nil. A container
// (IsContainer) is no leaf. arrival is when the change arrived, in Unix milliseconds.
func (s *State) Derive(arrival int64) *Message {
	if s.owned {
		return nil
	}
	if s.leaves.stale {
		fresh := rollup{}
		for _, v := range s.vertices {
			if v.present && v.children == 0 {
				fresh.add(&v.node)
			}
		}
		s.leaves = fresh
	}
	next := Instance{ID: s.flowID, Status: s.leaves.status(), StartedAt: s.leaves.first}
	if next.StartedAt.IsZero() || next.StartedAt.ms < 0 {
		next.StartedAt = At(s.arrival)
	}
	if next.Status == StatusSucceeded {
		if s.flow.Status != StatusSucceeded {
			s.doneAt = arrival
		}
		if next.EndedAt = s.leaves.last; next.EndedAt.IsZero() {
			next.EndedAt = At(s.doneAt)
		}
	}
	if next.Status == s.flow.Status && next.StartedAt == s.flow.StartedAt && next.EndedAt == s.flow.EndedAt {
		return nil
	}
	s.flow = next
	return UpsertFlow(next)
}
