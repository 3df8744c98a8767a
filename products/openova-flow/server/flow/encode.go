package flow

import (
	"bytes"
	"encoding/json"
	"strings"
)

// UpsertFlow returns an upsert-flow message.
func UpsertFlow(f Instance) *Message { return &Message{Type: TypeUpsertFlow, Flow: &f} }

// UpsertNodes returns an upsert-nodes message. The contract requires at least one node.
func UpsertNodes(nodes ...Node) *Message { return &Message{Type: TypeUpsertNodes, Nodes: nodes} }

// UpsertRels returns an upsert-rels message. The contract requires at least one relationship.
func UpsertRels(rels ...Relationship) *Message {
	return &Message{Type: TypeUpsertRels, Relationships: rels}
}

// DeleteNodes returns a delete-nodes message. The contract requires at least one id.
func DeleteNodes(ids ...string) *Message { return &Message{Type: TypeDeleteNodes, IDs: ids} }

// DeleteRels returns a delete-rels message. The contract requires at least one pair.
func DeleteRels(pairs ...RelKey) *Message { return &Message{Type: TypeDeleteRels, Pairs: pairs} }

// JSON returns the message on one line: if it was decoded, its bytes without insignificant white space, otherwise its encoded fields. Do not change a
// decoded message, node, relationship or flow and then encode it: the change would be lost. Build a new one.
func (m *Message) JSON() string {
	if m.raw != "" {
		return m.raw
	}
	var b strings.Builder
	b.WriteString(`{"type":"` + string(m.Type) + `"`)
	if m.Flow != nil {
		b.WriteString(`,"flow":` + m.Flow.JSON())
	}
	snapshot := m.Type == TypeSnapshot
	if snapshot || len(m.Nodes) > 0 {
		writeList(&b, "nodes", m.Nodes, Node.JSON)
	}
	if snapshot || len(m.Relationships) > 0 {
		writeList(&b, "relationships", m.Relationships, Relationship.JSON)
	}
	if len(m.IDs) > 0 {
		writeList(&b, "ids", m.IDs, func(id string) string { return encode(id) })
	}
	if len(m.Pairs) > 0 {
		writeList(&b, "pairs", m.Pairs, func(k RelKey) string { return encode(k) })
	}
	b.WriteByte('}')
	return b.String()
}

func writeList[T any](b *strings.Builder, name string, list []T, text func(T) string) {
	b.WriteString(`,"` + name + `":[`)
	for i, e := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(text(e))
	}
	b.WriteByte(']')
}

// JSON returns the flow on one line, like Message.JSON.
func (f Instance) JSON() string {
	if f.raw != "" {
		return f.raw
	}
	return encode(f)
}

// JSON returns the node on one line, like Message.JSON.
func (n Node) JSON() string {
	if n.raw != "" {
		return n.raw
	}
	return encode(n)
}

// JSON returns the relationship on one line, like Message.JSON.
func (r Relationship) JSON() string {
	if r.raw != "" {
		return r.raw
	}
	return encode(r)
}

// encode marshals v without HTML escapes. It panics if Go code has set a Meta that is not JSON.
func encode(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("flow: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}
