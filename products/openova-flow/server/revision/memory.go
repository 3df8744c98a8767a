package revision

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// Memory is the state of a Tracker that the nodes of its flow do not contain. Resume restores an equal tracker from both, also after the
// Memory was encoded and decoded with encoding/json. Later changes of the tracker do not affect it.
type Memory struct {
	Sources        map[string]SavedSource        `json:"sources"` // by node id; nil: nothing is known
	Kustomizations map[string]SavedKustomization `json:"kustomizations,omitempty"`
	Releases       map[string]SavedRelease       `json:"releases,omitempty"`
	Revisions      []SavedRevision               `json:"revisions,omitempty"` // past revisions first, in the order in which their last source moved on
}

// SavedSource is a source in a Memory. If its URL or reference has changed, it keeps the old ones until it has fetched with the new ones.
type SavedSource struct {
	Source
	Revision string `json:"revision,omitempty"` // id of the revision that it has
}

// SavedKustomization has the times at which a Kustomization began to try its attempted revision, and had applied its applied one.
type SavedKustomization struct {
	AttemptAt int64 `json:"attemptAt,omitempty"`
	AppliedAt int64 `json:"appliedAt,omitempty"`
}

// SavedRelease is the last change of a release.
type SavedRelease struct {
	ChangedAt     int64  `json:"changedAt,omitempty"`
	NewGeneration bool   `json:"newGeneration,omitempty"`
	HasRun        bool   `json:"hasRun,omitempty"`
	Revision      string `json:"revision,omitempty"` // id of the revision that made it
	Source        string `json:"source,omitempty"`   // id of the source that had this revision
}

// SavedRevision is a Revision in a Memory.
type SavedRevision struct {
	Key       string      `json:"key"`
	Revision  string      `json:"revision"`
	Origin    string      `json:"origin,omitempty"`
	Disputed  bool        `json:"disputed,omitempty"` // regions name different origins
	Source    Source      `json:"source"`
	FirstSeen int64       `json:"firstSeen"`
	LeftAt    int64       `json:"leftAt,omitempty"`
	Parts     []SavedPart `json:"parts,omitempty"` // by source
}

// SavedPart is a Region of a Revision in a Memory.
type SavedPart struct {
	Source    string   `json:"source"`
	Region    string   `json:"region,omitempty"`
	FirstSeen int64    `json:"firstSeen"`
	AppliedAt int64    `json:"appliedAt,omitempty"`
	Changes   []Change `json:"changes,omitempty"`
	Ended     *Ended   `json:"ended,omitempty"`
}

// Memory returns the Memory of the tracker.
func (t *Tracker) Memory() Memory {
	m := Memory{Sources: make(map[string]SavedSource), Kustomizations: make(map[string]SavedKustomization), Releases: make(map[string]SavedRelease)}
	for id, s := range t.sources {
		if s.part == nil && !s.node {
			continue
		}
		saved := SavedSource{Source: s.Source}
		if s.part != nil {
			saved.Revision = s.part.of.id
		}
		m.Sources[id] = saved
	}
	for id, k := range t.kusts {
		if saved := (SavedKustomization{k.attemptAt, k.appliedAt}); saved != (SavedKustomization{}) {
			m.Kustomizations[id] = saved
		}
	}
	for id, r := range t.releases {
		saved := SavedRelease{ChangedAt: r.changedAt, NewGeneration: r.newGeneration, HasRun: r.hasRun}
		if saved == r.unsaved() && r.part == nil {
			continue
		}
		if r.part != nil {
			saved.Revision, saved.Source = r.part.of.id, r.part.source
		}
		m.Releases[id] = saved
	}
	for _, r := range t.past {
		m.Revisions = append(m.Revisions, r.saved())
	}
	for _, id := range slices.Sorted(maps.Keys(t.revisions)) {
		if r := t.revisions[id]; r.leftAt == 0 {
			m.Revisions = append(m.Revisions, r.saved())
		}
	}
	return m
}

// unsaved returns the last change of a release as Resume reads it from the node: the last run.
func (r *release) unsaved() SavedRelease {
	return SavedRelease{ChangedAt: r.startedAt, HasRun: r.startedAt != 0}
}

func (r *tracked) saved() SavedRevision {
	s := SavedRevision{Key: r.key, Revision: r.revision, Origin: r.origin, Disputed: r.disputed, Source: r.source, FirstSeen: r.firstSeen, LeftAt: r.leftAt}
	for _, id := range slices.Sorted(maps.Keys(r.parts)) {
		p := r.parts[id]
		s.Parts = append(s.Parts, SavedPart{Source: id, Region: p.region, FirstSeen: p.firstSeen, AppliedAt: p.appliedAt,
			Changes: slices.Clone(p.changes), Ended: p.ended})
	}
	return s
}

// Resume restores the tracker of a flow from its nodes g and the memory m. It ignores sources, Kustomizations and releases of m that g neither has nor names;
// a revision that only such sources had becomes a past one. If m is zero, because an earlier version wrote none, the tracker observes the nodes for the first
// time, at the time at.
func Resume(m Memory, g interface{ EachNode(f func(flow.Node) bool) }, at int64) *Tracker {
	t := NewTracker()
	var nodes []flow.Node
	g.EachNode(func(n flow.Node) bool { nodes = append(nodes, n); return true })
	slices.SortFunc(nodes, func(a, b flow.Node) int { return cmp.Compare(a.ID, b.ID) })
	if m.Sources == nil {
		t.Observe(at, nodes, nil)
		return t
	}
	for i := range nodes {
		t.resumeNode(&nodes[i], m)
	}
	for _, saved := range m.Revisions {
		t.resumeRevision(saved, m)
	}
	for id, saved := range m.Releases {
		if r := t.releases[id]; r != nil {
			r.changedAt, r.newGeneration, r.hasRun = saved.ChangedAt, saved.NewGeneration, saved.HasRun
			if of := t.revisions[saved.Revision]; of != nil {
				r.part = of.parts[saved.Source]
			}
		}
	}
	return t
}

// resumeRevision restores a revision. m.Sources decides which sources have it; in all others it has ended.
func (t *Tracker) resumeRevision(saved SavedRevision, m Memory) {
	r := &tracked{id: idOf(saved.Key, saved.Revision), key: saved.Key, revision: saved.Revision, origin: saved.Origin, disputed: saved.Disputed, source: saved.Source,
		firstSeen: saved.FirstSeen, parts: make(map[string]*part, len(saved.Parts))}
	if t.revisions[r.id] != nil {
		return
	}
	for _, sp := range saved.Parts {
		p := &part{of: r, source: sp.Source, region: sp.Region, firstSeen: sp.FirstSeen, appliedAt: sp.AppliedAt,
			changes: slices.Clone(sp.Changes), ended: sp.Ended}
		r.parts[sp.Source] = p
		s := t.sources[sp.Source]
		switch {
		case p.ended != nil:
		case s != nil && m.Sources[s.id].Revision == r.id:
			s.part, s.Source = p, m.Sources[s.id].Source
			r.having++
		default:
			p.ended = &Ended{State: Fetched, MovedOnAt: p.firstSeen}
		}
	}
	t.revisions[r.id] = r
	t.grow(r, r.size())
	if r.having == 0 {
		t.addPast(r, saved.LeftAt)
	}
}

func (t *Tracker) resumeNode(n *flow.Node, m Memory) {
	f := ReadFacts(n)
	switch {
	case sourceKinds[f.Kind]:
		s := t.sourceAt(n.ID, n.Region)
		s.node, s.Source = true, m.Sources[n.ID].Source.cloned(Source{})
		s.key = s.identity()
	case f.Kind == kindKustomization:
		k := t.kustomizationAt(n.ID)
		k.node = true
		t.linkKustomization(k, n.Region, &f, 0)
		k.take(n, &f)
		saved := m.Kustomizations[n.ID]
		k.attemptAt, k.appliedAt = saved.AttemptAt, saved.AppliedAt
	case f.Kind == kindRelease && f.matters(n.Region):
		r := &release{id: strings.Clone(n.ID)}
		t.releases[r.id] = r
		t.linkRelease(r, n.Region, &f)
		r.take(n, &f)
		d := r.unsaved()
		r.changedAt, r.hasRun = d.ChangedAt, d.HasRun
	}
}
