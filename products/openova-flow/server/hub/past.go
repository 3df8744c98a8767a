package hub

import (
	"bytes"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

const (
	maxLate     = 1024    // nodes that are not folded in yet
	maxLateText = 4 << 10 // bytes of a message that may wait to be
	perLate     = 160     // bytes that such a node takes besides its message, about
)

// past is the state just before the first message of a flow's ring. Each message that leaves the ring goes into it, and hardly anybody asks
// for it, so a message that puts one node, as most do, is not decoded before it must be: the next of that node makes it needless.
type past struct {
	state *flow.State      // nil while that is nothing; of a node that is in late it holds that it is there, and no more
	late  map[string]*late // by node: what is newer than state
	bytes int64            // of late, about
}

// late is a message that puts one node.
type late struct{ text []byte }

// add takes the message of an entry that leaves the ring. nothing makes a state with nothing in it.
func (p *past) add(e entry, nothing func() *flow.State) {
	if p.state == nil {
		p.state = nothing()
	}
	if node := e.node(); len(node) > 0 && len(e.text()) <= maxLateText {
		l := p.late[string(node)]
		if l == nil {
			l = p.await(string(node))
		}
		before := cap(l.text)
		l.text = append(l.text[:0], e.text()...)
		p.bytes += int64(cap(l.text) - before)
		return
	}
	m := e.message(p.state.ID())
	switch m.Type {
	case flow.TypeUpsertFlow, flow.TypeUpsertRels, flow.TypeDeleteRels: // come to the same before and after nodes are put
	default:
		p.fold()
	}
	p.state.Apply(m)
}

// await makes room for a message that puts a node.
func (p *past) await(node string) *late {
	if len(p.late) == maxLate {
		p.fold()
	}
	if p.late == nil {
		p.late = make(map[string]*late)
	}
	l := new(late)
	p.late[node] = l
	p.bytes += perLate + int64(len(node))
	p.state.Hollow(node)
	return l
}

// fold brings the state up to date.
func (p *past) fold() {
	for _, l := range p.late {
		p.state.Apply(decoded(p.state.ID(), l.text))
	}
	p.late, p.bytes = nil, 0
}

// collect returns what the state is made of: a snapshot, and messages to apply to it. They share nothing with later changes.
func (p *past) collect(nothing func() *flow.State) (base *flow.Message, texts [][]byte) {
	if p.state == nil {
		return nothing().Collect(), nil
	}
	for _, l := range p.late {
		texts = append(texts, bytes.Clone(l.text))
	}
	return p.state.Collect(), texts
}

// size returns about how much memory it takes.
func (p *past) size() int64 {
	if p.state == nil {
		return 0
	}
	return p.state.Bytes() + p.bytes
}

// soleNode returns where in a message the bytes of the id stand, anywhere, of the node that it puts, if that is all that it does: their place
// and their number, which is 0 if it does more, or the id stands there with escapes only.
func soleNode(m *flow.Message) (at, length int32) {
	if m.Type != flow.TypeUpsertNodes || len(m.Nodes) != 1 {
		return 0, 0
	}
	if i := strings.Index(m.JSON(), m.Nodes[0].ID); i >= 0 {
		return int32(i), int32(len(m.Nodes[0].ID))
	}
	return 0, 0
}
