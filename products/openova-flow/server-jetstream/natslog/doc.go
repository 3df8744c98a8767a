// Package natslog implements hub.Log on NATS JetStream. All hubs that read one stream have the same state.
//
// Guarantees:
//
//   - Every change is one entry of the stream, under a subject of its flow. JetStream acknowledges it before Append succeeds.
//   - One goroutine applies the entries in stream order. The result depends only on the entries before.
//   - The state of a flow is written to a key-value bucket as a checkpoint before the stream may drop an entry that the state contains.
//     The newest checkpoint and the entries after it are complete.
//   - A starting hub restores each flow from the oldest checkpoint after which the stream is complete. The later entries fill the ring, so
//     subscribers resume at their cursors. If the stream drops entries before the starting hub has read them, it restores the newest checkpoint.
//     Its ring is then shorter until new messages fill it: a subscriber with an older cursor gets a snapshot.
//   - A hub that fell behind the entries that the stream keeps restores the newest checkpoints. Its subscribers get a snapshot, like any that fell
//     behind the ring.
//   - If Run finds that acknowledged entries of a flow are in neither the stream nor a checkpoint, it fails with a *DamagedError. A stream that was
//     deleted is replaced by an empty one.
package natslog
