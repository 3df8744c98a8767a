package rollout

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// facts is what a node's meta says that decides whether it works. The keys are those that the Flux adapter writes; a node of
// another emitter, without them, is judged by its status alone.
type facts struct {
	kind            string
	applied, wanted string // chart versions
	reason          string
	reasonSince     int64
	waits           bool
	waitingSince    flow.Time
	suspended       bool
	deleting        bool
}

// readFacts reads the facts of a node, of which those before are likely to still hold.
func readFacts(meta flow.Object, before *facts) (f facts) {
	flow.EachField(meta, func(key, value string) {
		switch key {
		case "kind":
			f.kind = text(value, before.kind)
		case "versionApplied":
			f.applied = text(value, before.applied)
		case "versionWanted":
			f.wanted = text(value, before.wanted)
		case "reason":
			f.reason = text(value, before.reason)
		case "reasonSince":
			f.reasonSince, _ = strconv.ParseInt(value, 10, 64)
		case "waitingFor":
			f.waits = f.waits || value != "[]"
		case "waitingSince":
			if ms, err := strconv.ParseInt(value, 10, 64); err == nil {
				f.waitingSince = flow.At(ms)
			}
		case "suspended":
			f.suspended = value == "true"
		case "deletingSince":
			f.deleting = true
		}
	})
	f.waits = f.waits || f.reason == "DependencyNotReady"
	return f
}

// text returns the string that a JSON text stands for, empty when it is no string.
func text(value, before string) (s string) {
	if strings.HasPrefix(value, `"`) && !strings.Contains(value, `\`) { // the walk has checked it, and there is nothing to resolve
		return keep(value[1:len(value)-1], before)
	}
	_ = json.Unmarshal([]byte(value), &s)
	return s
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
		startedAt: n.StartedAt, endedAt: n.EndedAt, facts: readFacts(n.Meta, &before.facts)}
	t.container = t.kind == "Region" || g.IsContainer(n.ID)
	t.waits = t.waits && t.status != flow.StatusSucceeded && t.status != flow.StatusFailed
	return t
}

// unready reports whether the node is a Kustomization that is not ready, which keeps a flow from being complete.
func (n *track) unready() bool {
	return n.kind == "Kustomization" && n.status != flow.StatusSucceeded && !n.suspended
}

// works reports whether the node works, or at least did until what it reports had lasted too long.
func (n *track) works() bool {
	return flow.Worst(n.status) == flow.StatusRunning && !n.waits && !n.suspended && !n.deleting
}

// worksAt reports whether a node that works still does so at an instant.
func (n *track) worksAt(at int64) bool { return at < n.brokenFrom() }

// brokenFrom returns from when on a node that reports a fault of its input counts as broken and not as working.
func (n *track) brokenFrom() int64 {
	switch n.reason {
	case "SourceNotReady", "ArtifactFailed", "ValuesError", "ChartMutateError":
		if n.reasonSince > 0 {
			return n.reasonSince + Quiet.Milliseconds()
		}
	}
	return math.MaxInt64
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
