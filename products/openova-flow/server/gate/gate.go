package gate

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
)

// Look is the state of a flow at an instant.
type Look struct {
	State  *State
	Claims map[string]Claim
	At     int64 // Unix milliseconds, by the server's clock if known
}

// State is a snapshot of a flow that has been read for gates. It never changes: gates of several questions may share one.
type State struct {
	graph *insight.Graph
	facts map[string]*facts
	tried map[string][]string        // the revisions that the Kustomizations of a source tried last, each once, by id of the source
	named map[string]revision.Source // by id: kind, namespace and name of the sources that objects name
}

// Read reads a snapshot. It costs as much as a few looks, so keep the result while the snapshot is the same.
func Read(m *flow.Message) *State {
	s := &State{graph: insight.Read(m), facts: make(map[string]*facts, len(m.Nodes)), tried: make(map[string][]string), named: make(map[string]revision.Source)}
	for i := range m.Nodes {
		f := readFacts(&m.Nodes[i])
		s.facts[f.node.ID] = f
		if f.sourceID != "" {
			s.named[f.sourceID] = f.Source
		}
		if f.Kind == kindKustomization && f.Attempted != "" && !slices.Contains(s.tried[f.sourceID], f.Attempted) {
			s.tried[f.sourceID] = append(s.tried[f.sourceID], f.Attempted)
		}
	}
	return s
}

// appliedBy returns what applied an object; nil if that is unknown or in another region: no region may affect the gate of another one.
func (s *State) appliedBy(f *facts) *facts {
	if by := s.facts[f.AppliedBy]; by != nil && by.node.Region == f.node.Region {
		return by
	}
	return nil
}

// Graph returns the graph of the snapshot.
func (s *State) Graph() *insight.Graph { return s.graph }

// Claim is the state of a region's claim. A region that no emitter has claimed has no entry, and can't be stale.
type Claim struct {
	Stale    bool
	LastSeen int64 // Unix milliseconds
}

// maxObserve is the maximum time, in milliseconds, until a controller observes a change: longestPickUp plus grace of the adapter's package mapping.
const maxObserve = 11 * 60_000

// Gate answers one question about one flow. It is not safe for concurrent use.
type Gate struct {
	ask     Ask
	want    revision.Name
	commit  string // full hash of the commit in the question; empty if unknown
	sources map[string]*sourceHistory
	changes map[change]int64 // when a change that its controller has not observed was first seen
	state   *State           // of the last look
}

// sourceHistory is the history of a source since the gate started.
type sourceHistory struct {
	first  int64             // when it first had a revision that counts; 0: never
	before map[string]bool   // revisions up to first that did not count
	later  map[string]bool   // revisions after first that are not in before, unless the repository knows that they are not later: they count too
	origin map[string]string // the commit that an artifact was built from, by the artifact's revision
}

// change is a generation of an object.
type change struct {
	id         string
	generation int64
}

// New returns a gate for a valid question.
func New(ask Ask) *Gate {
	g := &Gate{ask: ask, sources: make(map[string]*sourceHistory), changes: make(map[change]int64)}
	g.want, _ = revision.ParseName(ask.Revision)
	if r := ask.Repository; r != nil {
		if g.commit = r.Commit(cmp.Or(g.want.Digest, g.want.Ref)); g.commit == "" && len(g.want.Digest) == 40 {
			g.commit = g.want.Digest
		}
	}
	return g
}

// Ask returns the question.
func (g *Gate) Ask() Ask { return g.ask }

// Look answers the question for the current state of the flow. The answer also depends on earlier looks.
func (g *Gate) Look(l Look) *Answer {
	if g.ask.SinceStart && g.ask.Since.IsZero() {
		g.ask.Since = time.UnixMilli(l.At)
	}
	g.state = l.State
	lastSeen := make(map[string]int64)
	for region, c := range l.Claims {
		if c.Stale {
			lastSeen[region] = c.LastSeen
		}
	}
	d := &decision{Gate: g, view: g.state.graph.At(l.At, lastSeen), at: l.At, stale: lastSeen, outcomes: make(map[string]ruling)}
	a := d.answer()
	maps.DeleteFunc(g.changes, func(c change, _ int64) bool {
		f := g.state.facts[c.id]
		return f == nil || f.Generation != c.generation
	})
	return a
}

// decision is the evaluation of one look.
type decision struct {
	*Gate
	view     *insight.View
	at       int64
	stale    map[string]int64
	scope    map[string]bool   // ids of the objects that count
	required map[string]bool   // ids of the required sources of the revision
	byName   map[string]bool   // required sources that only their name makes required
	outcomes map[string]ruling // by id; for other objects the outcome of package insight holds
	missing  []string
}

// ruling is an outcome, with a sentence that explains it.
type ruling struct {
	outcome Outcome
	why     string
	final   bool // does not change without a person
}

func (d *decision) answer() *Answer {
	if d.ask.Revision != "" && !d.byVersion() {
		d.lookAtSources()
	}
	d.choose()
	v := d.view.Verdict(func(n *flow.Node) bool { return d.scope[n.ID] })
	unfit := make(map[string]bool, len(v.Unfit)+len(v.Problems))
	for _, id := range v.Unfit {
		unfit[id] = true
	}
	for _, p := range v.Problems {
		unfit[p.ID] = true
	}
	plain := func(id string) Outcome {
		switch {
		case d.view.Open(id):
			return Open
		case unfit[id]:
			return Failed
		}
		return Done
	}
	a := &Answer{At: d.at, Revision: d.ask.Revision, Started: d.ask.Since.IsZero() || d.ask.Exact(),
		Objects: []Object{}, Problems: []Problem{}, Sources: []Source{}, Stale: []Stale{}}
	ids := slices.Sorted(maps.Keys(d.scope))
	for _, id := range ids {
		d.rule(id, plain(id))
	}
	anyOpen, old := len(d.missing) > 0 || d.hidden(), true
	for _, p := range v.Problems {
		if !d.scope[p.ID] {
			d.rule(p.ID, plain(p.ID))
		}
		if r, ok := d.outcomes[p.ID]; ok && r.outcome != Failed {
			anyOpen = anyOpen || r.outcome == Open
			continue
		}
		if d.outcomes[p.ID].final {
			p.Final = true
		}
		a.Problems = append(a.Problems, Problem{ID: p.ID, Region: p.Region, Class: p.Class, Sentence: p.Sentence, Command: p.Command, Since: p.Since, Blocks: len(p.Blocks), Final: p.Final})
		a.Final = a.Final || p.Final
		old = old && d.endedBefore(p.ID)
	}
	d.followRoots(ids)
	failed, allDone := len(a.Problems) > 0, true
	for _, id := range ids {
		f, state := d.state.facts[id], d.view.State(id)
		r, ruled := d.outcomes[id]
		if !ruled {
			r = ruling{outcome: plain(id)}
		}
		a.Final = a.Final || r.final
		anyOpen, allDone = anyOpen || r.outcome == Open, allDone && r.outcome == Done
		failed = failed || r.outcome == Failed && (ruled || state == insight.Suspended)
		if d.view.Auxiliary(id) {
			continue
		}
		a.Started = a.Started || !f.node.StartedAt.IsZero() && !d.before(f.node.StartedAt)
		if r.outcome == Failed && state != insight.Waiting {
			old = old && d.endedBefore(id)
		}
		a.Total++
		switch {
		case ruled && r.outcome == Done:
			a.Done++
		case ruled && r.outcome == Failed && state == insight.Ready:
			a.Failed++
		case ruled && r.outcome == Open && state != insight.Working:
			a.Waiting++
		case state == insight.Ready:
			a.Done++
		case state == insight.Waiting:
			a.Waiting++
		case state == insight.Broken:
			a.Failed++
		case state == insight.Suspended:
			a.Suspended++
		default:
			a.Working++
		}
		a.Objects = append(a.Objects, d.object(id, r))
	}
	d.describe(a)
	switch {
	case anyOpen:
		a.Result = insight.Pending
	case failed && (a.Started || !old): // the run that is waited for may repair an earlier failure
		a.Result = insight.Failed
	case allDone && a.Total > 0 && a.Started:
		a.Result = insight.Passed
	default:
		a.Result = insight.Pending
	}
	a.Final = a.Final && a.Result == insight.Failed
	return a
}

// before reports whether an instant is known, and before Ask.Since in whole seconds.
func (d *decision) before(at flow.Time) bool {
	return !at.IsZero() && at.Ms()/1000 < d.ask.Since.Unix()
}

// endedBefore reports whether a node reached its state before Ask.Since.
func (d *decision) endedBefore(id string) bool {
	return d.before(cmp.Or(d.state.facts[id].node.EndedAt, d.view.Since(id)))
}

func (d *decision) inRegion(f *facts) bool {
	return d.ask.Region == "" || f.node.Region == d.ask.Region
}

// lookAtSources records the revisions of the sources, and finds the required sources.
func (d *decision) lookAtSources() {
	candidates := make(map[string]bool)
	for _, f := range d.state.facts {
		if d.inRegion(f) && f.sourceID != "" {
			candidates[f.sourceID] = true
		}
	}
	if len(d.ask.Kustomizations)+len(d.ask.Releases) > 0 { // only the sources of these
		clear(candidates)
		for _, f := range d.state.facts {
			if !d.inRegion(f) {
				continue
			}
			if k := d.applier(f); k != nil && k.sourceID != "" {
				candidates[k.sourceID] = true
			}
			if d.isAsked(f) && f.sourceID != "" {
				candidates[f.sourceID] = true
			}
		}
	}
	for id := range candidates {
		d.note(id)
	}
	var having []revision.Source
	for id := range candidates {
		if d.sources[id].first != 0 {
			having = append(having, d.source(id))
		}
	}
	if len(having) == 0 { // any source may get the revision
		d.required = candidates
		return
	}
	d.required, d.byName = make(map[string]bool), make(map[string]bool)
	for id := range candidates {
		s := d.source(id)
		switch {
		case d.sources[id].first != 0, slices.ContainsFunc(having, func(h revision.Source) bool { return h.URL != "" && h.Follows() == s.Follows() }):
			d.required[id] = true
		case slices.ContainsFunc(having, func(h revision.Source) bool { return (h.URL == "" || s.URL == "") && sameName(h, s) }):
			d.required[id], d.byName[id] = true, true
		}
	}
}

// source returns a source; without its URL and reference if the flow does not have it.
func (d *decision) source(id string) revision.Source {
	if f := d.state.facts[id]; f != nil {
		return f.Self(f.node)
	}
	return d.state.named[id]
}

func sameName(a, b revision.Source) bool {
	return a.Kind == b.Kind && a.Namespace == b.Namespace && a.Name == b.Name
}

// applier returns the object itself if it is a Kustomization in the question; for a release in the question, what applied it, if known; else nil.
func (d *decision) applier(f *facts) *facts {
	switch {
	case slices.ContainsFunc(d.ask.Kustomizations, func(n Name) bool { return f.is(kindKustomization, n) }):
		return f
	case d.isAsked(f):
		return d.state.appliedBy(f)
	}
	return nil
}

// isAsked reports whether the object is a release in the question.
func (d *decision) isAsked(f *facts) bool {
	return slices.ContainsFunc(d.ask.Releases, func(r Release) bool { return f.is(kindRelease, r.Name) })
}

// hidden reports whether all objects of a stale region count, so that some may count that the snapshot does not contain.
func (d *decision) hidden() bool {
	if d.ask.Revision != "" || len(d.ask.Kustomizations)+len(d.ask.Releases) > 0 {
		return false
	}
	for region := range d.stale {
		if d.ask.Region == "" || region == d.ask.Region {
			return true
		}
	}
	return false
}

// byVersion reports whether the revision is a chart version of the releases in the question.
func (d *decision) byVersion() bool {
	return len(d.ask.Releases) > 0 && len(d.ask.Kustomizations) == 0 && d.want.Digest == "" && d.commit == ""
}

// current returns the current revision of a source. If the flow does not have the source, it is one that a Kustomization tried last, if possible one that
// counts.
func (d *decision) current(source string) (revision, origin string) {
	if f := d.state.facts[source]; f != nil {
		return f.Revision, f.Origin
	}
	tried := d.state.tried[source]
	for _, one := range tried {
		if d.counts(source, one, "") {
			return one, ""
		}
	}
	if len(tried) > 0 {
		revision = tried[0]
	}
	return revision, ""
}

// note records the current revision of a source; if the flow does not have the source, all that Kustomizations tried last.
func (d *decision) note(source string) {
	s := d.sources[source]
	if s == nil {
		s = &sourceHistory{before: make(map[string]bool), later: make(map[string]bool), origin: make(map[string]string)}
		d.sources[source] = s
	}
	had := s.first != 0
	record := func(revision, origin string) {
		if origin != "" {
			s.origin[revision] = origin
		}
		switch {
		case d.counts(source, revision, origin):
			if s.first == 0 {
				s.first = d.at
			}
		case !had:
			s.before[revision] = true
		case !s.before[revision] && d.order(revision, origin) != notLater:
			s.later[revision] = true
		}
	}
	if f := d.state.facts[source]; f != nil {
		record(f.Revision, f.Origin)
		return
	}
	for _, one := range d.state.tried[source] {
		record(one, "")
	}
}

// counts reports whether a revision of a source is the one asked for, or a later one.
func (d *decision) counts(source, text, origin string) bool {
	if text == "" {
		return false
	}
	s, byRef := d.sources[source], d.source(source).ByRef()
	origin = cmp.Or(origin, s.origin[text])
	got, from := revision.ReadName(text), revision.ReadName(origin)
	if d.want.Is(got, byRef) || d.want.Is(from, false) || d.commit != "" && (got.Digest == d.commit || from.Digest == d.commit) {
		return true
	}
	return d.order(text, origin) == later || s.later[text]
}

// order asks the repository whether a revision comes after the one asked for.
func (d *decision) order(text, origin string) order {
	if d.commit == "" {
		return unknown
	}
	got := revision.ReadName(cmp.Or(origin, text))
	if len(got.Digest) != 40 && len(got.Digest) != 64 || !revision.IsDigest(got.Digest) {
		return unknown
	}
	return d.ask.Repository.order(d.commit, got.Digest, got.Ref)
}

// choose finds the objects that count, and those of the question that are missing.
func (d *decision) choose() {
	d.scope = make(map[string]bool)
	applied := make(map[string][]string) // ids of applied objects, by id of what applied them
	for id, f := range d.state.facts {
		if d.state.appliedBy(f) != nil {
			applied[f.AppliedBy] = append(applied[f.AppliedBy], id)
		}
	}
	var add func(id string)
	add = func(id string) {
		if !d.scope[id] {
			d.scope[id] = true
			for _, under := range applied[id] {
				add(under)
			}
		}
	}
	named := len(d.ask.Kustomizations)+len(d.ask.Releases) > 0
	for id, f := range d.state.facts {
		switch {
		case !d.inRegion(f), !d.view.Member(id):
		case d.required[id], d.ask.Revision == "" && !named:
			d.scope[id] = true
		case named:
		case d.required[f.sourceID]:
			add(id)
		}
	}
	find := func(kind string, n Name, found func(id string, f *facts)) {
		matched := false
		for id, f := range d.state.facts {
			if d.inRegion(f) && f.is(kind, n) {
				matched = true
				found(id, f)
			}
		}
		if name := kind + " " + n.String(); !matched && !slices.Contains(d.missing, name) { // a question may name an object twice
			d.missing = append(d.missing, name)
		}
	}
	for _, n := range d.ask.Kustomizations {
		find(kindKustomization, n, func(id string, f *facts) { add(id) })
	}
	for _, r := range d.ask.Releases {
		find(kindRelease, r.Name, func(id string, f *facts) {
			d.scope[id] = true
			if d.state.appliedBy(f) != nil && d.ask.Revision != "" && !d.byVersion() {
				d.scope[f.AppliedBy] = true // its spec comes from that Kustomization
			}
		})
	}
}
