package follow

import (
	"strings"

	"github.com/openova-io/openova/products/openova-flow/relay/notice"
	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/gate"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

// revisions asks package gate for the commits that the sources of a flow have, as wait does.
type revisions struct {
	gates map[commit]*gate.Gate
	state *flow.Message // the snapshot that was last looked at; the gates compare it by pointer
}

// commit is a commit that a source has in a region.
type commit struct{ region, url, commit string }

// FollowRevisions makes Find return notices of revisions too.
func (f *Flow) FollowRevisions() {
	if f.revisions == nil {
		f.revisions, f.Changed = &revisions{gates: make(map[commit]*gate.Gate)}, true
	}
}

// look returns a notice for each commit that a source has now, of each region. Notices of one commit have the same key.
func (r *revisions) look(f *Flow, now int64) []notice.Notice {
	if r.state == nil || f.moved {
		r.state, f.moved = f.state.Collect(), false
	}
	look := gate.Look{State: r.state, At: now, Claims: make(map[string]gate.Claim)}
	for name, region := range f.regions {
		look.Claims[name] = gate.Claim{Stale: region.State == claims.Stale, LastSeen: region.LastSeen}
	}
	var found []notice.Notice
	gates := make(map[commit]*gate.Gate)
	for i := range r.state.Nodes {
		c, ok := commitOf(&r.state.Nodes[i])
		if !ok || gates[c] != nil {
			continue
		}
		g := r.gates[c]
		if g == nil {
			g = gate.New(gate.Ask{Region: c.region, Revision: c.commit})
		}
		gates[c] = g
		answer := g.Look(look)
		result := notice.Result{Result: answer.Result}
		n := notice.Notice{Key: "revision/" + f.ID + "/" + c.url + "@" + c.commit, Kind: notice.KindRevision, Severity: notice.Info, Flows: []string{f.ID}, Regions: []string{c.region},
			Label: c.commit[:12], Revision: &notice.Revision{Source: c.url, Commit: c.commit, Results: make(map[string]notice.Result)}}
		if answer.Result == insight.Failed {
			n.Severity, result.Sentence = notice.Critical, "It has failed."
			if len(answer.Problems) > 0 {
				result.Sentence, n.Nodes = answer.Problems[0].Sentence, []string{answer.Problems[0].ID}
			}
		}
		n.Revision.Results[c.region] = result
		n.Sentence = result.Sentence
		found = append(found, n)
	}
	r.gates = gates
	return found
}

// commitOf returns the commit that a source has: of a GitRepository, or that an OCI artifact says that it was made from.
func commitOf(n *flow.Node) (c commit, ok bool) {
	var kind, revision, origin string
	flow.EachField(n.Meta, func(key, value string) {
		switch key {
		case "kind":
			kind = flow.Text(value)
		case "url":
			c.url = flow.Text(value)
		case "revision":
			revision = flow.Text(value)
		case "originRevision":
			origin = flow.Text(value)
		}
	})
	switch kind {
	case "OCIRepository":
		revision = origin
	case "GitRepository":
	default:
		return c, false
	}
	_, digest, both := strings.Cut(revision, "@")
	if !both {
		digest = revision
	}
	hex, named := strings.CutPrefix(digest, "sha1:")
	c.region, c.commit = n.Region, hex
	return c, named && len(hex) == 40 && strings.Trim(hex, "0123456789abcdef") == "" && c.url != "" && n.Region != ""
}
