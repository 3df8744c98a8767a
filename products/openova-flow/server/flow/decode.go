package flow

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// MaxInteger is the largest integer, and -MaxInteger the smallest, that a field may hold: what a float64 holds exactly.
const MaxInteger = 1<<53 - 1

// Message is one FlowMessage. Of its fields only those are set that its Type uses.
type Message struct {
	Type          Type
	Flow          *Instance      // snapshot, upsert-flow
	Nodes         []Node         // snapshot, upsert-nodes
	Relationships []Relationship // snapshot, upsert-rels
	IDs           []string       // delete-nodes
	Pairs         []RelKey       // delete-rels

	Line int // the line of the batch it came in, from 1; 0 for a message that came alone

	raw string
	one [1]Node // room for the node of a message that has one, as most do
}

// Decode reads one FlowMessage that is posted to flow flowID. The error, if any, is an *Error; the message is then nil.
// The result does not refer to data.
func Decode(flowID string, data []byte) (*Message, error) {
	if !utf8.Valid(data) {
		return nil, refuse("", "not valid UTF-8")
	}
	return decodeString(flowID, string(data))
}

func decodeString(flowID, s string) (*Message, error) {
	s = strings.Trim(s, " \t\r\n")
	m, spaced, err := parse(flowID, s)
	if err == nil && spaced {
		m, _, err = parse(flowID, compact(s))
	}
	return m, err
}

// decoders are kept for reuse: their list of keys is the one thing of decoding that does not end up in the message.
var decoders = sync.Pool{New: func() any { return &decoder{scanner: scanner{keys: make([]string, 0, 2*manyKeys)}} }}

func parse(flowID, s string) (m *Message, spaced bool, err error) {
	d := decoders.Get().(*decoder)
	d.scanner = scanner{s: s, keys: d.keys[:0]}
	d.flowID = flowID
	m, err = d.message()
	spaced = d.space
	if cap(d.keys) == 2*manyKeys { // a list that had to grow is not kept
		clear(d.keys[:cap(d.keys)])
		d.s, d.flowID = "", ""
		decoders.Put(d)
	}
	if err != nil {
		return nil, false, err
	}
	return m, spaced, nil
}

// decoder reads the objects of the contract.
type decoder struct {
	scanner
	flowID string
}

// Top-level fields, as bits.
const (
	hasFlow = 1 << iota
	hasNodes
	hasRels
	hasIDs
	hasPairs
)

func fieldBit(name string) int {
	switch name {
	case "flow":
		return hasFlow
	case "nodes":
		return hasNodes
	case "relationships":
		return hasRels
	case "ids":
		return hasIDs
	case "pairs":
		return hasPairs
	}
	return 0
}

// typeBits gives the fields that a type uses and those of them that must be there.
func typeBits(t Type) (used, required int) {
	switch t {
	case TypeSnapshot:
		return hasFlow | hasNodes | hasRels, hasFlow
	case TypeUpsertFlow:
		return hasFlow, hasFlow
	case TypeUpsertNodes:
		return hasNodes, hasNodes
	case TypeUpsertRels:
		return hasRels, hasRels
	case TypeDeleteNodes:
		return hasIDs, hasIDs
	case TypeDeleteRels:
		return hasPairs, hasPairs
	}
	return 0, 0
}

var messageFields = []string{"type", "flow", "nodes", "relationships", "ids", "pairs"}

func (d *decoder) message() (*Message, error) {
	m := &Message{raw: d.s}
	var used, required, seen, early int
	var earlyAt [5]int // where fields stand that came before the type that says whether they count
	o, err := d.begin()
	if err != nil {
		return nil, err
	}
	for {
		key, ok, err := d.next(&o)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		bit := fieldBit(key)
		switch {
		case key == "type":
			if m.Type, err = d.messageType(); err == nil {
				used, required = typeBits(m.Type)
			}
		case bit == 0:
			err = d.unknown(key, messageFields)
		case m.Type == "":
			d.peek()
			early |= bit
			earlyAt[bitIndex(bit)] = d.pos
			_, err = d.skip()
		case used&bit != 0:
			seen |= bit
			err = d.part(m, bit)
		default:
			_, err = d.skip()
		}
		if err != nil {
			return nil, within(key, err)
		}
	}
	if d.peek(); d.pos < len(d.s) {
		return nil, &Error{Msg: "more follows the message; several messages go one a line, as application/x-ndjson"}
	}
	if m.Type == "" {
		return nil, refuse("type", "is missing")
	}
	for i := range earlyAt {
		if bit := 1 << i; early&used&bit != 0 {
			seen |= bit
			d.pos, d.depth, d.keys = earlyAt[i], 1, d.keys[:0]
			if err := within(messageFields[i+1], d.part(m, bit)); err != nil {
				return nil, err
			}
		}
	}
	for i, name := range messageFields[1:] {
		if bit := 1 << i; required&bit != 0 && seen&bit == 0 {
			return nil, refuse(name, "is missing; "+string(m.Type)+" needs it")
		}
	}
	return m, nil
}

func (d *decoder) messageType() (Type, error) {
	name, err := d.text("one of the message types", false)
	if err != nil {
		return "", err
	}
	if used, _ := typeBits(Type(name)); used == 0 {
		return "", refuse("", quoteShort(name)+" is no message type; allowed are snapshot, upsert-flow, upsert-nodes, upsert-rels, delete-nodes, delete-rels")
	}
	return Type(name), nil
}

func bitIndex(bit int) int {
	i := 0
	for ; bit > 1; bit >>= 1 {
		i++
	}
	return i
}

// part reads one of the fields that the type of m uses.
func (d *decoder) part(m *Message, bit int) error {
	if bit == hasFlow {
		m.Flow = new(Instance)
		return d.instance(m.Flow)
	}
	if d.peek() != '[' {
		return d.wrong("an array")
	}
	if err := d.beginArray(); err != nil {
		return err
	}
	for i := 0; ; i++ {
		ok, err := d.more(i)
		switch {
		case err != nil:
			return err
		case !ok && i == 0 && m.Type != TypeSnapshot:
			return refuse("", "is empty; at least one element is needed")
		case !ok:
			return nil
		}
		if err := d.element(m, bit); err != nil {
			return withinIndex(i, err)
		}
	}
}

// element reads one element of an array that the type of m uses.
func (d *decoder) element(m *Message, bit int) error {
	switch bit {
	case hasNodes:
		if m.Nodes == nil {
			m.Nodes = m.one[:0]
		}
		m.Nodes = append(m.Nodes, Node{})
		return d.node(&m.Nodes[len(m.Nodes)-1])
	case hasRels:
		m.Relationships = append(m.Relationships, Relationship{})
		return d.relationship(&m.Relationships[len(m.Relationships)-1])
	case hasIDs:
		id, err := d.text("a node id", false)
		m.IDs = append(m.IDs, id)
		return err
	}
	m.Pairs = append(m.Pairs, RelKey{})
	return d.pair(&m.Pairs[len(m.Pairs)-1])
}

// fields reads an object of the contract: field reads the value of each key into the object.
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
	read := named{}
	err := fields(d, &read, triggerField)
	switch *t = read.Trigger; {
	case err != nil:
		return err
	case !read.flow:
		return refuse("flowId", "is missing")
	case t.When == "":
		return refuse("when", "is missing")
	}
	return nil
}

// named is a trigger while it is read, and whether its flow was named: a flow's id may be empty there, but must not be absent.
type named struct {
	Trigger
	flow bool
}

func triggerField(d *decoder, t *named, key string) (err error) {
	switch key {
	case "flowId":
		t.flow = true
		t.FlowID, err = d.text("a flow id", false)
	case "when":
		if t.When, err = d.text("a string", false); err == nil && t.When != "success" && t.When != "failure" && t.When != "always" {
			err = refuse("", quoteShort(t.When)+" is not allowed; it is success, failure or always")
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
			err = refuse("", quoteShort(c)+" is not allowed; it is on-success, on-failure or always")
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

// keyed is an object with a relationship's key in it, while it is read.
type keyed[T any] struct {
	keySeen
	key   RelKey
	value T
}

// keySeen tells which parts of a relationship's key were there.
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

// keyField reads one part of a relationship's key.
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
	return "", refuse("", quoteShort(name)+" is no relationship type; allowed are contains, finish-to-start, start-to-start, finish-to-finish, start-to-finish, triggers")
}

// unknown reads a field that v1 does not know. It is kept, unless it is one of the known in another case: that is a mistake
// which would otherwise lose the field silently.
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

// flowRef reads a flow id that must be the one of the URL.
func (d *decoder) flowRef() (string, error) {
	id, err := d.text("the flow id of the URL", true)
	if err == nil && id != d.flowID {
		return "", refuse("", quoteShort(id)+" is not the flow that it is posted to, "+strconv.Quote(d.flowID))
	}
	return id, err
}

func (d *decoder) time() (Time, error) {
	ms, err := d.integer()
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
		return 0, refuse("", "is beyond ±(2^53 - 1)")
	}
	return n, nil
}

func (d *decoder) meta() (json.RawMessage, error) {
	if d.peek() != '{' {
		return nil, d.wrong("an object")
	}
	s, err := d.skip()
	return json.RawMessage(s), err
}

// wrong says that a value is of the wrong kind, or that there is none.
func (d *decoder) wrong(want string) error {
	got := "nothing"
	switch c := d.peek(); {
	case c == 0 && d.pos >= len(d.s):
		return d.unexpected(want)
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

// quoteShort quotes a sender's text for an error message, cut to a length that cannot flood it.
func quoteShort(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.Quote(s)
}
