// Package hub is the engine. For each flow it has the folded state, a ring of the last messages as encoded Server-Sent Events frames, and the readers of
// subscribers.
//
// Guarantees:
//
//   - All messages of a request are applied together: a snapshot has all of them or none.
//   - Sequence numbers are assigned and changes are applied under one lock. So the numbers of messages increase in the order in which the messages are applied.
//     Without a Log they are at least the time in microseconds.
//   - If a caller that is bound to regions deletes a node, the hub restores the node's relationships of other regions (flow.RelInRegions), with an upsert-rels
//     message after the last message of the request.
//   - A reader is a cursor. It gets every message after its cursor, once and in order, or a snapshot frame if some of them are no longer held. There is no
//     queue for each reader, so a slow one costs no memory and delays nobody.
//   - The effect of a change depends only on the changes before it. With a Log (Config.Log) the order is that of the log, so hubs on the same log are equal.
//
// No lock is held while a snapshot is encoded or data is written to a network.
package hub
