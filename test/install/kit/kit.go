// Package kit builds the bootstrap kit like Flux.
package kit

import (
	"fmt"

	"github.com/fluxcd/pkg/envsubst"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// Build runs kustomize on a folder and substitutes variables. It returns the objects by Kind/name. Missing variables are empty, or an error if strict.
func Build(folder string, variables map[string]string, strict bool) (map[string]map[string]any, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, err
	}
	out := map[string]map[string]any{}
	for _, r := range resources.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			return nil, err
		}
		filled, err := envsubst.Eval(string(text), func(name string) (string, bool) {
			v, ok := variables[name]
			return v, ok || !strict
		})
		if err != nil {
			return nil, err
		}
		var o map[string]any
		if err := yaml.UnmarshalStrict([]byte(filled), &o); err != nil {
			return nil, fmt.Errorf("%w\n%s", err, filled)
		}
		out[r.GetKind()+"/"+r.GetName()] = o
	}
	return out, nil
}
