package hub

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// Digest tells the bodies of requests apart: their SHA-256.
type Digest = [sha256.Size]byte

// Stamp says who sends a request and in what order (Flow-Emitter). The zero Stamp says nothing.
type Stamp struct {
	Name     string // of a caller bound to regions it begins with these and a slash (auth.Grant.Emitter): names are limited for each set of them
	Epoch, N int64
}

func (s Stamp) newerThan(o Stamp) bool { return s.Epoch > o.Epoch || s.Epoch == o.Epoch && s.N > o.N }

// lastWord is the last request that was applied for an emitter's name.
type lastWord struct {
	stamp   Stamp
	digest  Digest
	receipt Receipt
}

// Post is a request to fold messages, at least one, into a flow.
type Post struct {
	FlowID        string
	Messages      []*flow.Message
	Regions       []string // that the caller is bound to: relationships of others outlive its deletions; nil: none
	IfIncarnation string   // apply only to this incarnation; NoIncarnation: only if there is no flow; empty: to any
	Stamp         Stamp
	Digest        Digest // of the body; needed only with a Stamp
	Lease         string // of a region of the flow, which it renews when it is applied; empty: of none
}

// Receipt is the answer to a Post.
type Receipt struct {
	Seq         int64  // number of its last message
	Incarnation string // of the flow after it, NoIncarnation when there is none
}

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
	out := h.apply(h.next(Command{Kind: KindPost, Post: p}))
	return out.Receipt, out.Err
}

// repeated returns the last word of the emitter when a request is an exact repeat of it. t.mu is held.
func (t *topic) repeated(p Post) *lastWord {
	if last := t.emitters[p.Stamp.Name]; p.Stamp.Name != "" && last != nil && p.Stamp == last.stamp && p.Digest == last.digest {
		return last
	}
	return nil
}

// wants checks the condition of a request against the incarnation that there is.
func (p Post) wants(have string) error {
	if p.IfIncarnation != "" && p.IfIncarnation != have {
		return &IncarnationError{Want: p.IfIncarnation, Have: have}
	}
	return nil
}

// unmet checks what a request itself asks for where there is nothing of its flow.
func (p Post) unmet() error {
	if err := p.wants(NoIncarnation); err != nil {
		return err
	}
	if p.Lease != "" {
		return &LeaseError{}
	}
	return nil
}

// conditions checks what a request itself asks for. t.mu is held.
func (t *topic) conditions(p Post) error {
	if err := p.wants(t.incarnation); err != nil {
		return err
	}
	if last := t.emitters[p.Stamp.Name]; p.Stamp.Name != "" && last != nil && !p.Stamp.newerThan(last.stamp) {
		return &EmitterError{Got: p.Stamp, Last: last.stamp}
	}
	if p.Lease != "" && t.leased(p) == nil {
		return &LeaseError{}
	}
	return nil
}

func onlyDeletes(messages []*flow.Message) bool {
	for _, m := range messages {
		if m.Type != flow.TypeDeleteNodes && m.Type != flow.TypeDeleteRels {
			return false
		}
	}
	return true
}

// admits checks the limits. t is nil, or its lock is held.
func (h *Hub) admits(p Post, t *topic) error {
	if onlyDeletes(p.Messages) {
		return nil
	}
	s := &h.Stats
	if (t == nil || t.state == nil) && s.Flows.Load() >= int64(h.cfg.MaxFlows) {
		return &LimitError{Server: true, Detail: fmt.Sprintf("the server holds %d flows, which is its limit", h.cfg.MaxFlows)}
	}
	if h.full(t) {
		return &LimitError{Server: true, Detail: fmt.Sprintf("the flows of the server take %d bytes, which is its limit", h.cfg.MaxStateBytes)}
	}
	if t != nil && t.accounted.state+t.accounted.bytes >= h.cfg.MaxFlowBytes {
		return &LimitError{Detail: fmt.Sprintf("the flow takes %d bytes, which is the limit of one", h.cfg.MaxFlowBytes)}
	}
	if t != nil && p.Stamp.Name != "" && t.emitters[p.Stamp.Name] == nil && t.emittersLike(p.Stamp) >= h.cfg.MaxEmitters {
		return &LimitError{Field: "Flow-Emitter", Detail: fmt.Sprintf("the flow knows %d emitters of the caller's regions, which is the limit", h.cfg.MaxEmitters)}
	}
	if err := h.metaFits(p.Messages); err != nil {
		return err
	}
	var state *flow.State
	if t != nil {
		state = t.state
	}
	return h.sizeFits(p.Messages, state)
}

// regions returns what an emitter's name begins with: the regions of its caller, nothing for a caller without regions.
func (s Stamp) regions() string {
	regions, _, bound := strings.Cut(s.Name, "/")
	if !bound {
		return ""
	}
	return regions
}

// emittersLike counts the emitters of callers with the same regions. t.mu is held.
func (t *topic) emittersLike(s Stamp) (n int) {
	for _, last := range t.emitters {
		if last.stamp.regions() == s.regions() {
			n++
		}
	}
	return n
}

// full reports whether there is no room left for a flow. At the limit of all flows, one that takes less than its share of it goes on, until a
// quarter more is taken: whoever fills the server stops others from beginning, and not from going on. t is nil, or its lock is held.
func (h *Hub) full(t *topic) bool {
	taken, limit := h.Stats.StateBytes.Load()+h.Stats.RingBytes.Load(), h.cfg.MaxStateBytes
	if taken < limit {
		return false
	}
	return t == nil || t.state == nil || taken >= limit+limit/4 || t.accounted.state+t.accounted.bytes >= limit/max(h.Stats.Flows.Load(), 1)
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

// sizeFits checks that a flow stays within its numbers of nodes and relationships. The common case, far below them, costs one
// addition per message; near them it is worked out which keys are new. Relationships that go because a node of theirs is deleted
// in the same request are not counted off.
func (h *Hub) sizeFits(messages []*flow.Message, state *flow.State) error {
	nodes, rels := 0, 0
	if state != nil {
		nodes, rels = state.NodeCount(), state.RelCount()
	}
	moreNodes, moreRels := nodes, rels
	for _, m := range messages {
		moreNodes += len(m.Nodes)
		moreRels += len(m.Relationships)
	}
	if moreNodes <= h.cfg.MaxNodes && moreRels <= h.cfg.MaxRelationships {
		return nil
	}
	nodeSet := keySet[string]{n: nodes, base: func(id string) bool {
		if state == nil {
			return false
		}
		_, ok := state.Node(id)
		return ok
	}}
	relSet := keySet[flow.RelKey]{n: rels, base: func(k flow.RelKey) bool { return state != nil && state.HasRel(k) }}
	for _, m := range messages {
		if m.Type == flow.TypeSnapshot {
			nodeSet, relSet = keySet[string]{}, keySet[flow.RelKey]{}
		}
		for i := range m.Nodes {
			nodeSet.set(m.Nodes[i].ID, true)
		}
		for i := range m.Relationships {
			relSet.set(m.Relationships[i].Key(), true)
		}
		for _, id := range m.IDs {
			nodeSet.set(id, false)
		}
		for _, k := range m.Pairs {
			relSet.set(k, false)
		}
		if nodeSet.n > h.cfg.MaxNodes {
			return &LimitError{Line: m.Line, Field: "nodes", Detail: fmt.Sprintf("a flow may have %d nodes", h.cfg.MaxNodes)}
		}
		if relSet.n > h.cfg.MaxRelationships {
			return &LimitError{Line: m.Line, Field: "relationships", Detail: fmt.Sprintf("a flow may have %d relationships", h.cfg.MaxRelationships)}
		}
	}
	return nil
}

// keySet is a set of keys on top of another that is not touched.
type keySet[K comparable] struct {
	n       int
	base    func(K) bool
	changed map[K]bool
}

func (s *keySet[K]) set(k K, present bool) {
	was, known := s.changed[k]
	if !known && s.base != nil {
		was = s.base(k)
	}
	if was == present {
		return
	}
	if s.changed == nil {
		s.changed = make(map[K]bool)
	}
	s.changed[k] = present
	if present {
		s.n++
	} else {
		s.n--
	}
}
