// Package httpapi serves a hub over HTTP: the FlowMessage API, its streams, health, metrics and the page.
//
// A request passes ServeHTTP (server.go), the middleware of all routes and of its own (middleware.go), and the handler that the table in routes.go names:
//
//	ingest.go, body.go                   post messages
//	snapshot.go, flows.go                read and delete flows
//	problems.go, revisions.go, region.go root causes in a flow; revisions of its sources; its regions
//	stream.go, stream_many.go            subscribe to one flow or several; internal/eventstream writes the frames
//	page.go, health.go, signin.go        the page, health, signing in
//
// Handlers answer through send.go, which takes turns (turns.go) and bounds unread answers (internal/backlog), and through errors.go. Denials and audit
// lines are in access.go, shares of limits in quota.go.
//
// Every error is an application/problem+json document (RFC 9457) whose detail says what to change; field and line say where the
// error is. Nothing of a refused request is applied.
package httpapi
