package gate

import (
	"strconv"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
)

// facts are the fields of a node's meta that a gate uses (docs/meta.md).
type facts struct {
	revision.Facts // Observed includes the generation of the last failure
	node           *flow.Node

	suspended              bool
	versionApplied, wanted string
	interval               int64  // milliseconds
	sourceID               string // of a Kustomization or release; empty if it names none whose revisions are followed
}

const (
	kindRelease       = "HelmRelease"
	kindKustomization = "Kustomization"
)

func readFacts(n *flow.Node) *facts {
	f := &facts{Facts: revision.ReadFacts(n), node: n}
	if f.Kind == kindKustomization || f.Kind == kindRelease {
		f.sourceID = f.SourceID(n.Region)
	}
	number := func(value string) int64 {
		i, _ := strconv.ParseInt(value, 10, 64)
		return i
	}
	flow.EachField(n.Meta, func(key, value string) {
		switch key {
		case "suspended":
			f.suspended = value == "true"
		case "versionApplied":
			f.versionApplied = flow.Text(value)
		case "versionWanted":
			f.wanted = flow.Text(value)
		case "interval":
			f.interval = number(value)
		case "failure":
			flow.EachField(flow.Object(value), func(key, value string) {
				if key == "generation" {
					f.Observed = max(f.Observed, number(value))
				}
			})
		}
	})
	return f
}

func (f *facts) is(kind string, n Name) bool {
	return f.Kind == kind && f.Namespace == n.Namespace && f.node.Label == n.Name
}

// newestUnobserved reports whether the controller has observed an earlier generation, but not the newest.
func (f *facts) newestUnobserved() bool { return f.Observed > 0 && f.Generation > f.Observed }
