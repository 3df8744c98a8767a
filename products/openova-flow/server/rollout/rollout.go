// Package rollout tells the rollouts of a flow apart. A flow is an environment that may live for years; a rollout is what a
// person watches: it begins when, with none open, a release starts a new run, and ends when for Quiet nothing in the flow works.
//
// It reads times from the nodes where they have them, so that a history that arrives all at once, after a restart of the server
// say, still falls apart into the rollouts that it was. It reads no clock.
package rollout

import (
	"slices"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

const (
	// Quiet is how long nothing may work before a rollout ends. It also bridges the pause between a dependency's success and
	// its dependents' start, which takes helm-controller up to three quarters of a minute.
	Quiet = 60 * time.Second
	// Keep is how many rollouts of a flow are kept.
	Keep = 200
	// keepMembers bounds the members of all rollouts kept, so that a huge flow keeps fewer rollouts.
	keepMembers = 50_000
)

// Outcomes of a rollout.
const (
	Running    = "running"    // it has not ended
	Succeeded  = "succeeded"  // every member succeeded, and every Kustomization of the flow is ready
	Failed     = "failed"     // a member ended failed
	Incomplete = "incomplete" // none failed, but a member never finished, or a Kustomization is not ready
)

// Rollout is one rollout. Times are Unix milliseconds.
type Rollout struct {
	ID            string    `json:"id"`
	StartedAt     int64     `json:"startedAt"`
	EndedAt       flow.Time `json:"endedAt,omitzero"` // absent while it is open
	Outcome       string    `json:"outcome"`
	Members       []Member  `json:"members"`       // releases that ran or waited in it, in the order in which they joined
	AlreadyBroken []string  `json:"alreadyBroken"` // ids of nodes that had failed before it began and did not run in it
}

// Member is a node's part in a rollout.
type Member struct {
	ID           string    `json:"id"`
	Label        string    `json:"label"`
	Region       string    `json:"region,omitempty"`
	Status       string    `json:"status"`
	StartedAt    flow.Time `json:"startedAt,omitzero"`
	EndedAt      flow.Time `json:"endedAt,omitzero"`
	WaitingSince flow.Time `json:"waitingSince,omitzero"`
	VersionFrom  string    `json:"versionFrom,omitempty"`
	VersionTo    string    `json:"versionTo,omitempty"`
}

// Graph is what a Tracker asks of the flow's state.
type Graph interface {
	Predecessors(id string, typ flow.RelType, f func(flow.Node))
	Successors(id string, typ flow.RelType, f func(flow.Node))
	IsContainer(id string) bool
}

// Tracker follows one flow. Its zero value is not usable; use NewTracker. It is not safe for concurrent use.
type Tracker struct {
	nodes  map[string]*track
	active map[string]*track // nodes that work
	open   *tally
	past   []Rollout // ended, oldest first
	counts struct{ unreadyKustomizations int }
}

// track is what is known of one node.
type track struct {
	id, label, region, status string
	facts
	startedAt, endedAt flow.Time
	container          bool
}

// tally is the open rollout.
type tally struct {
	Rollout
	index   map[string]int // member by node id
	lastEnd int64          // when the last work ended, by the nodes' clocks
	quietAt int64          // arrival of what ended the last work
}

// NewTracker returns a tracker of a flow that has no nodes yet.
func NewTracker() *Tracker {
	return &Tracker{nodes: make(map[string]*track), active: make(map[string]*track)}
}

// Observe takes the nodes that a request has put and the ids that it has deleted, in that order, after they were folded into g.
// arrival is when the request arrived.
func (t *Tracker) Observe(g Graph, arrival int64, put []flow.Node, deleted []string) {
	var started []*track
	from := make(map[string]string)
	for i := range put {
		n := &put[i]
		was := t.nodes[n.ID]
		now := newTrack(n, g)
		if was != nil && was.unready() {
			t.counts.unreadyKustomizations--
		}
		if now.unready() {
			t.counts.unreadyKustomizations++
		}
		if now.container {
			t.nodes[n.ID] = now
			delete(t.active, n.ID)
			continue
		}
		if ms, ok := now.startedAt.Get(); ok && (was == nil || was.startedAt.IsZero() || ms > was.startedAt.Ms()) {
			started = append(started, now)
			if was != nil {
				from[n.ID] = was.applied
			}
		}
		t.nodes[n.ID] = now
	}
	for _, id := range deleted {
		if was := t.nodes[id]; was != nil {
			if was.unready() {
				t.counts.unreadyKustomizations--
			}
			t.stop(was, arrival)
			delete(t.nodes, id)
		}
	}
	// A history that comes at once is taken in the order in which it happened.
	slices.SortStableFunc(started, func(a, b *track) int {
		if a.startedAt != b.startedAt {
			return int(max(min(a.startedAt.Ms()-b.startedAt.Ms(), 1), -1))
		}
		return strings.Compare(a.id, b.id)
	})
	for _, n := range started {
		if t.nodes[n.id] == n {
			t.begin(g, n, from[n.id], arrival)
		}
	}
	for i := range put {
		if n := t.nodes[put[i].ID]; n != nil && !n.container {
			t.update(g, n, arrival)
		}
	}
	t.closeIfQuiet(arrival)
}

// begin takes the start of a run.
func (t *Tracker) begin(g Graph, n *track, versionFrom string, arrival int64) {
	start := n.startedAt.Ms()
	if o := t.open; o != nil && !t.working(arrival) && start-o.lastEnd >= Quiet.Milliseconds() {
		t.end()
	}
	if t.open == nil {
		t.open = &tally{
			Rollout: Rollout{ID: rolloutID(start, n.id), StartedAt: start, Outcome: Running},
			index:   make(map[string]int), lastEnd: start, quietAt: arrival,
		}
		for _, other := range t.nodes {
			if other != n && !other.container && other.status == flow.StatusFailed && other.startedAt.Ms() < start {
				t.open.AlreadyBroken = append(t.open.AlreadyBroken, other.id)
			}
		}
		slices.Sort(t.open.AlreadyBroken)
	}
	t.open.StartedAt = min(t.open.StartedAt, start)
	t.open.AlreadyBroken = slices.DeleteFunc(t.open.AlreadyBroken, func(id string) bool { return id == n.id })
	m := t.open.member(n)
	m.VersionFrom = versionFrom
	t.update(g, n, arrival)
	t.joinWaiting(g, n.id)
}

// update brings what is known of a node into the open rollout.
func (t *Tracker) update(g Graph, n *track, arrival int64) {
	if n.works() {
		t.active[n.id] = n
	} else {
		t.stop(n, arrival)
	}
	if t.open == nil {
		return
	}
	_, member := t.open.index[n.id]
	if !member && n.waits && t.waitsOnMember(g, n.id) {
		member = true
	}
	if !member {
		return
	}
	m := t.open.member(n)
	m.Status, m.StartedAt, m.EndedAt = n.status, n.startedAt, n.endedAt
	if !n.waitingSince.IsZero() {
		m.WaitingSince = n.waitingSince
	}
	if n.wanted != "" {
		m.VersionTo = n.wanted
	} else if n.applied != "" {
		m.VersionTo = n.applied
	}
	if ms, ok := n.endedAt.Get(); ok {
		t.open.lastEnd = max(t.open.lastEnd, ms)
	}
}

// stop notes that a node does not work any more.
func (t *Tracker) stop(n *track, arrival int64) {
	if t.active[n.id] == nil {
		return
	}
	delete(t.active, n.id)
	if t.open != nil {
		t.open.quietAt = arrival
	}
}

// joinWaiting makes members of the nodes that wait, directly or through others that wait, for a node that has begun to run.
func (t *Tracker) joinWaiting(g Graph, id string) {
	g.Successors(id, flow.FinishToStart, func(next flow.Node) {
		n := t.nodes[next.ID]
		if n == nil || !n.waits {
			return
		}
		if _, member := t.open.index[n.id]; !member {
			t.open.member(n)
			t.joinWaiting(g, n.id)
		}
	})
}

// waitsOnMember reports whether a waiting node waits, directly or through others that wait, for an unfinished member.
func (t *Tracker) waitsOnMember(g Graph, id string) bool {
	seen := map[string]bool{id: true}
	found := false
	for queue := []string{id}; len(queue) > 0 && !found; queue = queue[1:] {
		g.Predecessors(queue[0], flow.FinishToStart, func(p flow.Node) {
			if seen[p.ID] || p.Status == flow.StatusSucceeded {
				return
			}
			seen[p.ID] = true
			if _, member := t.open.index[p.ID]; member {
				found = true
			}
			queue = append(queue, p.ID)
		})
	}
	return found
}

func (o *tally) member(n *track) *Member {
	i, ok := o.index[n.id]
	if !ok {
		i = len(o.Members)
		o.index[n.id] = i
		o.Members = append(o.Members, Member{ID: n.id, Label: n.label, Region: n.region, Status: n.status,
			StartedAt: n.startedAt, EndedAt: n.endedAt, WaitingSince: n.waitingSince, VersionTo: n.wanted})
	}
	return &o.Members[i]
}

// working reports whether any node works at an instant.
func (t *Tracker) working(at int64) bool {
	for _, n := range t.active {
		if n.worksAt(at) {
			return true
		}
	}
	return false
}

// quietSince returns since when nothing works, as of instant at.
func (t *Tracker) quietSince(at int64) int64 {
	since := t.open.quietAt
	for _, n := range t.active {
		since = max(since, min(n.brokenFrom(), at))
	}
	return since
}

func (t *Tracker) closeIfQuiet(at int64) {
	if t.open != nil && !t.working(at) && at-t.quietSince(at) >= Quiet.Milliseconds() {
		t.end()
	}
}

func (t *Tracker) end() {
	r := t.open.Rollout
	r.EndedAt = flow.At(t.open.lastEnd)
	r.Outcome = t.outcome(r.Members)
	t.open = nil
	t.past = append(t.past, r)
	members := 0
	for i := len(t.past) - 1; i >= 0; i-- {
		if members += len(t.past[i].Members); members > keepMembers && i < len(t.past)-1 || len(t.past)-i > Keep {
			t.past = slices.Delete(t.past, 0, i+1)
			break
		}
	}
}

func (t *Tracker) outcome(members []Member) string {
	outcome := Succeeded
	if t.counts.unreadyKustomizations > 0 {
		outcome = Incomplete
	}
	for _, m := range members {
		switch {
		case m.Status == flow.StatusFailed:
			return Failed
		case m.Status != flow.StatusSucceeded && t.nodes[m.ID] != nil:
			outcome = Incomplete
		}
	}
	return outcome
}

// Rollouts returns the rollouts as of instant now (Unix milliseconds), newest first. The answer shares nothing with the tracker.
func (t *Tracker) Rollouts(now int64) []Rollout {
	t.closeIfQuiet(now)
	all := make([]Rollout, 0, len(t.past)+1)
	if t.open != nil {
		r := t.open.Rollout
		r.Members = slices.Clone(r.Members)
		r.AlreadyBroken = slices.Clone(r.AlreadyBroken)
		all = append(all, r)
	}
	for _, r := range slices.Backward(t.past) {
		all = append(all, r)
	}
	for i := range all {
		if all[i].AlreadyBroken == nil {
			all[i].AlreadyBroken = []string{}
		}
		if all[i].Members == nil {
			all[i].Members = []Member{}
		}
	}
	return all
}
