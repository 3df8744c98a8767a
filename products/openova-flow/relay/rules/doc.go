// Package rules reads the configuration of a relay: the server that it follows, the channels that it tells, and which notices go to which channel.
//
// Whatever decides whom to tell, and with which credential, comes from this file alone: addresses, repositories and regions are never taken from a flow.
package rules
