package mapping

import "strings"

const (
	kindHelmRelease       = "HelmRelease"
	kindKustomization     = "Kustomization"
	kindHelmChart         = "HelmChart"
	kindOCIRepository     = "OCIRepository"
	kindHelmRepository    = "HelmRepository"
	kindGitRepository     = "GitRepository"
	kindBucket            = "Bucket"
	kindExternalArtifact  = "ExternalArtifact"
	kindArtifactGenerator = "ArtifactGenerator"
	kindResourceSet       = "ResourceSet"
	kindFluxInstance      = "FluxInstance"
)

// groups has the API groups of the mapped kinds.
var groups = map[string]string{
	kindHelmRelease:       "helm.toolkit.fluxcd.io",
	kindKustomization:     "kustomize.toolkit.fluxcd.io",
	kindHelmChart:         "source.toolkit.fluxcd.io",
	kindOCIRepository:     "source.toolkit.fluxcd.io",
	kindHelmRepository:    "source.toolkit.fluxcd.io",
	kindGitRepository:     "source.toolkit.fluxcd.io",
	kindBucket:            "source.toolkit.fluxcd.io",
	kindExternalArtifact:  "source.toolkit.fluxcd.io",
	kindArtifactGenerator: "source.extensions.fluxcd.io",
	kindResourceSet:       "fluxcd.controlplane.io",
	kindFluxInstance:      "fluxcd.controlplane.io",
}

// Maps reports whether Apply takes objects of this apiVersion's group and kind.
func Maps(apiVersion, kind string) bool {
	group, _, _ := strings.Cut(apiVersion, "/")
	want, ok := groups[kind]
	return ok && group == want
}
