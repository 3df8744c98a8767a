// Package soak puts a server under load: publishers that upsert and delete, subscribers that connect, stall and disconnect, and planned and
// unplanned restarts of the server with its state file. It compares the state of every subscriber with the server's, the server's state with what
// the publishers sent, the live heap in the last quarter of the run with that in the second, and the goroutines at the end with those at the start.
package soak
