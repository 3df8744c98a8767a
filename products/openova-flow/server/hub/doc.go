// Package hub is the engine: for each flow its folded state, a ring of the last messages as finished Server-Sent Events frames,
// and the readers that follow it.
//
// What it promises:
//
//   - A request is applied as one: whoever looks sees all of its messages or none.
//   - Sequence numbers come from one counter of the hub, which starts from the clock in microseconds and only goes up.
//   - A request of a caller that is bound to regions removes nothing of other regions: the relationships that its deleted nodes take
//     along and that are not its own (flow.RelInRegions) are put back by an ordinary upsert-rels, after its last message and within it.
//   - A reader is a cursor. It gets every message after its cursor, in order, each once, or one snapshot frame in place of what
//     the ring no longer holds. There is no queue per reader: a slow one costs neither memory nor anybody's time.
//   - Ingest happens in two steps. Sequence gives a request its numbers; apply folds, frames and wakes, and depends on nothing but
//     what sequence made. A Log (Config.Log) does the first and feeds the second: hubs
//     that follow one log are the same.
//
// No lock is held while a snapshot is encoded or anything is written to a network.
package hub
