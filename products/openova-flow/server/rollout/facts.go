package rollout

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

// facts are the fields of a node's meta that decide its part in rollouts.
type facts struct {
	kind            string
	applied, wanted string // chart versions
	waits           bool
	waitingSince    flow.Time
	suspended       bool
	deleting        bool
	auxiliary       bool
	activeUntil     int64 // the node is active before this instant unless a new message changes it; never if it is not active
}

// never is the activeUntil of a node that is not active.
const never = math.MinInt64

// readFacts reads the facts of a node. before are its previous facts; equal strings are taken from there.
func readFacts(n *flow.Node, before *facts) (f facts) {
	j := insight.Outline(n)
	f.kind, f.auxiliary = flow.Keep(j.Kind(), before.kind), j.Auxiliary()
	now := j.At(math.MinInt64)
	f.waits = now.State == insight.Waiting
	f.suspended = now.State == insight.Suspended || slices.Contains(now.Marks, "suspended")
	f.deleting = now.State == insight.Terminating
	f.activeUntil = activeUntil(n.Status, &j)
	flow.EachField(n.Meta, func(key, value string) {
		switch key {
		case "versionApplied":
			f.applied = flow.Keep(flow.Text(value), before.applied)
		case "versionWanted":
			f.wanted = flow.Keep(flow.Text(value), before.wanted)
		case "waitingSince":
			if ms, err := strconv.ParseInt(value, 10, 64); err == nil && ms >= -flow.MaxInteger && ms <= flow.MaxInteger {
				f.waitingSince = flow.At(ms)
			}
		}
	})
	return f
}

// activeUntil returns the instant until which a node is active: its status counts as running (flow.Worst), and its judgement is working, or
// broken with a retry to come.
func activeUntil(status string, j *insight.Judgement) int64 {
	until := int64(never)
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

// newTrack returns the track of a node. before is its previous track, nil if there is none.
func newTrack(n *flow.Node, g Graph, before *track) track {
	if before == nil {
		before = &track{}
	}
	t := track{id: flow.Keep(n.ID, before.id), label: flow.Keep(n.Label, before.label), region: flow.Keep(n.Region, before.region), status: flow.Keep(n.Status, before.status),
		startedAt: n.StartedAt, endedAt: n.EndedAt, facts: readFacts(n, &before.facts)}
	t.container = t.kind == "Region" || t.auxiliary || g.IsContainer(n.ID)
	t.waits = t.waits && t.status != flow.StatusSucceeded && t.status != flow.StatusFailed
	return t
}

// unready reports whether the node is a Kustomization that is neither ready nor suspended. With one, no rollout ends as Succeeded.
func (n *track) unready() bool {
	return n.kind == "Kustomization" && n.status != flow.StatusSucceeded && !n.suspended
}

// activeAt reports whether the node is active at an instant, unless a new message changes it.
func (n *track) activeAt(at int64) bool { return at < n.activeUntil }

// versionTo returns the version that the node's run installs: the installed version after success, otherwise the requested one
// (perhaps a range).
func (n *track) versionTo() string {
	if n.status == flow.StatusSucceeded {
		return cmp.Or(n.applied, n.wanted)
	}
	return cmp.Or(n.wanted, n.applied)
}

func rolloutID(start int64, node string) string {
	return strconv.FormatInt(start, 36) + "-" + strconv.FormatUint(uint64(hash(node)), 36)
}

// hash is FNV-1a. In an id it tells apart rollouts that start in the same millisecond, and a replay of the same history gives the same ids.
func hash(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}
