// Package mapping turns Flux objects into the nodes and relationships of one region of a flow.
//
// It is pure: no clock, no logger, no I/O, and no dependence on the order of maps. The state of a Cluster is a function of the calls of its
// methods in their order. The same event again, with no call between, changes nothing.
//
// Objects are read as they are on the wire, in any version of their CRD, so a field may be absent or of a wrong type. Most such fields count as absent.
// Without a name, or without the shape that the mapping needs (for example with conditions that are not a list), an object is an error and changes
// nothing.
package mapping
