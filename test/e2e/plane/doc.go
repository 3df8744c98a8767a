// Package plane runs Kubernetes control planes on this machine: one etcd and one kube-apiserver each, with RBAC on and nothing that
// reconciles. The programs and the CRDs of Flux are built from Go modules, pinned under tools, and kept in a cache.
package plane
