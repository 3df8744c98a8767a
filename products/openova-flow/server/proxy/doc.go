// Package proxy lets a Go service serve flows under its own origin: an http.Handler that passes snapshot, stream, events, rollouts, revisions, problems
// and claims of flows on to a flow server, the list of flows and streams of several, and, where ingest is allowed, what emitters send.
//
//	flows, err := proxy.New(proxy.Config{Upstream: server, Authorize: mayRead, AuthorizeList: signedIn})
//	mux.Handle("/sovereign/api/", http.StripPrefix("/sovereign/api", flows)) // so /sovereign/api/v1/flows is the server's /v1/flows
//	httpServer.RegisterOnShutdown(flows.Close)
//
// What goes upstream is built from what is known to be needed, and so is what comes back: of the caller's request only the flows,
// the resource and the headers and parameters of the API pass, never a cookie or a credential; of an answer only the headers of
// the API, never an address. Frames of a stream pass as they come, unbuffered.
//
// A stream of several flows names them, as ?flow=a&flow=b, and Authorize must let each pass. The stream of all flows is not served: which flows a
// caller may reach can change, and no Last-Event-ID would tell the server that a flow is new to the caller. A page asks for the list and
// follows what it names.
//
// An open stream costs the service 4 goroutines, about 60 KiB and two connections, the caller's and one to the flow server; over HTTP/2 streams share
// the latter (BenchmarkProxy_IdleStream; the server itself takes 0.5 KiB for one). Each stream counts at the flow server as one of the service's credential:
// see FLOW_SERVER_MAX_SUBSCRIBERS.
package proxy
