// Package flow implements version 1 of the FlowMessage contract: what a message is, which messages are valid, and how messages
// fold into the state of a flow. It performs no I/O, reads no clock and imports only the standard library.
//
// Decode rejects exactly what the contract forbids. encoding/json can't do that: it ignores the case of field names, accepts
// duplicate keys and replaces invalid UTF-8.
//
// Decoded values keep their bytes. A message, a node, a relationship or a flow is therefore sent on as it was received,
// including unknown fields; only white space between tokens is removed.
package flow
