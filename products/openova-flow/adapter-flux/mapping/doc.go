// Package mapping turns Flux objects into the nodes and relationships of one region of a flow.
//
// It is pure: no clock, no logger, no I/O, and nothing depends on the order of a map. What a Cluster holds is a function of
// the events that it was given, in their order, and giving it an event twice changes nothing the second time.
//
// Objects come as they are on the wire, of any version of their CRD and written by anybody: every field may be absent or of
// another type than it should be. What cannot be read is taken as absent; an object that cannot be placed at all (no name, no spec,
// conditions that are no list) is an error, and nothing changes.
package mapping
