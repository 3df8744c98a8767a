// Package rollout finds the rollouts of a flow. A flow is an environment that may exist for years; a rollout is one period of
// activity in it. It begins when a node starts a run while no rollout is open. It ends when no node has been active for Quiet.
//
// Times come from the nodes where possible, so that a history that arrives all at once, for example after a restart of the
// server, gives the same rollouts. The package reads no clock.
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
	// Quiet is the time without an active node after which a rollout ends. It must exceed the pause between the success of a
	// dependency and the start of its dependents, which is up to 45 seconds in helm-controller.
	Quiet = 60 * time.Second
	// Keep is the maximum number of ended rollouts of a flow.
	Keep = 200
	// keepMembers is the maximum number of members of a rollout.
	keepMembers = 50_000
	// keepBytes limits the memory of the ended rollouts. The newest is kept anyway.
	keepBytes = 12 << 20
	// Maximum length of AlreadyBroken, in all and for each region, so that one region cannot displace another from the list.
	keepBroken, keepBrokenOfRegion = 2000, 200
)

// Outcomes of a rollout. A member that has become a container counts only if it failed.
const (
	Running    = "running"    // it has not ended
	Succeeded  = "succeeded"  // every member succeeded, and every Kustomization of the flow is ready or suspended
	Failed     = "failed"     // a member failed
	Incomplete = "incomplete" // no member failed, but one did not finish, or a Kustomization is neither ready nor suspended
)

// Rollout is one rollout. Times are Unix milliseconds.
type Rollout struct {
	ID            string    `json:"id"`
	StartedAt     int64     `json:"startedAt"`
	EndedAt       flow.Time `json:"endedAt,omitzero"` // absent while it is open
	Outcome       string    `json:"outcome"`
	Members       []Member  `json:"members"`       // nodes that ran or waited in it, in the order in which they joined; limited by keepMembers
	AlreadyBroken []string  `json:"alreadyBroken"` // ids of nodes that had failed before it began and did not run in it; limited by keepBroken and keepBrokenOfRegion
}

// Member is a node in a rollout.
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

// Graph is the part of a flow's state that a Tracker reads. Results may be in any order.
type Graph interface {
	Successors(id string, typ flow.RelType, f func(flow.Node))
	Predecessors(id string, typ flow.RelType, f func(id string))
	IsContainer(id string) bool
}

// Tracker finds the rollouts of one flow. Use NewTracker. It is not safe for concurrent use.
type Tracker struct {
	nodes                 map[string]*track
	active                map[string]*track // active nodes
	idleFrom              int64             // all active nodes are active at least until then
	open                  *openRollout
	past                  []Rollout // ended, oldest first
	kept                  int64     // bytes of past
	failed                []*track  // cache of failing; nil: must be computed again
	unreadyKustomizations int
}

// track is the part of one node that the tracker keeps.
type track struct {
	id, label, region, status string
	facts
	startedAt, endedAt flow.Time
	container          bool
}

type openRollout struct {
	Rollout
	index   map[string]int // member by node id
	broken  []string       // becomes AlreadyBroken; sorted
	bytes   int64          // of the members
	lost    bool           // a member was deleted before it finished
	lastEnd int64          // see Open
	quietAt int64          // see Open
}

// NewTracker returns the tracker of a flow without nodes.
func NewTracker() *Tracker {
	return &Tracker{nodes: make(map[string]*track), idleFrom: math.MaxInt64}
}

// Observe processes the nodes that a request put and the ids that it deleted. Call it after they were folded
// into g. arrival is when the request arrived, in Unix milliseconds.
func (t *Tracker) Observe(g Graph, arrival int64, put []flow.Node, deleted []string) {
	var changed, started []*track
	var from map[string]string
	for i := range put {
		was := t.nodes[put[i].ID]
		known := newTrack(&put[i], g, was)
		// An unchanged node changes nothing, unless it waits: its dependencies may have changed. With other nodes in the request, an
		// earlier one may be the same node.
		if len(put) == 1 && was != nil && *was == known && !known.waits {
			continue
		}
		now := new(track)
		*now = known
		changed = append(changed, now)
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
	// A history that arrives at once is processed in the order in which it happened.
	slices.SortStableFunc(started, func(a, b *track) int {
		return cmp.Or(cmp.Compare(a.startedAt.Ms(), b.startedAt.Ms()), cmp.Compare(a.id, b.id))
	})
	t.settle(arrival)
	if len(started) == 0 || t.open != nil && started[0].startedAt.Ms()-t.open.lastEnd >= Quiet.Milliseconds() {
		t.closeIfQuiet(arrival)
	}

	t.failed = nil
	for _, now := range changed {
		t.setNode(now, arrival)
	}
	for _, id := range deleted {
		t.removeNode(id, arrival)
	}
	for _, n := range started {
		if t.nodes[n.id] == n {
			t.startRun(g, n, from[n.id], arrival)
		}
	}
	var before []int // members on which a waiting node depends
	for _, n := range changed {
		if t.nodes[n.id] != n || n.container {
			continue
		}
		t.update(n, arrival)
		if t.open == nil || !n.waits || t.isMember(n.id) {
			continue
		}
		g.Predecessors(n.id, flow.FinishToStart, func(id string) {
			if i, ok := t.open.index[id]; ok && t.nodes[id] != nil && t.nodes[id].status != flow.StatusSucceeded {
				before = append(before, i)
			}
		})
	}
	slices.Sort(before)
	for _, i := range slices.Compact(before) {
		t.joinWaiting(g, t.open.Members[i].ID)
	}
}

func (t *Tracker) setNode(now *track, arrival int64) {
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

func (t *Tracker) removeNode(id string, arrival int64) {
	was := t.nodes[id]
	if was == nil {
		return
	}
	if was.unready() {
		t.unreadyKustomizations--
	}
	t.stop(was, arrival)
	delete(t.nodes, id)
	if m := t.member(id); m != nil && !was.container && m.Status != flow.StatusSucceeded && m.Status != flow.StatusFailed {
		t.open.lost = true
	}
}

func (t *Tracker) isMember(id string) bool { return t.member(id) != nil }

// member returns a node's member in the open rollout, nil if it has none.
func (t *Tracker) member(id string) *Member {
	if t.open != nil {
		if i, ok := t.open.index[id]; ok {
			return &t.open.Members[i]
		}
	}
	return nil
}

func (t *Tracker) startRun(g Graph, n *track, versionFrom string, arrival int64) {
	start := n.startedAt.Ms()
	if t.open != nil && len(t.active) == 0 && start-t.open.lastEnd >= Quiet.Milliseconds() {
		t.end()
	}
	if t.open == nil {
		t.open = &openRollout{
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
	if m := t.open.join(n); m != nil {
		if m.VersionFrom == "" {
			m.VersionFrom = versionFrom
			t.open.bytes += int64(len(versionFrom))
		}
		if ms, ran := m.StartedAt.Get(); ran && ms < start { // it waited for its previous run
			m.WaitingSince = flow.Time{}
		}
	}
	t.update(n, arrival)
	t.joinWaiting(g, n.id)
}

// failing returns the failed nodes, sorted by id, at most keepBrokenOfRegion of each region and keepBroken in all. The result is cached, since
// one request may begin many rollouts.
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

// update records whether a node is active, and updates its member in the open rollout.
func (t *Tracker) update(n *track, arrival int64) {
	if n.activeAt(arrival) {
		if t.active == nil {
			t.active = make(map[string]*track)
		}
		t.active[n.id] = n
		t.idleFrom = min(t.idleFrom, n.activeUntil)
	} else {
		t.stop(n, arrival)
	}
	m := t.member(n.id)
	if m == nil || n.deleting && m.Status == flow.StatusSucceeded { // its deletion does not undo its run
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

// stop makes a node inactive. If the node has no end time, its end is arrival.
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

// settle makes the nodes inactive whose judgement ends their work by an instant.
func (t *Tracker) settle(at int64) {
	if at < t.idleFrom {
		return
	}
	t.idleFrom = math.MaxInt64
	for id, n := range t.active {
		if n.activeAt(at) {
			t.idleFrom = min(t.idleFrom, n.activeUntil)
			continue
		}
		delete(t.active, id)
		if t.open != nil {
			t.open.quietAt = max(t.open.quietAt, n.activeUntil)
			t.open.lastEnd = max(t.open.lastEnd, n.activeUntil)
		}
	}
}

// joinWaiting adds as members all nodes that wait for the node id, directly or through other waiting nodes.
func (t *Tracker) joinWaiting(g Graph, id string) {
	for queue := []string{id}; len(queue) > 0; queue = queue[1:] {
		var next []string
		g.Successors(queue[0], flow.FinishToStart, func(s flow.Node) {
			if n := t.nodes[s.ID]; n != nil && n.waits && !n.container && !t.isMember(n.id) {
				next = append(next, n.id)
			}
		})
		slices.Sort(next) // Successors is unordered
		for _, id := range next {
			if t.open.join(t.nodes[id]) != nil {
				queue = append(queue, id)
			}
		}
	}
}

// join returns the member of a node, and adds it if there is none; nil if the rollout has keepMembers already.
func (o *openRollout) join(n *track) *Member {
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

// closeIfQuiet ends the rollout if no node has been active for Quiet. Call settle with the same instant first.
func (t *Tracker) closeIfQuiet(at int64) {
	if t.open != nil && len(t.active) == 0 && at-t.open.quietAt >= Quiet.Milliseconds() {
		t.end()
	}
}

// copy returns a tracker for calls of settle and closeIfQuiet that must not change t. Later changes of t do not affect its rollouts.
func (t *Tracker) copy() *Tracker {
	c := *t
	c.active, c.past = maps.Clone(t.active), slices.Clip(t.past)
	if t.open != nil {
		open := *t.open
		open.Members, open.broken = slices.Clone(open.Members), slices.Clone(open.broken)
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
		t.past = slices.Clone(t.past[drop:]) // a copy, since a Memory may share the old slice
	}
}

func (r *Rollout) bytes() (n int64) {
	for i := range r.Members {
		n += r.Members[i].bytes()
	}
	for _, id := range r.AlreadyBroken {
		n += int64(len(id)) + 16
	}
	return n
}

// bytes returns the approximate memory of a member. It includes the strings, since the node that they come
// from may be deleted.
func (m *Member) bytes() int64 {
	return 250 + int64(len(m.ID)+len(m.Label)+len(m.Region)+len(m.Status)+len(m.VersionFrom)+len(m.VersionTo))
}

// Bytes returns the approximate memory of the tracker.
func (t *Tracker) Bytes() int64 {
	const perNode = 350
	n := perNode*int64(len(t.nodes)) + t.kept
	if t.open != nil {
		n += t.open.bytes
	}
	return n
}

func (t *Tracker) outcome(o *openRollout) string {
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

// Rollouts returns the rollouts at instant now (Unix milliseconds), newest first. The result must not be changed, since
// the tracker shares the ended rollouts. A call does not affect later results, and later changes do not affect the result.
func (t *Tracker) Rollouts(now int64) []Rollout {
	c := t.copy()
	c.settle(now)
	c.closeIfQuiet(now)
	all := make([]Rollout, 0, len(c.past)+1)
	if c.open != nil {
		r := c.open.Rollout
		r.AlreadyBroken = c.open.broken
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
