package notice

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// Look is a flow at an instant.
type Look struct {
	Flow     string
	Now      int64 // Unix milliseconds by the server's clock
	State    *flow.State
	View     *insight.View
	Stale    map[string]int64  // stale regions, and since when (Unix milliseconds)
	Rollouts []rollout.Rollout // newest first
	// Failures has the newest failure of each member, also after it was repaired. Find adds to it. Nil: they are not kept.
	Failures  map[string]Failure
	Revisions []Notice // notices of revisions, to which Find only applies the limits of texts
}

// Failure is a failure of an object.
type Failure struct {
	At   int64 // Unix milliseconds
	Text string
}

// sources are the kinds whose root causes are notices of KindSource.
var sources = []string{"GitRepository", "OCIRepository", "HelmRepository", "HelmChart", "Bucket", "ExternalArtifact"}

// Find returns the notices of a flow, in no order. It does not set Phase, N, Episode, At and Link. It sets Until only of rollouts and revisions that have ended.
func Find(l Look) []Notice {
	var found []Notice
	for _, p := range oldest(l.View.Problems()) {
		found = append(found, l.cause(&p))
	}
	for region, since := range l.Stale {
		found = append(found, Notice{
			Key: "region/" + l.Flow + "/" + region, Kind: KindRegion, Severity: Warning, Flows: []string{l.Flow}, Regions: []string{region},
			Label: region, Class: "region-stale", Since: since, Nodes: []string{region},
			Sentence: "The claim of region " + region + " of flow " + l.Flow + " was not renewed: its emitter or its cluster is down, or cannot reach the server.",
		})
	}
	for i := range l.Rollouts {
		found = append(found, l.rollout(&l.Rollouts[i]))
	}
	found = append(found, l.Revisions...)
	for i := range found {
		found[i].fit()
	}
	return found
}

// oldest returns the maxCauses oldest problems of each region, so that a region in which everything fails does not fill the queues.
func oldest(problems []insight.Problem) []insight.Problem {
	slices.SortFunc(problems, func(a, b insight.Problem) int {
		return cmp.Or(compareSince(a.Since.Ms(), b.Since.Ms()), cmp.Compare(a.ID, b.ID))
	})
	of := make(map[string]int)
	return slices.DeleteFunc(problems, func(p insight.Problem) bool {
		of[p.Region]++
		return of[p.Region] > maxCauses
	})
}

func (l *Look) cause(p *insight.Problem) Notice {
	object, kind := objectOf(p.Region, p.ID)
	n := Notice{
		Key: "cause/" + object, Kind: KindCause, Severity: Warning, Flows: []string{l.Flow}, Label: p.Label, Object: object, Class: p.Class, Sentence: p.Sentence,
		Command: p.Command, Since: p.Since.Ms(), Nodes: []string{p.ID}, Blocks: slices.Clone(p.Blocks[:min(maxBlocks, len(p.Blocks))]), Blocked: len(p.Blocks),
	}
	if n.Sentence == "" {
		n.Sentence = p.Label + ": " + p.Class
	}
	if slices.Contains(sources, kind) {
		n.Kind = KindSource
	}
	if p.Critical() {
		n.Severity = Critical
	}
	if p.Region != "" {
		n.Regions = []string{p.Region}
		return n
	}
	for _, id := range p.IDs { // a cycle across regions
		if node, ok := l.State.Node(id); ok && node.Region != "" {
			n.Regions = union(n.Regions, []string{node.Region})
		}
	}
	return n
}

// objectOf returns Kind/namespace/name of the object of a node, and the kind. An id of more parts, of another emitter, is returned without its region and
// has no kind.
func objectOf(region, id string) (object, kind string) {
	if region != "" {
		id = strings.TrimPrefix(id, region+"/")
	}
	switch parts := strings.Split(id, "/"); len(parts) {
	case 1:
		return "HelmRelease/flux-system/" + id, "HelmRelease"
	case 2:
		return "HelmRelease/" + id, "HelmRelease"
	case 3:
		return id, parts[0]
	}
	return id, ""
}

func (l *Look) rollout(r *rollout.Rollout) Notice {
	n := Notice{Key: "rollout/" + l.Flow + "/" + r.ID, Kind: KindRollout, Severity: Info, Flows: []string{l.Flow}, Label: l.Flow,
		Since: r.StartedAt, Until: r.EndedAt.Ms(), Rollout: &Rollout{ID: r.ID, Outcome: r.Outcome}}
	for i := range r.Members {
		n.Regions = append(n.Regions, r.Members[i].Region)
		n.Rollout.add(l.member(&r.Members[i], r.StartedAt))
	}
	n.Regions = slices.DeleteFunc(union(nil, n.Regions), func(r string) bool { return r == "" })
	if n.Until != 0 {
		n.Class = r.Outcome
	}
	switch r.Outcome {
	case rollout.Failed:
		n.Severity = Critical
	case rollout.Incomplete:
		n.Severity = Warning
	}
	n.Sentence = progress(n.Rollout)
	return n
}

// add counts a member, and appends it unless there are MaxMembers already.
func (r *Rollout) add(m Member) {
	r.Total++
	switch m.Status {
	case flow.StatusSucceeded:
		r.Done++
	case flow.StatusFailed:
		r.Failed++
	}
	if len(r.Members) < MaxMembers {
		r.Members = append(r.Members, m)
	}
}

// member returns a member of a rollout that began at an instant, Unix milliseconds.
func (l *Look) member(m *rollout.Member, began int64) Member {
	object, _ := objectOf(m.Region, m.ID)
	out := Member{ID: m.ID, Label: m.Label, Region: m.Region, Object: object, Status: m.Status, WaitingSince: m.WaitingSince.Ms(), StartedAt: m.StartedAt.Ms(),
		EndedAt: m.EndedAt.Ms(), VersionFrom: m.VersionFrom, VersionTo: m.VersionTo}
	l.State.Predecessors(m.ID, flow.FinishToStart, func(id string) {
		if object, _ := objectOf(m.Region, id); !slices.Contains(sources, strings.SplitN(object, "/", 2)[0]) {
			out.Needs = append(out.Needs, id)
		}
	})
	slices.Sort(out.Needs)
	if node, ok := l.State.Node(m.ID); ok {
		l.facts(&node, &out)
	}
	if out.Failure != "" && l.Failures != nil {
		l.Failures[m.ID] = Failure{out.FailedAt, out.Failure}
	} else if f, ok := l.Failures[m.ID]; ok && f.At >= began {
		out.Failure, out.FailedAt = f.Text, f.At
	}
	return out
}

// facts sets the fields of a member that come from the meta (docs/meta.md) of its node and of its source.
func (l *Look) facts(node *flow.Node, m *Member) {
	var kind, namespace, name string
	flow.EachField(node.Meta, func(key, value string) {
		switch key {
		case "attemptedRevision", "revision":
			if key == "attemptedRevision" || m.Revision == "" {
				m.Revision = flow.Text(value)
			}
		case "failure":
			flow.EachField(flow.Object(value), func(key, value string) {
				switch key {
				case "since":
					m.FailedAt, _ = strconv.ParseInt(value, 10, 64)
				case "message":
					m.Failure = flow.Text(value)
				}
			})
		case "source":
			flow.EachField(flow.Object(value), func(key, value string) {
				switch key {
				case "kind":
					kind = flow.Text(value)
				case "namespace":
					namespace = flow.Text(value)
				case "name":
					name = flow.Text(value)
				}
			})
		}
	})
	if source, ok := l.State.Node(strings.Join([]string{node.Region, kind, namespace, name}, "/")); ok && name != "" {
		flow.EachField(source.Meta, func(key, value string) {
			if key == "url" {
				m.Source = flow.Text(value)
			}
		})
	}
}

// In returns n, which must not be merged, with only the regions for which has returns true. Of the members of a rollout, those in other regions are neither
// kept nor counted, and Find has kept at most MaxMembers.
func (n Notice) In(has func(region string) bool) Notice {
	n.Regions = slices.DeleteFunc(slices.Clone(n.Regions), func(r string) bool { return !has(r) })
	if n.Rollout == nil {
		return n
	}
	r := *n.Rollout
	r.Members, r.Total, r.Done, r.Failed = nil, 0, 0, 0
	for _, m := range n.Rollout.Members {
		if has(m.Region) {
			r.add(m)
		}
	}
	n.Rollout, n.Sentence = &r, progress(&r)
	return n
}
