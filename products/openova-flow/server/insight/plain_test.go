package insight_test

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

// plain evaluates a flow as the package documentation defines it, simply and slowly.
type plain struct {
	nodes    map[string]plainNode
	rels     []plainRel
	now      int64
	lastSeen map[string]int64

	routine map[string]bool
	cycles  map[string][]string
	blames  map[string][]string
	roots   map[string]bool
}

type plainRel struct{ FromID, ToID, Type, FromFlowID, ToFlowID, Condition string }

type plainNode struct {
	ID, Label, Status, Region string
	StartedAt, EndedAt        *int64
	Meta                      struct {
		Kind, Reason, Message                    string
		Auxiliary, Suspended                     bool
		WaitingFor                               []string
		DeletingSince, WaitingSince, ReasonSince *int64
		Judgement                                *plainJudgement
	}
	unjudged bool
}

type plainSegment struct {
	At             *int64
	State, Gate    string
	Marks          []string
	Since          *int64
	Cause          struct{ Class, Sentence string }
	Problem, Final bool
}

type plainJudgement struct {
	plainSegment
	Then                             []plainSegment
	Needs, Named, ReadyWhile, Checks []string
	Source                           string
	BlamesSource                     bool
}

func plainOutcome(snapshot []byte, now int64, lastSeen map[string]int64) outcome {
	var m struct {
		Nodes         []plainNode
		Relationships []plainRel
	}
	if err := json.Unmarshal(snapshot, &m); err != nil {
		panic(err)
	}
	p := &plain{nodes: map[string]plainNode{}, rels: m.Relationships, now: now, lastSeen: lastSeen, routine: map[string]bool{}, cycles: map[string][]string{}, blames: map[string][]string{}, roots: map[string]bool{}}
	for _, n := range m.Nodes {
		if n.Meta.Judgement == nil {
			n.Meta.Judgement, n.unjudged = p.fromStatus(n), true
		} else {
			n.Meta.Judgement.Then = slices.DeleteFunc(n.Meta.Judgement.Then, func(s plainSegment) bool { return s.At == nil })
		}
		p.nodes[n.ID] = n
	}
	for id, n := range p.nodes {
		if n.unjudged && len(n.Meta.Judgement.Needs) == 0 {
			n.Meta.Judgement.Needs = p.blockers(id)
		}
	}
	for again := true; again; { // until nothing changes: the smallest fixed point
		again = false
		for _, id := range p.ids() {
			j := p.nodes[id].Meta.Judgement
			if !p.routine[id] && p.segment(id).State == "waiting" && len(j.ReadyWhile) > 0 && p.all(j.ReadyWhile, p.satisfied) {
				p.routine[id], again = true, true
			}
		}
	}
	for _, id := range p.ids() {
		p.cycles[id] = p.cycle(id)
	}
	for _, id := range p.ids() {
		p.blames[id] = slices.DeleteFunc(p.blamed(id), func(d string) bool {
			return d == id || slices.Contains(p.cycles[id], d) && slices.Equal(p.cycles[id], p.cycles[d])
		})
		p.roots[id] = !p.satisfied(id) && (len(p.blames[id]) == 0 || len(p.cycles[id]) > 0)
	}
	p.addRoots()
	return p.outcome()
}

func (p *plain) ids() []string {
	var ids []string
	for id := range p.nodes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (p *plain) exists(id string) bool { _, ok := p.nodes[id]; return ok }

func (p *plain) all(ids []string, f func(string) bool) bool {
	return !slices.ContainsFunc(ids, func(id string) bool { return !f(id) })
}

func (p *plain) fromStatus(n plainNode) *plainJudgement {
	j := &plainJudgement{}
	s := &j.plainSegment
	m := n.Meta
	switch {
	case m.DeletingSince != nil:
		at := *m.DeletingSince + 300_001
		s.State, s.Since, s.Gate, s.Cause.Class = "terminating", m.DeletingSince, "wait", "terminating"
		late := *s
		late.At, late.Gate, late.Problem = &at, "", true
		j.Then = []plainSegment{late}
	case n.Status == "failed":
		s.State, s.Since, s.Problem, s.Cause.Class = "broken", n.EndedAt, true, "failed"
	case m.Suspended:
		s.State, s.Cause.Class = "suspended", "suspended"
		if n.Status == "succeeded" {
			s.Gate = "pass"
		}
	case n.Status == "succeeded":
		s.State, s.Since, s.Gate = "ready", n.EndedAt, "pass"
	case m.Reason == "DependencyNotReady" || len(m.WaitingFor) > 0:
		s.State, s.Gate, s.Since = "waiting", "wait", cmp.Or(m.WaitingSince, m.ReasonSince)
		j.Needs, j.Named = m.WaitingFor, m.WaitingFor
	case n.Status == "pending":
		s.State, s.Gate = "not-started", "wait"
	default:
		s.State, s.Since, s.Gate = "working", n.StartedAt, "wait"
	}
	return j
}

func (p *plain) container(id string) bool {
	return slices.ContainsFunc(p.rels, func(r plainRel) bool {
		from, ok := p.nodes[r.FromID]
		return r.Type == "contains" && r.ToID == id && p.own(r) && ok && from.Region == p.nodes[id].Region
	})
}

func (p *plain) own(r plainRel) bool {
	return (r.FromFlowID == "" || r.FromFlowID == "F") && (r.ToFlowID == "" || r.ToFlowID == "F")
}

func (p *plain) member(id string) bool {
	return p.exists(id) && p.nodes[id].Meta.Kind != "Region" && !p.container(id)
}

func (p *plain) blockers(id string) []string {
	var list []string
	for _, r := range p.rels {
		from, ok := p.nodes[r.FromID]
		if r.ToID != id || !p.own(r) || r.Type == "contains" || r.Type == "triggers" || p.nodes[id].Status == "succeeded" || p.container(id) || from.Meta.Auxiliary {
			continue
		}
		blocks := true
		switch {
		case !ok:
		case strings.HasPrefix(r.Type, "start-to-"):
			blocks = from.Status == "pending" && from.StartedAt == nil
		case r.Condition == "on-failure":
			blocks = from.Status != "failed"
		case r.Condition == "always":
			blocks = from.Status != "failed" && from.Status != "succeeded"
		default:
			blocks = from.Status != "succeeded"
		}
		if blocks {
			list = append(list, r.FromID)
		}
	}
	return list
}

func (p *plain) clock(id string) int64 {
	if last, ok := p.lastSeen[p.nodes[id].Region]; ok {
		return min(p.now, last)
	}
	return p.now
}

func (p *plain) segment(id string) plainSegment {
	j := p.nodes[id].Meta.Judgement
	s := j.plainSegment
	for _, t := range j.Then {
		if *t.At <= p.clock(id) {
			s = t
		}
	}
	return s
}

// age returns how long ago a known instant was by a node's clock.
func (p *plain) age(id string, since *int64) (age int64, known bool) {
	if since == nil {
		return 0, false
	}
	return p.clock(id) - *since, true
}

func (p *plain) over(id string, since *int64) bool {
	age, known := p.age(id, since)
	return known && age > 60_000
}

func (p *plain) within(id string, since *int64) bool {
	age, known := p.age(id, since)
	return known && age <= 60_000
}

func (p *plain) state(id string) string {
	if !p.exists(id) {
		return ""
	}
	if p.routine[id] {
		return "ready"
	}
	if p.lost(id) {
		return "broken"
	}
	return p.segment(id).State
}

func (p *plain) lost(id string) bool {
	return p.exists(id) && !p.routine[id] && p.segment(id).State == "waiting" && !p.all(p.needs(id), p.exists) && p.over(id, p.segment(id).Since)
}

func (p *plain) needs(id string) []string { return p.nodes[id].Meta.Judgement.Needs }

func (p *plain) satisfied(id string) bool {
	s := p.exists(id)
	return s && (p.state(id) == "ready" || p.state(id) == "suspended" && p.segment(id).Gate == "pass" &&
		!slices.Contains(p.segment(id).Marks, "not-observed") && !slices.Contains(p.segment(id).Marks, "old-revision"))
}

func (p *plain) unsatisfied(ids []string) []string {
	var list []string
	for _, id := range ids {
		if !p.satisfied(id) {
			list = append(list, id)
		}
	}
	return list
}

func (p *plain) waits(id string) bool {
	if !p.exists(id) || len(p.needs(id)) == 0 {
		return false
	}
	return p.state(id) == "waiting" || p.state(id) == "not-started" && p.nodes[id].unjudged && len(p.unsatisfied(p.needs(id))) > 0
}

// reach returns the ids that can be reached over next; from only if it is reached again.
func reach(from string, next func(string) []string) map[string]bool {
	seen := map[string]bool{}
	var visit func(string)
	visit = func(id string) {
		for _, n := range next(id) {
			if !seen[n] {
				seen[n] = true
				visit(n)
			}
		}
	}
	visit(from)
	return seen
}

func (p *plain) waitsFor(id string) []string {
	if !p.waits(id) {
		return nil
	}
	return slices.DeleteFunc(p.unsatisfied(p.needs(id)), func(d string) bool { return !p.waits(d) })
}

// cycle returns the cycle of a node within its region, else the one across regions.
func (p *plain) cycle(id string) []string {
	among := func(next func(string) []string) (members []string) {
		after := reach(id, next)
		for _, other := range p.ids() {
			if after[other] && reach(other, next)[id] {
				members = append(members, other)
			}
		}
		return members
	}
	own := among(func(id string) []string {
		return slices.DeleteFunc(p.waitsFor(id), func(d string) bool { return p.nodes[d].Region != p.nodes[id].Region })
	})
	if len(own) > 0 {
		return own
	}
	return among(p.waitsFor)
}

func (p *plain) across(cycle []string) bool {
	return slices.ContainsFunc(cycle, func(id string) bool { return p.nodes[id].Region != p.nodes[cycle[0]].Region })
}

func (p *plain) blamed(id string) []string {
	j, state := p.nodes[id].Meta.Judgement, p.state(id)
	switch {
	case p.waits(id):
		return p.unsatisfied(p.needs(id))
	case p.lost(id) || state != "broken" && state != "working" && state != "terminating" && state != "not-started":
		return nil
	}
	var list []string
	for _, c := range p.unsatisfied(j.Checks) {
		if s := p.state(c); c != id && (s == "broken" || s == "suspended" || s == "terminating" || s == "waiting") {
			list = append(list, c)
		}
	}
	if len(list) == 0 && j.BlamesSource && p.exists(j.Source) && !p.satisfied(j.Source) {
		list = append(list, j.Source)
	}
	return list
}

// further returns the ids that a node blames; nil for a root.
func (p *plain) further(id string) []string {
	if p.roots[id] || !p.exists(id) {
		return nil
	}
	return p.blames[id]
}

// addRoots adds the roots of nodes that blame only each other.
func (p *plain) addRoots() {
	more := []string{}
	for _, id := range p.ids() {
		set := reach(id, p.further)
		all := append(p.unsatisfied([]string{id}), keys(set)...)
		if p.satisfied(id) || slices.ContainsFunc(all, func(a string) bool { return p.roots[a] || !p.exists(a) }) {
			continue
		}
		if !p.all(keys(set), func(o string) bool { return reach(o, p.further)[id] }) {
			continue // not only each other
		}
		group := keys(set)
		guilty := slices.DeleteFunc(slices.Clone(group), func(o string) bool { return p.state(o) != "broken" || !p.segment(o).Problem })
		if len(guilty) == 0 {
			guilty = slices.DeleteFunc(group, p.waits)
		}
		more = append(more, guilty[0])
	}
	for _, id := range more {
		p.roots[id], p.blames[id] = true, nil
	}
}

func keys(set map[string]bool) []string {
	list := []string{}
	for id := range set {
		list = append(list, id)
	}
	slices.Sort(list)
	return list
}

// causes returns the roots among some nodes and those that they blame, directly or through others.
func (p *plain) causes(of ...string) map[string]bool {
	return p.causesFor(func(string) bool { return true }, of...)
}

// causesFor is causes with only some members of a cycle across regions.
func (p *plain) causesFor(counts func(string) bool, of ...string) map[string]bool {
	found := map[string]bool{}
	for _, id := range of {
		set := reach(id, p.further)
		set[id] = true
		for o := range set {
			switch {
			case len(p.cycles[o]) > 0:
				for _, m := range p.cycles[o] {
					if !p.across(p.cycles[o]) || counts(m) {
						found[m] = true
					}
				}
			case p.roots[o] || !p.exists(o):
				found[o] = true
			}
		}
	}
	return found
}

func (p *plain) heldBy(id string) []string {
	j := p.nodes[id].Meta.Judgement
	switch {
	case !p.waits(id) && !p.lost(id):
		return nil
	case p.waits(id) && len(p.unsatisfied(j.Needs)) == 0:
		list := slices.Clone(j.Named)
		if len(list) == 0 {
			list = slices.Clone(j.Needs)
		}
		slices.Sort(list)
		return slices.Compact(list)
	}
	found := p.causesFor(func(m string) bool { return p.nodes[m].Region != p.nodes[id].Region }, p.unsatisfied(j.Needs)...)
	if len(p.cycles[id]) != 1 {
		delete(found, id)
	}
	return keys(found)
}

func (p *plain) rootsOf(id string) []string {
	switch {
	case p.satisfied(id):
		return nil
	case p.waits(id) && len(p.unsatisfied(p.needs(id))) > 0:
		return p.heldBy(id)
	}
	return keys(p.causes(id))
}

func (p *plain) later(id string) *int64 {
	last := p.segment(id).Since
	for _, d := range p.needs(id) {
		if p.exists(d) {
			if s := p.segment(d).Since; s != nil && (last == nil || *s > *last) {
				last = s
			}
		}
	}
	return last
}

func (p *plain) allReady(id string) bool {
	return p.waits(id) && len(p.unsatisfied(p.needs(id))) == 0
}

func (p *plain) open(id string) bool {
	if p.satisfied(id) || len(p.cycles[id]) > 0 || p.lost(id) {
		return false
	}
	if p.allReady(id) {
		return p.within(id, p.later(id))
	}
	waits := p.segment(id).Gate == "wait"
	if p.roots[id] || waits && p.state(id) != "broken" && !p.waits(id) {
		return waits
	}
	if p.waits(id) && !p.all(p.needs(id), p.exists) && p.within(id, p.segment(id).Since) {
		return true
	}
	return waits && slices.ContainsFunc(keys(p.causes(id)), func(r string) bool { return p.exists(r) && p.open(r) })
}

func (p *plain) marks(id string) []string {
	list := slices.Clone(p.segment(id).Marks)
	if s := p.nodes[id].Meta.Judgement.Source; p.state(id) == "ready" && p.exists(s) && !p.satisfied(s) && p.over(s, p.segment(s).Since) {
		list = append(list, "source-stale")
	}
	for _, other := range p.ids() {
		if p.state(other) == "waiting" && p.segment(other).Cause.Class == "dependency-revision" && slices.Contains(p.nodes[other].Meta.Judgement.Named, id) && p.nodes[other].Region == p.nodes[id].Region {
			list = append(list, "old-revision")
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

type plainProblem struct {
	problem
	broken bool
	since  int64
}

func (p *plain) problems() []plainProblem {
	var all []plainProblem
	add := func(root, class string, cause, nearest []string, since *int64) {
		one := plainProblem{broken: p.state(root) == "broken" || strings.HasPrefix(class, "dependency-cycle") || class == "dependency-on-itself"}
		if since != nil {
			one.since = *since
		}
		one.Class, one.IDs = class, []string{root}
		for _, id := range p.ids() {
			inCause := slices.Contains(cause, id)
			victim := !p.waits(id) && !p.satisfied(id) && !p.lost(id) && slices.ContainsFunc(cause, func(c string) bool { return p.causes(id)[c] && !(p.roots[id] && id != c) })
			if id != root && p.member(id) && (inCause || victim) {
				one.IDs = append(one.IDs, id)
			}
		}
		one.Blocks = p.blocked(one.IDs, nearest)
		all = append(all, one)
	}
	revisions := map[string][]string{}
	for _, id := range p.ids() {
		if !p.member(id) {
			continue
		}
		s, j := p.segment(id), p.nodes[id].Meta.Judgement
		switch c := p.cycles[id]; {
		case p.lost(id):
			var group []string
			since := s.Since
			for _, o := range p.ids() {
				if p.member(o) && p.lost(o) && p.nodes[o].Region == p.nodes[id].Region && p.missingNeed(o) == p.missingNeed(id) {
					group, since = append(group, o), earliest(since, p.segment(o).Since)
				}
			}
			if group[0] == id {
				add(id, "dependency-missing", group, nil, since)
			}
		case len(c) > 0:
			// Members that are on a cycle within their region belong to the problem of that cycle.
			own := slices.DeleteFunc(slices.Clone(c), func(m string) bool { return !slices.Equal(p.cycles[m], c) || !p.member(m) })
			since := s.Since
			for _, m := range c {
				since = earliest(since, p.segment(m).Since)
			}
			switch {
			case own[0] != id:
			case len(c) == 1:
				add(id, "dependency-on-itself", c, nil, since)
			default:
				add(id, "dependency-cycle", c, nil, since)
			}
		case p.allReady(id) && p.over(id, p.later(id)):
			own := slices.DeleteFunc(append(slices.Clone(j.Named), j.Needs...), func(d string) bool { return !p.exists(d) || p.nodes[d].Region != p.nodes[id].Region })
			switch {
			case s.Cause.Class == "dependency-revision" && len(own) > 0:
				d := own[0]
				revisions[d] = append(revisions[d], id)
			case slices.Contains(s.Marks, "ready-expr"):
				add(id, "ready-expr", []string{id}, nil, p.later(id))
			default:
				add(id, "dependency-ready", []string{id}, nil, p.later(id))
			}
		case p.state(id) == "suspended" && !p.satisfied(id) && slices.ContainsFunc(p.ids(), func(o string) bool { return o != id && slices.Contains(p.rootsOf(o), id) }):
			add(id, "suspended", []string{id}, nil, s.Since)
		case p.state(id) == "suspended" && slices.Contains(s.Marks, "not-observed") && p.over(id, s.Since):
			add(id, "suspended-not-observed", []string{id}, nil, s.Since)
		case (p.state(id) == "broken" || p.state(id) == "terminating") && s.Problem && p.roots[id]:
			add(id, s.Cause.Class, []string{id}, nil, s.Since)
		}
	}
	for d, waiting := range revisions {
		add(d, "dependency-revision", []string{d}, waiting, p.later(waiting[0]))
	}
	slices.SortFunc(all, func(a, b plainProblem) int {
		if a.broken != b.broken {
			if a.broken {
				return -1
			}
			return 1
		}
		return cmp.Or(len(b.Blocks)-len(a.Blocks), cmp.Compare(a.since, b.since), cmp.Compare(a.IDs[0], b.IDs[0]))
	})
	return all
}

func (p *plain) missingNeed(id string) string {
	j := p.nodes[id].Meta.Judgement
	for _, d := range append(slices.Clone(j.Named), p.needs(id)...) {
		if !p.exists(d) && slices.Contains(p.needs(id), d) {
			return d
		}
	}
	return ""
}

func earliest(a, b *int64) *int64 {
	if a == nil || b != nil && *b < *a {
		return b
	}
	return a
}

func (p *plain) blocked(ids, nearest []string) []string {
	names := []string{}
	seen := slices.Clone(ids)
	for level := ids; len(level) > 0; {
		var next []string
		for _, id := range p.ids() {
			if slices.Contains(seen, id) {
				continue
			}
			if slices.Contains(nearest, id) || p.waits(id) && slices.ContainsFunc(p.unsatisfied(p.needs(id)), func(d string) bool { return slices.Contains(level, d) }) {
				next = append(next, id)
			}
		}
		nearest = nil
		seen = append(seen, next...)
		for _, id := range next {
			if p.member(id) {
				names = append(names, id)
			}
		}
		level = next
	}
	return names
}

func (p *plain) outcome() outcome {
	o := outcome{States: map[string]insight.State{}, Marks: map[string][]string{}, HeldBy: map[string][]string{}, Roots: map[string][]string{}, Problems: []problem{}, Open: []string{}, Verdict: "pending"}
	put := func(in map[string][]string, id string, list []string) {
		if len(list) > 0 {
			in[id] = list
		}
	}
	members, passed, failed := 0, true, false
	for _, id := range p.ids() {
		o.States[id] = insight.State(p.state(id))
		put(o.Marks, id, p.marks(id))
		put(o.HeldBy, id, p.heldBy(id))
		put(o.Roots, id, p.rootsOf(id))
		if !p.member(id) {
			continue
		}
		members++
		fine := p.state(id) == "ready" || p.state(id) == "suspended" && p.segment(id).Gate == "pass"
		failed = failed || p.state(id) == "suspended" && !fine
		for _, m := range []string{"not-observed", "old-revision", "source-stale"} {
			fine = fine && !slices.Contains(p.marks(id), m)
		}
		passed = passed && fine
		if p.open(id) {
			o.Open = append(o.Open, id)
		}
	}
	final := false
	for _, q := range p.problems() {
		if !slices.ContainsFunc(append(slices.Clone(q.IDs), q.Blocks...), p.member) {
			continue
		}
		o.Problems = append(o.Problems, q.problem)
		final = final || p.segment(q.IDs[0]).Final || p.state(q.IDs[0]) == "suspended"
	}
	failed = failed || len(o.Problems) > 0
	switch {
	case members == 0:
	case failed && len(o.Open) == 0:
		o.Verdict, o.Final = "failed", final
	case passed && !failed:
		o.Verdict = "passed"
	}
	return o
}
