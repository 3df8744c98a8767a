package insight

import (
	"encoding/json"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// State is what a person is told of a node.
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

// What a segment says to a gate.
const (
	GatePass = "pass" // the node is as it should be
	GateWait = "wait" // something goes on by itself that a gate waits for
)

// Marks that decide something here. Others are passed on.
const (
	MarkNotObserved = "not-observed"
	MarkOldRevision = "old-revision"
	MarkReadyExpr   = "ready-expr"
	MarkSourceStale = "source-stale"
)

// classRevision is the class of a node that waits until a dependency has the revision that it has itself.
const classRevision = "dependency-revision"

// Segment is what is so of a node from an instant on, by itself.
type Segment struct {
	at       int64
	State    State
	Marks    []string
	Since    flow.Time // since when the state with this cause holds
	Class    string
	Sentence string
	Command  []string // argv of the command to run next
	Problem  bool     // a root cause, unless another node turns out to be its cause
	Final    bool     // nothing changes without a person
	Gate     string   // GatePass, GateWait or empty
}

// Judgement is what is known of one node from its own object.
type Judgement struct {
	base         Segment
	then         []Segment // in time order
	judged       bool      // by the emitter
	needs        []string
	named        []string // those of needs that the object's message names
	readyWhile   []string
	source       string
	blamesSource bool
	checks       []string
	kind         string
	auxiliary    bool
}

const (
	// maxSegments is how many `then` of a judgement count.
	maxSegments = 16
	// maxRefs is how many ids a list of a judgement may name. An adapter sends no more.
	maxRefs = 256
	// deletionLimit is how long the deletion of a node without a judgement may take, in milliseconds.
	deletionLimit = 5 * 60 * 1000
)

// Judge returns the judgement in a node's meta, or the one that follows from its status. What has a wrong type counts as absent, and a
// judgement without a known state too.
func Judge(n *flow.Node) *Judgement {
	j := &Judgement{}
	var meta plainMeta
	flow.EachField(n.Meta, func(key, value string) {
		switch key {
		case "kind":
			j.kind = text(value)
		case "auxiliary":
			j.auxiliary = value == "true"
		case "judgement":
			j.read(value)
		default:
			meta.read(key, value)
		}
	})
	if !j.judged {
		j.obvious(n, &meta)
	}
	return j
}

// At returns the segment that holds at an instant.
func (j *Judgement) At(clock int64) *Segment {
	s := &j.base
	for i := range j.then {
		if j.then[i].at <= clock {
			s = &j.then[i]
		}
	}
	return s
}

// Segments yields the segments in time order, each with the instant from which it holds. The first holds since ever.
func (j *Judgement) Segments() iter.Seq2[int64, *Segment] {
	return func(yield func(int64, *Segment) bool) {
		if !yield(math.MinInt64, &j.base) {
			return
		}
		for i := range j.then {
			if !yield(j.then[i].at, &j.then[i]) {
				return
			}
		}
	}
}

// refs returns how many ids the judgement names.
func (j *Judgement) refs() int {
	return len(j.needs) + len(j.named) + len(j.readyWhile) + len(j.checks)
}

// Auxiliary reports whether the node stands beside the rollout, as a source does.
func (j *Judgement) Auxiliary() bool { return j.auxiliary }

// Kind returns the node's meta.kind.
func (j *Judgement) Kind() string { return j.kind }

func (j *Judgement) read(object string) {
	var base Segment
	if !base.read(object) {
		return
	}
	j.judged, j.base = true, base
	flow.EachField(flow.Object(object), func(key, value string) {
		switch key {
		case "then":
			for _, one := range elements(value, maxSegments) {
				var s Segment
				if s.read(string(one)) && s.at != noInstant {
					j.then = append(j.then, s)
				}
			}
		case "needs":
			j.needs = texts(value)
		case "named":
			j.named = texts(value)
		case "readyWhile":
			j.readyWhile = texts(value)
		case "checks":
			j.checks = texts(value)
		case "source":
			j.source = text(value)
		case "blamesSource":
			j.blamesSource = value == "true"
		}
	})
}

const noInstant = math.MaxInt64

// read reports whether the object has a known state.
func (s *Segment) read(object string) bool {
	s.at = noInstant
	flow.EachField(flow.Object(object), func(key, value string) {
		switch key {
		case "at":
			if ms, ok := integer(value); ok {
				s.at = ms
			}
		case "state":
			if state := State(text(value)); slices.Contains(states, state) {
				s.State = state
			}
		case "marks":
			s.Marks = texts(value)
		case "since":
			s.Since = instant(value)
		case "cause":
			flow.EachField(flow.Object(value), func(key, value string) {
				switch key {
				case "class":
					s.Class = text(value)
				case "sentence":
					s.Sentence = text(value)
				}
			})
		case "command":
			s.Command = offered(texts(value))
		case "problem":
			s.Problem = value == "true"
		case "final":
			s.Final = value == "true"
		case "gate":
			if gate := text(value); gate == GatePass || gate == GateWait {
				s.Gate = gate
			}
		}
	})
	return s.State != ""
}

// plainMeta is what counts of the meta of a node without a judgement.
type plainMeta struct {
	reason, message string
	deletingSince   flow.Time
	waitingSince    flow.Time
	reasonSince     flow.Time
	suspended       bool
	waitingFor      []string
}

func (m *plainMeta) read(key, value string) {
	switch key {
	case "reason":
		m.reason = text(value)
	case "message":
		m.message = text(value)
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

// obvious judges a node by its status.
func (j *Judgement) obvious(n *flow.Node, m *plainMeta) {
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
	said := label
	for _, part := range []string{reason, message} {
		if part != "" {
			said += ": " + part
		}
	}
	if said == label {
		return label + " failed."
	}
	return said
}

// text returns the string that a JSON text stands for, empty when it is no string.
func text(value string) (s string) {
	if !strings.HasPrefix(value, `"`) {
		return ""
	}
	if !strings.Contains(value, `\`) { // nothing to resolve
		return value[1 : len(value)-1]
	}
	_ = json.Unmarshal([]byte(value), &s)
	return s
}

// texts returns the strings of a JSON array, without what is no string; nil when it is no array.
// texts returns the strings of a list, of the first maxRefs elements.
func texts(value string) []string {
	var list []string
	for _, e := range elements(value, maxRefs) {
		if e[0] == '"' {
			list = append(list, text(string(e)))
		}
	}
	return list
}

// elements returns the first elements of a list, and reads no further.
func elements(value string, most int) []json.RawMessage {
	d := json.NewDecoder(strings.NewReader(value))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil
	}
	var list []json.RawMessage
	for len(list) < most && d.More() {
		var e json.RawMessage
		if d.Decode(&e) != nil {
			return nil
		}
		list = append(list, e)
	}
	return list
}

// integer reads a JSON number that is an integer of at most 2^53-1, however it is written.
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
