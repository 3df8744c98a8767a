// Package load puts load on a flow server over loopback. It finds lost, repeated and reordered messages, and measures latency and the server's CPU
// time and memory.
//
// It uses as little as possible of the machine that it shares with the server: one thread reads all streams with epoll, at most two post over keep-alive
// connections, and none allocates for each message. Linux only.
package load
