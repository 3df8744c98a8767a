// Package natslog is a hub.Log on NATS JetStream: hubs that follow one stream are the same.
//
// What it promises:
//
//   - Every change is one entry of the stream, under a subject of its flow, and is acknowledged by JetStream before Append returns.
//   - Entries are applied in the order of the stream, from one goroutine. What an entry makes depends on the entries before it alone.
//   - The state of a flow is written to a key-value bucket, with the number of the entry that it is current to, before the stream may
//     drop an entry that is folded into it. So checkpoint and tail are always the whole.
//   - A hub that starts takes, of the checkpoints that are kept, the oldest one after which the stream still has everything: what
//     follows it fills the ring, so that readers resume where they were.
//   - A hub that was away so long that the stream has dropped what it had not seen goes on from a checkpoint, and its readers get a
//     snapshot, like any that fell behind the ring.
//   - What was acknowledged and is not there when a hub starts, in the stream or in checkpoints, ends Run with a *DamagedError.
package natslog
