// Package revision follows the revisions of a flow's sources: when each region's source fetched one, what the Kustomizations of the source did with it,
// and which releases it changed.
//
// Two sources are equal if they have the same kind, address and reference. So a commit that five regions fetch is one Revision with five regions. A
// source without a URL equals no other.
//
//   - A source has a revision while its artifact is of that revision. When the artifact changes, the old revision is overtaken unless it was done.
//   - A source that returns to a revision starts it anew. If no source had the revision any more, the whole Revision starts anew: it keeps its id and
//     drops its earlier regions.
//   - A Kustomization has applied a revision if that is its last applied revision.
//   - A revision has changed a release in two cases. Either the Kustomization that applies the release tried the revision last, and the release's new
//     generation or run began after that attempt, at most afterApplied after the Kustomization had applied the revision. Or the release's chart comes from
//     the source, and a run of the same generation began at most afterChart after the source had the revision.
//   - The state of a revision that a source has is judged on request (package insight). When the source moves on, the state is derived from the status
//     of the objects and stored.
//
// It reads no clock. Times are Unix milliseconds: those of the objects if they have them, else of the arrival of messages.
package revision

import (
	"cmp"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

const (
	// Keep is how many past revisions of a flow are kept: those that no source has any more. Revisions that a source has are always kept.
	Keep = 1000
	// keepBytes limits the memory of past revisions.
	keepBytes = 12 << 20
	// keepRegions limits the sources of one revision, keepChanges the changed releases of each of them.
	keepRegions, keepChanges = 1000, 1000

	// afterApplied, in milliseconds, is the longest time from a Kustomization's success to the beginning of a change of a release. A release changes late if it
	// depends on others, or if its values are in a ConfigMap: that does not change its generation.
	afterApplied = 15 * 60_000
	// afterChart, in milliseconds, is the longest time from a source's new revision to the run of a release with a chart from it: HelmCharts are built at
	// intervals.
	afterChart = 60 * 60_000
	// slack, in milliseconds, is the tolerance for comparing times: clocks differ, and a message arrives after its event.
	slack = 2000
)

// Tracker follows one flow. Its zero value is not usable; use NewTracker or Resume. It may be read by several goroutines while none changes it.
type Tracker struct {
	sources  map[string]*source
	kusts    map[string]*kustomization
	releases map[string]*release

	revisions map[string]*tracked // by id
	past      []*tracked          // past revisions, in the order in which their last source moved on
	bytes     int64               // of revisions
	pastBytes int64               // of past
}

// source is a source, or a placeholder for one that a Kustomization or release names and that has no node.
type source struct {
	Source
	id, region string
	node       bool   // false: a placeholder
	key        string // see identity
	part       *part  // of the revision that it has
	kusts      map[string]*kustomization
	charts     map[string]*release // with a chart from it
}

// kustomization is a Kustomization, or a placeholder for one that a release names and that has no node.
type kustomization struct {
	id                   string
	node                 bool // false: a placeholder
	source               *source
	attempted, applied   string
	startedAt, endedAt   int64 // of its run
	attemptAt, appliedAt int64 // when it began to try attempted, and when it had applied applied
	ready, failed        bool
	releases             map[string]*release // that it applies
}

// release is a release that a Kustomization applies, or that has a chart from a source.
type release struct {
	id                    string
	applier               *kustomization
	chart                 *source
	chartFrom             string // the revision that its chart was built from; empty: unknown
	generation            int64
	startedAt, endedAt    int64
	changedAt             int64 // of its last change: when its newest generation or run began
	newGeneration, hasRun bool  // the last change is a new generation; a run has begun since
	ready, failed         bool
	part                  *part // of the revision that made the last change
}

// tracked is a revision.
type tracked struct {
	id, key, revision, origin string
	source                    Source
	disputed                  bool // regions name different origins of it
	firstSeen                 int64
	leftAt                    int64            // when the last source moved on; 0: a source has it
	parts                     map[string]*part // by source id
	having                    int              // number of sources that have it
	bytes                     int64
}

// part is a revision in one source.
type part struct {
	of             *tracked
	source, region string // id of the source, and its region
	firstSeen      int64
	appliedAt      int64 // when the last Kustomization had applied it
	changes        []Change
	ended          *Ended // nil while the source has it
}

// Change is a release that a revision has changed.
type Change struct {
	ID        string `json:"id"`
	At        int64  `json:"at"`
	StartedAt int64  `json:"startedAt,omitempty"` // of its run; 0: none has begun
}

// NewTracker returns a tracker of a flow that has no nodes yet.
func NewTracker() *Tracker {
	return &Tracker{sources: make(map[string]*source), kusts: make(map[string]*kustomization), releases: make(map[string]*release), revisions: make(map[string]*tracked)}
}

// Observe takes the nodes that a request has put and the ids that it has deleted, after they were folded. arrival is when the request arrived.
func (t *Tracker) Observe(arrival int64, put []flow.Node, deleted []string) {
	t.forgetAll(deleted, arrival)
	if len(put) == 1 {
		f := ReadFacts(&put[0])
		t.put(&put[0], &f, arrival, true)
		return
	}
	// Sources first, then Kustomizations, then releases: a request may contain both a change and its cause.
	var rest []int
	var read []Facts
	for i := range put {
		f := ReadFacts(&put[i])
		if !t.put(&put[i], &f, arrival, false) {
			rest, read = append(rest, i), append(read, f)
		}
	}
	for i, at := range rest {
		if read[i].Kind == kindKustomization {
			t.put(&put[at], &read[i], arrival, true)
		}
	}
	for i, at := range rest {
		if read[i].Kind == kindRelease {
			t.put(&put[at], &read[i], arrival, true)
		}
	}
}

// forgetAll drops nodes; the order of ids does not matter. When a whole region goes away, sources go first, since their outcome depends on their
// Kustomizations and releases, and releases go last.
func (t *Tracker) forgetAll(ids []string, arrival int64) {
	if len(ids) > 1 {
		ids = slices.Sorted(slices.Values(ids))
	}
	for _, id := range ids {
		if s := t.sources[id]; s != nil && s.node {
			t.forget(id, arrival, "")
		}
	}
	for _, id := range ids {
		if t.kusts[id] != nil {
			t.forget(id, arrival, "")
		}
	}
	for _, id := range ids {
		t.forget(id, arrival, "")
	}
}

// put takes a node, and reports whether it has handled it. Unless all is true, it leaves Kustomizations and releases to a later call.
func (t *Tracker) put(n *flow.Node, f *Facts, arrival int64, all bool) bool {
	switch {
	case sourceKinds[f.Kind]:
		t.forget(n.ID, arrival, kindSource)
		t.putSource(n, f, arrival)
	case f.Kind != kindKustomization && f.Kind != kindRelease:
		t.forget(n.ID, arrival, "")
	case !all:
		return false
	case f.Kind == kindKustomization:
		t.forget(n.ID, arrival, kindKustomization)
		t.putKustomization(n, f, arrival)
	default:
		t.forget(n.ID, arrival, kindRelease)
		t.putRelease(n, f, arrival)
	}
	return true
}

// track returns the revision of a source with this text, a new one if there is none.
func (t *Tracker) track(s *source, text string, at int64) *tracked {
	id := idOf(s.key, text)
	r := t.revisions[id]
	if r == nil {
		r = &tracked{id: id, key: s.key, revision: text, source: s.Source, firstSeen: at, parts: make(map[string]*part)}
		t.revisions[id] = r
		t.grow(r, r.size())
	}
	return r
}

// idOf returns the id of a revision, which is the same on every server.
func idOf(key, revision string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key + "\n" + revision)) // never fails
	return "r" + strconv.FormatUint(h.Sum64(), 16)
}

// partOf returns the part of a revision in a source, nil if there is none.
func (t *Tracker) partOf(s *source, revision string) *part {
	if s == nil || revision == "" {
		return nil
	}
	if s.part != nil && s.part.of.revision == revision {
		return s.part
	}
	if r := t.revisions[idOf(s.key, revision)]; r != nil {
		return r.parts[s.id]
	}
	return nil
}

// setRevision records that a source has a revision. If the revision has keepRegions sources already, it records only that the source has left its old one.
func (t *Tracker) setRevision(s *source, revision, origin string, at, arrival int64) {
	if at == 0 || s.part != nil && at <= s.part.firstSeen {
		at = arrival
	}
	r := t.track(s, revision, at)
	full := len(r.parts) >= keepRegions && r.parts[s.id] == nil
	if r.leftAt != 0 && !full {
		t.removePast(r, s, at) // before leaveRevision, which may drop past revisions
	}
	t.leaveRevision(s, r.id, at)
	if full {
		return
	}
	t.drop(r, s.id)
	p := &part{of: r, source: s.id, region: s.region, firstSeen: at}
	r.parts[s.id], s.part = p, p
	r.having++
	r.firstSeen = min(r.firstSeen, at)
	switch {
	case origin == "" || origin == r.origin:
	case r.origin == "":
		t.grow(r, int64(len(origin)))
		r.origin = strings.Clone(origin)
	default:
		r.disputed = true
	}
	t.grow(r, partBytes)
	for _, id := range slices.Sorted(maps.Keys(s.kusts)) {
		t.follow(s.kusts[id], p)
	}
	for _, id := range slices.Sorted(maps.Keys(s.charts)) {
		t.attribute(s.charts[id])
	}
}

// leaveRevision records that a source has moved from its revision to the one with the id next; empty: to none.
func (t *Tracker) leaveRevision(s *source, next string, at int64) {
	p := s.part
	if p == nil {
		return
	}
	p.ended = s.outcome(t, p)
	p.ended.MovedOnAt, p.ended.Next = at, next
	s.part = nil
	t.grow(p.of, endedBytes)
	if p.of.having--; p.of.having == 0 {
		t.addPast(p.of, at)
	}
}

// addPast adds a revision that no source has any more to the past ones, and drops the oldest of these beyond the limits.
func (t *Tracker) addPast(r *tracked, at int64) {
	r.leftAt = max(at, 1)
	t.past = append(t.past, r)
	t.pastBytes += r.bytes
	for len(t.past) > Keep || t.pastBytes > keepBytes && len(t.past) > 1 {
		old := t.past[0]
		t.past[0] = nil // the array keeps the element
		t.past = t.past[1:]
		t.pastBytes -= old.bytes
		t.bytes -= old.bytes
		delete(t.revisions, old.id)
		for _, p := range old.parts {
			t.detachReleases(p)
		}
	}
}

// removePast removes a revision from the past ones, because s has it. If s had it before, the revision starts anew; otherwise s is only later than the others.
func (t *Tracker) removePast(r *tracked, s *source, at int64) {
	t.past = slices.DeleteFunc(t.past, func(other *tracked) bool { return other == r })
	t.pastBytes -= r.bytes
	r.leftAt = 0
	if r.parts[s.id] != nil {
		for id := range r.parts {
			t.drop(r, id)
		}
		t.grow(r, -int64(len(r.origin)))
		r.firstSeen, r.origin, r.disputed = at, "", false
	}
}

func (t *Tracker) drop(r *tracked, source string) {
	if p := r.parts[source]; p != nil {
		delete(r.parts, source)
		t.grow(r, -p.size())
		t.detachReleases(p)
	}
}

// detachReleases removes the links from releases to a part that has been dropped.
func (t *Tracker) detachReleases(p *part) {
	for _, c := range p.changes {
		if r := t.releases[c.ID]; r != nil && r.part == p {
			r.part = nil
		}
	}
}

// grow adds to the counted memory of a revision; by may be negative.
func (t *Tracker) grow(r *tracked, by int64) {
	r.bytes += by
	t.bytes += by
	if r.leftAt != 0 {
		t.pastBytes += by
	}
}

// Approximate bytes of memory.
const (
	partBytes, endedBytes                      = 250, 150
	sourceBytes, kustBytes, releaseBytes int64 = 600, 450, 350
)

func (r *tracked) size() int64 {
	n := 400 + int64(len(r.key)+len(r.revision)+len(r.origin)+len(r.source.URL)+len(r.source.Ref)+len(r.source.Name)+len(r.source.Namespace))
	for _, p := range r.parts {
		n += p.size()
	}
	return n
}

func (p *part) size() int64 {
	n := int64(partBytes)
	if p.ended != nil {
		n += endedBytes
	}
	for i := range p.changes {
		n += p.changes[i].bytes()
	}
	return n
}

func (c *Change) bytes() int64 { return 48 + int64(len(c.ID)) }

// Bytes returns about how much memory the tracker takes.
func (t *Tracker) Bytes() int64 {
	return t.bytes + sourceBytes*int64(len(t.sources)) + kustBytes*int64(len(t.kusts)) + releaseBytes*int64(len(t.releases))
}

// change records that a part has changed a release, perhaps not for the first time. It does nothing if the part has changed keepChanges other releases.
func (t *Tracker) change(p *part, r *release) {
	c := Change{ID: r.id, At: r.changedAt}
	if r.hasRun {
		c.StartedAt = r.startedAt
	}
	i, found := find(p.changes, r.id)
	switch {
	case found:
		p.changes[i] = c
	case len(p.changes) >= keepChanges:
		return
	default:
		p.changes = slices.Insert(p.changes, i, c)
		t.grow(p.of, c.bytes())
	}
	r.part = p
}

func (t *Tracker) removeChange(r *release) {
	if p := r.part; p != nil {
		if i, found := find(p.changes, r.id); found {
			t.grow(p.of, -p.changes[i].bytes())
			p.changes = slices.Delete(p.changes, i, i+1)
		}
		r.part = nil
	}
}

func find(changes []Change, id string) (int, bool) {
	return slices.BinarySearchFunc(changes, id, func(c Change, id string) int { return cmp.Compare(c.ID, id) })
}
