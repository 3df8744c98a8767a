package conductor

import (
	"context"
	"time"

	"github.com/openova-io/openova/test/e2e/plane"
)

// Release describes a HelmRelease in a test.
type Release struct {
	Namespace, Name string   // Namespace is flux-system if it is empty
	DependsOn       []string // names in the same namespace
	Suspend         bool
	UID             string // Put with another UID deletes the object and creates it again
	Ready           string // status of the Ready condition; empty: there is none
	Reason, Message string
	Stalled         bool
	Finalizers      []string
}

// Object returns the release with the status that a controller would write.
func (r Release) Object() plane.Object {
	namespace := r.Namespace
	if namespace == "" {
		namespace = "flux-system"
	}
	meta := plane.Object{"namespace": namespace, "name": r.Name}
	if r.UID != "" {
		meta["uid"] = r.UID
	}
	if r.Finalizers != nil {
		var list []any
		for _, f := range r.Finalizers {
			list = append(list, f)
		}
		meta["finalizers"] = list
	}
	spec := plane.Object{"interval": "1m", "chart": plane.Object{"spec": plane.Object{"chart": r.Name, "version": "1.0.0",
		"sourceRef": plane.Object{"kind": "HelmRepository", "name": "charts"}}}}
	if r.Suspend {
		spec["suspend"] = true
	}
	var deps []any
	for _, d := range r.DependsOn {
		deps = append(deps, plane.Object{"name": d})
	}
	if deps != nil {
		spec["dependsOn"] = deps
	}
	var conditions []any
	now := time.Now().UTC().Format(time.RFC3339)
	add := func(kind, status, reason, message string) {
		conditions = append(conditions, plane.Object{"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now})
	}
	if r.Stalled {
		add("Stalled", "True", "RetriesExceeded", "Failed to install after 4 attempt(s)")
	}
	if r.Ready != "" {
		add("Ready", r.Ready, r.Reason, r.Message)
	}
	o := plane.Object{"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "metadata": meta, "spec": spec}
	if conditions != nil {
		o["status"] = plane.Object{"conditions": conditions}
	}
	return o
}

// Put creates or changes a release.
func (c *Conductor) Put(ctx context.Context, r Release) error {
	return c.Apply(ctx, Event{Type: "MODIFIED", Object: r.Object()})
}

// Delete deletes a release.
func (c *Conductor) Delete(ctx context.Context, r Release) error {
	return c.Apply(ctx, Event{Type: "DELETED", Object: r.Object()})
}
