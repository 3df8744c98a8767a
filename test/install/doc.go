// Package install tests what OpenovaFlow is installed with: the Helm charts, as Helm's own library renders them, and the bootstrap
// kit, as kustomize and Flux's variable substitution make it.
package install
