// Package httpapi serves a hub over HTTP: the FlowMessage API, its streams, health, metrics and the page.
//
// Every error is an application/problem+json document (RFC 9457) whose detail says what to change; field and line name the
// offending place. Nothing of a refused request is applied.
package httpapi
