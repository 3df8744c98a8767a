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

// Facts has the fields of a node's meta (docs/meta.md) that a Tracker reads. Its strings may share memory with the node.
type Facts struct {
	Kind, Namespace, URL, Ref string
	Revision                  string // of a source: current; of a Kustomization: last applied
	Attempted                 string // of a Kustomization: last tried
	Origin                    string // what the OCI artifact of Revision was built from
	AppliedBy                 string
	ChartFrom                 string // the source's revision that the chart was built from
	Ready                     string
	Source                    Source // kind, namespace and name of the source that it names
	Generation, Observed      int64  // newest generation, newest observed generation
	UpdatedAt, ChangedSince   int64  // 0: unknown
}

// ReadFacts reads the facts of a node.
func ReadFacts(n *flow.Node) (f Facts) {
	flow.EachField(n.Meta, func(key, value string) {
		switch key {
		case "kind":
			f.Kind = flow.Text(value)
		case "namespace":
			f.Namespace = flow.Text(value)
		case "url":
			f.URL = flow.Text(value)
		case "ref":
			f.Ref = flow.Text(value)
		case "revision":
			f.Revision = flow.Text(value)
		case "attemptedRevision":
			f.Attempted = flow.Text(value)
		case "originRevision":
			f.Origin = flow.Text(value)
		case "appliedBy":
			f.AppliedBy = flow.Text(value)
		case "ready":
			f.Ready = flow.Text(value)
		case "generation":
			f.Generation = number(value)
		case "observedGeneration", "runGeneration", "readyGeneration":
			f.Observed = max(f.Observed, number(value))
		case "updatedAt":
			f.UpdatedAt = number(value)
		case "changedSince":
			f.ChangedSince = number(value)
		case "source":
			flow.EachField(flow.Object(value), func(key, value string) {
				switch key {
				case "kind":
					f.Source.Kind = flow.Text(value)
				case "namespace":
					f.Source.Namespace = flow.Text(value)
				case "name":
					f.Source.Name = flow.Text(value)
				}
			})
		case "chart":
			flow.EachField(flow.Object(value), func(key, value string) {
				if key == "sourceRevision" {
					f.ChartFrom = flow.Text(value)
				}
			})
		}
	})
	return f
}

// Self returns the Source of a node that is a source.
func (f *Facts) Self(n *flow.Node) Source {
	return Source{f.Kind, f.Namespace, n.Label, f.URL, f.Ref}
}

// SourceID returns the node id of the source that a node names; empty if it names none, or one whose revisions are not followed.
func (f *Facts) SourceID(region string) string {
	if f.Source.Name == "" || !sourceKinds[f.Source.Kind] {
		return ""
	}
	return strings.Join([]string{region, f.Source.Kind, f.Source.Namespace, f.Source.Name}, "/")
}

// applier returns the node id of the Kustomization that applies a release; empty if the release names none of its own region. The emitter of one region must
// not affect another.
func (f *Facts) applier(region string) string {
	if !strings.HasPrefix(f.AppliedBy, region+"/") {
		return ""
	}
	return f.AppliedBy
}

// number reads an integer; 0 for anything else, and beyond flow.MaxInteger.
func number(value string) int64 {
	i, err := strconv.ParseInt(value, 10, 64)
	if err != nil || i > flow.MaxInteger || i < -flow.MaxInteger {
		return 0
	}
	return i
}
