// Package cloudinit tests what infra/hetzner makes of a deployment: it renders it with OpenTofu or Terraform, and lets cloud-init,
// kustomize, Flux's substitution, the machine's own script, the server and the adapter at the outcome.
package cloudinit
