package flow

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// MaxInteger limits the integers of all fields: a float64 represents each from -MaxInteger to MaxInteger exactly.
const MaxInteger = 1<<53 - 1

// maxTime limits posted instants to those of a JavaScript Date: from -maxTime to maxTime, in Unix milliseconds.
const maxTime = 8_640_000_000_000_000

// Message is one FlowMessage. Only the fields that its Type uses are set.
type Message struct {
	Type          Type
	Flow          *Instance      // snapshot, upsert-flow
	Nodes         []Node         // snapshot, upsert-nodes
	Relationships []Relationship // snapshot, upsert-rels
	IDs           []string       // delete-nodes
	Pairs         []RelKey       // delete-rels

	Line int // line in its batch, from 1; 0 if the message did not come in a batch

	raw string
}

// decoded is a message and space for one node in a single allocation, since most messages have one node.
type decoded struct {
	Message
	one [1]Node
}

// Decode decodes one FlowMessage posted to flow flowID. On failure the message is nil and the error is an *Error. The
// message does not refer to data.
func Decode(flowID string, data []byte) (*Message, error) {
	if !utf8.Valid(data) {
		return nil, refuse("", "not valid UTF-8")
	}
	return decodeString(flowID, string(data), posted)
}

// DecodeStored decodes one FlowMessage that was accepted before, perhaps by an earlier version that allowed any integer up to
// MaxInteger as an instant. Otherwise it is the same as Decode.
func DecodeStored(flowID string, data []byte) (*Message, error) {
	if !utf8.Valid(data) {
		return nil, refuse("", "not valid UTF-8")
	}
	return decodeString(flowID, string(data), stored)
}

func decodeString(flowID, s string, from origin) (*Message, error) {
	s = strings.TrimSuffix(s, "\n") // so that a line feed at the end does not cost a second parse
	m := new(decoded)
	spaced, err := parse(m, flowID, s, from)
	if err == nil && spaced {
		m = new(decoded)
		_, err = parse(m, flowID, compact(s), from)
	}
	if err != nil {
		return nil, err
	}
	return &m.Message, nil
}

// origin is where a text comes from, which decides what is checked.
type origin int

const (
	posted        origin = iota // by a client: everything is checked
	stored                      // as posted, but an instant may be any integer
	decodedBefore               // as stored, but it is valid JSON without duplicate keys and white space
)

// decoders are reused, so that a message does not allocate a list of keys.
var decoders = sync.Pool{New: func() any { return &decoder{scanner: scanner{keys: make([]string, 0, 2*manyKeys)}} }}

// parse decodes s into m, which is zero, and reports whether there was insignificant white space.
func parse(m *decoded, flowID, s string, from origin) (spaced bool, err error) {
	d := decoders.Get().(*decoder)
	d.scanner = scanner{s: s, keys: d.keys[:0], valid: from == decodedBefore}
	d.flowID, d.stored, d.one = flowID, from != posted, m.one[:0]
	m.raw = s
	err = d.message(&m.Message)
	spaced = d.space
	if cap(d.keys) == 2*manyKeys { // a list that has grown is not kept
		clear(d.keys[:cap(d.keys)])
		d.s, d.flowID, d.one = "", "", nil
		decoders.Put(d)
	}
	return spaced, err
}

type decoder struct {
	scanner
	flowID string
	stored bool   // decode as DecodeStored does
	one    []Node // space for the first node
}

// Bits for the top-level fields.
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

// typeBits returns the fields that a type uses, and those of them that are required.
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

func (d *decoder) message(m *Message) error {
	var used, required, seen, early int
	var earlyAt [5]int // offsets of fields before the type; they are decoded once the type says whether it uses them
	o, err := d.begin()
	if err != nil {
		return err
	}
	for {
		key, ok, err := d.next(&o)
		if err != nil {
			return err
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
			return within(key, err)
		}
	}
	if d.peek(); d.pos < len(d.s) {
		return &Error{Msg: "unexpected data after the message; send several messages as application/x-ndjson, one on each line"}
	}
	if m.Type == "" {
		return refuse("type", "is missing")
	}
	for i := range earlyAt {
		if bit := 1 << i; early&used&bit != 0 {
			seen |= bit
			d.pos, d.depth, d.keys = earlyAt[i], 1, d.keys[:0]
			if err := within(messageFields[i+1], d.part(m, bit)); err != nil {
				return err
			}
		}
	}
	for i, name := range messageFields[1:] {
		if bit := 1 << i; required&bit != 0 && seen&bit == 0 {
			return refuse(name, "is missing; "+string(m.Type)+" needs it")
		}
	}
	return nil
}

func (d *decoder) messageType() (Type, error) {
	name, err := d.text("one of the message types", false)
	if err != nil {
		return "", err
	}
	for _, t := range messageTypes {
		if name == string(t) {
			return t, nil // a constant: a part of the input would keep the whole message in memory
		}
	}
	return "", refuse("", quoteShort(name)+" is not a message type; allowed are snapshot, upsert-flow, upsert-nodes, upsert-rels, delete-nodes, delete-rels")
}

var messageTypes = [...]Type{TypeUpsertNodes, TypeUpsertRels, TypeUpsertFlow, TypeDeleteNodes, TypeDeleteRels, TypeSnapshot}

func bitIndex(bit int) int {
	i := 0
	for ; bit > 1; bit >>= 1 {
		i++
	}
	return i
}

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

func (d *decoder) element(m *Message, bit int) error {
	switch bit {
	case hasNodes:
		if m.Nodes == nil {
			m.Nodes = d.one
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
