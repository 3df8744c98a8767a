package insight

import (
	"iter"
	"math"
	"slices"
	"strconv"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// State is the state of a node as shown to people.
type State string

// The states.
const (
	Ready       State = "ready"
	Working     State = "working"
	Waiting     State = "waiting"
	Broken      State = "broken"
	Suspended   State = "suspended"
	Terminating State = "terminating"
	NotStarted  State = "not-started"
)

var states = []State{Ready, Working, Waiting, Broken, Suspended, Terminating, NotStarted}

// States returns all states.
func States() []State { return slices.Clone(states) }

// Values of Segment.Gate.
const (
	GatePass = "pass" // the node does not delay a gate
	GateWait = "wait" // the node may still change by itself, so a gate waits for it
)

// Marks that this package interprets. Other marks are passed on.
const (
	MarkNotObserved = "not-observed"
	MarkOldRevision = "old-revision"
	MarkReadyExpr   = "ready-expr"
	MarkSourceStale = "source-stale"
)

// classRevision is the class of a node that waits until a dependency has its own revision.
const classRevision = "dependency-revision"

// Segment is the state of a node from an instant on, if nothing else happens.
type Segment struct {
	at       int64
	State    State
	Marks    []string
	Since    flow.Time // start of the state with this cause
	Class    string
	Sentence string
	Command  []string // argv of the command to run next
	Problem  bool     // a root cause, unless the node blames another one
	Final    bool     // does not change without a person
	Gate     string   // GatePass, GateWait, or empty: neither
}

// Judgement is the state of one node as its own object shows it.
type Judgement struct {
	base         Segment
	then         []Segment // as listed, without those that lack a time or a known state
	judged       bool      // from meta.judgement, not from the status
	needs        []string
	named        []string // the needs that the object's message names
	readyWhile   []string
	source       string
	blamesSource bool
	checks       []string
	kind         string
	auxiliary    bool
}

const (
	// maxSegments limits the `then` of a judgement.
	maxSegments = 16
	// maxRefs limits the elements that are read of a list of texts, such as needs. An adapter lists no more.
	maxRefs = 256
	// deletionLimit is the time, in milliseconds, after which the deletion of a node without a judgement is a problem.
	deletionLimit = 5 * 60 * 1000
)

// Judge returns the judgement in a node's meta. Without one, it derives the judgement from the node's status. Fields of a wrong type, and judgements
// without a known state, count as absent.
func Judge(n *flow.Node) *Judgement {
	j := &Judgement{}
	j.derive(n, false)
	return j
}

// Outline is like Judge, but reads no texts for people and no references to other nodes from meta.judgement: a segment has its instant, State, Gate and
// Final; the first one also has its Marks. It takes a few passes over the meta, whatever the content, and little memory besides that of the marks, the
// later segments and meta.waitingFor.
func Outline(n *flow.Node) (j Judgement) {
	j.derive(n, true)
	return j
}

func (j *Judgement) derive(n *flow.Node, outline bool) {
	meta := statusMeta{outline: outline}
	flow.EachField(n.Meta, func(key, value string) {
		switch key {
		case "kind":
			j.kind = flow.Text(value)
		case "auxiliary":
			j.auxiliary = value == "true"
		case "judgement":
			j.read(value, outline)
		default:
			meta.read(key, value)
		}
	})
	if !j.judged {
		j.fromStatus(n, &meta)
	}
}

// At returns the segment that holds at an instant: the last listed one that has begun.
func (j *Judgement) At(clock int64) *Segment {
	s := &j.base
	for i := range j.then {
		if j.then[i].at <= clock {
			s = &j.then[i]
		}
	}
	return s
}

// Segments yields the segments as listed, each with the instant from which it holds: math.MinInt64 for the first.
func (j *Judgement) Segments() iter.Seq2[int64, Segment] {
	return func(yield func(int64, Segment) bool) {
		if !yield(math.MinInt64, j.base) {
			return
		}
		for _, s := range j.then {
			if !yield(s.at, s) {
				return
			}
		}
	}
}

func (j *Judgement) refs() int {
	return len(j.needs) + len(j.named) + len(j.readyWhile) + len(j.checks)
}

// Auxiliary reports whether the node is not part of the rollout itself, like a source.
func (j *Judgement) Auxiliary() bool { return j.auxiliary }

// Kind returns the node's meta.kind.
func (j *Judgement) Kind() string { return j.kind }

func (j *Judgement) read(object string, outline bool) {
	read := Judgement{base: Segment{at: noInstant}, kind: j.kind, auxiliary: j.auxiliary, judged: true}
	flow.EachField(flow.Object(object), func(key, value string) {
		switch {
		case key == "then":
			for _, one := range elements(value, maxSegments) {
				s := Segment{at: noInstant}
				flow.EachField(flow.Object(one), func(key, value string) { s.read(key, value, outline) })
				if s.State != "" && s.at != noInstant {
					read.then = append(read.then, s)
				}
			}
		case key == "marks":
			read.base.Marks = texts(value)
		case outline:
			read.base.read(key, value, outline)
		case key == "needs":
			read.needs = texts(value)
		case key == "named":
			read.named = texts(value)
		case key == "readyWhile":
			read.readyWhile = texts(value)
		case key == "checks":
			read.checks = texts(value)
		case key == "source":
			read.source = flow.Text(value)
		case key == "blamesSource":
			read.blamesSource = value == "true"
		default:
			read.base.read(key, value, outline)
		}
	})
	if read.base.State != "" {
		*j = read
	}
}

const noInstant = math.MaxInt64

func (s *Segment) read(key, value string, outline bool) {
	switch key {
	case "at":
		if ms, ok := integer(value); ok {
			s.at = ms
		}
		return
	case "state":
		if state := State(flow.Text(value)); slices.Contains(states, state) {
			s.State = state
		}
		return
	case "final":
		s.Final = value == "true"
		return
	case "gate":
		if gate := flow.Text(value); gate == GatePass || gate == GateWait {
			s.Gate = gate
		}
		return
	}
	if outline {
		return
	}
	switch key {
	case "marks":
		s.Marks = texts(value)
	case "since":
		s.Since = instant(value)
	case "cause":
		flow.EachField(flow.Object(value), func(key, value string) {
			switch key {
			case "class":
				s.Class = flow.Text(value)
			case "sentence":
				s.Sentence = flow.Text(value)
			}
		})
	case "command":
		s.Command = allowedCommand(texts(value))
	case "problem":
		s.Problem = value == "true"
	}
}

// statusMeta has the meta fields that matter for a node without a judgement.
type statusMeta struct {
	outline         bool // without the message
	reason, message string
	deletingSince   flow.Time
	waitingSince    flow.Time
	reasonSince     flow.Time
	suspended       bool
	waitingFor      []string
}

func (m *statusMeta) read(key, value string) {
	switch key {
	case "reason":
		m.reason = flow.Text(value)
	case "message":
		if !m.outline {
			m.message = flow.Text(value)
		}
	case "deletingSince":
		m.deletingSince = instant(value)
	case "waitingSince":
		m.waitingSince = instant(value)
	case "reasonSince":
		m.reasonSince = instant(value)
	case "suspended":
		m.suspended = value == "true"
	case "waitingFor":
		m.waitingFor = texts(value)
	}
}

// fromStatus judges a node by its status and meta.
func (j *Judgement) fromStatus(n *flow.Node, m *statusMeta) {
	s := &j.base
	waits := m.reason == "DependencyNotReady" || len(m.waitingFor) > 0
	switch {
	case !m.deletingSince.IsZero():
		*s = Segment{State: Terminating, Since: m.deletingSince, Class: "terminating", Gate: GateWait}
		late := *s
		late.at, late.Gate, late.Problem = m.deletingSince.Ms()+deletionLimit+1, "", true
		late.Sentence = sentences["terminating"].sentence(map[string]string{"name": n.Label})
		j.then = []Segment{late}
	case n.Status == flow.StatusFailed:
		*s = Segment{State: Broken, Since: n.EndedAt, Class: "failed", Problem: true, Sentence: failure(n.Label, m.reason, m.message)}
	case m.suspended:
		*s = Segment{State: Suspended, Class: "suspended"}
		if n.Status == flow.StatusSucceeded {
			s.Gate = GatePass
		}
	case n.Status == flow.StatusSucceeded:
		*s = Segment{State: Ready, Since: n.EndedAt, Gate: GatePass}
	case waits:
		*s = Segment{State: Waiting, Since: m.waitingSince, Gate: GateWait}
		if s.Since.IsZero() {
			s.Since = m.reasonSince
		}
		j.needs, j.named = m.waitingFor, m.waitingFor
	case n.Status == flow.StatusPending:
		*s = Segment{State: NotStarted, Gate: GateWait}
	default:
		*s = Segment{State: Working, Since: n.StartedAt, Gate: GateWait}
	}
}

func failure(label, reason, message string) string {
	text := label
	for _, part := range []string{reason, message} {
		if part != "" {
			text += ": " + part
		}
	}
	if text == label {
		return label + " failed."
	}
	return text
}

// texts returns the strings among the first maxRefs elements of a JSON array, nil for other JSON.
func texts(array string) []string {
	var list []string
	for _, e := range elements(array, maxRefs) {
		if e[0] == '"' {
			list = append(list, flow.Text(e))
		}
	}
	return list
}

// elements returns the first limit elements of a JSON array. It does not read the others.
func elements(array string, limit int) (list []string) {
	flow.EachElement(array, func(value string) bool {
		list = append(list, value)
		return len(list) < limit
	})
	return list
}

// integer reads a JSON number that is an integer from -(2^53-1) to 2^53-1, however it is written.
func integer(value string) (int64, bool) {
	if value == "" || value[0] != '-' && (value[0] < '0' || value[0] > '9') {
		return 0, false
	}
	f, err := strconv.ParseFloat(value, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53-1 {
		return 0, false
	}
	return int64(f), true
}

func instant(value string) flow.Time {
	if ms, ok := integer(value); ok {
		return flow.At(ms)
	}
	return flow.Time{}
}
