package auth

import (
	"slices"
	"strings"
	"time"
)

// scopes are what a caller may do, as bits.
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

// rights are what an entry of the file gives.
type rights struct {
	scopes  scopes
	flows   []string // patterns
	regions []string // nil: unbound
}

// Grant is a caller that is known, and what it may do. It does not change; a Session tells when it has ceased to hold.
type Grant struct {
	name       string
	rights     rights
	expires    time.Time // zero: never by itself
	credential Credential
	generation uint64
}

// Name is the caller's, for logs: that of its entry in the file, or user: and what a proxy calls it.
func (g *Grant) Name() string { return g.name }

// Regions are those that what the caller writes must belong to, nil when it may write everything.
func (g *Grant) Regions() []string { return slices.Clone(g.rights.regions) }

// Scopes are what the caller may do: of read, ingest and admin, in that order. The scope admin has the others in it.
func (g *Grant) Scopes() (names []string) {
	for _, name := range []string{"read", "ingest", "admin"} {
		if s, _ := scopeOf(name); g.rights.scopes&s == s {
			names = append(names, name)
		}
	}
	return names
}

// SignedIn says by what the caller is known: bearer, cookie or proxy; none where there is no access control.
func (g *Grant) SignedIn() string { return g.credential.signedIn() }

// Readable are the patterns of the flows that the caller may read, sorted; only * when it may read all. Callers for whom they
// are equal may read the same.
func (g *Grant) Readable() []string {
	if g.rights.scopes&scopeRead == 0 {
		return nil
	}
	for _, p := range g.rights.flows {
		if strings.Trim(p, "*") == "" {
			return []string{"*"}
		}
	}
	return slices.Sorted(slices.Values(g.rights.flows))
}

// CanRead reports whether the caller may read a flow.
func (g *Grant) CanRead(flowID string) bool { return g.can(scopeRead, flowID) }

// CanIngest reports whether the caller may write to a flow, within its regions.
func (g *Grant) CanIngest(flowID string) bool { return g.can(scopeIngest, flowID) }

// CanAdmin reports whether the caller may do everything with a flow.
func (g *Grant) CanAdmin(flowID string) bool { return g.can(scopeAdmin, flowID) }

func (g *Grant) can(s scopes, flowID string) bool {
	return g.rights.scopes&s != 0 && slices.ContainsFunc(g.rights.flows, func(p string) bool { return matches(p, flowID) })
}

// CheckRead returns nil when the caller may read a flow, else a *Refusal. It does not matter whether there is such a flow.
func (g *Grant) CheckRead(flowID string) error { return g.check(scopeRead, "read", flowID) }

// CheckReader returns nil when the caller may read some flow, whichever, else a *Refusal.
func (g *Grant) CheckReader() error {
	if g.rights.scopes&scopeRead == 0 {
		return g.refuse(Scope, "this needs the scope read")
	}
	return nil
}

// CheckReadAll returns nil when the caller may read all flows, else a *Refusal.
func (g *Grant) CheckReadAll() error {
	if err := g.CheckReader(); err != nil {
		return err
	}
	if g.Readable()[0] != "*" {
		return g.refuse(Flow, "this is of all flows, and the credential is for some; its entry has to name * as a flow")
	}
	return nil
}

// CheckDelete returns nil when the caller may delete a flow, or a region of it, else a *Refusal.
func (g *Grant) CheckDelete(flowID string) error {
	if err := g.check(scopeIngest, "ingest", flowID); err != nil {
		return err
	}
	if g.confined(flowID) {
		return g.refuse(Region, "DELETE needs a token that is not bound to regions")
	}
	return nil
}

func (g *Grant) check(s scopes, name, flowID string) error {
	switch {
	case g.can(s, flowID):
		return nil
	case g.rights.scopes&s == 0:
		return g.refuse(Scope, "this needs the scope "+name)
	}
	return g.refuse(Flow, "the credential is not for this flow")
}

func (g *Grant) refuse(r Reason, detail string) *Refusal {
	return &Refusal{Reason: r, Name: g.name, Detail: detail}
}

// matches reports whether a flow id fits a pattern, in which * stands for any run of characters.
func matches(pattern, id string) bool {
	p, i := 0, 0
	star, from := -1, 0 // the last * and how much of id comes before what it stands for and one more try
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
