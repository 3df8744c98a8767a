package follow

import (
	"cmp"

	"github.com/openova-io/openova/products/openova-flow/relay/notice"
	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/gate"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
)

// revisions makes the notices of commits. The result of a source's current commit is from package gate. That of an earlier commit is from the server's list
// of revisions; if the source moved on before a result, it is the current commit's.
type revisions struct {
	wants func(region string) bool
	gates map[commit]*gate.Gate // of the commits that sources have
	found []notice.Notice       // result of the last look
}

// commit is a commit in a region.
type commit struct{ region, url, hash string }

// source is a GitRepository or an OCIRepository, with the commit that it has; the hash is empty if it has none.
type source struct {
	commit
	follows  string // revision.Source.Follows
	revision string // as Flux writes it
}

// maxCommits is the maximum number of current commits of a region for which there are notices: each costs a look at the whole flow.
const maxCommits = 50

// FollowRevisions makes Find return notices of the revisions of some regions too. Later calls do nothing.
func (f *Flow) FollowRevisions(wants func(region string) bool) {
	if f.revisions == nil {
		f.revisions, f.RevisionsOutdated, f.Changed = &revisions{wants: wants, gates: make(map[commit]*gate.Gate)}, true, true
	}
}

// look returns the notices of commits, each of one region. Those of a commit in several regions have the same key. It sets f.RevisionsOutdated if a source
// has moved on.
func (r *revisions) look(f *Flow, now int64) []notice.Notice {
	look := gate.Look{State: f.read, At: now, Claims: make(map[string]gate.Claim)}
	for name, region := range f.regions {
		look.Claims[name] = gate.Claim{Stale: region.State == claims.Stale, LastSeen: region.LastSeen}
	}
	var found []notice.Notice
	gates, results, sources := make(map[commit]*gate.Gate), make(map[commit]notice.Result), make(map[string]source)
	ofRegion := make(map[string]int)
	for i := range f.snapshot.Nodes {
		s, ok := sourceOf(&f.snapshot.Nodes[i])
		if !ok {
			continue
		}
		sources[f.snapshot.Nodes[i].ID] = s
		c := s.commit
		if c.hash == "" || gates[c] != nil || !r.wants(c.region) || ofRegion[c.region] >= maxCommits {
			continue
		}
		ofRegion[c.region]++
		g := r.gates[c]
		if g == nil {
			g = gate.New(gate.Ask{Region: c.region, Revision: c.hash})
		}
		gates[c] = g
		answer := g.Look(look)
		result, nodes := notice.Result{Result: answer.Result}, []string(nil)
		if answer.Result == insight.Failed {
			result.Sentence = "It has failed."
			if len(answer.Problems) > 0 {
				result.Sentence, nodes = cmp.Or(answer.Problems[0].Sentence, result.Sentence), []string{answer.Problems[0].ID}
			}
		}
		results[c] = result
		n := noticeOf(f.ID, c, result)
		n.Nodes = nodes
		found = append(found, n)
	}
	for c := range r.gates {
		f.RevisionsOutdated = f.RevisionsOutdated || gates[c] == nil
	}
	r.gates = gates
	found = append(found, r.former(f, sources, results)...)
	if f.RevisionsOutdated || f.Reading {
		found = append(found, missing(r.found, found)...)
	}
	r.found = found
	return found
}

// former returns the notices of commits that sources of a flow had before.
func (r *revisions) former(f *Flow, sources map[string]source, results map[commit]notice.Result) []notice.Notice {
	var found []notice.Notice
	at := make(map[commit]int) // in found
	for i := range f.Revisions {
		rev := &f.Revisions[i]
		if rev.Commit == "" {
			continue
		}
		follows := rev.Source.Follows()
		for j := range rev.Regions {
			part := &rev.Regions[j]
			now := sources[part.SourceID]
			same := now.follows != "" && now.follows == follows
			// The list has the URL as the first region of the revision writes it. This region may write it differently.
			c := commit{part.Region, rev.Source.URL, rev.Commit}
			if same {
				c.url = now.url
			}
			if _, has := results[c]; has || c.url == "" || c.region == "" || !r.wants(c.region) || same && now.revision == rev.Revision {
				continue
			}
			var by *commit
			if same && now.hash != "" {
				by = &now.commit
			}
			if part.State != revision.Done && part.State != revision.Overtaken { // the list is outdated
				continue
			}
			result, final := formerResult(part, by, results)
			n := noticeOf(f.ID, c, result)
			n.Since = part.FirstSeenAt
			if final {
				n.Until = cmp.Or(part.EndedAt.Ms(), part.FirstSeenAt)
			}
			// The commit of an earlier OCI artifact may be one that another region has invented. So the notice is late: it counts only if there was one of
			// this commit before.
			n.Late = !final || rev.Source.Kind == kindOCI
			if k, twice := at[c]; !twice {
				at[c], found = len(found), append(found, n)
			} else if result.WorseThan(found[k].Revision.Results[c.region]) {
				found[k] = n
			}
		}
	}
	return found
}

// formerResult returns the result of a commit whose source has moved on to the commit by, and whether the result is final. by is nil if the source was
// deleted, has no commit or follows something else now. A commit passes when a later one does, as with the command wait.
func formerResult(part *revision.Region, by *commit, results map[commit]notice.Result) (r notice.Result, final bool) {
	switch {
	case part.State == revision.Done:
		return notice.Result{Result: insight.Passed}, true
	case part.Was == revision.Failed:
		return notice.Result{Result: insight.Failed, Sentence: "It had failed when its source moved on to another commit."}, true
	case by == nil:
		return notice.Result{Result: notice.Unknown, Sentence: "Its source was deleted or changed before it was applied."}, true
	}
	r = results[*by]
	r.Result, r.OvertakenBy = cmp.Or(r.Result, insight.Pending), by.hash
	return r, r.Result == insight.Passed
}

func noticeOf(flowID string, c commit, result notice.Result) notice.Notice {
	n := notice.Notice{Key: "revision/" + flowID + "/" + c.url + "@" + c.hash, Kind: notice.KindRevision, Severity: notice.Info, Flows: []string{flowID}, Regions: []string{c.region},
		Label: c.hash[:12], Sentence: result.Sentence, Revision: &notice.Revision{Source: c.url, Commit: c.hash, Results: map[string]notice.Result{c.region: result}}}
	if result.Result == insight.Failed {
		n.Severity = notice.Critical
	}
	return n
}

// missing returns the notices in before whose key and region have none in now.
func missing(before, now []notice.Notice) (gone []notice.Notice) {
	type id struct{ key, region string }
	present := make(map[id]bool, len(now))
	for i := range now {
		present[id{now[i].Key, now[i].Regions[0]}] = true
	}
	for i := range before {
		if !present[id{before[i].Key, before[i].Regions[0]}] {
			gone = append(gone, before[i])
		}
	}
	return gone
}

const kindGit, kindOCI = "GitRepository", "OCIRepository"

// sourceOf reads a node. The commit of an OCI artifact is the one from which it was made, as its region reports it.
func sourceOf(n *flow.Node) (s source, ok bool) {
	var identity revision.Source
	var origin string
	flow.EachField(n.Meta, func(key, value string) {
		switch key {
		case "kind":
			identity.Kind = flow.Text(value)
		case "url":
			identity.URL = flow.Text(value)
		case "ref":
			identity.Ref = flow.Text(value)
		case "revision":
			s.revision = flow.Text(value)
		case "originRevision":
			origin = flow.Text(value)
		}
	})
	if identity.Kind == kindGit {
		origin = s.revision
	}
	s.region, s.url, s.follows = n.Region, identity.URL, identity.Follows()
	if digest := revision.ReadName(origin).Digest; (len(digest) == 40 || len(digest) == 64) && revision.IsDigest(digest) {
		s.hash = digest
	}
	return s, (identity.Kind == kindGit || identity.Kind == kindOCI) && s.region != "" && s.url != ""
}
