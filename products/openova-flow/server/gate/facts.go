package gate

import (
	"strconv"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
)

// facts are the fields of a node's meta that a gate uses (docs/meta.md).
type facts struct {
	node *flow.Node

	kind, namespace        string
	ready                  string
	suspended              bool
	appliedBy              string
	revision, attempted    string // of a Kustomization: last applied, last tried; of a source: current
	origin                 string
	versionApplied, wanted string
	sourceID               string // of a Kustomization or release; empty if unknown
	sourceKind             string
	chartFrom              string          // the source's revision that the chart was built from
	source                 revision.Source // of a source
	interval               int64           // milliseconds
	updatedAt              flow.Time
	generation, lookedAt   int64 // newest generation, newest observed generation
}

const (
	kindRelease       = "HelmRelease"
	kindKustomization = "Kustomization"
)

func readFacts(n *flow.Node) *facts {
	f := &facts{node: n}
	number := func(value string) int64 {
		i, _ := strconv.ParseInt(value, 10, 64)
		return i
	}
	observed := func(value string) { f.lookedAt = max(f.lookedAt, number(value)) }
	var source struct{ kind, namespace, name string }
	texts := map[string]*string{
		"kind": &f.kind, "namespace": &f.namespace, "ready": &f.ready, "appliedBy": &f.appliedBy, "revision": &f.revision, "attemptedRevision": &f.attempted,
		"originRevision": &f.origin, "versionApplied": &f.versionApplied, "versionWanted": &f.wanted, "url": &f.source.URL, "ref": &f.source.Ref,
	}
	flow.EachField(n.Meta, func(key, value string) {
		if text := texts[key]; text != nil {
			*text = flow.Text(value)
			return
		}
		switch key {
		case "suspended":
			f.suspended = value == "true"
		case "interval":
			f.interval = number(value)
		case "updatedAt":
			f.updatedAt = flow.At(number(value))
		case "generation":
			f.generation = number(value)
		case "observedGeneration", "runGeneration", "readyGeneration":
			observed(value)
		case "failure":
			flow.EachField(flow.Object(value), func(key, value string) {
				if key == "generation" {
					observed(value)
				}
			})
		case "source":
			flow.EachField(flow.Object(value), func(key, value string) {
				switch key {
				case "kind":
					source.kind = flow.Text(value)
				case "namespace":
					source.namespace = flow.Text(value)
				case "name":
					source.name = flow.Text(value)
				}
			})
		case "chart":
			flow.EachField(flow.Object(value), func(key, value string) {
				if key == "sourceRevision" {
					f.chartFrom = flow.Text(value)
				}
			})
		}
	})
	f.source.Kind, f.source.Namespace, f.source.Name = f.kind, f.namespace, n.Label
	if source.name != "" {
		f.sourceKind, f.sourceID = source.kind, strings.Join([]string{n.Region, source.kind, source.namespace, source.name}, "/")
	}
	return f
}

// is reports whether the object has a name.
func (f *facts) is(kind string, n Name) bool {
	return f.kind == kind && f.namespace == n.Namespace && f.node.Label == n.Name
}

// unlooked reports whether the controller has observed an earlier generation, but not the newest.
func (f *facts) unlooked() bool { return f.lookedAt > 0 && f.generation > f.lookedAt }
