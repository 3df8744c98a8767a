// Package load puts load on a server of flows over loopback and reads from what comes back whether anything was lost, came twice or
// out of order, how long it took, and what it cost the server.
//
// It takes as little as it can of a machine that it shares with the server: one thread reads all streams from one epoll, another
// posts over keep-alive connections, neither allocates per message. Linux only.
package load
