package flow

// Base is the state before the messages of a ring. Apply folds each message that leaves the ring. Most messages put one node, which a later message puts
// again: of these, a Base keeps only the text of the last one. Collect and Bytes may run at the same time; Apply must run alone.
type Base struct {
	state  *State             // without the nodes in single
	single map[string]*[]byte // by node id, the text of a message that put only this node
	bytes  int64              // approximate memory of single
}

// singleCost is the approximate memory of an entry of Base.single besides id and message, in bytes.
const singleCost = 100

// NewBase returns a Base that begins with a state, and owns it.
func NewBase(s *State) *Base { return &Base{state: s, single: make(map[string]*[]byte)} }

// Apply folds a message of the flow, and copies what it keeps. text is the result of Message.JSON, node that of Message.SingleNode. With an empty node Apply
// decodes the message.
func (b *Base) Apply(text, node []byte) {
	if len(node) == 0 {
		decodeAgain(b.state.flowID, string(text), b.fold)
		return
	}
	kept := b.single[string(node)]
	if kept == nil {
		b.state.removeNode(string(node))
		kept = new([]byte)
		b.single[string(node)] = kept
		b.bytes += int64(singleCost + len(node))
	}
	b.bytes += int64(len(text) - len(*kept))
	if cap(*kept) > 2*len(text) {
		*kept = nil
	}
	*kept = append((*kept)[:0], text...)
}

func (b *Base) fold(m *Message) {
	if m.Type == TypeSnapshot {
		clear(b.single)
		b.bytes = 0
	}
	for i := range m.Nodes {
		b.remove(m.Nodes[i].ID)
	}
	for _, id := range m.IDs {
		b.remove(id)
	}
	b.state.Apply(m)
}

func (b *Base) remove(id string) {
	if kept := b.single[id]; kept != nil {
		b.bytes -= int64(singleCost + len(id) + len(*kept))
		delete(b.single, id)
	}
}

// Collect returns the state as a snapshot and messages to fold after it, in any order, with State.ApplyAgain.
func (b *Base) Collect() (snapshot *Message, later []string) {
	for _, text := range b.single {
		later = append(later, string(*text))
	}
	return b.state.Collect(), later
}

// Bytes returns the approximate memory, as State.Bytes does.
func (b *Base) Bytes() int64 { return b.state.Bytes() + b.bytes }

// SingleNode returns the id of the node that m puts, or an empty string if m does anything else.
func (m *Message) SingleNode() string {
	if m.Type != TypeUpsertNodes || len(m.Nodes) != 1 {
		return ""
	}
	return m.Nodes[0].ID
}
