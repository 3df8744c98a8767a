package mapping

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

const (
	kindHelmRelease   = "HelmRelease"
	kindKustomization = "Kustomization"
)

// groups are the API groups of the kinds that are mapped.
var groups = map[string]string{
	kindHelmRelease:    "helm.toolkit.fluxcd.io",
	kindKustomization:  "kustomize.toolkit.fluxcd.io",
	kindHelmChart:      "source.toolkit.fluxcd.io",
	kindOCIRepository:  "source.toolkit.fluxcd.io",
	kindHelmRepository: "source.toolkit.fluxcd.io",
	kindGitRepository:  "source.toolkit.fluxcd.io",
}

// Cluster is the state of one region, folded from events. It is for one goroutine.
type Cluster struct {
	config    Config
	about     flow.Object // the meta of the region's node
	entries   map[key]*entry
	artifacts map[key]artifact
	charts    map[key]key             // the HelmChart that names this release as its owner
	users     map[key]map[key]bool    // which entries a chart or source is part of
	needed    map[string]map[key]bool // which entries depend on the node of this id
	seeds     map[string]flow.Node
	members   rollup
	region    *flow.Node // as last given out
}

// NewCluster returns the state of a region of which nothing is known yet.
func NewCluster(c Config) *Cluster {
	return &Cluster{
		config: c, about: RegionInfo{}.meta(c), entries: map[key]*entry{}, artifacts: map[key]artifact{}, charts: map[key]key{},
		users: map[key]map[key]bool{}, needed: map[string]map[key]bool{}, seeds: map[string]flow.Node{},
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
	if o.kind != kindHelmRelease && o.kind != kindKustomization {
		return c.rollUp(c.setArtifact(o.key, readArtifact(o, c.artifacts[o.key]))), nil
	}
	changes, err := c.set(o)
	if err != nil {
		return nil, err
	}
	return c.rollUp(changes), nil
}

// State returns the region as it is now: its nodes by id, its relationships by key.
func (c *Cluster) State() ([]flow.Node, []flow.Relationship) {
	nodes := []flow.Node{*c.members.node(c.config, c.about)}
	var edges []flow.Relationship
	for _, e := range c.entries {
		nodes = append(nodes, *e.node)
		edges = append(edges, e.edges(c.config.Region)...)
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
		past = &entry{} // made again: another life
	}
	read := c.config.release
	if o.kind == kindKustomization {
		read = c.config.kustomization
	}
	e, err := read(o, past)
	if err != nil {
		return nil, err
	}
	var changes []Change
	if old != nil && old.uid != e.uid {
		changes = c.remove(o.key)
		old = nil
	}
	delete(c.seeds, e.id)
	c.entries[o.key] = e
	if old != nil {
		e.node, e.uses = old.node, old.uses
	}
	changes = append(changes, c.refresh(o.key)...)
	return append(changes, c.link(o.key, old, e)...), nil
}

// seed is the past of an object that is new here: what a server still holds of the same life of it.
func (c *Cluster) seed(o object) *entry {
	id := c.config.ReleaseID(o.namespace, o.name)
	if o.kind == kindKustomization {
		id = c.config.KustomizationID(o.namespace, o.name)
	}
	if n, ok := c.seeds[id]; ok {
		return fromNode(n, o.uid)
	}
	return &entry{}
}

// link brings the edges from what was asked for to what is.
func (c *Cluster) link(k key, old, now *entry) []Change {
	if old != nil && slices.Equal(old.deps, now.deps) {
		return nil
	}
	var before, gone []flow.Relationship
	var changes []Change
	if old != nil {
		before = old.edges(c.config.Region)
	}
	after := now.edges(c.config.Region)
	for _, r := range before {
		if !slices.ContainsFunc(after, func(a flow.Relationship) bool { return a.Key() == r.Key() }) {
			gone = append(gone, r)
		}
	}
	for _, r := range gone {
		key := r.Key()
		changes = append(changes, Change{DeleteEdge: &key})
		drop(c.needed, r.FromID, k)
	}
	for _, r := range after {
		if !slices.ContainsFunc(before, func(b flow.Relationship) bool { return b.Key() == r.Key() }) {
			changes = append(changes, Change{Edge: &r})
		}
	}
	for _, dep := range now.deps {
		join(c.needed, dep, k)
	}
	return changes
}

// remove takes an object out. The edges of those that still depend on it hold, and are given out again after its node has gone, because a
// receiver drops them with the node.
func (c *Cluster) remove(k key) []Change {
	e := c.entries[k]
	if e == nil {
		if _, ok := c.artifacts[k]; ok {
			return c.setArtifact(k, artifact{})
		}
		return nil
	}
	delete(c.entries, k)
	c.members.add(e.node, -1)
	for _, dep := range e.deps {
		drop(c.needed, dep, k)
	}
	c.use(k, e, nil)
	changes := []Change{{DeleteNode: e.id}}
	for _, user := range sorted(c.needed[e.id]) {
		r := dependency(e.id, c.entries[user].id)
		changes = append(changes, Change{Edge: &r})
	}
	return changes
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

// refresh makes the node of an entry anew, from it and from the artifacts that it uses.
func (c *Cluster) refresh(k key) []Change {
	e := c.entries[k]
	if e == nil {
		return nil
	}
	chartKey, sourceKey := e.chartKey, e.source
	if own, ok := c.charts[k]; ok && e.chart != nil {
		if _, there := c.artifacts[chartKey]; !there {
			chartKey = own
		}
	}
	chart, charted := c.artifacts[chartKey]
	if sourceKey == (key{}) {
		sourceKey = chart.source
	}
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
		c.artifacts[sourceKey].describe(from)
	}
	n := e.render(c.config, about, from)
	if equal(e.node, n) {
		return nil
	}
	c.members.add(e.node, -1)
	c.members.add(n, 1)
	e.node = n
	return []Change{{Node: n}}
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
