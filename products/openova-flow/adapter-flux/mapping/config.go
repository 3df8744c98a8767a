package mapping

import "slices"

// defaultHome is the namespace that Flux and the releases of a bootstrap live in.
const defaultHome = "flux-system"

// Config says what a Cluster maps into.
type Config struct {
	FlowID     string   // the flow that the nodes belong to
	Region     string   // the key of this region, the first segment of every id
	Namespaces []string // the namespaces that are watched; empty means all
}

// Watches reports whether objects of the namespace are mapped.
func (c Config) Watches(namespace string) bool {
	return len(c.Namespaces) == 0 || slices.Contains(c.Namespaces, namespace)
}

// Home is the namespace whose releases have ids without it: the namespace that is watched when it is one, else flux-system
// when that is watched, else the first of them.
func (c Config) Home() string {
	if len(c.Namespaces) == 0 || slices.Contains(c.Namespaces, defaultHome) {
		return defaultHome
	}
	return c.Namespaces[0]
}

// ReleaseID is the node id of a HelmRelease: region/name in the home namespace, region/namespace/name in any other.
func (c Config) ReleaseID(namespace, name string) string {
	if namespace == c.Home() {
		return c.Region + "/" + name
	}
	return c.Region + "/" + namespace + "/" + name
}

// KustomizationID is the node id of a Kustomization. It has more segments than that of a release can have, so the two never meet.
func (c Config) KustomizationID(namespace, name string) string {
	return c.Region + "/Kustomization/" + namespace + "/" + name
}

// id is the node id of an object.
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
	return c.beside(o, past)
}
