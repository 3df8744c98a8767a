package matrix

import (
	"net/url"
	"slices"
	"strings"
)

// request is one cell of the matrix.
type request struct {
	name       string // of the cell, unique
	credential *credential
	method     string
	route      string // its key in rules
	flow       string
	region     region
	cluster    string // the cluster that claims the region
	write      *writeShape
	odd        *oddShape
}

// The flows. Most credentials are for those that match ownPatterns.
const (
	ownFlow     = "team-a7"
	foreignFlow = "vault-q9"
	neverMade   = "team-a7-none" // matches, but does not exist
	justWithin  = "team-a7-"     // matches: * also stands for no character
	justOutside = "team-a7x"
	otherCase   = "TEAM-A7"
)

var (
	ownPatterns = []string{"team-a7", "team-a7-*"}
	flows       = []string{ownFlow, foreignFlow, neverMade, justWithin, justOutside, otherCase}
	methods     = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get"}
)

func exists(flow string) bool { return flow != neverMade }

// claimedRegions are claimed in every existing flow, each by its own cluster.
var claimedRegions = []string{"fsn1", "hel1"}

// clusterOf returns the identity of the cluster with the claim on a region of a flow.
func clusterOf(flow, region string) string { return "uid-" + region + "-of-" + canary(flow) }

// canary returns a string that the planted content of a flow and the clusters of its claims have, and nothing else.
func canary(flow string) string { return canaries[flow] }

var canaries = func() map[string]string {
	all := map[string]string{}
	for _, flow := range flows {
		all[flow] = "canary" + hashOf(flow)[:16]
	}
	return all
}()

// payload is in posted nodes and FlowInstances. It must not appear in a log.
const payload = "payload5d1e"

// region is one spelling of a region in a path.
type region struct {
	segment string // of the path
	name    string // decoded
	valid   bool
}

var regions = []region{
	{"fsn1", "fsn1", true},
	{"hel1", "hel1", true},
	{"fsn2", "fsn2", true},
	{"%66sn1", "fsn1", true}, // needlessly encoded
	{"FSN1", "FSN1", true},
	{"f%D1%95n1", "fѕn1", true}, // with a Cyrillic letter
	{"fsn", "fsn", true},
	{"fsn1a", "fsn1a", true},
	{"fsn1%2Fa", "fsn1/a", true},
	{"fsn1%2F", "fsn1/", true},
	{"%2Ffsn1", "/fsn1", true},
	{"fsn1%20", "fsn1 ", true},
	{"fsn1%00", "fsn1\x00", true},
	{"fsn1%0A", "fsn1\n", true},
	{"fsn1,hel1", "fsn1,hel1", true},
	{"%2566sn1", "%66sn1", true}, // encoded twice, decoded once
	{"..", "..", true},
	{".", ".", true},
	{"*", "*", true},
	{"", "", false},
	{"fsn1%FF", "", false},
}

// serverRoutes are the routes and paths that are not about one flow.
var serverRoutes = []string{"/", "/ as a browser", "/healthz", "/readyz", "/metrics", "/sign-in", "/sign-out", "/favicon.svg", "/no-such-file",
	"/v1/me", "/v1/flows", "/v1/stream", "/v1/nothing"}

var flowRoutes = []string{"{flow}", "{flow}/events", "{flow}/snapshot", "{flow}/stream", "{flow}/rollouts", "{flow}/revisions", "{flow}/problems", "{flow}/regions/{region}",
	"{flow}/regions", "{flow}/nothing", "/v1/stream?flow={flow}", "/v1/stream?flow=own&flow={flow}"}

func (q *request) target() string {
	if q.odd != nil && q.odd.target != "" {
		return strings.ReplaceAll(q.odd.target, "FLOW", q.flow)
	}
	t := strings.TrimSuffix(q.route, " as a browser")
	if rest, ok := strings.CutPrefix(t, "{flow}"); ok {
		t = "/v1/flows/{flow}" + rest
	}
	t = strings.ReplaceAll(t, "flow=own", "flow="+ownFlow)
	return strings.NewReplacer("{flow}", q.flow, "{region}", q.region.segment).Replace(t)
}

// header returns the lines of the request's header, without Host and Content-Length.
func (q *request) header() []string {
	lines := slices.Clone(q.credential.lines)
	if q.odd != nil {
		lines = append(lines, q.odd.lines...)
	}
	if q.route == "/ as a browser" {
		lines = append(lines, "Accept: text/html")
	}
	switch {
	case q.write != nil:
		lines = append(lines, "Content-Type: "+q.write.contentType)
		lines = append(lines, q.write.lines...)
	case q.cluster != "":
		lines = append(lines, "Content-Type: application/json")
	case q.method == "POST":
		lines = append(lines, "Content-Type: application/x-www-form-urlencoded")
	}
	return lines
}

func (q *request) body() string {
	switch {
	case q.write != nil:
		return q.write.body(q.flow)
	case q.cluster != "":
		return asJSON(object{"cluster": q.cluster, "ttlSeconds": 3600})
	}
	return ""
}

// mayChange reports whether the request may change a flow if it is allowed.
func (q *request) mayChange() bool {
	return strings.HasPrefix(q.route, "{flow}") && slices.Contains([]string{"POST", "PUT", "DELETE"}, q.method)
}

func cells() []*request {
	var all []*request
	add := func(q request, parts ...string) {
		q.name = strings.Join(append([]string{q.credential.name, q.method, q.route}, parts...), " | ")
		all = append(all, &q)
	}
	for _, c := range credentials {
		for _, method := range methods {
			for _, route := range serverRoutes {
				add(request{credential: c, method: method, route: route})
			}
			for _, route := range flowRoutes {
				for _, flow := range flows {
					q := request{credential: c, method: method, route: route, flow: flow, region: regions[0]}
					switch method + " " + route {
					case "POST {flow}/events":
						q.write = writeShapes[0]
					case "PUT {flow}/regions/{region}":
						q.cluster = clusterOf(flow, q.region.name)
					}
					add(q, flow)
				}
			}
		}
		for _, flow := range flows {
			for _, w := range writeShapes[1:] {
				add(request{credential: c, method: "POST", route: "{flow}/events", flow: flow, write: w}, flow, w.name)
			}
			for _, r := range regions[1:] {
				add(request{credential: c, method: "DELETE", route: "{flow}/regions/{region}", flow: flow, region: r}, flow, url.PathEscape(r.segment))
			}
			for _, r := range regions {
				for _, cluster := range []string{clusterOf(flow, r.name), "uid-of-another"} {
					if r.segment == "fsn1" && cluster != "uid-of-another" {
						continue // covered by the methods above
					}
					add(request{credential: c, method: "PUT", route: "{flow}/regions/{region}", flow: flow, region: r, cluster: cluster}, flow, url.PathEscape(r.segment), cluster)
				}
			}
		}
		for _, o := range oddShapes {
			for _, flow := range []string{ownFlow, foreignFlow} {
				for _, method := range o.methods {
					q := request{credential: c, method: method, route: o.route, flow: flow, region: region{"hel1", "hel1", true}, odd: o}
					if method == "POST" {
						q.write = writeShapes[0]
					}
					if method == "PUT" {
						q.cluster = clusterOf(flow, "hel1")
					}
					add(q, flow, o.name)
				}
			}
		}
	}
	return all
}
