package insight

import (
	"slices"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// grace is the time, in milliseconds, that transient states of a healthy flow may last before they are a problem.
const grace = 60_000

// View is a graph at an instant. Its slices are indexed like Graph.nodes, except cycle and across.
type View struct {
	*Graph
	clocks    []int64
	segments  []*Segment
	states    []State
	missing   []bool    // broken by a need that does not exist
	satisfied []bool    // no node has to wait for it
	waits     []bool    // waits for needs
	allReady  []bool    // waits although all of its needs are satisfied
	cycle     [][]int32 // the members of each cycle
	onCycle   []int32   // the node's cycle, or none
	crosses   []int32   // the cycle across regions that the node is also on, or none
	across    []bool    // by cycle, not by node: it has members in several regions
	blames    [][]int32
	blamedBy  [][]int32
	root      []bool
	open      []bool
	stale     []bool // marked source-stale
	outdated  []bool // marked old-revision by a dependent
}

// At evaluates the graph at an instant, in Unix milliseconds. lastSeen has the time when each stale region was last seen.
func (g *Graph) At(now int64, lastSeen map[string]int64) *View {
	n := len(g.nodes)
	v := &View{Graph: g, clocks: make([]int64, n), segments: make([]*Segment, n), states: make([]State, n),
		missing: make([]bool, n), satisfied: make([]bool, n), waits: make([]bool, n), allReady: make([]bool, n),
		blames: make([][]int32, n), blamedBy: make([][]int32, n), root: make([]bool, n), open: make([]bool, n),
		stale: make([]bool, n), outdated: make([]bool, n)}
	for i := range g.nodes {
		if g.nodes[i].node == nil {
			continue
		}
		v.clocks[i] = now
		if last, ok := lastSeen[g.nodes[i].node.Region]; ok {
			v.clocks[i] = min(now, last)
		}
		s := g.nodes[i].judgement.At(v.clocks[i])
		v.segments[i], v.states[i] = s, s.State
		v.satisfied[i] = s.State == Ready || s.State == Suspended && s.Gate == GatePass && !s.has(MarkNotObserved) && !s.has(MarkOldRevision)
	}
	v.findRoutine()
	v.findWaiting()
	v.findCycles()
	v.findBlame()
	v.findMarks()
	v.findOpen()
	return v
}

func (s *Segment) has(mark string) bool { return slices.Contains(s.Marks, mark) }

// over reports whether a known instant was more than grace ago by a node's clock.
func (v *View) over(i int32, since flow.Time) bool {
	ms, ok := since.Get()
	return ok && v.clocks[i]-ms > grace
}

// within reports whether a known instant was at most grace ago by a node's clock.
func (v *View) within(i int32, since flow.Time) bool {
	ms, ok := since.Get()
	return ok && v.clocks[i]-ms <= grace
}

func (v *View) exists(i int32) bool { return v.nodes[i].node != nil }

// findRoutine makes the routine nodes ready: waiting nodes with at least one readyWhile, if all of these are satisfied.
func (v *View) findRoutine() {
	left := make([]int32, len(v.nodes))     // number of readyWhile that are not satisfied
	wanted := make([][]int32, len(v.nodes)) // the nodes with this one in readyWhile
	var ready []int32
	for i := range v.nodes {
		if n := &v.nodes[i]; n.node != nil && v.states[i] == Waiting && len(n.readyWhile) > 0 {
			for _, r := range n.readyWhile {
				if !v.satisfied[r] {
					left[i]++
					wanted[r] = append(wanted[r], int32(i))
				}
			}
			if left[i] == 0 {
				ready = append(ready, int32(i))
			}
		}
	}
	for len(ready) > 0 {
		i := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		v.states[i], v.satisfied[i] = Ready, true
		for _, w := range wanted[i] {
			if left[w]--; left[w] == 0 {
				ready = append(ready, w)
			}
		}
	}
}

// findWaiting sets waits, allReady and missing.
func (v *View) findWaiting() {
	for i := range v.nodes {
		n := &v.nodes[i]
		if n.node == nil || len(n.needs) == 0 {
			continue
		}
		allSatisfied, oneMissing := true, false
		for _, d := range n.needs {
			allSatisfied = allSatisfied && v.satisfied[d]
			oneMissing = oneMissing || !v.exists(d)
		}
		switch v.states[i] {
		case Waiting:
			if oneMissing && v.over(int32(i), v.segments[i].Since) {
				v.states[i], v.missing[i] = Broken, true
				continue
			}
			v.waits[i], v.allReady[i] = true, allSatisfied
		case NotStarted:
			v.waits[i] = !n.judgement.judged && !allSatisfied
		}
	}
}

// findCycles finds the cycles of waiting nodes: those within a region first, since no other region can make or break them.
func (v *View) findCycles() {
	n := len(v.nodes)
	v.onCycle, v.crosses = make([]int32, n), make([]int32, n)
	own, all := make([][]int32, n), make([][]int32, n)
	for i := range v.nodes {
		v.onCycle[i], v.crosses[i] = none, none
		if !v.waits[i] {
			continue
		}
		for _, d := range v.nodes[i].needs {
			if v.waits[d] {
				all[i] = append(all[i], d)
				if v.region(d) == v.region(int32(i)) {
					own[i] = append(own[i], d)
				}
			}
		}
	}
	v.addCycles(own, false)
	v.addCycles(all, true)
}

func (v *View) region(i int32) string { return v.nodes[i].node.Region }

// addCycles adds the cycles over the edges in next; with across, only those with members in several regions.
func (v *View) addCycles(next [][]int32, across bool) {
	component, count := components(len(v.nodes), v.waits, next)
	members := make([][]int32, count)
	for i, c := range component {
		if c != none {
			members[c] = append(members[c], int32(i))
		}
	}
	for _, list := range members {
		if len(list) == 1 && !slices.Contains(next[list[0]], list[0]) ||
			across && !slices.ContainsFunc(list, func(i int32) bool { return v.region(i) != v.region(list[0]) }) {
			continue
		}
		for _, i := range list {
			if v.onCycle[i] == none {
				v.onCycle[i] = int32(len(v.cycle))
			} else {
				v.crosses[i] = int32(len(v.cycle))
			}
		}
		v.cycle, v.across = append(v.cycle, list), append(v.across, across)
	}
}

// findBlame sets blames, blamedBy and root.
func (v *View) findBlame() {
	for i := range v.nodes {
		if !v.exists(int32(i)) {
			v.root[i] = true
			continue
		}
		for _, d := range v.blamed(int32(i)) {
			if d == int32(i) || v.onCycle[i] != none && v.onCycle[d] == v.onCycle[i] {
				continue
			}
			v.blames[i] = append(v.blames[i], d)
			v.blamedBy[d] = append(v.blamedBy[d], int32(i))
		}
		v.root[i] = !v.satisfied[i] && (len(v.blames[i]) == 0 || v.onCycle[i] != none)
	}
	v.addRoots()
}

func (v *View) blamed(i int32) []int32 {
	n := &v.nodes[i]
	var list []int32
	switch state := v.states[i]; {
	case v.waits[i]:
		for _, d := range n.needs {
			if !v.satisfied[d] {
				list = append(list, d)
			}
		}
	case v.missing[i]: // broken by a missing need: a root
	case state == Broken || state == Working || state == Terminating || state == NotStarted:
		for _, c := range n.checks {
			if v.exists(c) && !v.satisfied[c] && c != i && slices.Contains(troubled, v.states[c]) {
				list = append(list, c)
			}
		}
		if len(list) == 0 && n.judgement.blamesSource && n.source != none && !v.satisfied[n.source] {
			list = append(list, n.source)
		}
	}
	return list
}

// troubled are the states for which a node blames one of its checks.
var troubled = []State{Broken, Suspended, Terminating, Waiting}

// addRoots chooses a root in each set of nodes that blame only each other.
func (v *View) addRoots() {
	rooted := v.behind(v.root)
	rootless := make([]bool, len(v.nodes))
	found := false
	for i := range v.nodes {
		rootless[i] = v.exists(int32(i)) && !v.satisfied[i] && !rooted[i]
		found = found || rootless[i]
	}
	if !found {
		return
	}
	component, count := components(len(v.nodes), rootless, v.blames)
	leaves := make([]bool, count) // blames a node of another set
	best := make([]int32, count)
	for c := range best {
		best[c] = none
	}
	// The node of the lowest rank becomes the root.
	rank := func(i int32) int {
		switch {
		case v.states[i] == Broken && v.segments[i].Problem:
			return 0
		case !v.waits[i]:
			return 1
		}
		return 2
	}
	for i, c := range component {
		if c == none {
			continue
		}
		for _, d := range v.blames[i] {
			leaves[c] = leaves[c] || component[d] != c
		}
		if best[c] == none || rank(int32(i)) < rank(best[c]) {
			best[c] = int32(i)
		}
	}
	for c, i := range best {
		if !leaves[c] {
			v.root[i], v.blames[i] = true, nil
		}
	}
}

// behind returns the set and all nodes that blame one of its nodes, directly or through others, but not through a cycle.
func (v *View) behind(set []bool) []bool {
	reached := make([]bool, len(v.nodes))
	var queue []int32
	for i, in := range set {
		if in {
			reached[i] = true
			queue = append(queue, int32(i))
		}
	}
	for len(queue) > 0 {
		i := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if v.onCycle[i] != none && !set[i] {
			continue
		}
		for _, b := range v.blamedBy[i] {
			if !reached[b] {
				reached[b] = true
				queue = append(queue, b)
			}
		}
	}
	return reached
}

// findMarks sets the marks that follow from the graph: stale and outdated.
func (v *View) findMarks() {
	for i := range v.nodes {
		n := &v.nodes[i]
		if n.node == nil {
			continue
		}
		if s := n.source; v.states[i] == Ready && s != none && !v.satisfied[s] && v.over(s, v.segments[s].Since) {
			v.stale[i] = true
		}
		if v.states[i] == Waiting && v.segments[i].Class == classRevision {
			for _, d := range n.named {
				v.outdated[d] = v.outdated[d] || v.exists(d) && v.nodes[d].node.Region == n.node.Region
			}
		}
	}
}

// later returns the latest of the start of a node's own state and the starts of its needs' states. Since then a node whose needs are all satisfied has had
// no reason to wait.
func (v *View) later(i int32) flow.Time {
	last := v.segments[i].Since
	for _, d := range v.nodes[i].needs {
		if s := v.segments[d]; s != nil && !s.Since.IsZero() && (last.IsZero() || s.Since.Ms() > last.Ms()) {
			last = s.Since
		}
	}
	return last
}

// findOpen finds the nodes that may still change by themselves.
func (v *View) findOpen() {
	openRoots := make([]bool, len(v.nodes)) // also nodes that wait although all of their needs are satisfied
	for i := range v.nodes {
		if !v.exists(int32(i)) || v.satisfied[i] || v.onCycle[i] != none || v.missing[i] {
			continue
		}
		switch {
		case v.allReady[i]:
			openRoots[i] = v.within(int32(i), v.later(int32(i)))
		case v.root[i]:
			openRoots[i] = v.segments[i].Gate == GateWait
		}
	}
	behind := v.behind(openRoots)
	for i := range v.nodes {
		switch {
		case !v.exists(int32(i)) || v.satisfied[i] || v.onCycle[i] != none:
		case v.root[i]:
			v.open[i] = openRoots[i]
		default:
			v.open[i] = (behind[i] || v.hasOwnWork(int32(i))) && v.segments[i].Gate == GateWait || v.needMayAppear(int32(i))
		}
	}
}

// hasOwnWork reports whether a node may change even if the nodes that it blames do not.
func (v *View) hasOwnWork(i int32) bool { return !v.waits[i] && v.states[i] != Broken }

// needMayAppear reports whether a node waits, within grace, for a need that does not exist.
func (v *View) needMayAppear(i int32) bool {
	return v.waits[i] && v.within(i, v.segments[i].Since) && slices.ContainsFunc(v.nodes[i].needs, func(d int32) bool { return !v.exists(d) })
}

// State returns the state of a node, empty if it does not exist.
func (v *View) State(id string) State {
	if i, ok := v.index[id]; ok {
		return v.states[i]
	}
	return ""
}

// Since returns the start of the node's state with its cause, from its own judgement.
func (v *View) Since(id string) flow.Time {
	if i, ok := v.index[id]; ok && v.exists(i) {
		return v.segments[i].Since
	}
	return flow.Time{}
}

// Member reports whether a node can have problems and counts for a verdict (see the package's terms).
func (v *View) Member(id string) bool {
	i, ok := v.index[id]
	return ok && v.nodes[i].member
}

// Open reports whether a node may still change by itself.
func (v *View) Open(id string) bool {
	i, ok := v.index[id]
	return ok && v.open[i]
}

// Sentence returns one sentence about the node's state, from its own judgement; empty if that has none.
func (v *View) Sentence(id string) string {
	if i, ok := v.index[id]; ok && v.exists(i) {
		return v.segments[i].Sentence
	}
	return ""
}

// Auxiliary reports whether a node is not part of the rollout itself, like a source.
func (v *View) Auxiliary(id string) bool {
	i, ok := v.index[id]
	return ok && v.exists(i) && v.nodes[i].judgement.auxiliary
}

// Marks returns the marks of a node, in byte order.
func (v *View) Marks(id string) []string {
	i, ok := v.index[id]
	if !ok || !v.exists(i) {
		return nil
	}
	marks := slices.Clone(v.segments[i].Marks)
	if v.stale[i] {
		marks = append(marks, MarkSourceStale)
	}
	if v.outdated[i] {
		marks = append(marks, MarkOldRevision)
	}
	slices.Sort(marks)
	return slices.Compact(marks)
}

// HeldBy returns the ids that block a node that waits, or that misses a need, in byte order; nil for other nodes.
func (v *View) HeldBy(id string) []string {
	i, ok := v.index[id]
	if !ok || !v.waits[i] && !v.missing[i] {
		return nil
	}
	n := &v.nodes[i]
	var from []int32
	for _, d := range n.needs {
		if !v.satisfied[d] {
			from = append(from, d)
		}
	}
	found := v.rootsBehind(from, i)
	if len(found) == 0 && v.allReady[i] {
		found = n.named
		if len(found) == 0 {
			found = n.needs
		}
	}
	return v.names(found)
}

// Roots returns the ids of a node's roots, in byte order; nil if it is satisfied or does not exist.
func (v *View) Roots(id string) []string {
	i, ok := v.index[id]
	switch {
	case !ok || !v.exists(i) || v.satisfied[i]:
		return nil
	case v.waits[i] && !v.root[i] || v.onCycle[i] != none:
		return v.HeldBy(id)
	}
	return v.names(v.rootsBehind([]int32{i}, none))
}

// rootsBehind returns the roots among the nodes in from, and those that they blame, directly or through others. Unless except is none, it leaves out the
// node except, if that is not a cycle by itself, and members in the same region of a cycle across regions. It overwrites from.
func (v *View) rootsBehind(from []int32, except int32) []int32 {
	seen := make(map[int32]bool)
	roots := make(map[int32]bool)
	for queue := from; len(queue) > 0; {
		i := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		switch {
		case seen[i]:
		case v.onCycle[i] != none:
			c := v.onCycle[i]
			for _, m := range v.cycle[c] {
				seen[m] = seen[m] || v.onCycle[m] == c
				// A cycle across regions blocks a node only by its members in other regions.
				if !v.across[c] || except == none || v.region(m) != v.region(except) {
					roots[m] = true
				}
			}
		case v.root[i]:
			seen[i], roots[i] = true, true
		default:
			seen[i] = true
			queue = append(queue, v.blames[i]...)
		}
	}
	if except != none && (v.onCycle[except] == none || len(v.cycle[v.onCycle[except]]) > 1) {
		delete(roots, except) // only a node that needs itself blocks itself
	}
	list := make([]int32, 0, len(roots))
	for i := range roots {
		list = append(list, i)
	}
	return list
}

func (v *View) names(list []int32) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	names := make([]string, len(list))
	for i, at := range list {
		names[i] = v.ids[at]
	}
	return names
}

// Satisfied reports whether no other node has to wait for a node.
func (v *View) Satisfied(id string) bool {
	i, ok := v.index[id]
	return ok && v.satisfied[i]
}
