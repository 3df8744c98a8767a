package flow

// Classes of status, worst first. The derived status of a flow is the worst class among its leaves.
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

// Worst returns the worst of the statuses: failed > running > pending > succeeded. Any other status counts as running. It
// returns pending if there are none.
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

// rollup summarizes the leaves.
type rollup struct {
	count       [classes]int
	first, last Time // earliest startedAt, latest endedAt
	stale       bool // first or last was removed, so both must be computed again
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

// replace is remove followed by add. If the times are equal, which is the usual case, first and last stay valid.
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

// Derive computes the FlowInstance of a flow that no emitter has described. If it has changed, Derive stores it in the state
// and returns it as an upsert-flow message, so that subscribers fold the same; otherwise it returns nil. Containers
// (IsContainer) are not leaves. arrival is when the change arrived, in Unix milliseconds.
func (s *State) Derive(arrival int64) *Message {
	if s.described {
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
