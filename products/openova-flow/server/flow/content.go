package flow

import "unicode/utf8"

// Content is the complete content of a State. Later changes of the state do not change it.
type Content struct {
	Snapshot  *Message // the FlowInstance, the nodes and the relationships, unordered
	Described bool     // an emitter has described the flow; otherwise its instance is derived
	Arrival   int64    // when the flow was created, Unix milliseconds
	DoneAt    int64    // arrival of the change that made the derived status succeeded, Unix milliseconds
}

// Content returns the content of the state. The cost depends on the number of elements, not on their bytes.
func (s *State) Content() Content {
	return Content{Snapshot: s.Collect(), Described: s.described, Arrival: s.arrival, DoneAt: s.doneAt}
}

// State restores a state. It folds later messages exactly as the original does.
func (c Content) State(flowID string) *State {
	s := NewState(flowID, c.Arrival)
	s.Apply(c.Snapshot)
	s.described, s.doneAt = c.Described, c.DoneAt
	if !s.described { // a derived instance has no original bytes
		s.bytes -= int64(len(s.flow.raw))
		s.flow.raw = ""
	}
	return s
}

// DecodeInstance decodes the result of Instance.JSON, for flow flowID. The error, if any, is an *Error.
func DecodeInstance(flowID, text string) (f Instance, err error) {
	err = element(flowID, text, func(d *decoder) error { return d.instance(&f) })
	return f, err
}

// DecodeNode decodes the result of Node.JSON, for a node of flow flowID. The error, if any, is an *Error.
func DecodeNode(flowID, text string) (n Node, err error) {
	err = element(flowID, text, func(d *decoder) error { return d.node(&n) })
	return n, err
}

// DecodeRelationship decodes the result of Relationship.JSON. The error, if any, is an *Error.
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
