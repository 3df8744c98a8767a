// Package rollout tells the rollouts of a flow apart. A flow is an environment that may live for years; a rollout is what a
// person watches: it begins when, with none open, a release starts a new run, and ends when for Quiet nothing in the flow works.
//
// It reads times from the nodes where they have them, so that a history that arrives all at once, after a restart of the server
// say, still falls apart into the rollouts that it was. It reads no clock.
package rollout

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

const (
	// Quiet is how long nothing may work before a rollout ends. It also bridges the pause between a dependency's success and
	// its dependents' start, which takes helm-controller up to three quarters of a minute.
	Quiet = 60 * time.Second
	// Keep is how many rollouts of a flow are kept.
	Keep = 200
	// keepMembers bounds the members of a rollout.
	keepMembers = 50_000
	// keepBytes bounds what the rollouts that have ended take, but for the newest, so that a huge flow keeps fewer.
	keepBytes = 12 << 20
	// A rollout lists so many as broken before it: in all, and of each region, so that none takes another's out of the list.
	keepBroken, keepBrokenOfRegion = 2000, 200
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
	AlreadyBroken []string  `json:"alreadyBroken"` // ids of nodes that had failed before it began and did not run in it; the first keepBrokenOfRegion of each region
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

// Graph is what a Tracker asks of the flow's state. It may answer in any order.
type Graph interface {
	Successors(id string, typ flow.RelType, f func(flow.Node))
	Predecessors(id string, typ flow.RelType, f func(id string))
	IsContainer(id string) bool
}

// Tracker follows one flow. Its zero value is not usable; use NewTracker. It is not safe for concurrent use.
type Tracker struct {
	nodes                 map[string]*track
	active                map[string]*track // nodes that work
	idleFrom              int64             // all active ones work until then
	open                  *tally
	past                  []Rollout // ended, oldest first
	kept                  int64     // bytes of past
	failed                []*track  // see failing; nil: not looked for since the nodes changed
	unreadyKustomizations int
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
	broken  []string       // what AlreadyBroken will list, in order
	bytes   int64          // of the members
	lost    bool           // a member was deleted before it had finished
	lastEnd int64          // when the last work ended, by the nodes' clocks where they say
	quietAt int64          // arrival of what ended the last work
}

// NewTracker returns a tracker of a flow that has no nodes yet.
func NewTracker() *Tracker {
	return &Tracker{nodes: make(map[string]*track), idleFrom: math.MaxInt64}
}

// Observe takes the nodes that a request has put and the ids that it has deleted, after they were folded into g.
// arrival is when the request arrived.
func (t *Tracker) Observe(g Graph, arrival int64, put []flow.Node, deleted []string) {
	var fresh, started []*track
	var from map[string]string
	for i := range put {
		was := t.nodes[put[i].ID]
		known := newTrack(&put[i], g, was)
		// Alone and as it was it changes nothing, unless it has come to wait for somebody else. Among others it may follow itself.
		if len(put) == 1 && was != nil && *was == known && !known.waits {
			continue
		}
		now := new(track)
		*now = known
		fresh = append(fresh, now)
		if ms, ok := now.startedAt.Get(); ok && !now.container && !now.deleting && (was == nil || was.startedAt.IsZero() || ms > was.startedAt.Ms()) {
			started = append(started, now)
			if was != nil {
				if from == nil {
					from = make(map[string]string)
				}
				from[now.id] = was.applied
			}
		}
	}
	// A history that comes at once is taken in the order in which it happened.
	slices.SortStableFunc(started, func(a, b *track) int {
		return cmp.Or(cmp.Compare(a.startedAt.Ms(), b.startedAt.Ms()), cmp.Compare(a.id, b.id))
	})
	t.settle(arrival)
	if len(started) == 0 || t.open != nil && started[0].startedAt.Ms()-t.open.lastEnd >= Quiet.Milliseconds() {
		t.closeIfQuiet(arrival)
	}

	t.failed = nil
	for _, now := range fresh {
		t.know(now, arrival)
	}
	for _, id := range deleted {
		t.forget(id, arrival)
	}
	for _, n := range started {
		if t.nodes[n.id] == n {
			t.begin(g, n, from[n.id], arrival)
		}
	}
	var before map[int]bool // members that one waits for which may have to join
	for _, n := range fresh {
		if t.nodes[n.id] != n || n.container {
			continue
		}
		t.update(n, arrival)
		if t.open == nil || !n.waits || t.isMember(n.id) {
			continue
		}
		g.Predecessors(n.id, flow.FinishToStart, func(id string) {
			if i, ok := t.open.index[id]; ok && t.nodes[id] != nil && t.nodes[id].status != flow.StatusSucceeded {
				if before == nil {
					before = make(map[int]bool)
				}
				before[i] = true
			}
		})
	}
	for _, i := range slices.Sorted(maps.Keys(before)) {
		t.joinWaiting(g, t.open.Members[i].ID)
	}
}

// know replaces what is known of a node.
func (t *Tracker) know(now *track, arrival int64) {
	if was := t.nodes[now.id]; was != nil && was.unready() {
		t.unreadyKustomizations--
	}
	if now.unready() {
		t.unreadyKustomizations++
	}
	t.nodes[now.id] = now
	if now.container {
		t.stop(now, arrival)
	}
}

// forget drops a node that was deleted.
func (t *Tracker) forget(id string, arrival int64) {
	was := t.nodes[id]
	if was == nil {
		return
	}
	if was.unready() {
		t.unreadyKustomizations--
	}
	t.stop(was, arrival)
	delete(t.nodes, id)
	if m := t.part(id); m != nil && !was.container && m.Status != flow.StatusSucceeded && m.Status != flow.StatusFailed {
		t.open.lost = true
	}
}

func (t *Tracker) isMember(id string) bool { return t.part(id) != nil }

// part returns the part of a node in the open rollout, nil when it has none.
func (t *Tracker) part(id string) *Member {
	if t.open != nil {
		if i, ok := t.open.index[id]; ok {
			return &t.open.Members[i]
		}
	}
	return nil
}

// begin takes the start of a run.
func (t *Tracker) begin(g Graph, n *track, versionFrom string, arrival int64) {
	start := n.startedAt.Ms()
	if t.open != nil && len(t.active) == 0 && start-t.open.lastEnd >= Quiet.Milliseconds() {
		t.end()
	}
	if t.open == nil {
		t.open = &tally{
			Rollout: Rollout{ID: rolloutID(start, n.id), StartedAt: start, Outcome: Running},
			index:   make(map[string]int), lastEnd: start, quietAt: arrival,
		}
		for _, other := range t.failing() {
			if other != n && other.startedAt.Ms() < start {
				t.open.broken = append(t.open.broken, other.id)
			}
		}
	}
	t.open.StartedAt = min(t.open.StartedAt, start)
	t.open.lastEnd = max(t.open.lastEnd, start)
	if at, found := slices.BinarySearch(t.open.broken, n.id); found {
		t.open.broken = slices.Delete(t.open.broken, at, at+1)
	}
	if m := t.open.member(n); m != nil {
		if m.VersionFrom == "" {
			m.VersionFrom = versionFrom
			t.open.bytes += int64(len(versionFrom))
		}
		if ms, ran := m.StartedAt.Get(); ran && ms < start { // it waited for the run before
			m.WaitingSince = flow.Time{}
		}
	}
	t.update(n, arrival)
	t.joinWaiting(g, n.id)
}

// failing returns the nodes that have failed, in the order of their ids: of each region the first ones, and so many in all. A request may begin
// many rollouts, all of which may list them.
func (t *Tracker) failing() []*track {
	if t.failed != nil {
		return t.failed
	}
	all := []*track{}
	for _, n := range t.nodes {
		if !n.container && n.status == flow.StatusFailed {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b *track) int { return cmp.Compare(a.id, b.id) })
	listed := make(map[string]int)
	all = slices.DeleteFunc(all, func(n *track) bool {
		listed[n.region]++
		return listed[n.region] > keepBrokenOfRegion
	})
	t.failed = all[:min(keepBroken, len(all))]
	return t.failed
}

// update brings what is known of a node into the open rollout.
func (t *Tracker) update(n *track, arrival int64) {
	if n.worksAt(arrival) {
		if t.active == nil {
			t.active = make(map[string]*track)
		}
		t.active[n.id] = n
		t.idleFrom = min(t.idleFrom, n.worksUntil)
	} else {
		t.stop(n, arrival)
	}
	m := t.part(n.id)
	if m == nil || n.deleting && m.Status == flow.StatusSucceeded { // that it goes away does not undo its run
		return
	}
	t.open.bytes -= m.bytes()
	m.Status, m.StartedAt, m.EndedAt = n.status, n.startedAt, n.endedAt
	if !n.waitingSince.IsZero() {
		m.WaitingSince = n.waitingSince
	}
	m.VersionTo = cmp.Or(n.versionTo(), m.VersionTo)
	t.open.bytes += m.bytes()
	if ms, ok := n.endedAt.Get(); ok {
		t.open.lastEnd = max(t.open.lastEnd, ms)
	}
}

// stop notes that a node does not work any more. Where the node does not say when it ended, that is now.
func (t *Tracker) stop(n *track, arrival int64) {
	if t.active[n.id] == nil {
		return
	}
	delete(t.active, n.id)
	if t.open != nil {
		t.open.quietAt = max(t.open.quietAt, arrival)
		if n.endedAt.IsZero() {
			t.open.lastEnd = max(t.open.lastEnd, arrival)
		}
	}
}

// settle takes those out of the active that, by their own judgement, do not work any more as of an instant.
func (t *Tracker) settle(at int64) {
	if at < t.idleFrom {
		return
	}
	t.idleFrom = math.MaxInt64
	for id, n := range t.active {
		if n.worksAt(at) {
			t.idleFrom = min(t.idleFrom, n.worksUntil)
			continue
		}
		delete(t.active, id)
		if t.open != nil {
			t.open.quietAt = max(t.open.quietAt, n.worksUntil)
			t.open.lastEnd = max(t.open.lastEnd, n.worksUntil)
		}
	}
}

// joinWaiting makes members of the nodes that wait, directly or through others that wait, for a node that runs.
func (t *Tracker) joinWaiting(g Graph, id string) {
	for queue := []string{id}; len(queue) > 0; queue = queue[1:] {
		var next []string
		g.Successors(queue[0], flow.FinishToStart, func(s flow.Node) {
			if n := t.nodes[s.ID]; n != nil && n.waits && !n.container && !t.isMember(n.id) {
				next = append(next, n.id)
			}
		})
		slices.Sort(next) // the graph has them in no order
		for _, id := range next {
			if t.open.member(t.nodes[id]) != nil {
				queue = append(queue, id)
			}
		}
	}
}

// member returns the part of a node in the rollout, given to it when it has none yet; nil when there are too many.
func (o *tally) member(n *track) *Member {
	i, ok := o.index[n.id]
	if !ok {
		if i = len(o.Members); i >= keepMembers {
			return nil
		}
		o.index[n.id] = i
		o.Members = append(o.Members, Member{ID: n.id, Label: n.label, Region: n.region, Status: n.status,
			StartedAt: n.startedAt, EndedAt: n.endedAt, WaitingSince: n.waitingSince, VersionTo: n.versionTo()})
		o.bytes += o.Members[i].bytes()
	}
	return &o.Members[i]
}

// closeIfQuiet ends the rollout when nothing has worked for long enough. The active are settled as of that instant.
func (t *Tracker) closeIfQuiet(at int64) {
	if t.open != nil && len(t.active) == 0 && at-t.open.quietAt >= Quiet.Milliseconds() {
		t.end()
	}
}

// copy returns a tracker that settles and closes without a trace in t. What those do not change is shared.
func (t *Tracker) copy() *Tracker {
	c := *t
	c.active, c.past = maps.Clone(t.active), slices.Clip(t.past)
	if t.open != nil {
		open := *t.open
		open.Members = slices.Clone(open.Members)
		c.open = &open
	}
	return &c
}

func (t *Tracker) end() {
	r := t.open.Rollout
	r.EndedAt = flow.At(t.open.lastEnd)
	r.Outcome = t.outcome(t.open)
	r.AlreadyBroken = t.open.broken
	t.open = nil
	t.past = append(t.past, r)
	t.kept += r.bytes()
	drop := max(0, len(t.past)-Keep)
	for i := range len(t.past) - 1 {
		if i >= drop && t.kept <= keepBytes {
			break
		}
		t.kept -= t.past[i].bytes()
		drop = i + 1
	}
	if drop > 0 {
		t.past = slices.Clone(t.past[drop:]) // what was handed out is not moved about
	}
}

// bytes is about how much memory a rollout takes.
func (r *Rollout) bytes() (n int64) {
	for i := range r.Members {
		n += r.Members[i].bytes()
	}
	for _, id := range r.AlreadyBroken {
		n += int64(len(id)) + 16
	}
	return n
}

// bytes is about how much memory a member takes. Its texts may be those of a node that is gone.
func (m *Member) bytes() int64 {
	return 250 + int64(len(m.ID)+len(m.Label)+len(m.Region)+len(m.Status)+len(m.VersionFrom)+len(m.VersionTo))
}

// Bytes returns about how much memory the tracker takes.
func (t *Tracker) Bytes() int64 {
	const perNode = 350
	n := perNode*int64(len(t.nodes)) + t.kept
	if t.open != nil {
		n += t.open.bytes
	}
	return n
}

func (t *Tracker) outcome(o *tally) string {
	outcome := Succeeded
	if t.unreadyKustomizations > 0 || o.lost {
		outcome = Incomplete
	}
	for _, m := range o.Members {
		n := t.nodes[m.ID]
		switch {
		case m.Status == flow.StatusFailed:
			return Failed
		case m.Status != flow.StatusSucceeded && n != nil && !n.container:
			outcome = Incomplete
		}
	}
	return outcome
}

// Rollouts returns the rollouts as of instant now (Unix milliseconds), newest first. The answer shares nothing with the tracker, and
// asking changes nothing: what comes later has the same outcome whoever asked before.
func (t *Tracker) Rollouts(now int64) []Rollout {
	c := t.copy()
	c.settle(now)
	c.closeIfQuiet(now)
	all := make([]Rollout, 0, len(c.past)+1)
	if c.open != nil {
		r := c.open.Rollout
		r.AlreadyBroken = slices.Clone(c.open.broken)
		all = append(all, r)
	}
	for _, r := range slices.Backward(c.past) {
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
