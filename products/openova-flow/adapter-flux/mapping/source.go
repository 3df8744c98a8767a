package mapping

// artifact is the newest verdict on a HelmChart or a source.
type artifact struct {
	uid        string
	generation int64
	ready      condition
	revision   string    // status.artifact.revision
	digest     string    // status.artifact.digest
	owner      key       // of a HelmChart: the HelmRelease that it was made for
	source     key       // of a HelmChart: where it is pulled from
	chart      [2]string // of a HelmChart: its name and version
}

// readArtifact reads a HelmChart or a source. While its controller tries again, Ready is Unknown for a moment; the verdict of before on
// the same specification then stands, so that one that keeps failing does not flap.
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
	}
	return a
}

// chartOwner is the HelmRelease that a HelmChart was made for: by metadata.ownerReferences, else by the labels that
// helm-controller sets.
func chartOwner(o object) key {
	for _, item := range o.meta.list("ownerReferences") {
		m, _ := item.(map[string]any)
		if ref := fields(m); ref.string("kind") == kindHelmRelease && ref.string("name") != "" {
			return key{kindHelmRelease, o.namespace, ref.string("name")}
		}
	}
	if name := o.labels.string("helm.toolkit.fluxcd.io/name"); name != "" {
		return key{kindHelmRelease, orElse(o.labels.string("helm.toolkit.fluxcd.io/namespace"), o.namespace), name}
	}
	return key{}
}

// describe puts the verdict into m.
func (a artifact) describe(m map[string]any) {
	put(m, "ready", a.ready.status)
	put(m, "reason", a.ready.reason)
	put(m, "message", clip(a.ready.message))
	put(m, "revision", a.revision)
}
