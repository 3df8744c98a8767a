// Package install tests the Helm charts, rendered by Helm's own library; the bootstrap kit, built by kustomize and Flux's variable substitution; and the Dockerfiles.
package install
