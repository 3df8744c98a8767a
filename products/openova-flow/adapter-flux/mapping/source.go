package mapping

import (
	"cmp"
	"maps"
	"slices"
)

// artifact is the newest result of an object that entries may use, like a HelmChart or a source.
type artifact struct {
	uid        string
	generation int64
	ready      condition
	revision   string    // status.artifact.revision
	digest     string    // status.artifact.digest
	owner      key       // HelmChart only: the HelmRelease that it was made for
	source     key       // HelmChart only: its source
	chart      [2]string // HelmChart only: name and version of the chart
	from       string    // HelmChart only: the revision of its source
}

// readArtifact reads the result of an object. During a retry Ready is Unknown for a moment. The previous Ready of the same specification is kept then, so
// that an object that keeps failing does not flap.
func readArtifact(o object, past artifact) artifact {
	a := artifact{
		uid: o.uid, generation: o.generation, ready: o.conditions["Ready"],
		revision: o.status.object("artifact").string("revision"), digest: o.status.object("artifact").string("digest"),
	}
	if a.ready.status == "Unknown" && past.ready.status != "" && past.uid == a.uid && past.generation == a.generation {
		a.ready = past.ready
	}
	if o.kind != kindHelmChart {
		return a
	}
	a.owner = chartOwner(o)
	a.chart = [2]string{o.spec.string("chart"), o.spec.string("version")}
	if ref := o.spec.object("sourceRef"); ref.string("name") != "" {
		a.source = key{ref.string("kind"), o.namespace, ref.string("name")}
		if a.source.kind != kindHelmRepository { // the index of a HelmRepository changes with every new chart, so its revision says nothing about one chart
			a.from = o.status.string("observedSourceArtifactRevision")
		}
	}
	return a
}

// chartOwner returns the HelmRelease that a HelmChart was made for: by metadata.ownerReferences, else by the labels of helm-controller.
func chartOwner(o object) key {
	for _, item := range o.meta.list("ownerReferences") {
		m, _ := item.(map[string]any)
		if ref := fields(m); ref.string("kind") == kindHelmRelease && ref.string("name") != "" {
			return key{kindHelmRelease, o.namespace, ref.string("name")}
		}
	}
	if name := o.labels.string("helm.toolkit.fluxcd.io/name"); name != "" {
		return key{kindHelmRelease, cmp.Or(o.labels.string("helm.toolkit.fluxcd.io/namespace"), o.namespace), name}
	}
	return key{}
}

// describe writes the result into a meta object.
func (a artifact) describe(m map[string]any) {
	put(m, "ready", a.ready.status)
	put(m, "reason", a.ready.reason)
	put(m, "message", clip(a.ready.message))
	put(m, "revision", a.revision)
	put(m, "sourceRevision", a.from)
}

// setArtifact sets the result of an object and updates the entries that use it. The zero artifact removes it.
func (c *Cluster) setArtifact(k key, a artifact) []Change {
	old := c.artifacts[k]
	if a == old {
		return nil
	}
	touched := maps.Clone(c.users[k])
	if touched == nil {
		touched = map[key]bool{}
	}
	if old.owner != a.owner {
		drop(c.charts, old.owner, k)
	}
	if a == (artifact{}) {
		delete(c.artifacts, k)
	} else {
		c.artifacts[k] = a
	}
	if a.owner != (key{}) {
		join(c.charts, a.owner, k)
		touched[a.owner] = true
	}
	var changes []Change
	for _, user := range sorted(touched) {
		changes = append(append(changes, c.refresh(user)...), c.link(user)...) // a release that names a HelmChart has the chart's source
	}
	return changes
}

// use records which artifacts an entry uses.
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

// sourceOf returns the source of an entry. A release that names no source has that of its HelmChart.
func (c *Cluster) sourceOf(e *entry) key {
	if e.source == (key{}) {
		return c.artifacts[c.chartOf(e)].source
	}
	return e.source
}

// chartOf returns the HelmChart of a release.
func (c *Cluster) chartOf(e *entry) key {
	if own := sorted(c.charts[e.key]); len(own) > 0 && e.chart != nil {
		if _, ok := c.artifacts[e.chartKey]; !ok {
			return own[0]
		}
	}
	return e.chartKey
}

// generated returns the ExternalArtifacts that an ArtifactGenerator makes.
func generated(o object) map[key]bool {
	made := map[key]bool{}
	for _, item := range o.spec.list("artifacts") {
		m, _ := item.(map[string]any)
		if name := fields(m).string("name"); name != "" {
			made[key{kindExternalArtifact, o.namespace, name}] = true
		}
	}
	return made
}

// setGenerated records which ExternalArtifacts an ArtifactGenerator makes, and refreshes the users of those that it did not make before or no longer makes.
func (c *Cluster) setGenerated(generator key, made map[key]bool) []Change {
	touched := map[key]bool{}
	for artifact, maker := range c.makers {
		if maker == generator && !made[artifact] {
			delete(c.makers, artifact)
			touched[artifact] = true
		}
	}
	for artifact := range made {
		if c.makers[artifact] != generator {
			c.makers[artifact] = generator
			touched[artifact] = true
		}
	}
	var changes []Change
	for _, artifact := range sorted(touched) {
		for _, user := range sorted(c.users[artifact]) {
			changes = append(changes, c.refresh(user)...)
		}
	}
	return changes
}
