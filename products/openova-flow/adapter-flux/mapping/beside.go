package mapping

import (
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// beside reads what stands beside a rollout: a source (source.toolkit.fluxcd.io/v1), what makes one (ArtifactGenerator), what makes releases
// (ResourceSet), and Flux itself (FluxInstance).
func (c Config) beside(o object, past *entry) (*entry, error) {
	ready := o.conditions["Ready"]
	f := commonFacts(o)
	f.limit = duration(o.spec, "timeout", grace)
	f.retryInterval = f.interval
	f.static = ready == condition{} && (o.kind == kindHelmRepository && o.spec.string("type") == "oci" || o.kind == kindExternalArtifact)
	if o.kind == kindResourceSet {
		f.deps = c.anyDependencies(o)
		f.named = f.deps
	}
	f.routine = f.wasReady(past)
	held := ready
	if f.routine && ready.status == "Unknown" {
		held = past.ready
	}
	e := &entry{
		key: o.key, id: c.id(o.key), uid: o.uid, label: o.name, family: family(o), auxiliary: true, facts: f, applier: appliedBy(o),
		status: besideStatus(o, held, f.static), meta: commonMeta(o, held), deps: f.deps,
	}
	e.remember(past, held)
	put(e.meta, "revision", o.status.object("artifact").string("revision"))
	e.run = run{exists: true, start: f.created, end: held.since}
	if f.static {
		e.run.end = f.created
	}
	return e, nil
}

func besideStatus(o object, ready condition, static bool) string {
	switch {
	case ready.status == "True", static:
		return flow.StatusSucceeded
	case ready.status == "False":
		return flow.StatusFailed
	}
	return flow.StatusRunning
}

// anyDependencies are the node ids in a spec.dependsOn that names objects of any kind. Kinds that are no nodes are left out: nobody here
// knows how they are.
func (c Config) anyDependencies(o object) []string {
	var ids []string
	for _, item := range o.spec.list("dependsOn") {
		m, _ := item.(map[string]any)
		ref := fields(m)
		if k := (key{ref.string("kind"), orElse(ref.string("namespace"), o.namespace), ref.string("name")}); k.name != "" && c.Watches(k.namespace) && Maps(ref.string("apiVersion"), k.kind) && k.kind != kindHelmChart {
			ids = append(ids, c.id(k))
		}
	}
	return ids
}

// nodesOf returns the ids of those objects of a list that are nodes, and the names of the others: from entries of status.inventory
// (<namespace>_<name>_<group>_<kind>).
func (c Config) inventory(o object) (ids []string) {
	for _, item := range o.status.object("inventory").list("entries") {
		m, _ := item.(map[string]any)
		part := strings.Split(fields(m).string("id"), "_")
		if len(part) != 4 || part[2] == "" || groups[part[3]] != part[2] {
			continue
		}
		if kind := part[3]; kind == kindHelmRelease || kind == kindKustomization {
			ids = append(ids, c.id(key{kind, part[0], part[1]}))
		}
	}
	return ids
}
