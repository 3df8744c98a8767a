// Package proxy lets a Go service serve flows under its own origin. It has an http.Handler that passes requests on to a flow server: for the snapshot,
// stream, events, rollouts, revisions, problems and claims of a flow, and for streams of several flows; with AuthorizeList, for the list of flows; with
// AllowIngest, requests of emitters.
//
//	flows, err := proxy.New(proxy.Config{Upstream: server, Authorize: mayRead, AuthorizeList: signedIn})
//	mux.Handle("/sovereign/api/", http.StripPrefix("/sovereign/api", flows)) // so /sovereign/api/v1/flows is the server's /v1/flows
//	httpServer.RegisterOnShutdown(flows.Close)
//
// The request to the flow server is a new one. From the caller's request it has only the method, the flows, the resource, the region, the body, and the headers
// and parameters of the API, never a cookie or a credential. Of the answer's headers, only those of the API are passed on. Frames of a stream are passed on
// unbuffered.
//
// A stream of several flows names them, as ?flow=a&flow=b, and Authorize must allow each. The stream of all flows is not served: the flows that a
// caller may read can change, and the server could not know from Last-Event-ID which flows are new to the caller. A page gets the list first, and
// then a stream of the flows in it.
//
// An open stream costs the service 4 goroutines, about 60 KiB and two connections, the caller's and one to the flow server; over HTTP/2 streams share
// the latter (BenchmarkProxy_IdleStream). The flow server counts all these streams against the share of the
// service's credential: see FLOW_SERVER_MAX_SUBSCRIBERS.
package proxy
