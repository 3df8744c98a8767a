// Package install tests the Helm charts, rendered by Helm's own library, and the bootstrap kit, built by kustomize and Flux's variable substitution.
package install
