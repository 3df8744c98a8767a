// Package kit builds the bootstrap kit like Flux.
package kit

import (
	"fmt"

	"github.com/fluxcd/pkg/envsubst"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// Build runs kustomize on a folder and substitutes variables. It returns the objects by Kind/name. Two objects with the same key, in two
// namespaces, are an error. A missing variable without a default is empty, or an error if strict.
func Build(folder string, variables map[string]string, strict bool) (map[string]map[string]any, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, fmt.Errorf("kustomize %s: %w", folder, err)
	}
	out := map[string]map[string]any{}
	for _, r := range resources.Resources() {
		object := r.GetKind() + "/" + r.GetName()
		text, err := r.AsYAML()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", object, err)
		}
		filled, err := envsubst.Eval(string(text), func(name string) (string, bool) {
			v, ok := variables[name]
			return v, ok || !strict
		})
		if err != nil {
			return nil, fmt.Errorf("substitute the variables of %s: %w", object, err)
		}
		var o map[string]any
		if err := yaml.UnmarshalStrict([]byte(filled), &o); err != nil {
			return nil, fmt.Errorf("%s with its variables: %w\n%s", object, err, filled)
		}
		if out[object] != nil {
			return nil, fmt.Errorf("two objects are %s", object)
		}
		out[object] = o
	}
	return out, nil
}
