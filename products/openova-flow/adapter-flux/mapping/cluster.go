package mapping

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// Cluster is the state of one region, folded from events. It is not safe for concurrent use.
type Cluster struct {
	config    Config
	info      RegionInfo
	offset    int64       // how far the flow server's clock is ahead, in milliseconds
	meta      flow.Object // of the region's node
	entries   map[key]*entry
	artifacts map[key]artifact
	charts    map[key]map[key]bool       // the HelmCharts that name this release as their owner
	users     map[key]map[key]bool       // the entries that use a chart or source
	applied   map[key]map[key]bool       // the entries that a Kustomization applied, by their labels, without auxiliary ones
	needed    map[string]map[key]bool    // the entries with an edge from a node, by its id
	seeds     map[string]flow.Node       // the server's nodes, by id, of objects that have not been mapped
	makers    map[key]key                // the ArtifactGenerator that makes an ExternalArtifact
	kinds     map[string]int             // how many entries of a kind there are
	served    map[string]map[string]bool // by kind, the shards with an object that a controller has observed; "" stands for no shard
	members   rollup
	region    *flow.Node // as last returned
	now       flow.Time  // when the newest event was seen
}

// NewCluster returns the state of a region without objects.
func NewCluster(c Config) *Cluster {
	return &Cluster{
		config: c, meta: RegionInfo{}.meta(c, 0), entries: map[key]*entry{}, artifacts: map[key]artifact{}, charts: map[key]map[key]bool{},
		users: map[key]map[key]bool{}, applied: map[key]map[key]bool{}, makers: map[key]key{}, needed: map[string]map[key]bool{}, served: map[string]map[string]bool{}, kinds: map[string]int{}, seeds: map[string]flow.Node{},
	}
}

// Start returns the region's own node, unless an earlier change has returned it.
func (c *Cluster) Start() []Change { return c.rollUp(nil) }

// SetInfo sets the facts about the region that do not come from its objects.
func (c *Cluster) SetInfo(info RegionInfo) []Change {
	before := c.info
	c.info, c.meta = info, info.meta(c.config, c.offset)
	if slices.Equal(before.NotWatched, info.NotWatched) && slices.Equal(before.Down, info.Down) {
		return c.rollUp(nil)
	}
	return c.refreshAll()
}

// SetClockOffset sets how many milliseconds the flow server's clock is ahead of the cluster's. All times of the nodes are moved by it.
func (c *Cluster) SetClockOffset(offset int64) []Change {
	if c.offset == offset {
		return nil
	}
	c.offset, c.meta = offset, c.info.meta(c.config, offset)
	return c.refreshAll()
}

func (c *Cluster) refreshAll() []Change {
	changes := c.setDown()
	for _, k := range sorted(c.entries) {
		changes = append(append(changes, c.refresh(k)...), c.link(k)...)
	}
	return c.rollUp(changes)
}

// Seed adds the server's nodes of this region. An object that is not mapped yet continues from its node if it has the same UID. Other nodes are
// ignored.
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

// Apply folds one version of an object, or its deletion, and returns the changes, in order. An object that cannot be read is an error and changes nothing;
// a deletion needs no spec and status. Apply does not modify the object.
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
		c.now = later(c.now, ev.At)
		return c.rollUp(append(c.remove(o.key), c.setArtifact(o.key, artifact{})...)), nil
	case Added, Modified:
	default:
		return nil, fmt.Errorf("invalid event type %q; allowed: ADDED, MODIFIED, DELETED", ev.Type)
	}
	if o, err = parse(ev.Object); err != nil {
		return nil, err
	}
	c.now = seen(ev.At, o)
	var changes []Change
	if o.kind != kindHelmChart {
		if changes, err = c.set(o); err != nil {
			return nil, err
		}
	}
	if o.kind != kindHelmRelease && o.kind != kindKustomization {
		changes = append(changes, c.setArtifact(o.key, readArtifact(o, c.artifacts[o.key]))...)
	}
	return c.rollUp(changes), nil
}

// seen returns when a version of an object was seen: at, or else the newest time among its creation and its conditions.
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

// State returns the region's nodes, ordered by id, and its relationships, ordered by key.
func (c *Cluster) State() ([]flow.Node, []flow.Relationship) {
	nodes := []flow.Node{*c.members.node(c.config, c.meta)}
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

// set folds a new version of an object that becomes a node.
func (c *Cluster) set(o object) ([]Change, error) {
	old := c.entries[o.key]
	past := old
	if old == nil {
		past = c.seed(o)
	} else if old.uid != o.uid {
		past = newEntry() // deleted and created again
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
		e.facts.behindSince = old.facts.behindSince
	} else {
		e.facts.behindSince = past.facts.behindSince
	}
	if old == nil {
		changes = append(changes, c.countKind(e.kind, 1)...)
	}
	changes = append(changes, c.markServed(e)...)
	if o.kind == kindArtifactGenerator {
		changes = append(changes, c.setGenerated(o.key, generated(o))...)
	}
	changes = append(changes, c.refresh(o.key)...)
	changes = append(changes, c.link(o.key)...)
	changes = append(changes, c.moveBetween(old, e)...)
	if old == nil { // a new source has no edges to its users yet
		for _, user := range sorted(c.users[o.key]) {
			changes = append(changes, c.link(user)...)
		}
	}
	return changes, nil
}

// seed returns the past of an object that is not mapped yet, from the server's node with its UID.
func (c *Cluster) seed(o object) *entry {
	if n, ok := c.seeds[c.config.id(o.key)]; ok {
		return fromNode(n, o.uid)
	}
	return newEntry()
}

// remove deletes an entry. A receiver drops its edges with the node, so those that its dependents still have are sent again.
func (c *Cluster) remove(k key) []Change {
	e := c.entries[k]
	if e == nil {
		return nil
	}
	delete(c.entries, k)
	c.count(e, -1)
	for _, r := range e.linked {
		drop(c.needed, r.FromID, k)
	}
	c.use(k, e, nil)
	changes := append([]Change{{DeleteNode: e.id}}, c.moveBetween(e, nil)...)
	for _, user := range sorted(c.needed[e.id]) {
		changes = append(changes, c.link(user)...)
		for _, r := range c.entries[user].linked {
			if r.FromID == e.id {
				changes = append(changes, Change{Edge: &r})
			}
		}
	}
	if k.kind == kindArtifactGenerator {
		changes = append(changes, c.setGenerated(k, nil)...)
	}
	return append(changes, c.countKind(k.kind, -1)...)
}

// count adds an entry to the region's roll-up (by is 1) or removes it (by is -1). Auxiliary entries do not count.
func (c *Cluster) count(e *entry, by int) {
	if !e.auxiliary {
		c.members.add(e.node, by)
	}
}

// refresh rebuilds the node of an entry and returns it if it has changed.
func (c *Cluster) refresh(k key) []Change {
	e := c.entries[k]
	if e == nil {
		return nil
	}
	chartKey, sourceKey := c.chartOf(e), c.sourceOf(e)
	chart, charted := c.artifacts[chartKey]
	c.use(k, e, []key{chartKey, sourceKey, e.chartKey})

	chartMeta := maps.Clone(e.chart)
	if charted {
		if chartMeta == nil { // by spec.chartRef: name and version are those of the HelmChart
			chartMeta = map[string]any{}
			put(chartMeta, "name", chart.chart[0])
			put(chartMeta, "version", chart.chart[1])
		}
		chart.describe(chartMeta)
	}
	sourceMeta := map[string]any{}
	if sourceKey != (key{}) {
		put(sourceMeta, "kind", sourceKey.kind)
		put(sourceMeta, "namespace", sourceKey.namespace)
		put(sourceMeta, "name", sourceKey.name)
	}
	c.relate(e, chart, sourceKey)
	n := e.render(c.config, c.offset, chartMeta, sourceMeta)
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

// relate sets the facts of an entry that come from other objects.
func (c *Cluster) relate(e *entry, chart artifact, sourceKey key) {
	f := e.facts
	f.deps, f.unwatched = c.watched(e.kind, e.needs)
	f.named, _ = c.watched(e.kind, e.named)
	f.chart, f.source, f.sourceID = chart, c.artifacts[sourceKey], ""
	if sourceKey != (key{}) {
		f.sourceID = c.config.id(sourceKey)
		if maker, ok := c.makers[sourceKey]; ok && f.source.ready.status == "" {
			f.sourceID = c.config.id(maker) // the artifact has no Ready, so its generator says why
		}
	}
	if f.checking {
		f.checks = c.waitedFor(e)
	}
	f.controllerID = ""
	if down, ok := c.entries[key{kindController, FluxNamespace, controllerOf[e.kind]}]; ok {
		f.controllerID = down.id
	}
	f.unserved = f.shard != "" && len(c.served[e.kind]) > 0 && !c.served[e.kind][f.shard]
	f.wanted = f.ahead()
	switch {
	case f.wanted == "":
		f.behindSince = flow.Time{}
	case f.behindSince.IsZero():
		f.behindSince = c.now
	}
}

// rollUp appends the region's node to the changes if it has changed.
func (c *Cluster) rollUp(changes []Change) []Change {
	n := c.members.node(c.config, c.meta)
	if equal(c.region, n) {
		return changes
	}
	c.region = n
	return append(changes, Change{Node: n})
}
