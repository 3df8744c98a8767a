package rollout

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

// facts is what a node's meta says that decides its part in rollouts. Whether it works comes from its judgement (package insight).
type facts struct {
	kind            string
	applied, wanted string // chart versions
	waits           bool
	waitingSince    flow.Time
	suspended       bool
	deleting        bool
	auxiliary       bool
	worksUntil      int64 // from then on it does not work, if nothing else comes; idle if it does not work at all
}

// idle is the worksUntil of a node that does not work.
const idle = math.MinInt64

// readFacts reads the facts of a node, of which those before are likely to still hold.
func readFacts(n *flow.Node, before *facts) (f facts) {
	j := insight.Outline(n)
	f.kind, f.auxiliary = keep(j.Kind(), before.kind), j.Auxiliary()
	now := j.At(math.MinInt64)
	f.waits = now.State == insight.Waiting
	f.suspended = now.State == insight.Suspended || slices.Contains(now.Marks, "suspended")
	f.deleting = now.State == insight.Terminating
	f.worksUntil = worksUntil(n.Status, j)
	flow.EachField(n.Meta, func(key, value string) {
		switch key {
		case "versionApplied":
			f.applied = keep(flow.Text(value), before.applied)
		case "versionWanted":
			f.wanted = keep(flow.Text(value), before.wanted)
		case "waitingSince":
			if ms, err := strconv.ParseInt(value, 10, 64); err == nil {
				f.waitingSince = flow.At(ms)
			}
		}
	})
	return f
}

// worksUntil returns until when a node works: its status is that it runs, and by its judgement it works, or has failed and is tried again.
func worksUntil(status string, j *insight.Judgement) int64 {
	until := int64(idle)
	if flow.Worst(status) != flow.StatusRunning {
		return until
	}
	for at, s := range j.Segments() {
		switch {
		case s.State == insight.Working, s.State == insight.Broken && s.Gate == insight.GateWait && !s.Final:
			until = math.MaxInt64
		case until == math.MaxInt64:
			until = at
		}
	}
	return until
}

// keep returns s without the message that it is part of, which what is kept must not keep: the one before if they are equal.
func keep(s, before string) string {
	if s == before {
		return before
	}
	return strings.Clone(s)
}

// newTrack returns what is known of a node; before is what was, nil when nothing was.
func newTrack(n *flow.Node, g Graph, before *track) track {
	if before == nil {
		before = &track{}
	}
	t := track{id: keep(n.ID, before.id), label: keep(n.Label, before.label), region: keep(n.Region, before.region), status: keep(n.Status, before.status),
		startedAt: n.StartedAt, endedAt: n.EndedAt, facts: readFacts(n, &before.facts)}
	t.container = t.kind == "Region" || t.auxiliary || g.IsContainer(n.ID)
	t.waits = t.waits && t.status != flow.StatusSucceeded && t.status != flow.StatusFailed
	return t
}

// unready reports whether the node is a Kustomization that is not ready, which keeps a flow from being complete.
func (n *track) unready() bool {
	return n.kind == "Kustomization" && n.status != flow.StatusSucceeded && !n.suspended
}

// worksAt reports whether the node works at an instant, if nothing else comes until then.
func (n *track) worksAt(at int64) bool { return at < n.worksUntil }

// versionTo returns the version that the node's run leads to: what was installed, once it was; before, what is asked for, a range too.
func (n *track) versionTo() string {
	if n.status == flow.StatusSucceeded {
		return cmp.Or(n.applied, n.wanted)
	}
	return cmp.Or(n.wanted, n.applied)
}

func rolloutID(start int64, node string) string {
	return strconv.FormatInt(start, 36) + "-" + strconv.FormatUint(uint64(hash(node)), 36)
}

// hash is FNV-1a: it keeps two rollouts apart that start in one millisecond, and gives the same id when history is replayed.
func hash(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}
