package watch

import "k8s.io/apimachinery/pkg/runtime/schema"

// Kind is a kind of object that is watched, in the version that is read.
type Kind struct {
	Name     string // kind field of the objects
	Resource schema.GroupVersionResource
	Required bool // needed for a useful result; other kinds add details
	Uncommon bool // many clusters do not have it, so it is a Gap only if it is forbidden
}

// Kinds are the kinds that the mapping reads.
var Kinds = []Kind{
	{"HelmRelease", schema.GroupVersionResource{Group: "helm.toolkit.fluxcd.io", Version: "v2", Resource: "helmreleases"}, true, false},
	{"HelmChart", schema.GroupVersionResource{Group: "source.toolkit.fluxcd.io", Version: "v1", Resource: "helmcharts"}, true, false},
	{"Kustomization", schema.GroupVersionResource{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Resource: "kustomizations"}, false, false},
	{"OCIRepository", schema.GroupVersionResource{Group: "source.toolkit.fluxcd.io", Version: "v1", Resource: "ocirepositories"}, false, false},
	{"HelmRepository", schema.GroupVersionResource{Group: "source.toolkit.fluxcd.io", Version: "v1", Resource: "helmrepositories"}, false, false},
	{"GitRepository", schema.GroupVersionResource{Group: "source.toolkit.fluxcd.io", Version: "v1", Resource: "gitrepositories"}, false, false},
	{"Bucket", schema.GroupVersionResource{Group: "source.toolkit.fluxcd.io", Version: "v1", Resource: "buckets"}, false, true},
	{"ExternalArtifact", schema.GroupVersionResource{Group: "source.toolkit.fluxcd.io", Version: "v1", Resource: "externalartifacts"}, false, true},
	{"ArtifactGenerator", schema.GroupVersionResource{Group: "source.extensions.fluxcd.io", Version: "v1beta1", Resource: "artifactgenerators"}, false, true},
	{"ResourceSet", schema.GroupVersionResource{Group: "fluxcd.controlplane.io", Version: "v1", Resource: "resourcesets"}, false, true},
	{"FluxInstance", schema.GroupVersionResource{Group: "fluxcd.controlplane.io", Version: "v1", Resource: "fluxinstances"}, false, true},
}
