package emit

import (
	"bytes"
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"time"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// batch is the body of one POST. It is built once, so that a POST without an answer is repeated with the same bytes.
type batch struct {
	changes   []change // in the order of Put
	lines     []line   // line n of the body is lines[n-1]
	body      []byte
	n         int64  // number of the POST
	condition string // incarnation on which the POST is conditional
}

// line is one message of a batch.
type line struct {
	typ     flow.Type
	changes []change
}

// arrayNames has the name of the array in a message of each type.
var arrayNames = map[flow.Type]string{
	flow.TypeDeleteRels: "pairs", flow.TypeDeleteNodes: "ids", flow.TypeUpsertNodes: "nodes", flow.TypeUpsertRels: "relationships",
}

// messageOrder is the order of the messages of a wave. Relationships are upserted after the deletions of nodes, which remove relationships.
var messageOrder = [...]flow.Type{flow.TypeDeleteRels, flow.TypeDeleteNodes, flow.TypeUpsertNodes, flow.TypeUpsertRels}

func (c change) typ() flow.Type {
	switch {
	case c.deletes() && c.key.node != "":
		return flow.TypeDeleteNodes
	case c.deletes():
		return flow.TypeDeleteRels
	case c.key.node != "":
		return flow.TypeUpsertNodes
	}
	return flow.TypeUpsertRels
}

// element returns the change as an element of its message's array.
func (c change) element() string {
	if !c.deletes() {
		return c.json
	}
	var b []byte
	if c.key.node != "" {
		b, _ = json.Marshal(c.key.node)
	} else {
		b, _ = json.Marshal(c.key.rel)
	}
	return string(b)
}

// messageOverhead is an upper limit for the bytes of a message without its elements.
const messageOverhead = 64

// limits limit a batch and its messages. Each has at least one change, whatever its size.
type limits struct {
	message, batch int  // bytes
	single         bool // one element in each message
}

// Encode returns messages with the same result as the changes in their order, one on each line.
func Encode(changes []mapping.Change) []byte {
	all := make([]change, len(changes))
	for i, c := range changes {
		all[i] = fromMapping(c, time.Time{})
	}
	return makeBatch(all, limits{message: math.MaxInt, batch: math.MaxInt}).body
}

// makeBatch returns a batch with the first changes, as many as the limits allow.
func makeBatch(changes []change, lim limits) *batch {
	b := &batch{}
	w := newWave()
	size, taken := len(messageOrder)*messageOverhead, 0
	for _, c := range changes {
		grow := len(c.json) + messageOverhead
		if c.deletes() {
			grow += 2 * (len(c.key.node) + len(c.key.rel.FromID) + len(c.key.rel.ToID))
		}
		nextWave := !w.takes(c)
		if nextWave {
			grow += len(messageOrder) * messageOverhead
		}
		if size += grow; taken > 0 && size > lim.batch {
			break
		}
		if nextWave {
			b.lines = append(b.lines, w.lines(lim)...)
			w = newWave()
		}
		w.add(c)
		taken++
	}
	b.lines = append(b.lines, w.lines(lim)...)
	b.changes = append(b.changes, changes[:taken]...)
	b.encode()
	return b
}

func (b *batch) encode() {
	var buf bytes.Buffer
	for _, l := range b.lines {
		buf.WriteString(`{"type":"` + string(l.typ) + `","` + arrayNames[l.typ] + `":[`)
		for i, c := range l.changes {
			if i > 0 {
				buf.WriteByte(',')
			}
			buf.WriteString(c.element())
		}
		buf.WriteString("]}\n")
	}
	b.body = buf.Bytes()
}

var elementName = regexp.MustCompile(`^(nodes|relationships|ids|pairs)\[(\d+)\]`)

// named returns the change that p names, if it names one. p.Line must be a line of the batch.
func (b *batch) named(p problem) (c change, ok bool) {
	l := b.lines[p.Line-1]
	if len(l.changes) == 1 {
		return l.changes[0], true
	}
	if m := elementName.FindStringSubmatch(p.Field); m != nil && m[1] == arrayNames[l.typ] {
		if i, err := strconv.Atoi(m[2]); err == nil && i < len(l.changes) {
			return l.changes[i], true
		}
	}
	return change{}, false
}

// wave is a run of changes that can be sent by type, in messageOrder, with the same result as one message for each change.
type wave struct {
	byType   map[flow.Type][]change
	upserted map[key]struct{}
	ends     map[string]struct{} // of the upserted relationships
}

func newWave() *wave {
	return &wave{byType: map[flow.Type][]change{}, upserted: map[key]struct{}{}, ends: map[string]struct{}{}}
}

// takes reports whether c fits in the wave.
func (w *wave) takes(c change) bool {
	if _, ok := w.upserted[c.key]; ok {
		return false
	}
	if c.deletes() && c.key.node != "" {
		_, ok := w.ends[c.key.node]
		return !ok
	}
	return true
}

func (w *wave) add(c change) {
	w.byType[c.typ()] = append(w.byType[c.typ()], c)
	if c.deletes() {
		return
	}
	w.upserted[c.key] = struct{}{}
	if c.key.node == "" {
		w.ends[c.key.rel.FromID] = struct{}{}
		w.ends[c.key.rel.ToID] = struct{}{}
	}
}

func (w *wave) lines(lim limits) []line {
	var out []line
	for _, typ := range messageOrder {
		var l line
		size := messageOverhead
		for _, c := range w.byType[typ] {
			n := len(c.element()) + 1
			if len(l.changes) > 0 && (lim.single || size+n > lim.message) {
				out = append(out, l)
				l, size = line{}, messageOverhead
			}
			l.typ = typ
			l.changes = append(l.changes, c)
			size += n
		}
		if len(l.changes) > 0 {
			out = append(out, l)
		}
	}
	return out
}
