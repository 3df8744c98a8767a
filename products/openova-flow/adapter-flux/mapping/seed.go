package mapping

import (
	"encoding/json"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// fromNode restores the past of the object with this UID from its node on the server. The result is empty if the node has another UID or an
// unreadable meta.
func fromNode(n flow.Node, uid string) *entry {
	var m fields
	if json.Unmarshal([]byte(n.Meta), &m) != nil || m.string("uid") != uid {
		return newEntry()
	}
	offset, _ := m.int("clockOffset")
	started, ended := moved(n.StartedAt, -offset), moved(n.EndedAt, -offset)
	e := &entry{
		uid: uid, facts: remembered(m, offset), reason: m.string("reason"), reasonSince: m.instant("reasonSince", offset), waitingSince: m.instant("waitingSince", offset),
		ready: condition{status: m.string("ready"), reason: m.string("reason"), message: m.string("message"), since: ended},
	}
	if started.IsZero() && ended.IsZero() {
		return e
	}
	e.run = run{exists: true, start: started, end: ended, lowerBound: m.bool("startedAtIsLowerBound"), stalled: m.bool("stalled")}
	e.run.gen, _ = m.int("runGeneration")
	e.run.attempts, _ = m.int("attempts")
	if n.Status == flow.StatusSucceeded || n.Status == flow.StatusFailed {
		e.run.outcome = n.Status
	}
	if n.Status == flow.StatusFailed && e.run.stalled {
		e.run.gaveUp = ended
	}
	return e
}
