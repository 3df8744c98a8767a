package mapping

import (
	"slices"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// edges returns the relationship of an entry to its region, and those from nodes to the entry. Only the one from a source requires that the source exists.
func (c *Cluster) edges(e *entry) []flow.Relationship {
	all := []flow.Relationship{{FromID: e.id, ToID: c.config.Region, Type: flow.Contains}}
	deps, _ := c.watched(e.kind, e.needs)
	needed := make(map[string]bool, len(deps))
	for _, dep := range deps {
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

func dependency(from, to string) flow.Relationship {
	return flow.Relationship{FromID: from, ToID: to, Type: flow.FinishToStart, Condition: flow.OnSuccess}
}

// waitedFor returns the nodes whose health a Kustomization waits for: its members and, with spec.wait, the nodes with its labels, since the inventory is
// written only after everything is applied.
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

// watched returns the node ids of watched objects, existing or not, and the names of the others: namespace/name, or
// Kind/namespace/name if their kind is not kind.
func (c *Cluster) watched(kind string, objects []key) (ids, others []string) {
	for _, k := range objects {
		switch {
		case c.config.Watches(k.namespace) && !c.info.hides(k):
			ids = append(ids, c.config.id(k))
		case k.kind == kind:
			others = append(others, k.namespace+"/"+k.name)
		default:
			others = append(others, k.kind+"/"+k.namespace+"/"+k.name)
		}
	}
	return ids, others
}

// link updates the edges of an entry and returns the changes.
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

func keysOf(rels []flow.Relationship) map[flow.RelKey]bool {
	keys := make(map[flow.RelKey]bool, len(rels))
	for _, r := range rels {
		keys[r.Key()] = true
	}
	return keys
}

// moveBetween updates the Kustomizations that applied the old and the new version of an entry; either may be nil. No Kustomization waits for an
// auxiliary entry.
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
