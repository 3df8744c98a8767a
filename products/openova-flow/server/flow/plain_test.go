package flow_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// plain is the fold as the contract defines it, implemented without this package: two lists with linear search, and
// a FlowInstance that is derived again after each request.
type plain struct {
	flowID    string
	created   int64
	flow      string
	status    string // of a flow that no emitter has described
	described bool
	done      int64
	nodes     []plainNode
	rels      []plainRel
}

type plainMessage struct {
	Type          string
	Flow          json.RawMessage
	Nodes         []json.RawMessage
	Relationships []json.RawMessage
	IDs           []string
	Pairs         []plainKey
}

type plainKey struct{ FromID, ToID, Type string }

type plainNode struct {
	raw                string
	ID, Status, Region string
	StartedAt, EndedAt *int64
}

type plainRel struct {
	raw string
	plainKey
	FromFlowID, ToFlowID string
}

func newPlain(flowID string, created int64) *plain {
	return &plain{flowID: flowID, created: created, status: "pending", flow: fmt.Sprintf(`{"id":%s,"status":"pending","startedAt":%d}`, quoted(flowID), created)}
}

// request folds the messages of a request. It returns the FlowInstance that the server then sends, empty if it sends none.
func (s *plain) request(arrival int64, messages []string) string {
	for _, m := range messages {
		s.apply(m)
	}
	before := s.flow
	s.derive(arrival)
	if s.flow == before {
		return ""
	}
	return s.flow
}

func (s *plain) snapshot() string {
	slices.SortFunc(s.nodes, func(a, b plainNode) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(s.rels, func(a, b plainRel) int {
		return cmp.Or(cmp.Compare(a.FromID, b.FromID), cmp.Compare(a.ToID, b.ToID), cmp.Compare(a.Type, b.Type))
	})
	var nodes, rels []string
	for _, n := range s.nodes {
		nodes = append(nodes, n.raw)
	}
	for _, r := range s.rels {
		rels = append(rels, r.raw)
	}
	return fmt.Sprintf(`{"type":"snapshot","flow":%s,"nodes":[%s],"relationships":[%s]}`, s.flow, strings.Join(nodes, ","), strings.Join(rels, ","))
}

func (s *plain) apply(text string) {
	var m plainMessage
	read([]byte(text), &m)
	switch m.Type {
	case "snapshot":
		s.nodes, s.rels = nil, nil
		s.flow, s.described = compact(m.Flow), true
		s.putNodes(m.Nodes)
		s.putRels(m.Relationships)
	case "upsert-flow":
		s.flow, s.described = compact(m.Flow), true
	case "upsert-nodes":
		s.putNodes(m.Nodes)
	case "upsert-rels":
		s.putRels(m.Relationships)
	case "delete-nodes":
		here := func(id, flow string) bool { return slices.Contains(m.IDs, id) && (flow == "" || flow == s.flowID) }
		s.nodes = slices.DeleteFunc(s.nodes, func(n plainNode) bool { return slices.Contains(m.IDs, n.ID) })
		s.rels = slices.DeleteFunc(s.rels, func(r plainRel) bool { return here(r.FromID, r.FromFlowID) || here(r.ToID, r.ToFlowID) })
	case "delete-rels":
		s.rels = slices.DeleteFunc(s.rels, func(r plainRel) bool { return slices.Contains(m.Pairs, r.plainKey) })
	default:
		panic("a message of type " + m.Type)
	}
}

func (s *plain) putNodes(all []json.RawMessage) {
	for _, raw := range all {
		n := plainNode{raw: compact(raw)}
		read(raw, &n)
		s.nodes = append(slices.DeleteFunc(s.nodes, func(o plainNode) bool { return o.ID == n.ID }), n)
	}
}

func (s *plain) putRels(all []json.RawMessage) {
	for _, raw := range all {
		r := plainRel{raw: compact(raw)}
		read(raw, &r)
		s.rels = append(slices.DeleteFunc(s.rels, func(o plainRel) bool { return o.plainKey == r.plainKey }), r)
	}
}

// derive computes the FlowInstance from the leaves, unless an emitter has described the flow.
func (s *plain) derive(arrival int64) {
	if s.described {
		return
	}
	worst, started, ended := "", int64(-1), int64(0)
	rank := func(status string) int {
		return slices.Index([]string{"", "succeeded", "pending", "running", "failed"}, status)
	}
	begun, hasEnded := false, false
	for _, n := range s.nodes {
		if s.contains(n) {
			continue
		}
		status := n.Status
		if rank(status) < 0 {
			status = "running"
		}
		if rank(status) > rank(worst) {
			worst = status
		}
		if n.StartedAt != nil && (!begun || *n.StartedAt < started) {
			started, begun = *n.StartedAt, true
		}
		if n.EndedAt != nil && (!hasEnded || *n.EndedAt > ended) {
			ended, hasEnded = *n.EndedAt, true
		}
	}
	if worst == "" {
		worst = "pending"
	}
	if started < 0 {
		started = s.created
	}
	if worst == "succeeded" && s.status != "succeeded" {
		s.done = arrival
	}
	s.status = worst
	end := ""
	if worst == "succeeded" {
		if !hasEnded {
			ended = s.done
		}
		end = fmt.Sprintf(`,"endedAt":%d`, ended)
	}
	s.flow = fmt.Sprintf(`{"id":%s,"status":%s,"startedAt":%d%s}`, quoted(s.flowID), quoted(worst), started, end)
}

// contains reports whether a node contains an existing node of its region.
func (s *plain) contains(container plainNode) bool {
	local := func(flow string) bool { return flow == "" || flow == s.flowID }
	return slices.ContainsFunc(s.rels, func(r plainRel) bool {
		return r.Type == "contains" && r.ToID == container.ID && local(r.ToFlowID) && local(r.FromFlowID) &&
			slices.ContainsFunc(s.nodes, func(n plainNode) bool { return n.ID == r.FromID && n.Region == container.Region })
	})
}

// leaves returns the ids of the nodes that contain no node of their region, sorted.
func (s *plain) leaves() []string {
	ids := []string{}
	for _, n := range s.nodes {
		if !s.contains(n) {
			ids = append(ids, n.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

func read(data []byte, into any) {
	if err := json.Unmarshal(data, into); err != nil {
		panic(fmt.Sprintf("%s: %v", data, err))
	}
}

func compact(raw []byte) string {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		panic(err)
	}
	return b.String()
}

func quoted(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
