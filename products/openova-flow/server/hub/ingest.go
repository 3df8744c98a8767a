package hub

import (
	"fmt"
	"slices"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// Ingest applies a request as one, or refuses it as one with an *IncarnationError, *EmitterError, *LeaseError or *LimitError, and with a
// Log also with what its Append fails with. It never waits for a reader.
func (h *Hub) Ingest(p Post) (Receipt, error) {
	if h.cfg.Log != nil {
		return h.ingestByLog(p)
	}
	h.order.Lock()
	defer h.order.Unlock()
	if r, _, err := h.foresee(p); err != nil {
		return r, err
	}
	out := h.apply(h.next(Command{Kind: record.KindPost, Post: p}))
	return out.Receipt, out.Err
}

// repeated returns the last word of the emitter when a request is an exact repeat of it. t.mu is held.
func (t *topic) repeated(p Post) *record.LastWord {
	if last := t.emitters[p.Stamp.Name]; p.Stamp.Name != "" && last != nil && p.Stamp == last.Stamp && p.Digest == last.Digest {
		return last
	}
	return nil
}

// conditions checks what a request itself asks for. t.mu is held.
func (t *topic) conditions(p Post) error {
	if p.IfIncarnation != "" && p.IfIncarnation != t.incarnation {
		return &IncarnationError{Want: p.IfIncarnation, Have: t.incarnation}
	}
	if last := t.emitters[p.Stamp.Name]; p.Stamp.Name != "" && last != nil && !p.Stamp.NewerThan(last.Stamp) {
		return &EmitterError{Got: p.Stamp, Last: last.Stamp}
	}
	if p.Lease != "" && t.leased(p) == nil {
		return &LeaseError{}
	}
	return nil
}

func onlyDeletes(messages []*flow.Message) bool {
	return !slices.ContainsFunc(messages, func(m *flow.Message) bool { return m.Type != flow.TypeDeleteNodes && m.Type != flow.TypeDeleteRels })
}

// admits checks the limits. t.mu is held.
func (h *Hub) admits(p Post, t *topic) error {
	if onlyDeletes(p.Messages) {
		return nil
	}
	s := &h.Stats
	if t.state == nil && s.Flows.Load() >= int64(h.cfg.MaxFlows) {
		return &LimitError{Server: true, Detail: fmt.Sprintf("the server holds %d flows, which is its limit", h.cfg.MaxFlows)}
	}
	if h.full(t) {
		return &LimitError{Server: true, Detail: fmt.Sprintf("the flows of the server take %d bytes, which is its limit", h.cfg.MaxStateBytes)}
	}
	if t.accounted.state+t.accounted.bytes >= h.cfg.MaxFlowBytes {
		return &LimitError{Detail: fmt.Sprintf("the flow takes %d bytes, which is the limit of one", h.cfg.MaxFlowBytes)}
	}
	if p.Stamp.Name != "" && t.emitters[p.Stamp.Name] == nil && t.emittersLike(p.Stamp) >= h.cfg.MaxEmitters {
		return &LimitError{Field: "Flow-Emitter", Detail: fmt.Sprintf("the flow knows %d emitters of the caller's regions, which is the limit", h.cfg.MaxEmitters)}
	}
	if err := h.metaFits(p.Messages); err != nil {
		return err
	}
	if err := movesFit(p.Messages, t.state); err != nil {
		return err
	}
	if m, field := t.state.Exceeds(p.Messages, h.cfg.MaxNodes, h.cfg.MaxRelationships); m != nil {
		most := map[string]int{"nodes": h.cfg.MaxNodes, "relationships": h.cfg.MaxRelationships}[field]
		return &LimitError{Line: m.Line, Field: field, Detail: fmt.Sprintf("a flow may have %d %s", most, field)}
	}
	return nil
}

// maxMoves bounds how often a request may change the regions of nodes that it has put already, times the relationships that there are: each time costs
// as many steps as the node has of them, while all who write to any flow wait.
const maxMoves = 4 << 20

// movesFit checks that a request does not move nodes to and fro between regions. One that could not do so at much cost is not looked at. state may be nil.
func movesFit(messages []*flow.Message, state *flow.State) error {
	nodes, rels := 0, 0
	if state != nil {
		rels = state.RelCount()
	}
	for _, m := range messages {
		nodes += len(m.Nodes)
		rels += len(m.Relationships)
	}
	if nodes*rels <= maxMoves {
		return nil
	}
	regions := make(map[string]string, nodes)
	moves := 0
	for _, m := range messages {
		for i := range m.Nodes {
			n := &m.Nodes[i]
			if was, known := regions[n.ID]; known && was != n.Region {
				moves++
			}
			regions[n.ID] = n.Region
			if moves*rels > maxMoves {
				return &LimitError{Line: m.Line, Field: fmt.Sprintf("nodes[%d].region", i), Detail: "a request may not change the regions of nodes over and over where there are so many relationships"}
			}
		}
	}
	return nil
}

// regionsOf returns what an emitter's name begins with: the regions of its caller, nothing for a caller without regions.
func regionsOf(s Stamp) string {
	regions, _, bound := strings.Cut(s.Name, "/")
	if !bound {
		return ""
	}
	return regions
}

// emittersLike counts the emitters of callers with the same regions. t.mu is held.
func (t *topic) emittersLike(s Stamp) (n int) {
	for _, last := range t.emitters {
		if regionsOf(last.Stamp) == regionsOf(s) {
			n++
		}
	}
	return n
}

// full reports whether there is no room left for a flow. At the limit of all flows, one that takes less than its share of it goes on, until a
// quarter more is taken: whoever fills the server stops others from beginning, and not from going on. t.mu is held.
func (h *Hub) full(t *topic) bool {
	taken, limit := h.Stats.StateBytes.Load()+h.Stats.RingBytes.Load(), h.cfg.MaxStateBytes
	if taken < limit {
		return false
	}
	return t.state == nil || taken >= limit+limit/4 || t.accounted.state+t.accounted.bytes >= limit/max(h.Stats.Flows.Load(), 1)
}

func (h *Hub) metaFits(messages []*flow.Message) error {
	for _, m := range messages {
		for i := range m.Nodes {
			if n := len(m.Nodes[i].Meta); n > h.cfg.MaxMetaBytes {
				return &LimitError{Line: m.Line, Field: fmt.Sprintf("nodes[%d].meta", i),
					Detail: fmt.Sprintf("the meta of a node may have %d bytes, this one has %d", h.cfg.MaxMetaBytes, n)}
			}
		}
	}
	return nil
}
