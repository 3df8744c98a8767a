package revision

import (
	"strconv"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

const (
	kindRelease       = "HelmRelease"
	kindKustomization = "Kustomization"
	kindSource        = "source" // any of sourceKinds
)

// facts is what a node's meta says that decides its part in revisions (docs/meta.md). Texts are parts of the node.
type facts struct {
	kind, namespace, url, ref    string
	revision, attempted, origin  string
	appliedBy, chartFrom         string
	ready                        string
	sourceKind, sourceNS, source string
	generation, observed         int64
	updatedAt, changedSince      int64 // 0: unknown
}

// readFacts reads a node in one pass. Only values that are needed for its kind are looked at.
func readFacts(n *flow.Node) (f facts) {
	flow.EachField(n.Meta, func(key, value string) {
		switch key {
		case "kind":
			f.kind = flow.Text(value)
		case "namespace":
			f.namespace = flow.Text(value)
		case "url":
			f.url = flow.Text(value)
		case "ref":
			f.ref = flow.Text(value)
		case "revision":
			f.revision = flow.Text(value)
		case "attemptedRevision":
			f.attempted = flow.Text(value)
		case "originRevision":
			f.origin = flow.Text(value)
		case "appliedBy":
			f.appliedBy = flow.Text(value)
		case "ready":
			f.ready = flow.Text(value)
		case "generation":
			f.generation = number(value)
		case "observedGeneration", "runGeneration", "readyGeneration":
			f.observed = max(f.observed, number(value))
		case "updatedAt":
			f.updatedAt = number(value)
		case "changedSince":
			f.changedSince = number(value)
		case "source":
			flow.EachField(flow.Object(value), func(key, value string) {
				switch key {
				case "kind":
					f.sourceKind = flow.Text(value)
				case "namespace":
					f.sourceNS = flow.Text(value)
				case "name":
					f.source = flow.Text(value)
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
	return f
}

// applier is the id of the node of the Kustomization that applies a release, empty if it names none of its region: a region says nothing of another one.
func (f *facts) applier(region string) string {
	if !strings.HasPrefix(f.appliedBy, region+"/") {
		return ""
	}
	return f.appliedBy
}

// sourceID is the id of the node of the source that a node names, empty if it names none whose revisions are followed.
func (f *facts) sourceID(region string) string {
	if f.source == "" || !sourceKinds[f.sourceKind] {
		return ""
	}
	return strings.Join([]string{region, f.sourceKind, f.sourceNS, f.source}, "/")
}

// number reads an integer, 0 for anything else.
func number(value string) int64 {
	i, _ := strconv.ParseInt(value, 10, 64)
	return i
}
