// Package plane runs Kubernetes control planes on this machine: one etcd and one kube-apiserver each, with RBAC and without
// controllers. The programs and the CRDs of Flux are built from Go modules, whose versions are pinned under tools, and cached.
package plane
