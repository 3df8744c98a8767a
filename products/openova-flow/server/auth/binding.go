package auth

import (
	"fmt"
	"slices"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// CheckWrite returns nil if the caller may write the messages to a flow, otherwise a *Denial, which names the first foreign element if there is one.
func (g *Grant) CheckWrite(flowID string, messages []*flow.Message) error {
	if err := g.check(scopeIngest, "ingest", flowID); err != nil {
		return err
	}
	if !g.Bound() {
		return nil
	}
	for _, m := range messages {
		if field, detail := g.foreign(flowID, m); detail != "" {
			return &Denial{Reason: Region, Name: g.name, Field: field, Line: m.Line, Detail: detail}
		}
	}
	return nil
}

// CheckClaim returns nil if the caller may claim a region of a flow, otherwise a *Denial.
func (g *Grant) CheckClaim(flowID, region string) error {
	if err := g.check(scopeIngest, "ingest", flowID); err != nil {
		return err
	}
	if g.Bound() && !slices.Contains(g.permissions.regions, region) {
		return &Denial{Reason: Region, Name: g.name, Field: "region", Detail: g.notOwn(region)}
	}
	return nil
}

// Bound reports whether the caller is bound to regions.
func (g *Grant) Bound() bool { return g.permissions.regions != nil }

// confined reports whether the caller must not change what all regions share.
func (g *Grant) confined(flowID string) bool { return g.Bound() && !g.CanAdmin(flowID) }

// foreign returns the first field of a message that the caller must not write, and the reason; detail is empty
// if there is none.
func (g *Grant) foreign(flowID string, m *flow.Message) (field, detail string) {
	switch m.Type {
	case flow.TypeUpsertNodes, flow.TypeDeleteNodes, flow.TypeUpsertRels, flow.TypeDeleteRels:
	case flow.TypeSnapshot, flow.TypeUpsertFlow:
		if g.confined(flowID) {
			return "type", fmt.Sprintf("%s needs a token that is not bound to regions, or the scope admin", m.Type)
		}
		return "", ""
	default:
		return "type", "a token that is bound to regions may not send messages of this type"
	}
	for i := range m.Nodes {
		n := &m.Nodes[i]
		switch region := flow.RegionOf(n.ID); {
		case !g.OwnsNode(n.ID):
			return fmt.Sprintf("nodes[%d].id", i), g.notOwn(n.ID)
		case n.Region != region:
			return fmt.Sprintf("nodes[%d].region", i), fmt.Sprintf("%s is not the region of node %s; it must be %s", short(n.Region), short(n.ID), region)
		}
	}
	for i, id := range m.IDs {
		if !g.OwnsNode(id) {
			return fmt.Sprintf("ids[%d]", i), g.notOwn(id)
		}
	}
	for i := range m.Relationships {
		if field, id := g.foreignEnd(m.Relationships[i].Key()); field != "" {
			return fmt.Sprintf("relationships[%d].%s", i, field), g.notOwn(id)
		}
	}
	for i, k := range m.Pairs {
		if field, id := g.foreignEnd(k); field != "" {
			return fmt.Sprintf("pairs[%d].%s", i, field), g.notOwn(id)
		}
	}
	return "", ""
}

func (g *Grant) notOwn(id string) string {
	return fmt.Sprintf("%s does not belong to the regions of the token (%s)", short(id), strings.Join(g.permissions.regions, ", "))
}

// OwnsNode reports whether the caller may write a node with this id, existing or not.
func (g *Grant) OwnsNode(id string) bool {
	return !g.Bound() || slices.Contains(g.permissions.regions, flow.RegionOf(id))
}

// ownsRel reports whether the caller may write a relationship with this key.
func (g *Grant) ownsRel(k flow.RelKey) bool {
	return !g.Bound() || flow.RelInRegions(k, g.permissions.regions)
}

// foreignEnd returns an end of a relationship for which the caller must not write it, and the end's field; field is empty if the caller may write the
// relationship.
func (g *Grant) foreignEnd(k flow.RelKey) (field, id string) {
	if g.ownsRel(k) {
		return "", ""
	}
	if k.Type == flow.Contains && !g.OwnsNode(k.FromID) {
		return "fromId", k.FromID
	}
	return "toId", k.ToID
}

// Emitter returns the name under which the hub stores an emitter of the caller: the caller's regions, a slash, and the name in Flow-Emitter. A caller without
// regions has the name alone; if that contains a slash, another one precedes it, so that it can't equal the name of a bound caller. An empty name stays empty.
func (g *Grant) Emitter(name string) string {
	if name == "" || !g.Bound() && !strings.Contains(name, "/") {
		return name
	}
	return strings.Join(g.permissions.regions, ",") + "/" + name
}

// short quotes and shortens untrusted text.
func short(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}
