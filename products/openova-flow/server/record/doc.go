// Package record encodes the changes and the states of a hub. A Command is an entry of a log; a Checkpoint restores a flow; a saved state is the checkpoints
// of many flows. All are lines of JSON, in which messages, nodes, relationships and flows keep their original bytes.
package record
