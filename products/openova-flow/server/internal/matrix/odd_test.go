package matrix

import (
	"slices"
	"strings"
)

// oddShape is an unusual spelling of a request: of its path, or with headers that some servers obey.
type oddShape struct {
	name    string
	route   string   // the plain request that it resembles
	methods []string // of the request
	target  string   // of the request line, with FLOW for the flow; empty: from the route
	lines   []string // extra header lines
	same    bool     // the answer has the class of the plain request's; else it must not allow more
}

var oddShapes = makeOddShapes()

func makeOddShapes() []*oddShape {
	var all []*oddShape
	for name, target := range map[string]string{
		"slash encoded":             "/v1/flows/FLOW%2Fsnapshot",
		"slash encoded, small":      "/v1/flows/FLOW%2fsnapshot",
		"slash encoded twice":       "/v1/flows/FLOW%252Fsnapshot",
		"slash before encoded":      "/v1/flows%2FFLOW/snapshot",
		"two slashes first":         "//v1/flows/FLOW/snapshot",
		"two slashes":               "/v1/flows//FLOW/snapshot",
		"two slashes after":         "/v1/flows/FLOW//snapshot",
		"slash after":               "/v1/flows/FLOW/snapshot/",
		"backslash":                 `/v1/flows\FLOW\snapshot`,
		"dots to it":                "/v1/flows/" + ownFlow + "/../FLOW/snapshot",
		"dots encoded":              "/v1/flows/" + ownFlow + "/%2E%2E/FLOW/snapshot",
		"dots and slashes encoded":  "/v1/flows/" + ownFlow + "%2F..%2FFLOW/snapshot",
		"dots above the root":       "/../v1/flows/FLOW/snapshot",
		"dots from a public file":   "/assets/../v1/flows/FLOW/snapshot",
		"dots from healthz":         "/healthz/../v1/flows/FLOW/snapshot",
		"public file after":         "/v1/flows/FLOW/snapshot/../../../../healthz",
		"dot":                       "/v1/./flows/FLOW/snapshot",
		"path parameter":            "/v1/flows/FLOW;x=1/snapshot",
		"path parameter after":      "/v1/flows/FLOW/snapshot;.css",
		"capitals":                  "/V1/FLOWS/FLOW/SNAPSHOT",
		"capital":                   "/v1/flows/FLOW/Snapshot",
		"NUL":                       "/v1/flows/FLOW%00/snapshot",
		"NUL after":                 "/v1/flows/FLOW/snapshot%00",
		"NUL, bare":                 "/v1/flows/FLOW\x00/snapshot",
		"line feed":                 "/v1/flows/FLOW%0A/snapshot",
		"space":                     "/v1/flows/FLOW%20/snapshot",
		"question mark encoded":     "/v1/flows/FLOW/snapshot%3F",
		"bad percent":               "/v1/flows/FLOW%zz/snapshot",
		"star":                      "/v1/flows/*/snapshot",
		"pattern":                   "/v1/flows/team-*/snapshot",
		"comma":                     "/v1/flows/" + ownFlow + ",FLOW/snapshot",
		"empty id":                  "/v1/flows//snapshot",
		"dot id":                    "/v1/flows/./snapshot",
		"dots id":                   "/v1/flows/../snapshot",
		"long id":                   "/v1/flows/" + strings.Repeat("a", 129) + "/snapshot",
		"very long id":              "/v1/flows/" + strings.Repeat("a", 16<<10) + "/snapshot",
		"no slash first":            "v1/flows/FLOW/snapshot",
		"fragment":                  "/v1/flows/" + ownFlow + "/snapshot#/../FLOW",
		"another scheme":            "ftp://localhost/v1/flows/FLOW/snapshot",
		"bad query":                 "/v1/flows/FLOW/snapshot?a=%zz",
		"query with a semicolon":    "/v1/flows/FLOW/snapshot?a=1;b=2",
		"under the base path":       "/api/v1/flows/FLOW/snapshot",
		"of another version":        "/v2/flows/FLOW/snapshot",
		"with dots at the end":      "/v1/flows/FLOW/snapshot/..",
		"letters of another script": "/v1/flows/FLOW/%D1%95napshot",
		"overlong slash":            "/v1/flows/FLOW%C0%AFsnapshot",
	} {
		all = append(all, &oddShape{name: "path, " + name, route: "{flow}/snapshot", methods: []string{"GET", "DELETE"}, target: target})
	}
	for name, target := range map[string]string{
		"absolute":            "http://localhost/v1/flows/FLOW/snapshot",
		"absolute, elsewhere": "http://another.example/v1/flows/FLOW/snapshot",
		"region asked for":    "/v1/flows/FLOW/snapshot?region=fsn1",
		"token in the query":  "/v1/flows/FLOW/snapshot?access_token=x&token=x",
		"flow in the query":   "/v1/flows/FLOW/snapshot?flow=" + foreignFlow + "&flowId=" + foreignFlow,
		"method in the query": "/v1/flows/FLOW/snapshot?_method=DELETE",
	} {
		all = append(all, &oddShape{name: "path, " + name, route: "{flow}/snapshot", methods: []string{"GET", "DELETE", "PUT"}, target: target, same: true})
	}
	for _, line := range []string{
		"X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE",
		"X-Original-URL: /v1/flows/" + foreignFlow + "/snapshot", "X-Rewrite-URL: /v1/flows/" + foreignFlow + "/snapshot", "X-Original-URL: /healthz", "X-Rewrite-URL: /healthz",
		"X-Forwarded-Uri: /healthz", "X-Forwarded-Path: /healthz", "X-Forwarded-Prefix: /healthz", "X-Forwarded-Host: localhost", "X-Forwarded-Proto: https",
		"X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "Forwarded: for=127.0.0.1;host=localhost", "X-Remote-User: root", "X-Token: x", "Proxy-Authorization: Bearer x",
		"Connection: Authorization", "Connection: Cookie", "X-Forwarded-Authorization: Bearer x", "Flow-Emitter: x;epoch=1;n=1",
	} {
		all = append(all, &oddShape{name: "header, " + line, route: "{flow}/snapshot", methods: []string{"GET"}, lines: []string{line}, same: true})
		all = append(all, &oddShape{name: "header, " + line, route: "{flow}/events", methods: []string{"POST"}, lines: []string{line}, same: true})
		all = append(all, &oddShape{name: "header, " + line, route: "{flow}/regions/{region}", methods: []string{"DELETE", "PUT"}, lines: []string{line}, same: true})
	}
	slices.SortStableFunc(all, func(a, b *oddShape) int { return strings.Compare(a.name, b.name) }) // the order of maps is random
	return all
}
