package mapping

import (
	"math"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// The states of a judgement.
const (
	stateReady       = "ready"
	stateWorking     = "working"
	stateWaiting     = "waiting"
	stateBroken      = "broken"
	stateSuspended   = "suspended"
	stateTerminating = "terminating"
	stateNotStarted  = "not-started"
)

// Values of gate; empty means neither.
const (
	gatePass = "pass" // the object does not delay a gate
	gateWait = "wait" // the object may still change by itself, so a gate waits
)

// judgement is the state of one object at an instant. docs/meta.md, section Judgement, describes its fields.
type judgement struct {
	state        string
	marks        []string
	since        flow.Time
	cause        cause
	attempts, of int64
	nextTry      flow.Time
	limit        int64 // milliseconds
	problem      bool
	final        bool
	gate         string
}

type cause struct {
	class    string   // stable, for programs
	object   string   // Kind/namespace/name of the object at fault, if the message names one
	sentence string   // for a person, with the object's own name
	command  []string // argv of the command to run next; may be empty
	inGit    bool     // only a change of the manifest, chart or values helps
}

// fields returns the judgement for meta. Zero values are left out.
func (j judgement) fields() map[string]any {
	m := map[string]any{"state": j.state}
	if len(j.marks) > 0 {
		m["marks"] = j.marks
	}
	put(m, "since", j.since)
	c := map[string]any{}
	put(c, "class", j.cause.class)
	put(c, "object", j.cause.object)
	put(c, "sentence", clip(j.cause.sentence))
	put(c, "inGit", j.cause.inGit)
	if len(c) > 0 {
		m["cause"] = c
	}
	if len(j.cause.command) > 0 {
		m["command"] = j.cause.command
	}
	put(m, "attempts", j.attempts)
	put(m, "of", j.of)
	put(m, "nextTry", j.nextTry)
	put(m, "limit", j.limit)
	put(m, "problem", j.problem)
	put(m, "final", j.final)
	put(m, "gate", j.gate)
	return m
}

// clock is the time of a judgement. It records when the judgement may change next.
type clock struct{ now, next int64 }

// past reports whether more than plus milliseconds have passed since at. An absent at is never past.
func (c *clock) past(at flow.Time, plus int64) bool {
	if at.IsZero() {
		return false
	}
	turn := at.Ms() + plus
	if c.now > turn {
		return true
	}
	c.next = min(c.next, turn+1)
	return false
}

// timeline returns the first judgement of an object. Its `then` has each later one that follows if the object does not change.
func timeline(judge func(*clock) judgement) map[string]any {
	c := &clock{now: math.MinInt64, next: math.MaxInt64}
	base := judge(c).fields()
	last := string(encode(base))
	var then []any
	for c.next != math.MaxInt64 {
		c.now, c.next = c.next, math.MaxInt64
		m := judge(c).fields()
		if text := string(encode(m)); text != last {
			last = text
			m["at"] = flow.At(c.now)
			then = append(then, m)
		}
	}
	if len(then) > 0 {
		base["then"] = then
	}
	return base
}
