package rollout

import (
	"maps"
	"slices"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// Memory is the state of a Tracker, without what can be read from the nodes of its flow. Resume restores the tracker. It can be
// encoded with encoding/json. It shares the ended rollouts with the tracker, so they must not be changed.
type Memory struct {
	Containers []string  `json:"groups"`           // ids of the nodes that were containers at their last message; nil: unknown
	Active     []string  `json:"active,omitempty"` // ids of the active nodes
	Open       *Open     `json:"open,omitempty"`   // nil if there is no open rollout
	Past       []Rollout `json:"past,omitempty"`   // ended rollouts, oldest first
}

// Open is a rollout that has not ended.
type Open struct {
	Rollout
	Lost    bool  `json:"lost,omitempty"` // a member was deleted before it finished
	LastEnd int64 `json:"lastEnd"`        // latest start or end of work, by the nodes' clocks if they give one
	QuietAt int64 `json:"quietAt"`        // when it began or the latest work ended: arrival of the message, or the time in the judgement
}

// Memory returns the state of the tracker.
func (t *Tracker) Memory() Memory {
	m := Memory{Containers: []string{}, Past: slices.Clip(t.past)}
	for id, n := range t.nodes {
		if n.container {
			m.Containers = append(m.Containers, id)
		}
	}
	slices.Sort(m.Containers)
	m.Active = slices.Sorted(maps.Keys(t.active))
	if t.open != nil {
		m.Open = &Open{Rollout: t.open.Rollout, Lost: t.open.lost, LastEnd: t.open.lastEnd, QuietAt: t.open.quietAt}
		m.Open.Members = slices.Clone(t.open.Members)
		m.Open.AlreadyBroken = slices.Clone(t.open.broken)
	}
	return m
}

// Resume restores the tracker of a flow that has the nodes of g. Ids in m.Containers and m.Active without a node are ignored. If m.Containers
// is nil, the containers of g are used: an earlier version stored its containers under another key, and took contains edges across regions into account.
func Resume(m Memory, g interface {
	Graph
	EachNode(f func(flow.Node) bool)
}) *Tracker {
	t := NewTracker()
	t.past = slices.Clip(m.Past)
	for _, r := range t.past {
		t.kept += r.bytes()
	}
	g.EachNode(func(n flow.Node) bool {
		now := newTrack(&n, g, nil)
		now.container = now.container && m.Containers == nil
		t.nodes[now.id] = &now
		if now.unready() {
			t.unreadyKustomizations++
		}
		return true
	})
	for _, id := range m.Containers {
		if n := t.nodes[id]; n != nil {
			n.container = true
		}
	}
	for _, id := range m.Active {
		if n := t.nodes[id]; n != nil {
			if t.active == nil {
				t.active = make(map[string]*track)
			}
			t.active[id] = n
			t.idleFrom = min(t.idleFrom, n.activeUntil)
		}
	}
	if m.Open != nil {
		t.open = m.Open.restore()
	}
	return t
}

func (o *Open) restore() *openRollout {
	t := &openRollout{Rollout: o.Rollout, index: make(map[string]int), broken: slices.Sorted(slices.Values(o.AlreadyBroken)), lost: o.Lost, lastEnd: o.LastEnd, quietAt: o.QuietAt}
	t.Members, t.AlreadyBroken = slices.Clone(o.Members), nil
	for i, m := range t.Members {
		t.index[m.ID] = i
		t.bytes += m.bytes()
	}
	return t
}
