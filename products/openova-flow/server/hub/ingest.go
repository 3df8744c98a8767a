package hub

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// Ingest applies all messages of a request together, or refuses the request with an *IncarnationError, *EmitterError, *LeaseError or *LimitError. An exact
// repeat of an emitter's last request gets the same receipt, and its messages are not applied again. With a Log, Ingest also fails as Log.Append does. It
// never waits for a reader.
func (h *Hub) Ingest(p record.Post) (record.Receipt, error) {
	if h.cfg.Log != nil {
		return h.ingestByLog(p)
	}
	h.order.Lock()
	defer h.order.Unlock()
	if r, _, err := h.precheck(p); err != nil {
		return r, err
	}
	out := h.apply(h.next(record.Command{Kind: record.KindPost, Post: p}))
	return out.Receipt, out.Err
}

// precheck checks a request without applying it. done: it is an exact repeat of its emitter's last request, and r is that request's receipt. err: it would be refused.
func (h *Hub) precheck(p record.Post) (r record.Receipt, done bool, err error) {
	t := h.topic(p.FlowID)
	if t == nil {
		t = newTopic(h, p.FlowID)
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if last := t.repeated(p); last != nil {
		return last.Receipt, true, nil
	}
	r.Incarnation = t.incarnation
	if err := t.preconditions(p); err != nil {
		return r, false, err
	}
	return r, false, h.admits(p, t)
}

// repeated returns the emitter's last request if this one is an exact repeat of it, else nil. t.mu is held.
func (t *topic) repeated(p record.Post) *record.LastRequest {
	if last := t.emitters[p.Stamp.Name]; p.Stamp.Name != "" && last != nil && p.Stamp == last.Stamp && p.Digest == last.Digest {
		return last
	}
	return nil
}

// preconditions checks the preconditions in a request's headers: incarnation, emitter and lease. t.mu is held.
func (t *topic) preconditions(p record.Post) error {
	if p.IfIncarnation != "" && p.IfIncarnation != t.incarnation {
		return &IncarnationError{Want: p.IfIncarnation, Have: t.incarnation}
	}
	if last := t.emitters[p.Stamp.Name]; p.Stamp.Name != "" && last != nil && !p.Stamp.NewerThan(last.Stamp) {
		return &EmitterError{Got: p.Stamp, Last: last.Stamp}
	}
	if p.Lease != "" {
		if _, ok := t.claimed.Leased(p.Lease, p.Regions); !ok {
			return &LeaseError{}
		}
	}
	return nil
}

func onlyDeletes(messages []*flow.Message) bool {
	return !slices.ContainsFunc(messages, func(m *flow.Message) bool { return m.Type != flow.TypeDeleteNodes && m.Type != flow.TypeDeleteRels })
}

// admits checks the limits, which do not apply to a request with deletions only. t.mu is held.
func (h *Hub) admits(p record.Post, t *topic) error {
	if onlyDeletes(p.Messages) {
		return nil
	}
	s := &h.Stats
	if t.state == nil && s.Flows.Load() >= int64(h.cfg.MaxFlows) {
		return &LimitError{Server: true, Detail: fmt.Sprintf("the server is at its limit of %d flows; delete some, or raise FLOW_SERVER_MAX_FLOWS", h.cfg.MaxFlows)}
	}
	if h.full(t) {
		return &LimitError{Server: true, Detail: h.cfg.fullDetail()}
	}
	if t.accounted.state+t.accounted.bytes >= h.cfg.MaxFlowBytes {
		return &LimitError{Detail: fmt.Sprintf("the flow takes the %d bytes that a flow may take; delete nodes, or raise FLOW_SERVER_MAX_FLOW_BYTES", h.cfg.MaxFlowBytes)}
	}
	if p.Stamp.Name != "" && t.emitters[p.Stamp.Name] == nil && t.emittersLike(p.Stamp) >= h.cfg.MaxEmitters {
		return &LimitError{Field: "Flow-Emitter", Detail: fmt.Sprintf("the flow is at its limit of %d emitter names for the caller's regions; use a name again, or raise FLOW_SERVER_MAX_EMITTERS", h.cfg.MaxEmitters)}
	}
	if err := h.metaFits(p.Messages); err != nil {
		return err
	}
	if m, field := t.state.Exceeds(p.Messages, h.cfg.MaxNodes, h.cfg.MaxRelationships); m != nil {
		detail := "the request changes the regions of too many nodes with relationships; send it in several requests"
		if most := map[string]int{"nodes": h.cfg.MaxNodes, "relationships": h.cfg.MaxRelationships}[field]; most > 0 {
			detail = fmt.Sprintf("the flow would exceed %d %s; delete some, or raise FLOW_SERVER_MAX_%s", most, field, strings.ToUpper(field))
		}
		return &LimitError{Line: m.Line, Field: field, Detail: detail}
	}
	return nil
}

// regionsOf returns the prefix of a stamp's name that has the caller's regions; it is empty for a caller that is not bound to regions.
func regionsOf(s record.Stamp) string {
	regions, _, bound := strings.Cut(s.Name, "/")
	if !bound {
		return ""
	}
	return regions
}

// emittersLike counts the flow's emitters whose callers are bound to the same regions. t.mu is held.
func (t *topic) emittersLike(s record.Stamp) (n int) {
	for _, last := range t.emitters {
		if regionsOf(last.Stamp) == regionsOf(s) {
			n++
		}
	}
	return n
}

// forgetEmitters removes the emitters whose last request had a lease of the region, so that their next request may have any epoch. t.mu is held.
func (t *topic) forgetEmitters(region string) {
	maps.DeleteFunc(t.emitters, func(_ string, last *record.LastRequest) bool { return last.Region == region })
	t.account()
}

// fullDetail is the detail of the LimitError at MaxStateBytes.
func (c *Config) fullDetail() string {
	return fmt.Sprintf("the flows take the %d bytes that all flows may take; delete some, or raise FLOW_SERVER_MAX_STATE_BYTES", c.MaxStateBytes)
}

// full reports whether the limit of all flows' memory forbids this flow to grow. At the limit no flow can be created. An existing flow that takes less
// than an equal share may grow until all flows together take 125 % of the limit: a flow that fills the server must not stop the others. t.mu is held.
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
