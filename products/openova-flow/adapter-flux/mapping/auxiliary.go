package mapping

import (
	"net/url"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// auxiliary reads an object that is not part of a rollout itself: a source (source.toolkit.fluxcd.io/v1), an ArtifactGenerator, a ResourceSet or a
// FluxInstance.
func (c Config) auxiliary(o object, past *entry) (*entry, error) {
	ready := o.conditions["Ready"]
	f := commonFacts(o)
	f.limit = duration(o.spec, "timeout", grace)
	f.retryInterval = f.interval
	var needs []key
	f.static = ready == condition{} && (o.kind == kindHelmRepository && o.spec.string("type") == "oci" || o.kind == kindExternalArtifact)
	if o.kind == kindResourceSet {
		needs = resourceSetNeeds(o)
	}
	f.routine = f.wasReady(past)
	held := ready
	if f.routine && ready.status == "Unknown" {
		held = past.ready
	}
	e := &entry{
		key: o.key, id: c.id(o.key), uid: o.uid, label: o.name, family: family(o), auxiliary: true, facts: f, applier: appliedBy(o),
		status: auxiliaryStatus(held, f.static), meta: commonMeta(o, held), needs: needs,
	}
	e.remember(past, held)
	describeSource(o, e.meta)
	e.run = run{exists: true, start: f.created, end: held.since}
	if f.static {
		e.run.end = f.created
	}
	return e, nil
}

// describeSource puts the origin of a source and its current artifact into m.
func describeSource(o object, m map[string]any) {
	artifact := o.status.object("artifact")
	put(m, "url", address(o.spec.string("url")))
	put(m, "ref", reference(o.spec.object("ref")))
	put(m, "interval", duration(o.spec, "interval", 0))
	put(m, "revision", artifact.string("revision"))
	put(m, "originRevision", cut(artifact.object("metadata").string("org.opencontainers.image.revision"), maxRevision))
	put(m, "updatedAt", artifact.time("lastUpdateTime"))
}

// maxRevision is the limit for an origin's revision or the value of a reference, in bytes.
const maxRevision = 512

// address returns a URL without user, query and fragment, which may be credentials; empty if it is invalid or has no host.
func address(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return ""
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return cut(u.String(), 2<<10)
}

// reference returns the reference that a source follows, like "branch main" or "tag v1". If spec.ref has several fields, it is the one that the controller uses.
func reference(ref fields) string {
	for _, field := range []string{"commit", "digest", "name", "semver", "tag", "branch"} {
		if value := ref.string(field); value != "" {
			return field + " " + cut(value, maxRevision)
		}
	}
	return ""
}

func auxiliaryStatus(ready condition, static bool) string {
	switch {
	case ready.status == "True", static:
		return flow.StatusSucceeded
	case ready.status == "False":
		return flow.StatusFailed
	}
	return flow.StatusRunning
}

// resourceSetNeeds returns the objects in spec.dependsOn of a ResourceSet that are nodes, each once. Entries may be of any kind.
func resourceSetNeeds(o object) []key {
	var all []key
	for _, item := range o.spec.list("dependsOn") {
		m, _ := item.(map[string]any)
		if k := o.reference(item); k.name != "" && Maps(fields(m).string("apiVersion"), k.kind) && k.kind != kindHelmChart {
			all = append(all, k)
		}
	}
	return union(all, nil)
}

// inventory returns the node ids of the releases and Kustomizations in status.inventory, where the id of an entry is <namespace>_<name>_<group>_<kind>.
func (c Config) inventory(o object) (ids []string) {
	for _, item := range o.status.object("inventory").list("entries") {
		m, _ := item.(map[string]any)
		part := strings.Split(fields(m).string("id"), "_")
		if len(part) != 4 || part[1] == "" || part[2] == "" || groups[part[3]] != part[2] {
			continue
		}
		if kind := part[3]; kind == kindHelmRelease || kind == kindKustomization {
			ids = append(ids, c.id(key{kind, part[0], part[1]}))
		}
	}
	return ids
}
