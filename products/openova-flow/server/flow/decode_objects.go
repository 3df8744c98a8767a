package flow

import (
	"strconv"
	"strings"
)

// fields decodes an object of the contract. It calls field for each key; field decodes the value.
func fields[T any](d *decoder, into *T, field func(d *decoder, into *T, key string) error) error {
	if d.peek() != '{' {
		return d.wrong("an object")
	}
	o, err := d.begin()
	if err != nil {
		return err
	}
	for {
		key, ok, err := d.next(&o)
		if err != nil || !ok {
			return err
		}
		if err := field(d, into, key); err != nil {
			return within(key, err)
		}
	}
}

var instanceFields = []string{"id", "definitionId", "parentFlowId", "triggeredBy", "status", "startedAt", "endedAt", "meta"}

func (d *decoder) instance(f *Instance) error {
	d.peek()
	start := d.pos
	err := fields(d, f, instanceField)
	f.raw = d.s[start:d.pos]
	switch {
	case err != nil:
		return err
	case f.ID == "":
		return refuse("id", "is missing")
	case f.Status == "":
		return refuse("status", "is missing")
	case f.StartedAt.IsZero():
		return refuse("startedAt", "is missing")
	}
	return nil
}

func instanceField(d *decoder, f *Instance, key string) (err error) {
	switch key {
	case "id":
		f.ID, err = d.flowRef()
	case "definitionId":
		f.DefinitionID, err = d.text("a string", false)
	case "parentFlowId":
		f.ParentFlowID, err = d.text("a string", false)
	case "triggeredBy":
		err = d.triggers(f)
	case "status":
		f.Status, err = d.text("a non-empty string", true)
	case "startedAt":
		if f.StartedAt, err = d.time(); err == nil && f.StartedAt.ms < 0 {
			err = refuse("", "must be 0 or more")
		}
	case "endedAt":
		f.EndedAt, err = d.time()
	case "meta":
		f.Meta, err = d.meta()
	default:
		err = d.unknown(key, instanceFields)
	}
	return err
}

func (d *decoder) triggers(f *Instance) error {
	if d.peek() != '[' {
		return d.wrong("an array")
	}
	if err := d.beginArray(); err != nil {
		return err
	}
	for i := 0; ; i++ {
		ok, err := d.more(i)
		if err != nil || !ok {
			return err
		}
		f.TriggeredBy = append(f.TriggeredBy, Trigger{})
		if err := d.trigger(&f.TriggeredBy[i]); err != nil {
			return withinIndex(i, err)
		}
	}
}

var triggerFields = []string{"flowId", "when"}

func (d *decoder) trigger(t *Trigger) error {
	read := decodedTrigger{}
	err := fields(d, &read, triggerField)
	*t = read.Trigger
	switch {
	case err != nil:
		return err
	case !read.hasFlow:
		return refuse("flowId", "is missing")
	case t.When == "":
		return refuse("when", "is missing")
	}
	return nil
}

// decodedTrigger is a trigger during decoding. Its flow id may be empty, but must be present.
type decodedTrigger struct {
	Trigger
	hasFlow bool
}

func triggerField(d *decoder, t *decodedTrigger, key string) (err error) {
	switch key {
	case "flowId":
		t.hasFlow = true
		t.FlowID, err = d.text("a flow id", false)
	case "when":
		if t.When, err = d.text("a string", false); err == nil && t.When != "success" && t.When != "failure" && t.When != "always" {
			err = refuse("", quoteShort(t.When)+" is not allowed; allowed are success, failure, always")
		}
	default:
		err = d.unknown(key, triggerFields)
	}
	return err
}

var nodeFields = []string{"id", "flowId", "label", "status", "family", "region", "startedAt", "endedAt", "meta"}

func (d *decoder) node(n *Node) error {
	d.peek()
	start := d.pos
	err := fields(d, n, nodeField)
	n.raw = d.s[start:d.pos]
	switch {
	case err != nil:
		return err
	case n.ID == "":
		return refuse("id", "is missing")
	case n.FlowID == "":
		return refuse("flowId", "is missing")
	case n.Label == "":
		return refuse("label", "is missing")
	case n.Status == "":
		return refuse("status", "is missing")
	}
	return nil
}

func nodeField(d *decoder, n *Node, key string) (err error) {
	switch key {
	case "id":
		n.ID, err = d.text("a non-empty string", true)
	case "flowId":
		n.FlowID, err = d.flowRef()
	case "label":
		n.Label, err = d.text("a non-empty string", true)
	case "status":
		n.Status, err = d.text("a non-empty string", true)
	case "family":
		n.Family, err = d.text("a string", false)
	case "region":
		n.Region, err = d.text("a string", false)
	case "startedAt":
		n.StartedAt, err = d.time()
	case "endedAt":
		n.EndedAt, err = d.time()
	case "meta":
		n.Meta, err = d.meta()
	default:
		err = d.unknown(key, nodeFields)
	}
	return err
}

var relationshipFields = []string{"fromId", "toId", "type", "fromFlowId", "toFlowId", "condition", "lag"}

func (d *decoder) relationship(r *Relationship) error {
	d.peek()
	start := d.pos
	read := keyed[Relationship]{}
	err := fields(d, &read, relationshipField)
	*r = read.value
	r.FromID, r.ToID, r.Type = read.key.FromID, read.key.ToID, read.key.Type
	r.raw = d.s[start:d.pos]
	if err != nil {
		return err
	}
	return read.missing()
}

func relationshipField(d *decoder, r *keyed[Relationship], key string) (err error) {
	switch key {
	case "fromId", "toId", "type":
		err = d.keyField(key, &r.key, &r.keySeen)
	case "fromFlowId":
		r.value.FromFlowID, err = d.text("a flow id", false)
	case "toFlowId":
		r.value.ToFlowID, err = d.text("a flow id", false)
	case "condition":
		var c string
		c, err = d.text("a string", false)
		if r.value.Condition = Condition(c); err == nil && r.value.Condition != OnSuccess && r.value.Condition != OnFailure && r.value.Condition != Always {
			err = refuse("", quoteShort(c)+" is not allowed; allowed are on-success, on-failure, always")
		}
	case "lag":
		if r.value.Lag, err = d.integer(); err == nil && r.value.Lag < 0 {
			err = refuse("", "must be 0 or more seconds")
		}
	default:
		err = d.unknown(key, relationshipFields)
	}
	return err
}

var pairFields = []string{"fromId", "toId", "type"}

func (d *decoder) pair(k *RelKey) error {
	read := keyed[struct{}]{}
	err := fields(d, &read, func(d *decoder, k *keyed[struct{}], key string) error {
		switch key {
		case "fromId", "toId", "type":
			return d.keyField(key, &k.key, &k.keySeen)
		}
		return d.unknown(key, pairFields)
	})
	if *k = read.key; err != nil {
		return err
	}
	return read.missing()
}

// keyed is an object that contains a relationship's key, during decoding.
type keyed[T any] struct {
	keySeen
	key   RelKey
	value T
}

type keySeen struct{ from, to, typ bool }

func (s keySeen) missing() error {
	switch {
	case !s.from:
		return refuse("fromId", "is missing")
	case !s.to:
		return refuse("toId", "is missing")
	case !s.typ:
		return refuse("type", "is missing")
	}
	return nil
}

func (d *decoder) keyField(name string, key *RelKey, seen *keySeen) (err error) {
	switch name {
	case "fromId":
		seen.from = true
		key.FromID, err = d.text("a node id", false)
	case "toId":
		seen.to = true
		key.ToID, err = d.text("a node id", false)
	case "type":
		seen.typ = true
		key.Type, err = d.relType()
	}
	return err
}

func (d *decoder) relType() (RelType, error) {
	name, err := d.text("a string", false)
	if err != nil {
		return "", err
	}
	switch t := RelType(name); t {
	case Contains, FinishToStart, StartToStart, FinishToFinish, StartToFinish, Triggers:
		return t, nil
	}
	return "", refuse("", quoteShort(name)+" is not a relationship type; allowed are contains, finish-to-start, start-to-start, finish-to-finish, start-to-finish, triggers")
}

// unknown reads a field that the contract does not define. A defined field in another case (flowid) is an error: as an unknown
// field it would be ignored silently.
func (d *decoder) unknown(key string, known []string) error {
	for _, name := range known {
		if strings.EqualFold(key, name) {
			return refuse("", "is the field "+name+" in another case; names match exactly")
		}
	}
	_, err := d.skip()
	return err
}

func (d *decoder) text(want string, nonEmpty bool) (string, error) {
	if d.peek() != '"' {
		return "", d.wrong(want)
	}
	s, err := d.str()
	if err == nil && nonEmpty && s == "" {
		return "", refuse("", "must be "+want+", not an empty one")
	}
	return s, err
}

// flowRef decodes a flow id that must equal the one in the URL.
func (d *decoder) flowRef() (string, error) {
	id, err := d.text("the flow id of the URL", true)
	if err == nil && id != d.flowID {
		return "", refuse("", quoteShort(id)+" is not the flow in the URL, "+strconv.Quote(d.flowID))
	}
	return id, err
}

func (d *decoder) time() (Time, error) {
	ms, err := d.integer()
	if err == nil && !d.stored && (ms > maxTime || ms < -maxTime) {
		err = refuse("", "must be from -8640000000000000 to 8640000000000000 milliseconds")
	}
	return At(ms), err
}

func (d *decoder) integer() (int64, error) {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		return 0, d.wrong("an integer")
	}
	text, integer, err := d.number()
	if err != nil {
		return 0, err
	}
	if !integer {
		return 0, refuse("", "must be an integer without fraction or exponent")
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > MaxInteger || n < -MaxInteger {
		return 0, refuse("", "must be from -(2^53 - 1) to 2^53 - 1")
	}
	return n, nil
}

func (d *decoder) meta() (Object, error) {
	if d.peek() != '{' {
		return "", d.wrong("an object")
	}
	s, err := d.skip()
	return Object(s), err
}

// wrong returns the error for a value of the wrong type, or for a missing value.
func (d *decoder) wrong(want string) error {
	var got string
	switch c := d.peek(); {
	case c == '{':
		got = "an object"
	case c == '[':
		got = "an array"
	case c == '"':
		got = "a string"
	case c == 't' || c == 'f':
		got = "a boolean"
	case c == 'n':
		got = "null"
	case c == '-' || c >= '0' && c <= '9':
		got = "a number"
	default:
		return d.unexpected(want)
	}
	return refuse("", "must be "+want+", not "+got)
}

func quoteShort(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.Quote(s)
}
