package revision

import (
	"cmp"
	"maps"
	"slices"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

// State is how far a revision is in a region.
type State string

// The states.
const (
	Fetched    State = "fetched"     // no Kustomization has tried it; if none uses the source: it has changed no release, and no chart was built from it
	Applying   State = "applying"    // some Kustomization has not applied it
	RollingOut State = "rolling-out" // all have applied it, but one of them or a changed release is not ready, or a chart is from another revision
	Done       State = "done"
	Failed     State = "failed"    // a Kustomization that tried it, or a release that it changed, is broken
	Overtaken  State = "overtaken" // before it was done, the source moved on to another revision or was deleted
)

// Limits of the ids that a Region lists.
const (
	listKustomizations = 20
	listReleases       = 100
	listRootCauses     = 10
)

// Revision is a revision of equal sources, in all regions that follow them.
type Revision struct {
	ID             string   `json:"id"`
	Source         Source   `json:"source"` // of the region that reported it first
	Revision       string   `json:"revision"`
	Commit         string   `json:"commit,omitempty"`         // in full; of an OCI artifact, the commit in its OriginRevision
	OriginRevision string   `json:"originRevision,omitempty"` // of an OCI artifact: what it was built from, by its own annotation
	CommitURL      string   `json:"commitUrl,omitempty"`
	FirstSeenAt    int64    `json:"firstSeenAt"`
	SupersededBy   string   `json:"supersededBy,omitempty"` // id of the next revision, once every region has moved on
	Rollouts       []string `json:"rollouts,omitempty"`     // ids of the rollouts that it caused, newest first
	Regions        []Region `json:"regions"`                // that have seen it, sorted by region and source
}

// Region is a Revision in one source of a region. When the source moves on, the counts stay as they are.
type Region struct {
	Region         string    `json:"region"`
	SourceID       string    `json:"sourceId"`
	State          State     `json:"state"`
	Was            State     `json:"was,omitempty"` // how far it was when it was overtaken
	FirstSeenAt    int64     `json:"firstSeenAt"`
	AppliedAt      flow.Time `json:"appliedAt,omitzero"`       // when the last Kustomization had applied it; absent while one has not
	EndedAt        flow.Time `json:"endedAt,omitzero"`         // since when it is done, failed or overtaken
	Applied        int       `json:"applied"`                  // Kustomizations of the source that have applied it
	Of             int       `json:"of"`                       // Kustomizations of the source
	Kustomizations []string  `json:"kustomizations,omitempty"` // the first that have not applied it
	Changed        int       `json:"changed"`                  // releases that it changed, without deleted ones; of them:
	Ready          int       `json:"ready"`
	Failed         int       `json:"failed"`
	Releases       []string  `json:"releases,omitempty"` // the first that it changed, also those that were deleted since
	RootCauses     []string  `json:"rootCauses,omitempty"`
	OvertakenBy    string    `json:"overtakenBy,omitempty"`
	Stale          bool      `json:"stale,omitempty"` // the region is stale, so this may be an old state

	inputs *inputs // what Judge needs; nil: State is set
}

// Ended is how far a revision was when its source moved on.
type Ended struct {
	State          State    `json:"state"`
	At             int64    `json:"at,omitempty"` // since when it was done
	MovedOnAt      int64    `json:"movedOnAt"`
	Next           string   `json:"next,omitempty"` // id of the revision that followed; none if the source was deleted
	Applied        int      `json:"applied"`
	Of             int      `json:"of"`
	Kustomizations []string `json:"kustomizations,omitempty"`
	Changed        int      `json:"changed"`
	Ready          int      `json:"ready"`
	Failed         int      `json:"failed"`
}

// inputs has the objects that a part's state depends on.
type inputs struct {
	kusts     []string // all Kustomizations of the source
	tried     []string // those whose last attempted or applied revision it is
	pending   []string // those that have not applied it
	releases  []string // that it changed and that still exist
	endedAt   int64    // when the last run of these releases ended
	lagging   bool     // a chart was built from another revision
	chartDone bool     // a chart was built from this revision
}

func (s *source) inputs(t *Tracker, p *part) *inputs {
	in := &inputs{kusts: slices.Sorted(maps.Keys(s.kusts))}
	for _, id := range in.kusts {
		k := s.kusts[id]
		if k.applied != p.of.revision {
			in.pending = append(in.pending, id)
		}
		if k.applied == p.of.revision || k.attempted == p.of.revision {
			in.tried = append(in.tried, id)
		}
	}
	for _, c := range p.changes {
		if r := t.releases[c.ID]; r != nil {
			in.releases = append(in.releases, r.id)
			in.endedAt = max(in.endedAt, r.endedAt)
		}
	}
	for _, r := range s.charts {
		in.lagging = in.lagging || r.chartFrom != "" && r.chartFrom != p.of.revision
		in.chartDone = in.chartDone || r.chartFrom == p.of.revision
	}
	return in
}

// judge returns the state of a part, and how many of its releases are ready and broken.
func (in *inputs) judge(ready, broken func(id string) bool) (state State, good, bad int) {
	applied, allReady, anyBroken := len(in.kusts)-len(in.pending), true, false
	for _, id := range in.tried {
		allReady = allReady && ready(id)
		anyBroken = anyBroken || broken(id)
	}
	for _, id := range in.releases {
		switch {
		case broken(id):
			bad++
		case ready(id):
			good++
		}
	}
	switch {
	case anyBroken || bad > 0:
		state = Failed
	case len(in.kusts) > 0 && len(in.tried) == 0, len(in.kusts) == 0 && len(in.releases) == 0 && !in.chartDone:
		state = Fetched
	case applied < len(in.kusts):
		state = Applying
	case !allReady, good < len(in.releases), in.lagging:
		state = RollingOut
	default:
		state = Done
	}
	return state, good, bad
}

// outcome returns the state of a part, derived from the status of its objects.
func (s *source) outcome(t *Tracker, p *part) *Ended {
	in := s.inputs(t, p)
	status := func(ofKustomization func(*kustomization) bool, ofRelease func(*release) bool) func(id string) bool {
		return func(id string) bool {
			if k := s.kusts[id]; k != nil {
				return ofKustomization(k)
			}
			return ofRelease(t.releases[id])
		}
	}
	// A Kustomization may report its attempt at the next revision before the source reports that revision.
	tries := func(k *kustomization) bool { return k.attempted == p.of.revision }
	ready := status(func(k *kustomization) bool { return k.ready || !tries(k) }, func(r *release) bool { return r.ready })
	broken := status(func(k *kustomization) bool { return k.failed && tries(k) }, func(r *release) bool { return r.failed })
	e := &Ended{Applied: len(in.kusts) - len(in.pending), Of: len(in.kusts), Kustomizations: first(in.pending, listKustomizations), Changed: len(in.releases)}
	if e.State, e.Ready, e.Failed = in.judge(ready, broken); e.State == Done {
		e.At = max(p.firstSeen, p.appliedAt, in.endedAt)
	}
	return e
}

func first(ids []string, most int) []string { return slices.Clone(ids[:min(most, len(ids))]) }

// Revisions returns the revisions that match (nil: all), newest first, at most limit. match gets them without Regions. Judge has to complete those that a
// source has. Later changes of the tracker do not affect the result.
func (t *Tracker) Revisions(match func(*Revision) bool, limit int) []Revision {
	all := make([]*tracked, 0, len(t.revisions))
	for _, r := range t.revisions {
		if match == nil {
			all = append(all, r)
		} else if head := r.head(); match(&head) {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *tracked) int {
		return cmp.Or(cmp.Compare(b.firstSeen, a.firstSeen), cmp.Compare(a.id, b.id))
	})
	list := make([]Revision, 0, min(limit, len(all)))
	for _, r := range all[:min(limit, len(all))] {
		one := r.head()
		one.Regions = make([]Region, 0, len(r.parts))
		for _, p := range r.parts {
			one.Regions = append(one.Regions, t.region(p))
		}
		slices.SortFunc(one.Regions, func(a, b Region) int {
			return cmp.Or(cmp.Compare(a.Region, b.Region), cmp.Compare(a.SourceID, b.SourceID))
		})
		if r.having == 0 {
			one.SupersededBy = r.next()
		}
		list = append(list, one)
	}
	return list
}

// Unapplied returns the regions in which a Kustomization has not applied its source's revision, and when the source fetched that. With several such sources
// in a region, the earliest time counts.
func (t *Tracker) Unapplied() map[string]int64 {
	since := make(map[string]int64)
	for _, s := range t.sources {
		if s.part == nil {
			continue
		}
		for _, k := range s.kusts {
			if k.applied != s.part.of.revision {
				if at, ok := since[s.region]; !ok || s.part.firstSeen < at {
					since[s.region] = s.part.firstSeen
				}
				break
			}
		}
	}
	return since
}

// Is reports whether a revision is the one asked for, or is made from it.
func (r *Revision) Is(want Name) bool {
	return want.Is(ReadName(r.Revision), r.Source.ByRef()) || r.OriginRevision != "" && want.Is(ReadName(r.OriginRevision), false)
}

// head returns the revision without its regions.
func (r *tracked) head() Revision {
	one := Revision{ID: r.id, Source: r.source, Revision: r.revision, FirstSeenAt: r.firstSeen}
	switch {
	case r.source.Kind == kindGit:
		one.Commit = commitOf(r.revision)
	case !r.disputed: // one of the regions may have invented its origin
		one.OriginRevision, one.Commit = r.origin, commitOf(r.origin)
	}
	return one
}

// next returns the id of the revision to which the last source moved on; empty if the sources were deleted.
func (r *tracked) next() (id string) {
	at := int64(0)
	for _, name := range slices.Sorted(maps.Keys(r.parts)) {
		if e := r.parts[name].ended; e.Next != "" && e.MovedOnAt >= at {
			id, at = e.Next, e.MovedOnAt
		}
	}
	return id
}

func (t *Tracker) region(p *part) Region {
	g := Region{Region: p.region, SourceID: p.source, FirstSeenAt: p.firstSeen}
	for _, c := range p.changes[:min(listReleases, len(p.changes))] {
		g.Releases = append(g.Releases, c.ID)
	}
	if e := p.ended; e != nil {
		g.State, g.EndedAt = Done, flow.At(e.At)
		if e.State != Done {
			g.State, g.Was, g.EndedAt, g.OvertakenBy = Overtaken, e.State, flow.At(e.MovedOnAt), e.Next
		}
		g.Applied, g.Of, g.Kustomizations, g.Changed, g.Ready, g.Failed = e.Applied, e.Of, e.Kustomizations, e.Changed, e.Ready, e.Failed
	} else {
		in := t.sources[p.source].inputs(t, p)
		g.inputs, g.Applied, g.Of, g.Kustomizations = in, len(in.kusts)-len(in.pending), len(in.kusts), first(in.pending, listKustomizations)
		g.EndedAt = flow.At(max(p.firstSeen, p.appliedAt, in.endedAt)) // Judge keeps this only if the state is Done
		g.Changed = len(in.releases)
	}
	if g.Of > 0 && g.Applied == g.Of && p.appliedAt != 0 {
		g.AppliedAt = flow.At(p.appliedAt)
	}
	return g
}

// Judge sets the current states and root causes in a list that Tracker.Revisions has returned. v is the flow at the same time; stale reports whether a region
// is stale.
func Judge(list []Revision, v *insight.View, stale func(region string) bool) {
	problems := make(map[string]bool)
	for _, p := range v.Problems() {
		problems[p.ID] = true
	}
	ready := func(id string) bool { return v.Satisfied(id) && !slices.Contains(v.Marks(id), insight.MarkNotObserved) }
	broken := func(id string) bool { return v.State(id) == insight.Broken }
	for i := range list {
		for j := range list[i].Regions {
			g := &list[i].Regions[j]
			in := g.inputs
			if in == nil {
				continue
			}
			g.Stale = stale(g.Region)
			g.State, g.Ready, g.Failed = in.judge(ready, broken)
			switch g.State {
			case Done:
			case Failed:
				g.EndedAt = in.brokenSince(v)
			default:
				g.EndedAt = flow.Time{}
			}
			if g.State != Done {
				g.RootCauses = in.rootCauses(v, problems)
			}
			g.inputs = nil
		}
	}
}

// brokenSince returns the time of the earliest failure that persists.
func (in *inputs) brokenSince(v *insight.View) (since flow.Time) {
	for _, id := range slices.Concat(in.tried, in.releases) {
		if at := v.Since(id); v.State(id) == insight.Broken && !at.IsZero() && (since.IsZero() || at.Ms() < since.Ms()) {
			since = at
		}
	}
	return since
}

// rootCauses returns the first root causes of the Kustomizations and releases.
func (in *inputs) rootCauses(v *insight.View, problems map[string]bool) []string {
	found := make(map[string]bool)
	for _, id := range slices.Concat(in.kusts, in.releases) {
		for _, root := range v.Roots(id) {
			if problems[root] {
				found[root] = true
			}
		}
	}
	return first(slices.Sorted(maps.Keys(found)), listRootCauses)
}

// Run is a run of a release.
type Run struct {
	Release   string
	StartedAt int64
}

// Runs returns the runs that revisions caused, each with the id of its revision; of several, the lowest id.
func (t *Tracker) Runs() map[Run]string {
	runs := make(map[Run]string)
	for _, r := range t.revisions {
		for _, p := range r.parts {
			for _, c := range p.changes {
				if run := (Run{c.ID, c.StartedAt}); c.StartedAt != 0 && (runs[run] == "" || r.id < runs[run]) {
					runs[run] = r.id
				}
			}
		}
	}
	return runs
}
