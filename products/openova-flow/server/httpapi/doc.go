// Package httpapi serves a hub over HTTP: the FlowMessage API, its streams, health, metrics and the page.
//
// A request passes ServeHTTP (server.go), the middleware of all routes, that of its own route (middleware.go), and the handler that routes.go names:
//
//	ingest.go, body.go                   post messages
//	snapshot.go, flows.go                read and delete flows
//	problems.go, revisions.go, region.go root causes in a flow; revisions of its sources; its regions
//	stream.go, stream_many.go            subscribe to one flow or several; internal/eventstream writes the frames
//	page.go, signin.go                   the page, signing in
//	health.go, metrics.go                health, metrics
//
// send.go sends large answers: it bounds how many are made at a time (turns.go), and their unread bytes (internal/backlog). errors.go has the answers to errors,
// access.go denials and audit lines, quota.go shares of limits.
//
// An error is an application/problem+json document (RFC 9457), except in the sign-in form. Its detail says what to change; field and line say where the
// error is. Nothing of a refused request is applied.
package httpapi
