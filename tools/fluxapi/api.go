//go:build fluxapi

package fluxapi

// The APIs are read as source, not compiled. These imports keep their versions in go.mod.
import (
	_ "github.com/fluxcd/helm-controller/api/v2"
	_ "github.com/fluxcd/kustomize-controller/api/v1"
	_ "github.com/fluxcd/pkg/apis/meta"
	_ "github.com/fluxcd/source-controller/api/v1"
)
