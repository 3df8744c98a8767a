package flow

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// MaxInteger is the largest integer, and -MaxInteger the smallest, that a field may hold: what a float64 holds exactly.
const MaxInteger = 1<<53 - 1

// maxTime is the latest instant, and -maxTime the earliest, that a field may hold, in Unix milliseconds: what a date of JavaScript can be.
const maxTime = 8_640_000_000_000_000

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
}

// decoded is a message with room for the node of one that has one, as most do.
type decoded struct {
	Message
	one [1]Node
}

// Decode reads one FlowMessage that is posted to flow flowID. The error, if any, is an *Error; the message is then nil.
// The result does not refer to data.
func Decode(flowID string, data []byte) (*Message, error) {
	if !utf8.Valid(data) {
		return nil, refuse("", "not valid UTF-8")
	}
	return decodeString(flowID, string(data), false)
}

// DecodeStored reads one FlowMessage that was accepted before, perhaps by an earlier version, whose instants could be as great as other
// integers. Apart from that it is Decode.
func DecodeStored(flowID string, data []byte) (*Message, error) {
	if !utf8.Valid(data) {
		return nil, refuse("", "not valid UTF-8")
	}
	return decodeString(flowID, string(data), true)
}

func decodeString(flowID, s string, stored bool) (*Message, error) {
	s = strings.Trim(s, " \t\r\n")
	m, spaced, err := parse(flowID, s, stored)
	if err == nil && spaced {
		m, _, err = parse(flowID, compact(s), stored)
	}
	return m, err
}

// decoders are kept for reuse: their list of keys is the one thing of decoding that does not end up in the message.
var decoders = sync.Pool{New: func() any { return &decoder{scanner: scanner{keys: make([]string, 0, 2*manyKeys)}} }}

func parse(flowID, s string, stored bool) (m *Message, spaced bool, err error) {
	d := decoders.Get().(*decoder)
	d.scanner = scanner{s: s, keys: d.keys[:0]}
	d.flowID, d.stored = flowID, stored
	m, err = d.message()
	spaced = d.space
	if cap(d.keys) == 2*manyKeys { // a list that had to grow is not kept
		clear(d.keys[:cap(d.keys)])
		d.s, d.flowID, d.one = "", "", nil
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
	stored bool   // it was accepted before
	one    []Node // room for the first node
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
	room := &decoded{Message: Message{raw: d.s}}
	m := &room.Message
	d.one = room.one[:0]
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
	for _, t := range messageTypes {
		if name == string(t) {
			return t, nil // and not the sender's text, which would keep all of the message in memory
		}
	}
	return "", refuse("", quoteShort(name)+" is no message type; allowed are snapshot, upsert-flow, upsert-nodes, upsert-rels, delete-nodes, delete-rels")
}

var messageTypes = [...]Type{TypeUpsertNodes, TypeUpsertRels, TypeUpsertFlow, TypeDeleteNodes, TypeDeleteRels, TypeSnapshot}

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
