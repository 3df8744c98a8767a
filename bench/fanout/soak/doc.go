// Package soak leaves a server of flows under load for a while: publishers that upsert, delete and start anew, viewers that come, stall
// and go, restarts of the server with its state file, planned and not. What every viewer has folded is held against the server, what the
// server has against the publishers, each message against the one before it, and the server's memory and goroutines against what they were.
package soak
