// Package proxy lets a Go service serve flows under its own origin: an http.Handler that passes snapshot, stream, events, rollouts and
// problems of single flows on to a flow server and, where ingest is allowed, what emitters send.
//
//	flows, err := proxy.New(proxy.Config{Upstream: server, Authorize: mayRead})
//	mux.Handle("/sovereign/api/", http.StripPrefix("/sovereign/api", flows))
//	httpServer.RegisterOnShutdown(flows.Close)
//
// What goes upstream is built from what is known to be needed, and so is what comes back: of the caller's request only the flow,
// the resource and the headers and parameters of the API pass, never a cookie or a credential; of an answer only the headers of
// the API, never an address. Frames of a stream pass as they come, unbuffered.
package proxy
