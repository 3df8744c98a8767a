// Package record is how changes and states of a hub are written down: a Command is what a log carries, a Checkpoint what a flow is made of again, and a saved
// state is the checkpoints of many flows. What is written is lines of JSON, with messages, nodes and all as they came.
package record
