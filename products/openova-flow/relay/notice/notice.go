package notice

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

// Kind is what a notice is about.
type Kind string

// The kinds.
const (
	KindRollout Kind = "rollout" // a rollout of a flow
	KindCause   Kind = "cause"   // a root cause
	KindSource  Kind = "source"  // a root cause that is a source of manifests or charts
	KindRegion  Kind = "region"  // a stale region

	KindRevision Kind = "revision" // a commit of a source
)

// Kinds has all of them.
var Kinds = []Kind{KindRollout, KindCause, KindSource, KindRegion, KindRevision}

// Phase is the stage of a subject that a notice reports.
type Phase string

// The phases.
const (
	Opened   Phase = "opened"   // the first of an episode
	Updated  Phase = "updated"  // the subject has changed
	Resolved Phase = "resolved" // the subject is over. A rollout or revision that ends before it is opened has only this notice
)

// Severity is how much a notice matters.
type Severity string

// The severities, the least first.
const (
	Info     Severity = "info"     // nothing is wrong
	Warning  Severity = "warning"  // something is wrong, and may repair itself
	Critical Severity = "critical" // something is wrong, and stays so until a person acts
)

// Severities has all of them, the least first.
var Severities = []Severity{Info, Warning, Critical}

// AtLeast reports whether s is least or more.
func (s Severity) AtLeast(least Severity) bool {
	return slices.Index(Severities, s) >= slices.Index(Severities, least)
}

// Notice is one message about a subject. Its texts may come from a cluster: a channel escapes them. Times are Unix milliseconds by the server's clock, 0 if unknown.
type Notice struct {
	Key      string   `json:"key"`     // of the subject
	Episode  string   `json:"episode"` // the same from opened to resolved, and another when it is opened again
	Kind     Kind     `json:"kind"`
	Phase    Phase    `json:"phase"`
	N        int      `json:"n"`  // 1 for the first notice of an episode, then one more for each
	At       int64    `json:"at"` // when it was queued
	Severity Severity `json:"severity"`
	Flows    []string `json:"flows"`   // sorted
	Regions  []string `json:"regions"` // sorted; empty if the subject has no region

	Label    string    `json:"label"`             // the name of the object, flow or region
	Object   string    `json:"object,omitempty"`  // of a root cause: Kind/namespace/name, or an id of another form
	Class    string    `json:"class,omitempty"`   // of a root cause or a stale region: stable, for programs; of a rollout that has ended: its outcome
	Sentence string    `json:"sentence"`          // for a person
	Command  []string  `json:"command,omitempty"` // argv of the command to run next
	Since    int64     `json:"since,omitempty"`
	Until    int64     `json:"until,omitempty"` // when it was over, if resolved
	Nodes    []string  `json:"nodes,omitempty"` // ids of the root causes, or of the region; the first one is in Flows[0]
	Blocks   []string  `json:"blocks,omitempty"`
	Blocked  int       `json:"blocked"` // how many objects wait, also when Blocks is cut
	Link     string    `json:"link,omitempty"`
	Rollout  *Rollout  `json:"rollout,omitempty"`
	Revision *Revision `json:"revision,omitempty"`

	// Late: Look ignores the notice unless the State has an entry of its key.
	Late bool `json:"-"`
}

// Revision is the part of a notice that only notices of revisions have.
type Revision struct {
	Source  string            `json:"source"`  // URL of the source
	Commit  string            `json:"commit"`  // whole
	Results map[string]Result `json:"results"` // by region
}

// Result is whether a region has applied a revision, and all that it applies is ready.
type Result struct {
	Result      string `json:"result"`                // passed, failed or pending, as the command wait reports, or Unknown
	Sentence    string `json:"sentence,omitempty"`    // why it is failed or unknown
	OvertakenBy string `json:"overtakenBy,omitempty"` // the commit that the source moved on to before this one passed; Result is then the result of that commit
}

// Unknown is the result of a revision whose source was deleted or changed, or that the server has forgotten, before it passed or failed.
const Unknown = "unknown"

// ranks are the results, the worst last. Unknown is first, so that it counts only if no region has another result.
var ranks = []string{Unknown, insight.Passed, insight.Pending, insight.Failed}

// WorseThan reports whether r is worse than o.
func (r Result) WorseThan(o Result) bool {
	return slices.Index(ranks, r.Result) > slices.Index(ranks, o.Result)
}

// Worst returns the worst result of all regions, which is that of the revision.
func (r *Revision) Worst() Result {
	var worst Result
	for _, region := range slices.Sorted(maps.Keys(r.Results)) {
		one := r.Results[region]
		if one.Sentence != "" {
			one.Sentence = region + ": " + one.Sentence
		}
		if one.WorseThan(worst) {
			worst = one
		} else if one.Result == worst.Result {
			worst.OvertakenBy = cmp.Or(worst.OvertakenBy, one.OvertakenBy)
		}
	}
	return worst
}

// forgotten returns the revision with Unknown instead of pending results.
func (r *Revision) forgotten() *Revision {
	now := *r
	now.Results = maps.Clone(r.Results)
	for region, one := range now.Results {
		if one.Result == insight.Pending {
			now.Results[region] = Result{Result: Unknown, Sentence: "The server does not know this commit any more."}
		}
	}
	return &now
}

// Rollout is the part of a notice that only notices of rollouts have.
type Rollout struct {
	ID      string   `json:"id"`
	Outcome string   `json:"outcome"` // running, succeeded, failed or incomplete; unknown if the server has forgotten it
	Total   int      `json:"total"`
	Done    int      `json:"done"`
	Failed  int      `json:"failed"`
	Members []Member `json:"members"` // at most MaxMembers
}

// Member is the part of a release or Kustomization in a rollout.
type Member struct {
	ID           string   `json:"id"`
	Label        string   `json:"label"`
	Region       string   `json:"region,omitempty"`
	Object       string   `json:"object,omitempty"` // as in Notice
	Status       string   `json:"status"`
	WaitingSince int64    `json:"waitingSince,omitempty"`
	StartedAt    int64    `json:"startedAt,omitempty"`
	EndedAt      int64    `json:"endedAt,omitempty"`
	VersionFrom  string   `json:"versionFrom,omitempty"`
	VersionTo    string   `json:"versionTo,omitempty"`
	Needs        []string `json:"needs,omitempty"`   // ids of the nodes that it depends on, without sources
	Failure      string   `json:"failure,omitempty"` // the newest failure, also of a run that was repaired
	FailedAt     int64    `json:"failedAt,omitempty"`
	Revision     string   `json:"revision,omitempty"` // that it works on, or worked on last, as Flux writes it
	Source       string   `json:"source,omitempty"`   // URL of its source
}

// Limits of a notice.
const (
	MaxMembers = 2000
	maxBlocks  = 20
)

// ID identifies the notice, so that a repetition is recognized.
func (n *Notice) ID() string { return n.Key + "@" + strconv.FormatInt(n.At, 10) }

// same reports whether two notices of a key say the same. It does not compare times, links, labels, ids of nodes and members of rollouts.
func (n *Notice) same(o *Notice) bool {
	progress := func(n *Notice) Rollout {
		if n.Rollout == nil {
			return Rollout{}
		}
		return Rollout{ID: n.Rollout.ID, Outcome: n.Rollout.Outcome, Total: n.Rollout.Total, Done: n.Rollout.Done, Failed: n.Rollout.Failed}
	}
	a, b := progress(n), progress(o)
	return n.Severity == o.Severity && n.Class == o.Class && n.Sentence == o.Sentence && n.Blocked == o.Blocked && slices.Equal(n.Flows, o.Flows) &&
		slices.Equal(n.Regions, o.Regions) && slices.Equal(n.Command, o.Command) &&
		a.ID == b.ID && a.Outcome == b.Outcome && a.Total == b.Total && a.Done == b.Done && a.Failed == b.Failed &&
		(n.Revision == nil || o.Revision == nil || maps.Equal(n.Revision.Results, o.Revision.Results))
}

// Merge combines notices with equal keys into one, and returns all in the order of their keys. A merged notice has the text of the most severe one, and
// among equally severe ones that of the oldest.
func Merge(list []Notice) []Notice {
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b Notice) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), -cmp.Compare(slices.Index(Severities, a.Severity), slices.Index(Severities, b.Severity)), compareSince(a.Since, b.Since))
	})
	var merged []Notice
	for _, n := range sorted {
		if len(merged) == 0 || merged[len(merged)-1].Key != n.Key {
			n.Flows, n.Regions, n.Nodes, n.Blocks = slices.Clone(n.Flows), slices.Clone(n.Regions), slices.Clone(n.Nodes), slices.Clone(n.Blocks)
			merged = append(merged, n)
			continue
		}
		m := &merged[len(merged)-1]
		ongoing := m.Until == 0
		if len(n.Flows) > 0 && len(m.Flows) > 0 && n.Flows[0] < m.Flows[0] { // a link names the first node and the first flow
			m.Nodes = append(slices.Clone(n.Nodes), m.Nodes...)
		} else {
			m.Nodes = append(m.Nodes, n.Nodes...)
		}
		m.Flows, m.Regions = union(m.Flows, n.Flows), union(m.Regions, n.Regions)
		m.Blocks = append(m.Blocks, n.Blocks...)
		m.Blocks = m.Blocks[:min(maxBlocks, len(m.Blocks))]
		m.Blocked += n.Blocked
		m.Late = m.Late && n.Late
		if m.Until = max(m.Until, n.Until); ongoing || n.Until == 0 {
			m.Until = 0
		}
		if m.Revision != nil && n.Revision != nil {
			r := *m.Revision
			r.Results = maps.Clone(r.Results)
			maps.Copy(r.Results, n.Revision.Results)
			m.Revision = &r
		}
		if compareSince(n.Since, m.Since) < 0 {
			m.Since = n.Since
		}
	}
	return merged
}

// compareSince orders instants, an unknown one last.
func compareSince(a, b int64) int {
	return cmp.Or(cmp.Compare(btoi(a == 0), btoi(b == 0)), cmp.Compare(a, b))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func union(a, b []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(a), b...))))
}
