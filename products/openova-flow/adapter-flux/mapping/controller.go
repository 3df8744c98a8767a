package mapping

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// kindController is the kind of the node of a controller that is down. Kubernetes has no such kind.
const kindController = "Controller"

// controllerOf has the Deployment, in FluxNamespace, that reconciles objects of a kind.
var controllerOf = map[string]string{
	kindHelmRelease:       "helm-controller",
	kindKustomization:     "kustomize-controller",
	kindHelmChart:         "source-controller",
	kindOCIRepository:     "source-controller",
	kindHelmRepository:    "source-controller",
	kindGitRepository:     "source-controller",
	kindBucket:            "source-controller",
	kindExternalArtifact:  "source-watcher",
	kindArtifactGenerator: "source-watcher",
	kindResourceSet:       "flux-operator",
	kindFluxInstance:      "flux-operator",
}

// Controller is one of Flux's controllers that has stopped renewing its Lease, so no pod of it works.
type Controller struct {
	Lease   string    // the name of the Lease, in FluxNamespace
	Renewed flow.Time // last renewal, by the controller's clock
}

// IsControllerLease reports whether a Lease in FluxNamespace belongs to a controller of mapped kinds.
func IsControllerLease(lease string) bool {
	name, _, _ := controllerName(lease)
	return slices.Contains(slices.Collect(maps.Values(controllerOf)), name)
}

// controllerName parses the name of a Lease: <name> or <name>-leader-election, or <name>-leader-election-<hash> for a shard.
func controllerName(lease string) (name, shard string, sharded bool) {
	if name, ok := strings.CutSuffix(lease, "-leader-election"); ok {
		return name, "", false
	}
	return strings.Cut(lease, "-leader-election-")
}

func kindsOf(controller string) []string {
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(controllerOf)) {
		if controllerOf[kind] == controller {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// down returns the entry of a controller that is down. offset is the clock offset.
func (c Config) down(d Controller, offset int64) *entry {
	name, shard, sharded := controllerName(d.Lease)
	k := key{kindController, FluxNamespace, name}
	title, ofShard, resource := name, "", []string{"deployment", name}
	if sharded {
		k.name += "-" + shard
		title, ofShard, resource = "A shard of "+name, " of that shard", []string{"lease", d.Lease}
	}
	f := &facts{subject: subject{kind: kindController, namespace: k.namespace, name: k.name, label: k.name}, created: d.Renewed}
	f.down = title + " of " + c.Region + " has not renewed its Lease"
	if !d.Renewed.IsZero() {
		f.down += " since " + time.UnixMilli(moved(d.Renewed, offset).Ms()).UTC().Format("2006-01-02 15:04 UTC")
	}
	f.down += ": nothing of kind " + strings.Join(kindsOf(name), ", ") + ofShard + " is worked on."
	f.lookAt = f.kubectl(append([]string{"describe"}, resource...)...)
	meta := map[string]any{"kind": kindController, "namespace": k.namespace, "lease": d.Lease}
	put(meta, "renewedAt", d.Renewed)
	return &entry{key: k, id: c.id(k), label: k.name, auxiliary: true, status: flow.StatusFailed, facts: f, meta: meta}
}

func (f *facts) controllerDown() judgement {
	return judgement{state: stateBroken, since: f.created, problem: true, cause: cause{class: "controller-down", sentence: f.down, command: f.lookAt}}
}

// awaitsController reports whether the object waits only for its controller.
func (f *facts) awaitsController() bool {
	switch {
	case !f.deletedAt.IsZero():
		return true
	case f.suspended, f.static, f.failure.exists(), f.stalled.status == "True":
		return false
	case f.ready.status == "True":
		return f.outdated()
	}
	return f.ready.status != "False" || underWay[f.ready.reason]
}

// setDown makes an entry for each controller that is down and has objects, and removes the other controllers' entries. A Lease outlives a controller that
// is no longer installed.
func (c *Cluster) setDown() []Change {
	var changes []Change
	now := map[key]bool{}
	for _, d := range c.info.Down {
		name, _, _ := controllerName(d.Lease)
		if !slices.ContainsFunc(kindsOf(name), func(kind string) bool { return c.kinds[kind] > 0 }) {
			continue
		}
		e := c.config.down(d, c.offset)
		now[e.key] = true
		if old := c.entries[e.key]; old != nil {
			e.node, e.linked, e.uses = old.node, old.linked, old.uses
		}
		c.entries[e.key] = e
		changes = append(append(changes, c.refresh(e.key)...), c.link(e.key)...)
	}
	for _, k := range sorted(c.entries) {
		if k.kind == kindController && !now[k] {
			changes = append(changes, c.remove(k)...)
		}
	}
	return changes
}

// countKind counts an entry of a kind that is added (by is 1) or removed (by is -1). The first and the last may change which controllers have an entry.
func (c *Cluster) countKind(kind string, by int) []Change {
	if kind == kindController {
		return nil
	}
	before := c.kinds[kind]
	c.kinds[kind] += by
	if len(c.info.Down) == 0 || before > 0 && c.kinds[kind] > 0 {
		return nil
	}
	return c.setDown()
}

// markServed records the kind and shard of an entry that a controller has observed. It refreshes the entries of the kind that have a shard and are not
// observed, since their judgement depends on that.
func (c *Cluster) markServed(e *entry) []Change {
	shards := c.served[e.kind]
	if e.facts.ready.status == "" || shards[e.facts.shard] {
		return nil
	}
	if shards == nil {
		shards = map[string]bool{}
		c.served[e.kind] = shards
	}
	shards[e.facts.shard] = true
	var changes []Change
	for _, k := range sorted(c.entries) {
		if other := c.entries[k]; k.kind == e.kind && k != e.key && other.facts.shard != "" && other.facts.ready.status == "" {
			changes = append(changes, c.refresh(k)...)
		}
	}
	return changes
}
