package flow

import "unicode/utf8"

// Image is a State taken apart. It shares nothing with later changes of the state.
type Image struct {
	Snapshot *Message // the FlowInstance, the nodes and the relationships, in no order
	Owned    bool     // an emitter has said what the flow is; else its instance is derived
	Arrival  int64    // of the first event, Unix milliseconds
	DoneAt   int64    // arrival of what made the derived status succeeded, Unix milliseconds
}

// Image returns the state taken apart. It costs the number of elements, not their bytes.
func (s *State) Image() Image {
	return Image{Snapshot: s.Collect(), Owned: s.owned, Arrival: s.arrival, DoneAt: s.doneAt}
}

// State puts a state together again. It and the one that the image is of fold everything alike from then on.
func (i Image) State(flowID string) *State {
	s := NewState(flowID, i.Arrival)
	s.Apply(i.Snapshot)
	s.owned, s.doneAt = i.Owned, i.DoneAt
	if !s.owned { // what is derived has no bytes of its own
		s.bytes -= int64(len(s.flow.raw))
		s.flow.raw = ""
	}
	return s
}

// DecodeInstance reads what Instance.JSON returned, of flow flowID. The error, if any, is an *Error.
func DecodeInstance(flowID, text string) (f Instance, err error) {
	err = element(flowID, text, func(d *decoder) error { return d.instance(&f) })
	return f, err
}

// DecodeNode reads what Node.JSON returned, of a node of flow flowID. The error, if any, is an *Error.
func DecodeNode(flowID, text string) (n Node, err error) {
	err = element(flowID, text, func(d *decoder) error { return d.node(&n) })
	return n, err
}

// DecodeRelationship reads what Relationship.JSON returned. The error, if any, is an *Error.
func DecodeRelationship(text string) (r Relationship, err error) {
	err = element("", text, func(d *decoder) error { return d.relationship(&r) })
	return r, err
}

func element(flowID, text string, read func(*decoder) error) error {
	if !utf8.ValidString(text) {
		return refuse("", "not valid UTF-8")
	}
	d := decoder{scanner: scanner{s: text}, flowID: flowID, stored: true}
	if err := read(&d); err != nil {
		return err
	}
	if d.peek(); d.pos < len(d.s) || d.space {
		return refuse("", "must be one element, without spaces between its parts")
	}
	return nil
}
