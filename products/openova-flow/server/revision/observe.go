package revision

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// sourceAt returns the source with a node id, a new placeholder if there is none.
func (t *Tracker) sourceAt(id, region string) *source {
	s := t.sources[id]
	if s == nil {
		id = strings.Clone(id)
		s = &source{id: id, region: strings.Clone(region), key: id, kusts: make(map[string]*kustomization), charts: make(map[string]*release)}
		t.sources[id] = s
	}
	return s
}

// cloned returns s with equal strings of before, or else with copies: a part of a message would keep the message in memory.
func (s Source) cloned(before Source) Source {
	return Source{flow.Keep(s.Kind, before.Kind), flow.Keep(s.Namespace, before.Namespace), flow.Keep(s.Name, before.Name), flow.Keep(s.URL, before.URL), flow.Keep(s.Ref, before.Ref)}
}

func (t *Tracker) putSource(n *flow.Node, f *Facts, arrival int64) {
	s := t.sourceAt(n.ID, n.Region)
	// The artifact belongs to the old URL and reference until the controller has fetched with the new ones.
	if !s.node || f.Ready == "True" && f.Observed >= f.Generation {
		s.Source = f.Self(n).cloned(s.Source)
		s.key = s.identity()
	}
	s.node = true
	if f.Revision == "" || s.part != nil && s.part.of.revision == f.Revision && s.part.of.key == s.key {
		return
	}
	t.setRevision(s, strings.Clone(f.Revision), f.Origin, f.UpdatedAt, arrival)
}

// identity returns a text that is equal for equal sources: Follows or, without a URL, the id.
func (s *source) identity() string { return cmp.Or(s.Follows(), s.id) }

func (t *Tracker) putKustomization(n *flow.Node, f *Facts, arrival int64) {
	k := t.kustomizationAt(n.ID)
	k.node = true
	s := t.linkKustomization(k, n.Region, f, arrival)
	was := *k
	k.take(n, f)
	tries, applies := k.attempted != was.attempted, k.applied != was.applied
	if tries {
		k.attemptAt = arrival
		switch {
		case k.startedAt > was.startedAt:
			k.attemptAt = k.startedAt
		case was.attempted == "" && k.endedAt != 0:
			k.attemptAt = k.endedAt
		}
	}
	if applies {
		k.appliedAt = arrival
		if k.ready && k.applied == k.attempted && k.endedAt >= k.attemptAt-slack {
			k.appliedAt = k.endedAt
		}
	}
	if s == nil {
		return
	}
	if tries && !s.node && k.attempted != "" && (s.part == nil || s.part.of.revision != k.attempted) { // a source without a node has the attempted revision
		s.Source = f.Source.cloned(s.Source)
		t.setRevision(s, k.attempted, "", k.attemptAt, arrival)
	}
	if tries || applies {
		for _, revision := range slices.Compact([]string{k.attempted, k.applied}) {
			if p := t.partOf(s, revision); p != nil {
				t.follow(k, p)
			}
		}
	}
}

func (k *kustomization) take(n *flow.Node, f *Facts) {
	k.ready, k.failed = n.Status == flow.StatusSucceeded, n.Status == flow.StatusFailed
	k.startedAt, k.endedAt = n.StartedAt.Ms(), n.EndedAt.Ms()
	k.attempted, k.applied = flow.Keep(cmp.Or(f.Attempted, f.Revision), k.attempted), flow.Keep(f.Revision, k.applied)
}

// linkKustomization links a Kustomization to its source and returns the source, nil if there is none.
func (t *Tracker) linkKustomization(k *kustomization, region string, f *Facts, arrival int64) *source {
	var s *source
	if id := f.SourceID(region); id != "" {
		s = t.sourceAt(id, region)
	}
	if k.source != s {
		t.unsetSource(k, arrival)
		if k.source = s; s != nil {
			s.kusts[k.id] = k
		}
	}
	return s
}

// follow records what a Kustomization has done with a revision of its source: whether it has applied it, and which releases the revision changed.
func (t *Tracker) follow(k *kustomization, p *part) {
	if k.applied == p.of.revision && p.ended == nil {
		p.appliedAt = max(p.appliedAt, k.appliedAt, p.firstSeen)
	}
	if k.attempted != p.of.revision {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(k.releases)) {
		if r := k.releases[id]; r.part != p && r.byKustomization(p) {
			t.removeChange(r)
			t.change(p, r)
		}
	}
}

// kustomizationAt returns the Kustomization with a node id, a new placeholder if there is none.
func (t *Tracker) kustomizationAt(id string) *kustomization {
	k := t.kusts[id]
	if k == nil {
		id = strings.Clone(id)
		k = &kustomization{id: id, releases: make(map[string]*release)}
		t.kusts[id] = k
	}
	return k
}

func (t *Tracker) putRelease(n *flow.Node, f *Facts, arrival int64) {
	if !f.matters(n.Region) {
		t.forget(n.ID, arrival, "")
		return
	}
	r := t.releases[n.ID]
	first := r == nil
	if first {
		r = &release{id: strings.Clone(n.ID)}
		t.releases[r.id] = r
	}
	t.linkRelease(r, n.Region, f)
	was := *r
	r.take(n, f)
	observed, newRun := f.Observed >= f.Generation, r.startedAt > was.startedAt
	switch {
	case r.generation > was.generation && !first:
		r.newGeneration, r.hasRun, r.changedAt = true, newRun && observed, cmp.Or(f.ChangedSince, arrival)
		if r.hasRun {
			r.changedAt = r.startedAt
		}
	case first && r.startedAt == 0 && !r.ready && !r.failed: // it has not run yet
		r.newGeneration, r.changedAt = true, cmp.Or(f.ChangedSince, arrival)
	case newRun && r.newGeneration && !r.hasRun && !observed: // it is still of the generation before
		return
	case newRun && r.newGeneration && !r.hasRun: // it belongs to the last change
		r.hasRun = true
		if r.part != nil {
			if i, found := find(r.part.changes, r.id); found {
				r.part.changes[i].StartedAt = r.startedAt
			}
		}
		return
	case newRun:
		r.newGeneration, r.hasRun, r.changedAt = false, true, r.startedAt
	default:
		return
	}
	r.part = nil
	t.attribute(r)
}

// matters reports whether a revision can change the release.
func (f *Facts) matters(region string) bool {
	return f.applier(region) != "" || f.SourceID(region) != ""
}

func (r *release) take(n *flow.Node, f *Facts) {
	r.ready, r.failed = n.Status == flow.StatusSucceeded && f.Observed >= f.Generation, n.Status == flow.StatusFailed
	r.startedAt, r.endedAt, r.generation, r.chartFrom = n.StartedAt.Ms(), n.EndedAt.Ms(), f.Generation, flow.Keep(f.ChartFrom, r.chartFrom)
}

// linkRelease links a release to the Kustomization that applies it and to the source of its chart.
func (t *Tracker) linkRelease(r *release, region string, f *Facts) {
	chart, applier := f.SourceID(region), f.applier(region)
	if r.applier == nil || r.applier.id != applier {
		t.unsetApplier(r)
		if applier != "" {
			r.applier = t.kustomizationAt(applier)
			r.applier.releases[r.id] = r
		}
	}
	if r.chart == nil || r.chart.id != chart {
		t.unsetChart(r)
		if chart != "" {
			r.chart = t.sourceAt(chart, region)
			r.chart.charts[r.id] = r
		}
	}
}

// attribute finds the revision that made the last change of a release, and records it. It does nothing if one is recorded.
func (t *Tracker) attribute(r *release) {
	if r.part != nil {
		return
	}
	var by, from *part
	if k := r.applier; k != nil {
		by = t.partOf(k.source, k.attempted)
	}
	if by != nil && !r.byKustomization(by) {
		by = nil
	}
	if r.chart != nil && r.chart.part != nil && r.byChart(r.chart.part) {
		from = r.chart.part
	}
	switch {
	case by != nil && (from == nil || by.firstSeen >= from.firstSeen):
		t.change(by, r)
	case from != nil:
		t.change(from, r)
	}
}

// byKustomization reports whether p, which the release's Kustomization tries, may have made the last change of the release.
func (r *release) byKustomization(p *part) bool {
	k := r.applier
	return r.changedAt >= max(k.attemptAt, p.firstSeen)-slack && (k.applied != p.of.revision || r.changedAt <= k.appliedAt+afterApplied)
}

// byChart reports whether p, of the source of the release's chart, may have made the last change of the release.
func (r *release) byChart(p *part) bool {
	return !r.newGeneration && (r.chartFrom == "" || r.chartFrom == p.of.revision) && r.changedAt >= p.firstSeen-slack && r.changedAt <= p.firstSeen+afterChart
}

// forget drops what is known of a node, except as kind but: a node may have changed its kind. If but is empty, it drops everything.
func (t *Tracker) forget(id string, arrival int64, but string) {
	if r := t.releases[id]; r != nil && but != kindRelease {
		t.unsetApplier(r)
		t.unsetChart(r)
		delete(t.releases, id)
	}
	if k := t.kusts[id]; k != nil && but != kindKustomization {
		t.unsetSource(k, arrival)
		*k = kustomization{id: k.id, releases: k.releases}
		t.tidyKustomization(k)
	}
	if s := t.sources[id]; s != nil && s.node && but != kindSource {
		t.leaveRevision(s, "", arrival)
		s.node, s.key = false, s.id
		t.tidySource(s)
	}
}

func (t *Tracker) unsetApplier(r *release) {
	if k := r.applier; k != nil {
		delete(k.releases, r.id)
		r.applier = nil
		t.tidyKustomization(k)
	}
}

func (t *Tracker) unsetChart(r *release) {
	if s := r.chart; s != nil {
		delete(s.charts, r.id)
		r.chart = nil
		t.tidySource(s)
	}
}

func (t *Tracker) unsetSource(k *kustomization, arrival int64) {
	if s := k.source; s != nil {
		if !s.node && len(s.kusts) == 1 { // no Kustomization tries its revision any more
			t.leaveRevision(s, "", arrival) // while the outcome still includes k
		}
		delete(s.kusts, k.id)
		k.source = nil
		t.tidySource(s)
	}
}

// tidyKustomization drops a Kustomization that has no node and that no release names.
func (t *Tracker) tidyKustomization(k *kustomization) {
	if !k.node && len(k.releases) == 0 {
		delete(t.kusts, k.id)
	}
}

// tidySource drops a source that has no node and that neither a Kustomization nor a release names.
func (t *Tracker) tidySource(s *source) {
	if !s.node && len(s.kusts) == 0 && len(s.charts) == 0 {
		delete(t.sources, s.id)
	}
}
