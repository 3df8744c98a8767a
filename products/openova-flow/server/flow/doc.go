// Package flow is the FlowMessage contract, version 1: what a message is, which messages are valid, and how they fold into the
// state of a flow.
//
// It performs no I/O, reads no clock and imports nothing but the standard library. Decode refuses whatever the contract refuses,
// byte by byte: encoding/json matches field names without regard to case, lets the last of two equal keys win and repairs broken
// UTF-8, so it cannot be used for that.
//
// Values decoded from bytes keep those bytes. A message, a node, a relationship or a flow therefore goes out as it came in,
// unknown fields included, only put on one line.
package flow
