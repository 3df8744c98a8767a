package matrix

import (
	"path"
	"slices"
	"strings"
)

// class is a set of kinds of answers. The oracle names several where the documentation leaves the order of checks open.
type class uint16

const (
	done        class = 1 << iota // 200, 204, 303
	malformed                     // 400, 413, 415: the request cannot be read
	unknown                       // 401: the server does not know the caller
	forbidden                     // 403: the caller may not do this
	absent                        // 404: no such path, or no such flow
	wrongMethod                   // 405
	conflict                      // 409: another cluster has the region
)

// expect is the oracle: it returns the class of the answer to a request.
func expect(q *request) class {
	if q.odd != nil {
		return expectOdd(q)
	}
	caller := q.credential.as
	route := verb(q.method) + " " + q.route
	switch {
	case !routeExists(q.route):
		return absent
	case public[route] != nil:
		return public[route](q)
	case rules[route] == nil:
		return wrongMethod // anybody may "find out which paths and methods exist (404, 405)"
	case caller == nil:
		return unknown
	case q.credential.ambient && q.credential.foreignPage && changes(q.method):
		return forbidden // "Writes with a cookie or a proxy's header from a page of another origin are 403"
	}
	return rules[route](q)
}

// public has the rules for requests that need no credential: "/healthz, /readyz, the sign-in page, the files of the page".
var public = map[string]func(*request) class{
	"GET /healthz":       always(done),
	"GET /readyz":        always(done),
	"GET /favicon.svg":   always(done),        // a file of the page
	"GET /sign-in":       always(done),        // the form, or 303 if signed in
	"POST /sign-in":      sameOrigin(unknown), // these requests carry no token in the form
	"POST /sign-out":     sameOrigin(done),
	"GET / as a browser": always(done), // the page, or 303 to the sign-in page
	"GET /no-such-file":  always(absent),
}

// rules is the table of docs/api.md, "Access". HEAD is like GET.
var rules = map[string]func(*request) class{
	"GET /":      always(done), // any valid credential
	"GET /v1/me": always(done),
	"GET /metrics": func(q *request) class {
		return only(q.credential.as.has("read") && slices.Contains(q.credential.as.flows, "*"))
	},

	"GET /v1/flows":              readSome, // answers hold only the flows that the caller may read
	"GET /v1/stream":             readSome,
	"GET /v1/stream?flow={flow}": func(q *request) class { return only(q.credential.as.may("read", q.flow)) },
	"GET /v1/stream?flow=own&flow={flow}": func(q *request) class {
		return only(q.credential.as.may("read", ownFlow) && q.credential.as.may("read", q.flow))
	},

	"GET {flow}/snapshot":  readFlow,
	"GET {flow}/events":    readFlow,
	"GET {flow}/rollouts":  readFlow,
	"GET {flow}/revisions": readFlow,
	"GET {flow}/problems":  readFlow,
	"GET {flow}/regions":   readFlow,
	"GET {flow}/stream":    func(q *request) class { return only(q.credential.as.may("read", q.flow)) }, // waits for a flow that does not exist

	"POST {flow}/events":          write,
	"PUT {flow}/regions/{region}": claim,
	"DELETE {flow}":               remove,
	"DELETE {flow}/regions/{region}": func(q *request) class {
		if !q.region.valid {
			return remove(q)&forbidden | malformed
		}
		return remove(q)
	},
}

// write is the rule "ingest of that flow, and ownership of all elements by the token's regions".
func write(q *request) class {
	caller, w := q.credential.as, q.write
	allowed := caller.may("ingest", q.flow)
	for _, m := range w.messages {
		allowed = allowed && caller.mayWrite(q.flow, m)
	}
	switch {
	case !w.broken:
		return only(allowed)
	case allowed:
		return malformed
	}
	return malformed | forbidden
}

// mayWrite is the rule "A region's token writes only what its region owns" for one message.
func (caller *principal) mayWrite(flow string, m message) bool {
	if caller.regions == nil {
		return true
	}
	if m.kind == "snapshot" || m.kind == "upsert-flow" {
		return caller.may("admin", flow) // they concern all regions
	}
	for _, n := range m.nodes { // a node has an id of the region, and that region
		if !caller.owns(n.id) || n.region != regionOf(n.id) {
			return false
		}
	}
	for _, id := range m.ids {
		if !caller.owns(id) {
			return false
		}
	}
	for _, e := range slices.Concat(m.edges, m.pairs) {
		if !caller.ownsEdge(e) {
			return false
		}
	}
	return true
}

// owns reports whether a token owns an id: one of region fsn1 owns the ids fsn1 and fsn1/…
func (caller *principal) owns(id string) bool { return slices.Contains(caller.regions, regionOf(id)) }

// ownsEdge reports whether a token owns an edge: its toId, and both ends of a contains edge.
func (caller *principal) ownsEdge(e edge) bool {
	return caller.owns(e.to) && (e.kind != "contains" || caller.owns(e.from))
}

func regionOf(id string) string { return strings.SplitN(id, "/", 2)[0] }

// claim is the rule "ingest of that flow, by a token with that region or without regions". The cluster with the claim keeps it until it expires, also
// against an admin; here none expires.
func claim(q *request) class {
	caller := q.credential.as
	allowed := caller.may("ingest", q.flow) && (caller.regions == nil || slices.Contains(caller.regions, q.region.name))
	switch {
	case !q.region.valid && allowed:
		return malformed
	case !q.region.valid:
		return malformed | forbidden
	case !allowed:
		return forbidden
	case exists(q.flow) && slices.Contains(claimedRegions, q.region.name) && q.cluster != clusterOf(q.flow, q.region.name):
		return conflict
	}
	return done
}

// remove is the rule "ingest of that flow by a token without regions, or admin".
func remove(q *request) class {
	caller := q.credential.as
	return only(caller.may("admin", q.flow) || caller.may("ingest", q.flow) && caller.regions == nil)
}

// readFlow is the rule "read of that flow". Without that right the answer is 403, whether the flow exists or not.
func readFlow(q *request) class {
	if q.credential.as.may("read", q.flow) && !exists(q.flow) {
		return absent
	}
	return only(q.credential.as.may("read", q.flow))
}

func readSome(q *request) class { return only(q.credential.as.has("read")) }

// expectOdd is the oracle for unusual spellings of a path and for unknown headers: they allow nothing that the plain request does not.
func expectOdd(q *request) class {
	plain := *q
	plain.odd = nil
	if q.odd.same {
		return expect(&plain)
	}
	denied := malformed | forbidden | absent | wrongMethod
	if q.credential.as == nil {
		denied = malformed | unknown | absent | wrongMethod
	}
	return expect(&plain)&done | denied
}

// mayShow reports whether an answer may contain strings of a flow: only if the caller may read it.
func mayShow(q *request, flow string) bool {
	return q.credential.as != nil && q.credential.as.may("read", flow)
}

// mayShowIncarnation reports whether an answer may contain a flow's incarnation: also if the caller may write to it.
func mayShowIncarnation(q *request, flow string) bool {
	return mayShow(q, flow) || q.credential.as != nil && q.credential.as.may("ingest", flow)
}

// mayShowHolder reports whether an answer may name the cluster with the claim: also if it denies another cluster's claim.
func mayShowHolder(q *request, flow string) bool {
	return mayShow(q, flow) || q.flow == flow && expect(q) == conflict
}

func (caller *principal) may(scope, flow string) bool {
	return caller.has(scope) && slices.ContainsFunc(caller.flows, func(pattern string) bool { return fits(pattern, flow) })
}

// has reports whether a caller has a scope; admin includes the others.
func (caller *principal) has(scope string) bool {
	return slices.Contains(caller.scopes, scope) || slices.Contains(caller.scopes, "admin")
}

// fits reports whether a flow id matches a pattern, in which * matches any characters.
func fits(pattern, flow string) bool {
	ok, err := path.Match(pattern, flow) // the * of path.Match stops at a slash, which no flow id has
	return ok && err == nil
}

func only(allowed bool) class {
	if allowed {
		return done
	}
	return forbidden
}

func always(c class) func(*request) class { return func(*request) class { return c } }

// sameOrigin returns the rule that a page of another origin can't sign its visitors in or out.
func sameOrigin(c class) func(*request) class {
	return func(q *request) class {
		if q.credential.foreignPage {
			return forbidden
		}
		return c
	}
}

func verb(method string) string {
	if method == "HEAD" {
		return "GET"
	}
	return method
}

func changes(method string) bool { return method != "GET" && method != "HEAD" && method != "OPTIONS" }

func routeExists(route string) bool {
	for name := range rules {
		if _, r, _ := strings.Cut(name, " "); r == route {
			return true
		}
	}
	for name := range public {
		if _, r, _ := strings.Cut(name, " "); r == route {
			return true
		}
	}
	return false
}
