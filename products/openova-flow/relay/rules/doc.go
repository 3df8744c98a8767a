// Package rules reads the configuration of a relay: the server that it follows, the channels, and which notices go to which channel.
//
// Only the configuration decides where notices go and with which credential: addresses and repositories are never taken from a flow.
package rules
