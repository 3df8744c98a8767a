package mapping

import "slices"

// FluxNamespace is the namespace of Flux. Ids of its releases omit it. It is fixed, so that ids depend on no setting.
const FluxNamespace = "flux-system"

// Config configures a Cluster.
type Config struct {
	FlowID     string   // the flow that the nodes belong to
	Region     string   // the key of this region, the first segment of every id
	Namespaces []string // the namespaces that are watched; empty means all
}

// Watches reports whether the namespace is watched.
func (c Config) Watches(namespace string) bool {
	return len(c.Namespaces) == 0 || slices.Contains(c.Namespaces, namespace)
}

// ReleaseID is the node id of a HelmRelease: region/name in flux-system, region/namespace/name in any other namespace.
func (c Config) ReleaseID(namespace, name string) string {
	if namespace == FluxNamespace {
		return c.Region + "/" + name
	}
	return c.Region + "/" + namespace + "/" + name
}

// KustomizationID is the node id of a Kustomization. It has more segments than the id of any release, so the two never collide.
func (c Config) KustomizationID(namespace, name string) string {
	return c.Region + "/Kustomization/" + namespace + "/" + name
}

func (c Config) id(k key) string {
	if k.kind == kindHelmRelease {
		return c.ReleaseID(k.namespace, k.name)
	}
	return c.Region + "/" + k.kind + "/" + k.namespace + "/" + k.name
}

// read reads an object of a kind that becomes a node.
func (c Config) read(o object, past *entry) (*entry, error) {
	switch o.kind {
	case kindHelmRelease:
		return c.release(o, past)
	case kindKustomization:
		return c.kustomization(o, past)
	}
	return c.auxiliary(o, past)
}
