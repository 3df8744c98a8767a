package mapping

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"regexp"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// entry has what one node is made from: facts of the newest and of earlier versions of an object, or of a controller that is down.
type entry struct {
	key
	id, uid string
	label   string
	family  string
	status  string
	run     run
	ready   condition // the Ready that the node shows; during a routine reconciliation the previous one
	reason  string
	reasonSince,
	waitingSince flow.Time

	meta     map[string]any // the part that does not depend on other objects
	chart    map[string]any // name and version in spec.chart; nil without it
	chartKey key            // its HelmChart: by spec.chartRef, status.helmChart or the default name
	source   key            // the source that the spec names, or the OCIRepository that helm-controller creates for a release
	needs    []key          // spec.dependsOn, each once, in order
	named    []key          // the dependencies that a DependencyNotReady names
	applier  key            // the Kustomization that applied it, by its labels
	members  []string       // ids of the nodes that a Kustomization waits for, from its inventory or its health checks
	waits    bool           // a Kustomization with spec.wait

	auxiliary bool // not part of the rollout itself, like a source
	facts     *facts

	uses   []key               // the charts and sources, existing or not, that determine the node
	linked []flow.Relationship // as last sent
	node   *flow.Node          // as last sent; nil before
}

func newEntry() *entry { return &entry{facts: &facts{}} }

// remember sets Ready, and since when its reason and a wait for dependencies have lasted. The object may no longer show these times, so past has them.
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

// commonMeta returns the meta that objects of all kinds have in common. ready is the Ready that the node shows.
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

func put[T comparable](m map[string]any, name string, v T) {
	var zero T
	if v != zero {
		m[name] = v
	}
}

// render returns the entry's node, with times moved by offset. chart and source are the meta of the chart and the source that it uses.
func (e *entry) render(c Config, offset int64, chart, source map[string]any) *flow.Node {
	m := maps.Clone(e.meta)
	put(m, "reasonSince", e.reasonSince)
	put(m, "waitingSince", e.waitingSince)
	put(m, "runGeneration", e.run.gen)
	put(m, "auxiliary", e.auxiliary)
	putList(m, "waitingFor", e.facts.named)
	putList(m, "dependsOnUnwatched", e.facts.unwatched)
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
	if offset != 0 {
		m = moveAll(m, offset).(map[string]any)
		m["clockOffset"] = offset
	}
	n := &flow.Node{
		ID: e.id, FlowID: c.FlowID, Label: e.label, Status: e.status, Family: e.family, Region: c.Region,
		StartedAt: moved(e.run.start, offset), Meta: encode(m),
	}
	if e.status == flow.StatusSucceeded || e.status == flow.StatusFailed {
		n.EndedAt = moved(e.run.end, offset)
	}
	return n
}

// encode writes a meta object, keys sorted, on one line.
func encode(m map[string]any) flow.Object {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		panic(err) // cannot happen: a meta has only values that always encode
	}
	return flow.Object(bytes.TrimRight(b.Bytes(), "\n"))
}

func equal(a, b *flow.Node) bool {
	return a != nil && b != nil && a.ID == b.ID && a.Label == b.Label && a.Status == b.Status && a.Family == b.Family &&
		a.StartedAt == b.StartedAt && a.EndedAt == b.EndedAt && a.Meta == b.Meta
}

// dependent reads the fields that releases and Kustomizations have in common. It does not set status, run and meta.
func (c Config) dependent(o object) (*entry, error) {
	raw := o.spec["dependsOn"]
	if _, ok := raw.([]any); !ok && raw != nil {
		return nil, o.malformed("spec.dependsOn", "a list")
	}
	e := &entry{
		key: o.key, id: c.id(o.key), uid: o.uid, label: o.name, family: family(o), facts: commonFacts(o), applier: appliedBy(o),
		named: namedDependencies(o),
	}
	for _, item := range o.spec.list("dependsOn") {
		if k := o.reference(item); k.name != "" {
			k.kind = o.kind
			e.needs = append(e.needs, k)
		}
	}
	e.needs = union(e.needs, nil)
	kubeConfig := o.spec.object("kubeConfig")
	e.facts.remote = cmp.Or(kubeConfig.object("secretRef").string("name"), kubeConfig.object("configMapRef").string("name"))
	return e, nil
}

// describe sets the meta that releases and Kustomizations have in common.
func (e *entry) describe(o object, ready condition) {
	e.meta = commonMeta(o, ready)
	put(e.meta, "startedAtIsLowerBound", e.run.lowerBound)
	put(e.meta, "targetCluster", e.facts.remote)
	put(e.meta, "targetNamespace", o.spec.string("targetNamespace"))
}

// reference reads a reference to another object. Its namespace defaults to the object's own.
func (o object) reference(item any) key {
	m, _ := item.(map[string]any)
	ref := fields(m)
	return key{ref.string("kind"), cmp.Or(ref.string("namespace"), o.namespace), ref.string("name")}
}

var dependencyNamed = regexp.MustCompile(`dependency '([^']+)'|'([^']+)' dependency`)

// namedDependencies returns the dependencies in the message of a DependencyNotReady.
func namedDependencies(o object) []key {
	ready := o.conditions["Ready"]
	if ready.status != "False" || ready.reason != "DependencyNotReady" {
		return nil
	}
	var all []key
	for _, m := range dependencyNamed.FindAllStringSubmatch(clip(ready.message), -1) {
		namespace, name, ok := strings.Cut(m[1]+m[2], "/")
		if !ok {
			namespace, name = o.namespace, namespace
		}
		all = append(all, key{o.kind, namespace, name})
	}
	return all
}

// appliedBy returns the Kustomization that applied the object, by the labels that kustomize-controller sets; the zero key if there is none. It is also
// zero for a Kustomization that applies itself, like the first one of a cluster.
func appliedBy(o object) key {
	by := key{kindKustomization, cmp.Or(o.labels.string("kustomize.toolkit.fluxcd.io/namespace"), o.namespace), o.labels.string("kustomize.toolkit.fluxcd.io/name")}
	if by.name == "" || by == o.key {
		return key{}
	}
	return by
}
