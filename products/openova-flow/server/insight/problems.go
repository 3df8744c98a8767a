package insight

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// Problem is one root cause.
type Problem struct {
	ID       string    // the root
	IDs      []string  // the root, then in byte order the rest of its cycle or the nodes that miss the same need, and the victims (see the package's terms)
	Label    string    // of the root; for a cycle across regions the names of these regions
	Region   string    // of the root; empty for a cycle across regions
	State    State     // of the root
	Class    string    // stable, for programs
	Sentence string    // what is wrong, for a person
	Command  []string  // argv of the command to run next; nil when there is none
	Since    flow.Time // start
	Blocks   []string  // ids of the members that wait for IDs, directly or through others, nearest first
	Marks    []string  // of the root
	Final    bool      // does not change without a person
}

// maxSteps is divided among the roots. The search for a root's victims takes at most its share, or leastSteps if that is more; so does the search for the
// nodes that it blocks. In flows far larger than real ones, nodes farther away are left out.
const (
	maxSteps   = 2_000_000
	leastSteps = 100
)

// Critical reports whether a problem is a cycle, or broken and does not change without a person.
func (p *Problem) Critical() bool {
	return p.Class == "dependency-cycle" || p.Class == "dependency-on-itself" || p.State == Broken && p.Final
}

// finding is a problem before the search for its victims and blocked nodes.
type finding struct {
	root   int32
	class  string
	since  flow.Time
	others []int32 // in order: members of the cycle, nodes that miss the same need, or nodes that wait for the root's revision
	across bool    // a cycle across regions
}

// Problems returns one problem for each root cause: broken ones and cycles first, then those that block more, then the older ones.
func (v *View) Problems() []Problem {
	found := v.findings()
	s := &search{View: v, needed: v.neededBy(), seen: make([]int32, len(v.nodes))}
	all := make([]Problem, 0, len(found))
	for i := range found {
		s.steps = max(leastSteps, maxSteps/len(found))
		all = append(all, s.problem(&found[i]))
	}
	rank := func(p *Problem) int {
		if p.State == Broken || p.Class == "dependency-cycle" || p.Class == "dependency-on-itself" {
			return 0
		}
		return 1
	}
	slices.SortFunc(all, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), cmp.Compare(len(b.Blocks), len(a.Blocks)), cmp.Compare(a.Since.Ms(), b.Since.Ms()), cmp.Compare(a.ID, b.ID))
	})
	return all
}

func (v *View) findings() []finding {
	var found []finding
	revisions := make(map[int32]int) // index in found, by root
	type need struct {
		region string
		id     int32
	}
	missing := make(map[need]int) // index in found
	reported := make([]bool, len(v.cycle))
	for at := range v.nodes {
		i, n := int32(at), &v.nodes[at]
		if n.node == nil || !n.member {
			continue
		}
		s := v.segments[i]
		switch {
		case v.missing[i]:
			key := need{n.node.Region, v.missingNeed(i)}
			at, ok := missing[key]
			if !ok {
				at = len(found)
				missing[key] = at
				found = append(found, finding{root: i, class: "dependency-missing", since: s.Since})
			}
			found[at].others = append(found[at].others, i)
			found[at].since = earlier(found[at].since, s.Since)
		case v.onCycle[i] != none:
			if reported[v.onCycle[i]] {
				continue
			}
			reported[v.onCycle[i]] = true
			f := finding{root: i, class: "dependency-cycle", others: v.cycle[v.onCycle[i]], across: v.across[v.onCycle[i]]}
			if len(f.others) == 1 {
				f.class = "dependency-on-itself"
			}
			for _, m := range f.others {
				f.since = earlier(f.since, v.segments[m].Since)
			}
			found = append(found, f)
		case v.allReady[i] && v.over(i, v.later(i)):
			d := v.outdatedBy(i)
			switch {
			case d != none:
				at, ok := revisions[d]
				if !ok {
					at = len(found)
					revisions[d] = at
					found = append(found, finding{root: d, class: classRevision, since: v.later(i)})
				}
				found[at].others = append(found[at].others, i)
			case s.has(MarkReadyExpr):
				found = append(found, finding{root: i, class: "ready-expr", since: v.later(i)})
			default:
				found = append(found, finding{root: i, class: "dependency-ready", since: v.later(i)})
			}
		case v.states[i] == Suspended && !v.satisfied[i] && len(v.blamedBy[i]) > 0:
			found = append(found, finding{root: i, class: "suspended", since: s.Since})
		case v.states[i] == Suspended && s.has(MarkNotObserved) && v.over(i, s.Since):
			found = append(found, finding{root: i, class: "suspended-not-observed", since: s.Since})
		case (v.states[i] == Broken || v.states[i] == Terminating) && s.Problem && v.root[i]:
			found = append(found, finding{root: i, since: s.Since})
		}
	}
	return found
}

// outdatedBy returns the dependency, in the same region, whose revision node i waits for, or none.
func (v *View) outdatedBy(i int32) int32 {
	n := &v.nodes[i]
	if v.segments[i].Class == classRevision {
		for _, d := range append(slices.Clone(n.named), n.needs...) {
			if v.exists(d) && v.nodes[d].node.Region == n.node.Region {
				return d
			}
		}
	}
	return none
}

// earlier returns the earlier of two instants; if one is unknown, the other.
func earlier(a, b flow.Time) flow.Time {
	if a.IsZero() || !b.IsZero() && b.Ms() < a.Ms() {
		return b
	}
	return a
}

// neededBy returns the waiting nodes that need each unsatisfied id.
func (v *View) neededBy() [][]int32 {
	needed := make([][]int32, len(v.nodes))
	for i := range v.nodes {
		if v.waits[i] {
			for _, d := range v.nodes[i].needs {
				if !v.satisfied[d] {
					needed[d] = append(needed[d], int32(i))
				}
			}
		}
	}
	return needed
}

// search finds the victims and the blocked nodes of roots, in one walk after another.
type search struct {
	*View
	needed [][]int32 // see neededBy
	seen   []int32   // the last walk that visited each id
	walk   int32
	steps  int // limit for a walk
	left   int // remaining steps of this walk
}

func (v *search) start(from []int32) {
	v.walk++
	v.left = v.steps
	for _, i := range from {
		v.visit(i)
	}
}

func (v *search) step() bool {
	v.left--
	return v.left >= 0
}

// visit reports whether this walk visits an id for the first time.
func (v *search) visit(i int32) bool {
	if v.seen[i] == v.walk {
		return false
	}
	v.seen[i] = v.walk
	return true
}

func (v *search) problem(f *finding) Problem {
	n := v.nodes[f.root].node
	cause := []int32{f.root}
	var nearest []int32 // nodes that wait for the root's revision: needed lacks them
	switch f.class {
	case "dependency-cycle", "dependency-missing":
		cause = f.others
	case classRevision:
		nearest = f.others
	}
	ids := v.victims(cause, f.root)
	p := Problem{ID: n.ID, Label: n.Label, Region: n.Region, State: v.states[f.root], Class: f.class, Since: f.since,
		Marks: v.Marks(n.ID), Final: v.segments[f.root].Final || v.states[f.root] == Suspended}
	if f.across {
		p.Region, p.Label = "", strings.Join(v.regions(f.others), " and ")
	}
	p.Blocks = v.blocked(ids, nearest)
	for _, i := range ids {
		p.IDs = append(p.IDs, v.ids[i])
	}
	if s := v.segments[f.root]; f.class == "" {
		p.Class, p.Sentence, p.Command = s.Class, s.Sentence, s.Command
	} else {
		v.describe(&p, f)
		if f.class == "suspended" && len(s.Command) > 0 {
			p.Command = s.Command
		}
	}
	return p
}

// victims returns the root, and then in order the other members that belong to cause, or that do not wait and have a node of cause among their roots.
func (v *search) victims(cause []int32, root int32) []int32 {
	var ids []int32
	v.start(cause)
	queue := slices.Clone(cause)
	for _, i := range cause { // nodes that blame any member of a cycle across regions have all its members as roots
		if c := v.crosses[i]; c != none {
			for _, m := range v.cycle[c] {
				if v.onCycle[m] == c && v.visit(m) {
					queue = append(queue, m)
				}
			}
		}
	}
	starts := len(queue)
	for at := 0; at < len(queue); at++ {
		i := queue[at]
		isCause := at < len(cause)
		if i != root && v.nodes[i].member && (isCause || !v.waits[i]) {
			ids = append(ids, i)
		}
		if v.onCycle[i] != none && at >= starts {
			continue
		}
		for _, b := range v.blamedBy[i] {
			if !v.step() {
				break
			}
			if v.visit(b) {
				queue = append(queue, b)
			}
		}
	}
	slices.Sort(ids)
	return slices.Insert(ids, 0, root)
}

// blocked returns the ids of the members that wait for some nodes, directly or through others: nearest first, else in order.
func (v *search) blocked(ids, nearest []int32) []string {
	v.start(ids)
	var names []string
	level := ids
	for len(level) > 0 {
		var next []int32
		for _, w := range nearest {
			if v.visit(w) {
				next = append(next, w)
			}
		}
		nearest = nil
		for _, i := range level {
			for _, w := range v.needed[i] {
				if !v.step() {
					break
				}
				if v.visit(w) {
					next = append(next, w)
				}
			}
		}
		slices.Sort(next)
		level = next
		for _, i := range next {
			if v.nodes[i].member {
				names = append(names, v.ids[i])
			}
		}
	}
	return names
}

// describe sets the sentence and the command of a problem that follows from the graph.
func (v *View) describe(p *Problem, f *finding) {
	n := &v.nodes[f.root]
	values := map[string]string{"name": n.node.Label}
	var flux []string
	if o, ok := objectOf(n.node.Region, p.ID); ok && n.judgement.judged {
		values["namespace"], values["object"], values["resource"] = o.namespace, o.name, kinds[o.kind].Resource
		flux = kinds[o.kind].Flux
	}
	t := sentences[f.class]
	switch f.class {
	case "dependency-missing":
		t = v.describeMissing(f.root, values)
	case "dependency-cycle":
		values["names"] = v.labels(f.others)
		if f.across {
			t = sentences["dependency-cycle-across"]
			values["regions"], values["edges"] = strconv.Itoa(len(v.regions(f.others))), v.declared(f.others)
		}
	case classRevision:
		values["names"] = v.labels(f.others)
	case "ready-expr", "dependency-ready":
		held := n.named
		if len(held) == 0 {
			held = n.needs
		}
		values["names"] = v.labels(held)
	}
	p.Sentence, p.Command = t.sentence(values), t.command(values, flux)
}

// describeMissing adds the values of the first missing need and returns the template for it.
func (v *View) describeMissing(root int32, values map[string]string) template {
	n, missing := &v.nodes[root], v.ids[v.missingNeed(root)]
	values["missing"] = missing
	t := sentences["dependency-missing"]
	o, ok := objectOf(n.node.Region, missing)
	if !ok || !n.judgement.judged {
		return t
	}
	values["missing"] = o.kind + " " + o.namespace + "/" + o.name
	values["missingKind"], values["missingNamespace"], values["missingName"], values["missingResource"] = o.kind, o.namespace, o.name, kinds[o.kind].Resource
	kind, ids := o.ofOtherKind(n.node.Region)
	for _, id := range ids {
		if i, ok := v.index[id]; ok && v.exists(i) {
			values["otherKind"] = kind
			return sentences["dependency-missing-other-kind"]
		}
	}
	return t
}

// missingNeed returns the first need of a node that does not exist, named needs first.
func (v *View) missingNeed(i int32) int32 {
	n := &v.nodes[i]
	list := append(slices.Clone(n.named), n.needs...)
	return list[slices.IndexFunc(list, func(d int32) bool { return !v.exists(d) && slices.Contains(n.needs, d) })]
}

// regions returns the regions of nodes, in byte order, without duplicates.
func (v *View) regions(list []int32) []string {
	names := make([]string, len(list))
	for i, at := range list {
		names[i] = cmp.Or(v.region(at), "no region")
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// declared describes the first edges between the regions of a cycle. It is unknown which one closed the cycle.
func (v *View) declared(members []int32) string {
	const most = 4
	on := make(map[int32]bool, len(members))
	for _, i := range members {
		on[i] = true
	}
	var parts []string
	all := 0
	for _, i := range members {
		for _, d := range v.nodes[i].needs {
			if !on[d] || v.region(d) == v.region(i) {
				continue
			}
			if all++; all <= most {
				parts = append(parts, short(cmp.Or(v.region(i), "no region"))+" declares that "+short(v.nodes[i].node.Label)+" waits for "+short(v.nodes[d].node.Label))
			}
		}
	}
	text := strings.Join(parts, ", ")
	if all > most {
		text += fmt.Sprintf(", and %d more", all-most)
	}
	return text
}

// labels returns the labels of the first five nodes, in byte order of their ids, and the number of the others.
func (v *View) labels(list []int32) string {
	list = slices.Clone(list)
	slices.Sort(list)
	const most = 5
	var names []string
	for _, i := range list[:min(most, len(list))] {
		name := v.ids[i]
		if v.exists(i) {
			name = v.nodes[i].node.Label
		}
		names = append(names, short(name))
	}
	text := strings.Join(names, ", ")
	if len(list) > most {
		text += fmt.Sprintf(" and %d more", len(list)-most)
	}
	return text
}

// short cuts a name for a sentence with several names to 512 characters, more than any name in a cluster has.
func short(name string) string {
	const most = 512 // characters
	characters := 0
	for at := range name {
		if characters++; characters > most {
			return name[:at]
		}
	}
	return name
}
