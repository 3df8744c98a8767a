// Package hub is the engine: for each flow its folded state, a ring of the last messages as finished Server-Sent Events frames,
// and the readers that follow it.
//
// What it promises:
//
//   - A request is applied as one: whoever looks sees all of its messages or none.
//   - A change gets its sequence numbers and is applied under one lock: whatever has a number is applied, and all before it is. The numbers only go up, and,
//     without a Log, never lag behind the clock in microseconds.
//   - A request of a caller that is bound to regions removes nothing of other regions: the relationships that its deleted nodes take
//     along and that are not its own (flow.RelInRegions) are put back by an ordinary upsert-rels, after its last message and within it.
//   - A reader is a cursor. It gets every message after its cursor, in order, each once, or one snapshot frame in place of what
//     the ring no longer holds. There is no queue per reader: a slow one costs neither memory nor anybody's time.
//   - What a change does depends on its place in the order and the changes before it, and on nothing else. With a Log (Config.Log) that is the order of the
//     log, so that hubs that follow one log are the same.
//
// No lock is held while a snapshot is encoded or anything is written to a network.
package hub
