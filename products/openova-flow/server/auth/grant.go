package auth

import (
	"slices"
	"strings"
	"time"
)

// scopes are permissions, as bits.
type scopes uint8

const (
	scopeRead scopes = 1 << iota
	scopeIngest
	scopeAdmin
)

const scopeAll = scopeRead | scopeIngest | scopeAdmin

func scopeOf(name string) (s scopes, ok bool) {
	switch name {
	case "read":
		return scopeRead, true
	case "ingest":
		return scopeIngest, true
	case "admin":
		return scopeAll, true
	}
	return 0, false
}

// permissions are what an entry of the file allows.
type permissions struct {
	scopes  scopes
	flows   []string // patterns
	regions []string // nil: unbound
}

// Grant is a caller and its permissions. It is immutable.
type Grant struct {
	name        string
	permissions permissions
	expires     time.Time // zero: never
	credential  Credential
	generation  uint64
}

// Name returns the caller's name for logs: the name of its entry in the file, "user:" and the user that a
// proxy names, or anonymous without access control.
func (g *Grant) Name() string { return g.name }

// Regions returns the regions that the caller is bound to, nil if it may write all.
func (g *Grant) Regions() []string { return slices.Clone(g.permissions.regions) }

// Scopes returns the scopes of the caller, in the order read, ingest, admin. admin includes the others.
func (g *Grant) Scopes() (names []string) {
	for _, name := range []string{"read", "ingest", "admin"} {
		if s, _ := scopeOf(name); g.permissions.scopes&s == s {
			names = append(names, name)
		}
	}
	return names
}

// SignedIn returns how the caller authenticated: bearer, cookie or proxy; none without access control.
func (g *Grant) SignedIn() string { return g.credential.signedIn() }

// Readable returns the patterns of the flows that the caller may read, sorted; only * if it may read all, nil if it may read none. Callers with equal
// patterns may read the same flows.
func (g *Grant) Readable() []string {
	if g.permissions.scopes&scopeRead == 0 {
		return nil
	}
	for _, p := range g.permissions.flows {
		if strings.Trim(p, "*") == "" {
			return []string{"*"}
		}
	}
	return slices.Sorted(slices.Values(g.permissions.flows))
}

// CanRead reports whether the caller may read a flow.
func (g *Grant) CanRead(flowID string) bool { return g.can(scopeRead, flowID) }

// CanIngest reports whether the caller may write to a flow, within its regions.
func (g *Grant) CanIngest(flowID string) bool { return g.can(scopeIngest, flowID) }

// CanAdmin reports whether the caller has the scope admin for a flow.
func (g *Grant) CanAdmin(flowID string) bool { return g.can(scopeAdmin, flowID) }

func (g *Grant) can(s scopes, flowID string) bool {
	return g.permissions.scopes&s != 0 && slices.ContainsFunc(g.permissions.flows, func(p string) bool { return matches(p, flowID) })
}

// CheckRead returns nil if the caller may read a flow, existing or not, otherwise a *Denial.
func (g *Grant) CheckRead(flowID string) error { return g.check(scopeRead, "read", flowID) }

// CheckReader returns nil if the caller may read at least some flows, otherwise a *Denial.
func (g *Grant) CheckReader() error {
	if g.permissions.scopes&scopeRead == 0 {
		return g.deny(Scope, "this needs the scope read")
	}
	return nil
}

// CheckReadAll returns nil if the caller may read all flows, otherwise a *Denial.
func (g *Grant) CheckReadAll() error {
	if err := g.CheckReader(); err != nil {
		return err
	}
	if g.Readable()[0] != "*" {
		return g.deny(Flow, "this needs access to all flows; the credential's entry must list the flow *")
	}
	return nil
}

// CheckDelete returns nil if the caller may delete a flow, or a region of it, otherwise a *Denial.
func (g *Grant) CheckDelete(flowID string) error {
	if err := g.check(scopeIngest, "ingest", flowID); err != nil {
		return err
	}
	if g.confined(flowID) {
		return g.deny(Region, "DELETE needs a token that is not bound to regions, or the scope admin")
	}
	return nil
}

func (g *Grant) check(s scopes, name, flowID string) error {
	switch {
	case g.can(s, flowID):
		return nil
	case g.permissions.scopes&s == 0:
		return g.deny(Scope, "this needs the scope "+name)
	}
	return g.deny(Flow, "the credential allows no access to this flow; its entry in the tokens file lists the allowed flows")
}

func (g *Grant) deny(r Reason, detail string) *Denial {
	return &Denial{Reason: r, Name: g.name, Detail: detail}
}

// matches reports whether a flow id matches a pattern, in which * stands for any characters.
func matches(pattern, id string) bool {
	p, i := 0, 0
	star, from := -1, 0 // the last * in pattern, and the end of what it stands for in id
	for i < len(id) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && pattern[p] == id[i]:
			p++
			i++
		case star >= 0:
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
