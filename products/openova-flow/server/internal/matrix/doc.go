// Package matrix tests the authorization of the whole server: it sends every combination of credential, method, route, flow, region and
// message over a socket, and compares each answer with what the documentation says.
//
// The oracle, expect_test.go, is written from SECURITY.md, docs/api.md and docs/access.md, and must stay so: when it and the
// server disagree, one of the two is wrong, and the documentation decides which. It shares no code with the server.
//
// A module whose flows are kept by a log runs the same tests over its own, with another version of log_test.go (go test -overlay).
package matrix
