package flowmetrics

import (
	"maps"
	"slices"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// Severities of problems. A critical one does not change without a person.
const (
	critical = "critical"
	warning  = "warning"
)

// marks are the marks that are counted. Others, such as remote:NAME, have no fixed set of values.
var marks = []string{"drift", insight.MarkNotObserved, insight.MarkOldRevision, "overdue", insight.MarkReadyExpr, "retrying", insight.MarkSourceStale, "suspended"}

// measures are the numbers of one flow. Times are Unix milliseconds.
type measures struct {
	id        string
	regions   []*region // by name
	problems  []named
	suspended []named
	open      *rollout.Rollout // nil: none is in progress
	last      *rollout.Rollout // the last one that has ended; nil: none has
	leftOut   leftOut
}

// region has the numbers of one region. The region without a name has the nodes without a region, and the problems that several regions share.
type region struct {
	name      string
	states    map[insight.State]int
	marks     map[string]int
	blocked   int
	problems  map[kind]int
	oldest    map[string]int64 // by severity: since when the oldest problem is open
	lastSeen  int64            // when a stale region was last seen; 0: not stale
	unapplied int64            // since when a source has a revision that is not applied; 0: all are applied
}

// kind has the labels by which the problems of a region are counted.
type kind struct{ class, severity string }

// named is a problem or a suspended node.
type named struct {
	region, id string
	kind
	since   int64 // 0: unknown
	blocked int
}

type leftOut struct{ flows, regions, problems, suspended int }

// measure reads the numbers of a flow. They share no memory with the flow's messages, which may be large.
func measure(id string, o *hub.Overview) *measures {
	m := &measures{id: id}
	regions := make(map[string]*region)
	of := func(name string) *region {
		if regions[name] == nil {
			name = strings.Clone(name)
			regions[name] = &region{name: name, states: make(map[insight.State]int), marks: make(map[string]int), problems: make(map[kind]int), oldest: make(map[string]int64)}
		}
		return regions[name]
	}
	m.addNodes(o.View, of)
	m.addProblems(o.View, of)
	for name, at := range o.LastSeen {
		of(name).lastSeen = at
	}
	for name, at := range o.Unapplied {
		of(name).unapplied = at
	}
	for _, r := range o.Rollouts[:min(2, len(o.Rollouts))] {
		r.Members, r.AlreadyBroken = nil, nil // not needed, and large
		switch {
		case r.Outcome == rollout.Running:
			m.open = &r
		case m.last == nil:
			m.last = &r
		}
	}
	for _, name := range slices.Sorted(maps.Keys(regions)) {
		if len(name) > maxLabel || len(m.regions) == maxRegions {
			m.leftOut.regions++
			continue
		}
		m.regions = append(m.regions, regions[name])
	}
	return m
}

func (m *measures) addNodes(v *insight.View, of func(string) *region) {
	for n := range v.Members() {
		r, state := of(n.Region), v.State(n.ID)
		r.states[state]++
		for _, mark := range v.Marks(n.ID) {
			if slices.Contains(marks, mark) {
				r.marks[strings.Clone(mark)]++
			}
		}
		if state != insight.Suspended {
			continue
		}
		if len(m.suspended) == maxNodes || len(n.ID) > maxLabel || len(n.Region) > maxLabel {
			m.leftOut.suspended++
			continue
		}
		m.suspended = append(m.suspended, named{region: of(n.Region).name, id: strings.Clone(n.ID), since: v.Since(n.ID).Ms()})
	}
}

func (m *measures) addProblems(v *insight.View, of func(string) *region) {
	blocked := make(map[string]bool)
	classes := 0
	for _, p := range v.Problems() {
		for _, id := range p.Blocks {
			blocked[id] = true
		}
		k, since := kind{strings.Clone(p.Class), warning}, p.Since.Ms()
		if p.Critical() {
			k.severity = critical
		}
		r := of(p.Region)
		if len(k.class) > maxLabel || r.problems[k] == 0 && classes == maxClasses {
			k.class = classOther
		} else if r.problems[k] == 0 {
			classes++
		}
		r.problems[k]++
		if since != 0 && (r.oldest[k.severity] == 0 || since < r.oldest[k.severity]) {
			r.oldest[k.severity] = since
		}
		if len(m.problems) == maxNodes || len(p.ID) > maxLabel || len(p.Region) > maxLabel {
			m.leftOut.problems++
			continue
		}
		m.problems = append(m.problems, named{r.name, strings.Clone(p.ID), k, since, len(p.Blocks)})
	}
	for n := range v.Members() {
		if blocked[n.ID] {
			of(n.Region).blocked++
		}
	}
}
