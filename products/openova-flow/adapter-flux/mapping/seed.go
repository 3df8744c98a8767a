package mapping

import (
	"encoding/json"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// fromNode reads back, from a node that a server holds, the past of the object of this UID. A node of another life, or one that
// this package did not write, has none.
func fromNode(n flow.Node, uid string) *entry {
	var m fields
	if json.Unmarshal([]byte(n.Meta), &m) != nil || m.string("uid") != uid {
		return newEntry()
	}
	ms := func(name string) flow.Time {
		if v, ok := m.int(name); ok {
			return flow.At(v)
		}
		return flow.Time{}
	}
	e := &entry{
		uid: uid, facts: remembered(m), reason: m.string("reason"), reasonSince: ms("reasonSince"), waitingSince: ms("waitingSince"),
		ready: condition{status: m.string("ready"), reason: m.string("reason"), message: m.string("message"), since: n.EndedAt},
	}
	if n.StartedAt.IsZero() && n.EndedAt.IsZero() {
		return e
	}
	e.run = run{exists: true, start: n.StartedAt, end: n.EndedAt, lowerBound: m.bool("startedAtIsLowerBound"), stalled: m.bool("stalled")}
	e.run.gen, _ = m.int("runGeneration")
	e.run.attempts, _ = m.int("attempts")
	if n.Status == flow.StatusSucceeded || n.Status == flow.StatusFailed {
		e.run.outcome = n.Status
	}
	if n.Status == flow.StatusFailed && e.run.stalled {
		e.run.gaveUp = n.EndedAt
	}
	return e
}
