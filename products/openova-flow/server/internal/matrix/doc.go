// Package matrix tests the authorization of the whole server: it sends combinations of credential, method, route, flow, region and message over a
// socket, and compares each answer with the documentation. With -full it sends all of them.
//
// The oracle, expect_test.go, is written from SECURITY.md, docs/api.md and docs/access.md and shares no code with the server. When it disagrees with
// the server, the documentation decides which of the two is wrong.
//
// A module that stores flows in a log runs the same tests with its own log_test.go (go test -overlay).
package matrix
