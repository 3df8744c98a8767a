package mapping

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

const (
	kindHelmRelease       = "HelmRelease"
	kindKustomization     = "Kustomization"
	kindHelmChart         = "HelmChart"
	kindOCIRepository     = "OCIRepository"
	kindHelmRepository    = "HelmRepository"
	kindGitRepository     = "GitRepository"
	kindBucket            = "Bucket"
	kindExternalArtifact  = "ExternalArtifact"
	kindArtifactGenerator = "ArtifactGenerator"
	kindResourceSet       = "ResourceSet"
	kindFluxInstance      = "FluxInstance"
)

// groups are the API groups of the kinds that are mapped.
var groups = map[string]string{
	kindHelmRelease:       "helm.toolkit.fluxcd.io",
	kindKustomization:     "kustomize.toolkit.fluxcd.io",
	kindHelmChart:         "source.toolkit.fluxcd.io",
	kindOCIRepository:     "source.toolkit.fluxcd.io",
	kindHelmRepository:    "source.toolkit.fluxcd.io",
	kindGitRepository:     "source.toolkit.fluxcd.io",
	kindBucket:            "source.toolkit.fluxcd.io",
	kindExternalArtifact:  "source.toolkit.fluxcd.io",
	kindArtifactGenerator: "source.extensions.fluxcd.io",
	kindResourceSet:       "fluxcd.controlplane.io",
	kindFluxInstance:      "fluxcd.controlplane.io",
}

// Cluster is the state of one region, folded from events. It is for one goroutine.
type Cluster struct {
	config    Config
	about     flow.Object // the meta of the region's node
	entries   map[key]*entry
	artifacts map[key]artifact
	charts    map[key]key             // the HelmChart that names this release as its owner
	users     map[key]map[key]bool    // which entries a chart or source is part of
	applied   map[key]map[key]bool    // which entries carry the labels of this Kustomization
	needed    map[string]map[key]bool // which entries depend on the node of this id
	seeds     map[string]flow.Node
	makers    map[key]key // the ArtifactGenerator that makes an ExternalArtifact
	members   rollup
	region    *flow.Node // as last given out
	now       flow.Time  // when the event that is being folded was seen
}

// NewCluster returns the state of a region of which nothing is known yet.
func NewCluster(c Config) *Cluster {
	return &Cluster{
		config: c, about: RegionInfo{}.meta(c), entries: map[key]*entry{}, artifacts: map[key]artifact{}, charts: map[key]key{},
		users: map[key]map[key]bool{}, applied: map[key]map[key]bool{}, makers: map[key]key{}, needed: map[string]map[key]bool{}, seeds: map[string]flow.Node{},
	}
}

// Start gives out the region's own node, the first time that it is called.
func (c *Cluster) Start() []Change { return c.rollUp(nil) }

// SetInfo says what is known of the region besides its objects.
func (c *Cluster) SetInfo(info RegionInfo) []Change {
	c.about = info.meta(c.config)
	return c.rollUp(nil)
}

// Seed gives the nodes that a server holds of this region. What the cluster has not mapped yet carries on from them, where
// the object shows the same life (its UID) and the same run. Others are ignored.
func (c *Cluster) Seed(prev []flow.Node) {
	mapped := map[string]bool{}
	for _, e := range c.entries {
		mapped[e.id] = true
	}
	for _, n := range prev {
		if !mapped[n.ID] {
			c.seeds[n.ID] = n
		}
	}
}

// Apply folds one version of an object and returns what that changes, in order; nothing when it changes nothing.
// An object that cannot be read is an error, and then nothing has changed. The object is only read.
func (c *Cluster) Apply(ev Event) ([]Change, error) {
	if ev.Object == nil {
		return nil, fmt.Errorf("%s event without an object", ev.Type)
	}
	o, err := identify(ev.Object)
	if err != nil {
		return nil, err
	}
	if apiVersion := fields(ev.Object.Object).string("apiVersion"); !Maps(apiVersion, o.kind) {
		return nil, fmt.Errorf("kind %q of %q is not mapped", o.kind, apiVersion)
	}
	switch ev.Type {
	case Deleted:
		return c.rollUp(c.remove(o.key)), nil
	case Added, Modified:
	default:
		return nil, fmt.Errorf("event type %q is none of ADDED, MODIFIED, DELETED", ev.Type)
	}
	if o, err = parse(ev.Object); err != nil {
		return nil, err
	}
	c.now = seen(ev.At, o)
	var changes []Change
	if o.kind != kindHelmRelease && o.kind != kindKustomization {
		changes = c.setArtifact(o.key, readArtifact(o, c.artifacts[o.key]))
	}
	if o.kind != kindHelmChart {
		more, err := c.set(o)
		if err != nil {
			return nil, err
		}
		changes = append(more, changes...)
	}
	return c.rollUp(changes), nil
}

// seen is when a version of an object was seen; where nobody says, the newest instant that it shows.
func seen(at flow.Time, o object) flow.Time {
	if !at.IsZero() {
		return at
	}
	at = o.meta.time("creationTimestamp")
	for _, c := range o.conditions {
		at = later(at, c.since)
	}
	return at
}

// State returns the region as it is now: its nodes by id, its relationships by key.
func (c *Cluster) State() ([]flow.Node, []flow.Relationship) {
	nodes := []flow.Node{*c.members.node(c.config, c.about)}
	var edges []flow.Relationship
	for _, e := range c.entries {
		nodes = append(nodes, *e.node)
		edges = append(edges, e.linked...)
	}
	slices.SortFunc(nodes, func(a, b flow.Node) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(edges, func(a, b flow.Relationship) int {
		return slices.Compare([]string{a.FromID, a.ToID, string(a.Type)}, []string{b.FromID, b.ToID, string(b.Type)})
	})
	return nodes, edges
}

// set folds a new version of a release or Kustomization.
func (c *Cluster) set(o object) ([]Change, error) {
	old := c.entries[o.key]
	past := old
	if old == nil {
		past = c.seed(o)
	} else if old.uid != o.uid {
		past = newEntry() // made again: another life
	}
	e, err := c.config.read(o, past)
	if err != nil {
		return nil, err
	}
	e.facts.remember(past.facts, c.now)
	var changes []Change
	if old != nil && old.uid != e.uid {
		changes = c.remove(o.key)
		old = nil
	}
	delete(c.seeds, e.id)
	c.entries[o.key] = e
	if old != nil {
		e.node, e.uses, e.linked = old.node, old.uses, old.linked
		e.facts.behindSince, e.facts.wanted = old.facts.behindSince, old.facts.wanted
	} else {
		e.facts.behindSince = past.facts.behindSince
	}
	changes = append(changes, c.generates(o, e)...)
	changes = append(changes, c.refresh(o.key)...)
	changes = append(changes, c.link(o.key)...)
	changes = append(changes, c.moveBetween(old, e)...)
	if old == nil { // the edges from a source come with it
		for _, user := range sorted(c.users[o.key]) {
			changes = append(changes, c.link(user)...)
		}
	}
	return changes, nil
}

// seed is the past of an object that is new here: what a server still holds of the same life of it.
func (c *Cluster) seed(o object) *entry {
	if n, ok := c.seeds[c.config.id(o.key)]; ok {
		return fromNode(n, o.uid)
	}
	return newEntry()
}

// link brings the edges of an entry from what was given out to what is.
func (c *Cluster) link(k key) []Change {
	e := c.entries[k]
	if e == nil {
		return nil
	}
	before, after := e.linked, c.edges(e)
	if slices.EqualFunc(before, after, func(a, b flow.Relationship) bool { return a.Key() == b.Key() }) {
		return nil
	}
	e.linked = after
	had, has := keysOf(before), keysOf(after)
	var changes []Change
	for _, r := range before {
		if key := r.Key(); !has[key] {
			changes = append(changes, Change{DeleteEdge: &key})
			drop(c.needed, r.FromID, k)
		}
	}
	for _, r := range after {
		if !had[r.Key()] {
			changes = append(changes, Change{Edge: &r})
		}
		if r.Type != flow.Contains {
			join(c.needed, r.FromID, k)
		}
	}
	return changes
}

// keysOf is the set of the keys of relationships.
func keysOf(rels []flow.Relationship) map[flow.RelKey]bool {
	keys := make(map[flow.RelKey]bool, len(rels))
	for _, r := range rels {
		keys[r.Key()] = true
	}
	return keys
}

// edges are the relationships that the entry asks for: its region, its dependencies, those whose health it waits for, its source once that was seen.
func (c *Cluster) edges(e *entry) []flow.Relationship {
	all := []flow.Relationship{{FromID: e.id, ToID: c.config.Region, Type: flow.Contains}}
	needed := make(map[string]bool, len(e.deps))
	for _, dep := range e.deps {
		needed[dep] = true
		all = append(all, dependency(dep, e.id))
	}
	for _, check := range c.waitedFor(e) {
		if check != e.id && !needed[check] {
			all = append(all, flow.Relationship{FromID: check, ToID: e.id, Type: flow.FinishToFinish})
		}
	}
	if source, ok := c.entries[c.sourceOf(e)]; ok && !needed[source.id] {
		all = append(all, dependency(source.id, e.id))
	}
	return all
}

// waitedFor are the nodes that a Kustomization waits for: those that it names, and with spec.wait those that carry its labels, since its
// inventory comes only after it has applied everything.
func (c *Cluster) waitedFor(e *entry) []string {
	if !e.waits || len(c.applied[e.key]) == 0 {
		return e.members
	}
	all := slices.Clone(e.members)
	for _, k := range sorted(c.applied[e.key]) {
		all = append(all, c.entries[k].id)
	}
	return union(all, nil)
}

// moveBetween tells the Kustomizations that applied an entry before and now. Either entry may be nil. A source is nothing that a rollout waits for.
func (c *Cluster) moveBetween(old, now *entry) []Change {
	var from, to key
	var id string
	if old != nil {
		from, id = old.applier, old.id
		drop(c.applied, from, old.key)
	}
	if now != nil && !now.auxiliary && now.applier != (key{}) {
		to, id = now.applier, now.id
		join(c.applied, to, now.key)
	}
	if from == to {
		return nil
	}
	var changes []Change
	for _, by := range []key{from, to} {
		if e := c.entries[by]; e != nil && e.waits && !slices.Contains(e.members, id) {
			changes = append(append(changes, c.refresh(by)...), c.link(by)...)
		}
	}
	return changes
}

// remove takes an object out. The edges of those that still depend on it hold, and are given out again after its node has gone, because a
// receiver drops them with the node.
func (c *Cluster) remove(k key) []Change {
	e := c.entries[k]
	if e == nil {
		return c.setArtifact(k, artifact{})
	}
	delete(c.entries, k)
	c.count(e, -1)
	for _, r := range e.linked {
		drop(c.needed, r.FromID, k)
	}
	c.use(k, e, nil)
	changes := append([]Change{{DeleteNode: e.id}}, c.moveBetween(e, nil)...)
	for _, user := range sorted(c.needed[e.id]) {
		changes = append(changes, c.link(user)...) // an edge from a source goes with it
		for _, r := range c.entries[user].linked {
			if r.FromID == e.id {
				changes = append(changes, Change{Edge: &r})
			}
		}
	}
	for made, by := range c.makers {
		if by == k {
			delete(c.makers, made)
		}
	}
	return append(changes, c.setArtifact(k, artifact{})...)
}

// generates notes which ExternalArtifacts an ArtifactGenerator makes.
func (c *Cluster) generates(o object, e *entry) []Change {
	if o.kind != kindArtifactGenerator {
		return nil
	}
	var changes []Change
	for _, item := range o.spec.list("artifacts") {
		m, _ := item.(map[string]any)
		if name := fields(m).string("name"); name != "" {
			made := key{kindExternalArtifact, o.namespace, name}
			c.makers[made] = o.key
			for _, user := range sorted(c.users[made]) {
				changes = append(changes, c.refresh(user)...)
			}
		}
	}
	return changes
}

// count adds an entry to the region's roll-up, or takes it out. What stands beside the rollout does not count.
func (c *Cluster) count(e *entry, by int) {
	if !e.auxiliary {
		c.members.add(e.node, by)
	}
}

// setArtifact folds a new verdict on a chart or source into the entries that use it. The zero artifact is none.
func (c *Cluster) setArtifact(k key, a artifact) []Change {
	old := c.artifacts[k]
	if a == old {
		return nil
	}
	touched := maps.Clone(c.users[k])
	if touched == nil {
		touched = map[key]bool{}
	}
	if old.owner != a.owner && c.charts[old.owner] == k {
		delete(c.charts, old.owner)
		touched[old.owner] = true
	}
	if a == (artifact{}) {
		delete(c.artifacts, k)
	} else {
		c.artifacts[k] = a
	}
	if a.owner != (key{}) {
		c.charts[a.owner] = k
		touched[a.owner] = true
	}
	var changes []Change
	for _, user := range sorted(touched) {
		changes = append(changes, c.refresh(user)...)
	}
	return changes
}

// sourceOf is the source that an entry comes from; for a release by spec.chart, the one of its chart.
func (c *Cluster) sourceOf(e *entry) key {
	if e.source == (key{}) {
		return c.artifacts[c.chartOf(e)].source
	}
	return e.source
}

// chartOf is the HelmChart that a release takes its chart from.
func (c *Cluster) chartOf(e *entry) key {
	if own, ok := c.charts[e.key]; ok && e.chart != nil {
		if _, there := c.artifacts[e.chartKey]; !there {
			return own
		}
	}
	return e.chartKey
}

// refresh makes the node of an entry anew, from it and from the artifacts that it uses.
func (c *Cluster) refresh(k key) []Change {
	e := c.entries[k]
	if e == nil {
		return nil
	}
	chartKey, sourceKey := c.chartOf(e), c.sourceOf(e)
	chart, charted := c.artifacts[chartKey]
	c.use(k, e, []key{chartKey, sourceKey})

	about := maps.Clone(e.chart)
	if charted {
		if about == nil { // by spec.chartRef: the HelmChart itself says what is wanted
			about = map[string]any{}
			put(about, "name", chart.chart[0])
			put(about, "version", chart.chart[1])
		}
		chart.describe(about)
	}
	from := map[string]any{}
	if sourceKey != (key{}) {
		put(from, "kind", sourceKey.kind)
		put(from, "namespace", sourceKey.namespace)
		put(from, "name", sourceKey.name)
	}
	c.judge(e, chart, sourceKey)
	n := e.render(c.config, about, from)
	if equal(e.node, n) {
		return nil
	}
	if e.node != nil {
		c.count(e, -1)
	}
	e.node = n
	c.count(e, 1)
	return []Change{{Node: n}}
}

// judge gives an entry's facts what others show: its chart, its source, and since when that is ahead of it.
func (c *Cluster) judge(e *entry, chart artifact, sourceKey key) {
	f := e.facts
	f.chart, f.source, f.sourceID = chart, c.artifacts[sourceKey], ""
	if sourceKey != (key{}) {
		f.sourceID = c.config.id(sourceKey)
		if maker, ok := c.makers[sourceKey]; ok && f.source.ready.status == "" {
			f.sourceID = c.config.id(maker) // what is not there yet is its maker's
		}
	}
	if f.checking {
		f.checks = c.waitedFor(e)
	}
	f.wanted = f.ahead()
	switch {
	case f.wanted == "":
		f.behindSince = flow.Time{}
	case f.behindSince.IsZero():
		f.behindSince = c.now
	}
}

// use notes which artifacts an entry is made from.
func (c *Cluster) use(k key, e *entry, uses []key) {
	if slices.Equal(uses, e.uses) {
		return
	}
	for _, u := range e.uses {
		drop(c.users, u, k)
	}
	for _, u := range uses {
		if u != (key{}) {
			join(c.users, u, k)
		}
	}
	e.uses = uses
}

// rollUp adds the region's node to the changes when it is another than the one last given out.
func (c *Cluster) rollUp(changes []Change) []Change {
	n := c.members.node(c.config, c.about)
	if equal(c.region, n) {
		return changes
	}
	c.region = n
	return append(changes, Change{Node: n})
}

func join[K comparable](m map[K]map[key]bool, at K, member key) {
	if m[at] == nil {
		m[at] = map[key]bool{}
	}
	m[at][member] = true
}

func drop[K comparable](m map[K]map[key]bool, at K, member key) {
	delete(m[at], member)
	if len(m[at]) == 0 {
		delete(m, at)
	}
}

func sorted(set map[key]bool) []key {
	return slices.SortedFunc(maps.Keys(set), func(a, b key) int {
		return slices.Compare([]string{a.namespace, a.name, a.kind}, []string{b.namespace, b.name, b.kind})
	})
}

// Maps reports whether Apply takes objects of this apiVersion's group and kind.
func Maps(apiVersion, kind string) bool {
	group, _, _ := strings.Cut(apiVersion, "/")
	want, ok := groups[kind]
	return ok && group == want
}
