package rollout

import (
	"maps"
	"slices"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// Memory is what a Tracker knows that the nodes of its flow do not tell. With them it makes the same tracker again. It goes through
// encoding/json unharmed, and it shares nothing with later changes of the tracker.
type Memory struct {
	Containers []string  `json:"groups"`           // ids of the nodes that counted as containers when they were put; nil: not known
	Active     []string  `json:"active,omitempty"` // ids of the nodes that work
	Open       *Open     `json:"open,omitempty"`   // the rollout that has not ended
	Past       []Rollout `json:"past,omitempty"`   // those that have, oldest first
}

// Open is a rollout that has not ended.
type Open struct {
	Rollout
	Lost    bool  `json:"lost,omitempty"` // a member was deleted before it had finished
	LastEnd int64 `json:"lastEnd"`        // when the last work ended, by the nodes' clocks where they say
	QuietAt int64 `json:"quietAt"`        // arrival of what ended the last work
}

// Memory returns what the tracker knows.
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

// Resume returns the tracker of a flow whose nodes are those of g, as it was when it had memory m. What m says of nodes that are not
// there is left out. A memory without containers takes those of g: an earlier version wrote them under another key, and counted a contains over
// two regions.
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
			t.idleFrom = min(t.idleFrom, n.worksUntil)
		}
	}
	if m.Open != nil {
		t.open = m.Open.tally()
	}
	return t
}

func (o *Open) tally() *tally {
	t := &tally{Rollout: o.Rollout, index: make(map[string]int), broken: slices.Sorted(slices.Values(o.AlreadyBroken)), lost: o.Lost, lastEnd: o.LastEnd, quietAt: o.QuietAt}
	t.Members, t.AlreadyBroken = slices.Clone(o.Members), nil
	for i, m := range t.Members {
		t.index[m.ID] = i
		t.bytes += m.bytes()
	}
	return t
}
