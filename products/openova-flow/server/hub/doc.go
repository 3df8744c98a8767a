// Package hub is the engine. For each flow it has the folded state, a ring of the last messages as encoded Server-Sent Events frames, and the readers of
// subscribers.
//
// Guarantees:
//
//   - All messages of a request are applied together: a reader sees all of them or none.
//   - Sequence numbers are assigned and changes are applied under one lock. So if a number exists, its change and all earlier ones are applied. Numbers only
//     increase and, without a Log, are at least the time in microseconds.
//   - A caller that is bound to regions can't remove relationships of other regions (flow.RelInRegions): if a deleted node had such relationships, the hub
//     restores them with an upsert-rels message after the last message of the request.
//   - A reader is a cursor. It gets every message after its cursor, once and in order, or a snapshot frame if the ring no longer has all of them. There is no
//     queue for each reader, so a slow one costs no memory and delays nobody.
//   - The effect of a change depends only on the changes before it. With a Log (Config.Log) the order is that of the log, so hubs on the same log are equal.
//
// No lock is held while a snapshot is encoded or data is written to a network.
package hub
