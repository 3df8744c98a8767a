package gate

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

// rule records a ruling on an object, unless that only repeats plain, the outcome of package insight.
func (d *decision) rule(id string, plain Outcome) {
	f, r := d.state.facts[id], ruling{outcome: plain}
	switch _, stale := d.stale[f.node.Region]; {
	case stale:
		r = ruling{outcome: Open, why: "Region " + f.node.Region + " is stale: its emitter does not renew its claim, so this is an old state."}
	case d.view.State(id) == insight.Broken && f.newestUnobserved() && !d.marked(f) && len(d.view.HeldBy(id)) == 0 && d.recent(change{id, f.Generation}):
		r = ruling{outcome: Open, why: f.node.Label + " failed before its newest change, which its controller has not looked at yet."}
	case d.required[id]:
		r = d.ruleSource(id, plain)
	case f.Kind == kindKustomization && d.required[f.sourceID]:
		r = d.ruleKustomization(f, plain)
	case f.Kind == kindRelease:
		r = d.ruleRelease(f, plain)
	}
	if r != (ruling{outcome: plain}) {
		d.outcomes[id] = r
	}
}

// recent reports whether a change was first seen so recently that its controller may still observe it. It records when it was first seen.
func (d *decision) recent(c change) bool {
	if d.changes[c] == 0 {
		d.changes[c] = d.at
	}
	return d.at-d.changes[c] <= maxObserve
}

// has reports whether a source has the revision.
func (d *decision) has(source string) bool {
	revision, origin := d.current(source)
	return d.counts(source, revision, origin)
}

// ruleSource decides on a required source.
func (d *decision) ruleSource(id string, plain Outcome) ruling {
	f := d.state.facts[id]
	switch {
	case d.has(id):
		return ruling{outcome: plain}
	case d.sources[id].first != 0 && f.Revision != "":
		return ruling{outcome: Failed, final: true, why: f.node.Label + " had the revision, and went back to " + f.Revision + ", which is not known to have it."}
	case f.suspended:
		return ruling{outcome: Failed, final: true, why: f.node.Label + " is suspended, and does not fetch the revision."}
	case plain == Failed:
		return ruling{outcome: plain}
	}
	return ruling{outcome: Open, why: f.node.Label + " has not fetched the revision yet."}
}

// awaited decides on an object that can't have the revision because its source does not.
func (d *decision) awaited(source string) ruling {
	if d.view.State(source) == "" {
		return ruling{outcome: Open, why: "Its source has not fetched the revision yet."}
	}
	plain := Open
	if d.view.State(source) == insight.Broken {
		plain = Failed
	}
	r := d.ruleSource(source, plain)
	if r.why == "" {
		r.why = "Its source " + d.state.facts[source].node.Label + " can't be fetched."
	}
	return r
}

// ruleKustomization decides on a Kustomization that has to apply the revision.
func (d *decision) ruleKustomization(f *facts, plain Outcome) ruling {
	source, state := f.sourceID, d.view.State(f.node.ID)
	if !d.has(source) {
		return d.awaited(source)
	}
	current, _ := d.current(source)
	tried, origin := cmp.Or(f.Attempted, f.Revision), ""
	if tried == f.Revision {
		origin = f.Origin
	}
	applied, attempted := d.counts(source, f.Revision, f.Origin), d.counts(source, tried, origin)
	switch {
	case applied && attempted:
		// If the source already has another revision, the Kustomization is done, unless its failure or its work is about the applied one.
		if f.Revision != current && (tried != f.Revision || f.Ready == "True" || state == insight.Waiting) {
			return ruling{outcome: Done}
		}
		return ruling{outcome: plain}
	case f.suspended:
		return ruling{outcome: Failed, final: true, why: f.node.Label + " is suspended at " + cmp.Or(f.Revision, "no revision") + "."}
	case attempted:
		return ruling{outcome: notDone(plain)}
	case state == insight.Waiting && !d.marked(f):
		return ruling{outcome: plain} // others block it
	case state == insight.Broken && d.marked(f), plain == Failed && d.at-d.sources[source].first > maxObserve:
		return ruling{outcome: plain}
	}
	return ruling{outcome: Open, why: f.node.Label + " has not tried the revision yet; it has applied " + cmp.Or(f.Revision, "none") + "."}
}

// marked reports whether the object's judgement is about a change that it has not picked up.
func (d *decision) marked(f *facts) bool {
	marks := d.view.Marks(f.node.ID)
	return slices.Contains(marks, insight.MarkOldRevision) || slices.Contains(marks, insight.MarkNotObserved)
}

func notDone(o Outcome) Outcome {
	if o == Done {
		return Open
	}
	return o
}

// ruleRelease decides on a release that has to reach a version, or a chart built from the revision.
func (d *decision) ruleRelease(f *facts, plain Outcome) ruling {
	if version := d.version(f); version != "" {
		return d.ruleVersion(f, version, plain)
	}
	if !d.required[f.sourceID] {
		return ruling{outcome: plain}
	}
	switch {
	case !d.has(f.sourceID):
		return d.awaited(f.sourceID)
	case f.ChartFrom == "" || d.counts(f.sourceID, f.ChartFrom, ""):
		return ruling{outcome: plain}
	case plain == Failed && d.at-d.sources[f.sourceID].first > maxObserve:
		return ruling{outcome: plain}
	}
	return ruling{outcome: Open, why: "The chart of " + f.node.Label + " is still from " + f.ChartFrom + "."}
}

// version returns the chart version that the question asks of a release, empty if none.
func (d *decision) version(f *facts) string {
	for _, r := range d.ask.Releases {
		if f.is(kindRelease, r.Name) {
			if d.ask.Revision != "" && d.byVersion() {
				return d.want.Ref
			}
			return r.Version
		}
	}
	return ""
}

func (d *decision) ruleVersion(f *facts, version string, plain Outcome) ruling {
	switch {
	case sameVersion(f.versionApplied, version):
		return ruling{outcome: plain}
	case plain == Failed && (sameVersion(f.Revision, version) || sameVersion(f.wanted, version)):
		return ruling{outcome: plain}
	case f.suspended:
		return ruling{outcome: Failed, final: true, why: f.node.Label + " is suspended at " + cmp.Or(f.versionApplied, "no version") + "."}
	case plain == Open:
		return ruling{outcome: plain}
	}
	return ruling{outcome: Open, why: f.node.Label + " runs " + cmp.Or(f.versionApplied, "no version") + ", not " + version + " yet."}
}

// followRoots makes an object without a ruling open if one of its root causes is open.
func (d *decision) followRoots(ids []string) {
	open := func(id string) bool {
		if r, ruled := d.outcomes[id]; ruled {
			return r.outcome == Open
		}
		return d.view.Open(id)
	}
	for _, id := range ids {
		if _, ruled := d.outcomes[id]; ruled {
			continue
		}
		for _, root := range d.view.Roots(id) {
			if root != id && open(root) {
				d.outcomes[id] = ruling{outcome: Open}
				break
			}
		}
	}
}

func (d *decision) object(id string, r ruling) Object {
	f := d.state.facts[id]
	o := Object{ID: id, Region: f.node.Region, Kind: f.Kind, Namespace: f.Namespace, Name: f.node.Label, State: d.view.State(id), Marks: d.view.Marks(id),
		Outcome: r.outcome, Revision: f.Revision, StartedAt: f.node.StartedAt, EndedAt: f.node.EndedAt}
	if f.Kind == kindRelease {
		o.Revision = f.versionApplied
	}
	if r.outcome != Done {
		o.Why, o.HeldBy = cmp.Or(r.why, d.view.Sentence(id)), d.view.HeldBy(id)
	}
	return o
}

// describe adds the parts of the answer that are not about one object.
func (d *decision) describe(a *Answer) {
	for _, id := range slices.Sorted(maps.Keys(d.required)) {
		of := d.state.named[id]
		region := strings.TrimSuffix(id, "/"+of.Kind+"/"+of.Namespace+"/"+of.Name) // a region may contain slashes
		revision, _ := d.current(id)
		s := Source{ID: id, Region: region, Revision: revision, Has: d.has(id), ByName: d.byName[id]}
		s.Left = !s.Has && revision != "" && d.sources[id].first != 0
		if f := d.state.facts[id]; f != nil {
			s.Region, s.Interval, s.Command = f.node.Region, f.interval, f.fetch()
			if f.UpdatedAt != 0 {
				s.Since = flow.At(f.UpdatedAt)
			}
		}
		a.Sources = append(a.Sources, s)
	}
	for _, region := range slices.Sorted(maps.Keys(d.stale)) {
		shown := d.hidden() && (d.ask.Region == "" || d.ask.Region == region)
		for id := range d.scope {
			shown = shown || d.state.facts[id].node.Region == region
		}
		if shown {
			a.Stale = append(a.Stale, Stale{region, d.stale[region]})
		}
	}
	if a.Missing = d.missing; a.Missing == nil {
		a.Missing = []string{}
	}
}

// fetch returns the command that makes a source fetch now, nil if there is none.
func (f *facts) fetch() []string {
	kind := map[string]string{"GitRepository": "git", "OCIRepository": "oci", "Bucket": "bucket"}[f.Kind]
	if kind == "" {
		return nil
	}
	return []string{"flux", "reconcile", "source", kind, f.node.Label, "-n", f.Namespace}
}

// sameVersion compares chart versions. It ignores a leading v, and the part after a plus sign, which helm-controller adds. Empty versions are not equal.
func sameVersion(a, b string) bool {
	a, _, _ = strings.Cut(a, "+")
	b, _, _ = strings.Cut(b, "+")
	return a != "" && strings.TrimPrefix(a, "v") == strings.TrimPrefix(b, "v")
}
