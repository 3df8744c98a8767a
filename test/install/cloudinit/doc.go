// Package cloudinit tests infra/hetzner: it renders a deployment with OpenTofu or Terraform, and runs cloud-init, kustomize, Flux's substitution, the machine's
// script, the server and the adapter on the result.
package cloudinit
