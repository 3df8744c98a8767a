package mapping

import (
	"bytes"
	"encoding/json"
	"maps"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// entry is one release or Kustomization of the region: what of its newest version counts, and what of its past does.
type entry struct {
	key
	id, uid string
	label   string
	family  string
	status  string
	run     run
	ready   condition // the Ready that the entry shows; not always the newest, see kustomization.go
	reason  string
	reasonSince,
	waitingSince flow.Time

	meta     map[string]any // what does not depend on another object
	chart    map[string]any // name and version of the chart wanted; nil when the object names none
	chartKey key            // the HelmChart that its artifact comes from
	source   key            // the OCIRepository, HelmRepository or GitRepository that it comes from
	deps     []string       // node ids, each once, in the order of spec.dependsOn
	applier  key            // the Kustomization that applied it, by its labels
	members  []string       // node ids of what a Kustomization waits for, by its inventory or its health checks
	waits    bool           // a Kustomization that waits for all that it applied

	auxiliary bool // it stands beside the rollout: a source, or what makes others
	facts     *facts

	uses   []key               // the charts and sources that the node was last made from
	linked []flow.Relationship // as last given out
	node   *flow.Node          // as last given out; nil before
}

func newEntry() *entry { return &entry{facts: &facts{}} }

// remember carries on what the previous version, or the node that a server still holds, knows and the object does not.
func (e *entry) remember(past *entry, ready condition) {
	e.ready, e.reason = ready, ready.reason
	e.reasonSince = ready.since
	if past.reason == ready.reason && !past.reasonSince.IsZero() {
		e.reasonSince = past.reasonSince
	}
	if ready.status == "False" && ready.reason == "DependencyNotReady" {
		e.waitingSince = ready.since
		if !past.waitingSince.IsZero() {
			e.waitingSince = past.waitingSince
		}
	}
}

// commonMeta is what releases and Kustomizations have in common: metadata, spec.suspend, and the Ready and Stalled conditions.
func commonMeta(o object, ready condition) map[string]any {
	m := map[string]any{"kind": o.kind}
	put(m, "namespace", o.namespace)
	put(m, "uid", o.uid)
	put(m, "ready", ready.status)
	put(m, "reason", ready.reason)
	put(m, "message", clip(ready.message))
	if o.stalled() {
		stalled := o.conditions["Stalled"]
		m["stalled"] = true
		put(m, "stalledReason", stalled.reason)
		put(m, "stalledMessage", clip(stalled.message))
	}
	if o.spec.bool("suspend") {
		m["suspended"] = true
	}
	if !o.deletedAt.IsZero() {
		m["deletingSince"] = o.deletedAt
		if len(o.finalizers) > 0 {
			m["finalizers"] = o.finalizers
		}
	}
	if o.generation != 0 {
		m["generation"] = o.generation
	}
	if o.hasObserved {
		m["observedGeneration"] = o.observed
	}
	return m
}

// put sets what is not the zero value of its type.
func put[T comparable](m map[string]any, name string, v T) {
	var zero T
	if v != zero {
		m[name] = v
	}
}

// render makes the entry's node from it and from the chart and source that it uses.
func (e *entry) render(c Config, chart, source map[string]any) *flow.Node {
	m := maps.Clone(e.meta)
	put(m, "reasonSince", e.reasonSince)
	put(m, "waitingSince", e.waitingSince)
	put(m, "runGeneration", e.run.gen)
	put(m, "auxiliary", e.auxiliary)
	if e.applier != (key{}) {
		m["appliedBy"] = c.id(e.applier)
	}
	e.facts.write(m)
	if len(chart) > 0 {
		m["chart"] = chart
	}
	if len(source) > 0 {
		m["source"] = source
	}
	n := &flow.Node{
		ID: e.id, FlowID: c.FlowID, Label: e.label, Status: e.status, Family: e.family, Region: c.Region,
		StartedAt: e.run.start, Meta: encode(m),
	}
	if e.status == flow.StatusSucceeded || e.status == flow.StatusFailed {
		n.EndedAt = e.run.end
	}
	return n
}

// encode writes a meta object, keys sorted, on one line.
func encode(m map[string]any) flow.Object {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		panic(err) // strings, integers, booleans, and lists and maps of them: there is nothing that cannot be encoded
	}
	return flow.Object(bytes.TrimRight(b.Bytes(), "\n"))
}

func equal(a, b *flow.Node) bool {
	return a != nil && b != nil && a.ID == b.ID && a.Label == b.Label && a.Status == b.Status && a.Family == b.Family &&
		a.StartedAt == b.StartedAt && a.EndedAt == b.EndedAt && a.Meta == b.Meta
}

func dependency(from, to string) flow.Relationship {
	return flow.Relationship{FromID: from, ToID: to, Type: flow.FinishToStart, Condition: flow.OnSuccess}
}

// dependencies are the node ids of those in spec.dependsOn that are watched, each once, and the others, as namespace/name. A namespace that is not
// named is the object's own.
func (c Config) dependencies(o object) (ids, unwatched []string, err error) {
	raw, there := o.spec["dependsOn"]
	if !there || raw == nil {
		return nil, nil, nil
	}
	if _, ok := raw.([]any); !ok {
		return nil, nil, o.malformed("spec.dependsOn", "a list")
	}
	for _, item := range o.spec.list("dependsOn") {
		m, _ := item.(map[string]any)
		ref := fields(m)
		if ref.string("name") == "" {
			continue
		}
		k := key{o.kind, orElse(ref.string("namespace"), o.namespace), ref.string("name")}
		if c.Watches(k.namespace) {
			ids = append(ids, c.id(k))
		} else {
			unwatched = append(unwatched, k.namespace+"/"+k.name)
		}
	}
	return union(ids, nil), union(unwatched, nil), nil
}

// appliedBy is the Kustomization that applied the object, by the labels that kustomize-controller sets; the zero key when there is none.
// One that applies itself, as the first of a cluster does, has nobody above it.
func appliedBy(o object) key {
	by := key{kindKustomization, orElse(o.labels.string("kustomize.toolkit.fluxcd.io/namespace"), o.namespace), o.labels.string("kustomize.toolkit.fluxcd.io/name")}
	if by.name == "" || by == o.key {
		return key{}
	}
	return by
}

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
