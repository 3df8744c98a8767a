// Package load puts load on a flow server over loopback. It finds lost, repeated and reordered messages, and measures latency and the server's CPU
// time and memory.
//
// To leave most of the machine to the server, one thread reads all measured streams with epoll, and at most two threads post, over keep-alive connections.
// Linux only.
package load
