package natslog

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// Hold stops the log from applying entries until release is called.
func (l *Log) Hold() (release func()) {
	l.checkpoints.applyMu.Lock()
	return l.checkpoints.applyMu.Unlock
}

// Skipped returns how many flows were restored from a checkpoint because of a gap.
func (l *Log) Skipped() int64 { return l.skipped.Load() }

// Reading reports whether the log has read an entry of any flow.
func (l *Log) Reading() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.flows) > 0
}

// Reloaded returns how often a flow was loaded again because the hub lacked entries of it.
func (l *Log) Reloaded() int64 { return l.reloaded.Load() }

// Unacknowledged returns how many consecutive entries JetStream rejected or did not answer.
func (l *Log) Unacknowledged() int64 { return l.unacknowledged.Load() }

// ShortenQueue makes the queue of checkpoints hold one. Call it before Run.
func (l *Log) ShortenQueue() { l.checkpoints.queue = make(chan string, 1) }

// Checkpoint writes a checkpoint of a flow.
func (l *Log) Checkpoint(h *hub.Hub, flowID string) {
	l.checkpoints.checkpoint(context.Background(), h, flowID)
}

// Behind reports whether the stream has an entry that this log has not applied.
func (l *Log) Behind(t *testing.T) bool { return l.End(t) > l.lastApplied() }

// End returns the number of the stream's last entry.
func (l *Log) End(t *testing.T) uint64 {
	info, err := l.stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.LastSeq
}

// AppendWithLostAnswer publishes a command twice, as Append does when the answer to the first publication is lost. It calls waiting when the second
// publication waits for the entry to be applied.
func (l *Log) AppendWithLostAnswer(t *testing.T, c record.Command, waiting func()) (hub.Outcome, error) {
	token := l.name + "-" + strconv.FormatInt(l.tokens.Load()+1, 10) // the next one
	msg := nats.NewMsg(l.subjectOf(c.FlowID()))
	msg.Data = c.Encode()
	msg.Header.Set(tokenHeader, token)
	ack, err := l.js.PublishMsg(t.Context(), msg, jetstream.WithMsgID(token))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for ok := false; !ok; time.Sleep(time.Millisecond) {
			l.mu.Lock()
			ok = slices.ContainsFunc(l.waiters, func(w waiter) bool { return w.seq == ack.Sequence })
			l.mu.Unlock()
		}
		waiting()
	}()
	return l.publish(t.Context(), c, msg.Data)
}

// PublishDelete publishes the entry that deletes a flow, like a replica that ends before it removes the flow's entries and checkpoints.
func (l *Log) PublishDelete(t *testing.T, flowID string) {
	msg := nats.NewMsg(l.subjectOf(flowID))
	msg.Data = record.Command{Kind: record.KindDelete, Post: record.Post{FlowID: flowID}}.Encode()
	if _, err := l.send(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
}

// AcknowledgeTwice acts as if the stream had assigned a new entry the sequence number of one that this log has applied.
func (l *Log) AcknowledgeTwice() { l.endDamaged(l.lastApplied(), l.lastApplied()) }

// Await waits until this log has applied all entries that another log has applied.
func (l *Log) Await(t *testing.T, other *Log) {
	if err := l.wait(t.Context(), other.lastApplied()); err != nil {
		t.Fatal(err)
	}
}

// Held returns how many entries the stream has.
func (l *Log) Held(t *testing.T) uint64 {
	info, err := l.stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Msgs
}

// SyncWithoutPause removes the pause between the entries of Sync.
func (l *Log) SyncWithoutPause() { l.pause = func() {} }

// Pause makes the pause after the next entry of Sync last until end is called. paused is closed when the pause begins. Pauses after end take no time.
func (l *Log) Pause() (paused chan struct{}, end func()) {
	paused = make(chan struct{})
	ended := make(chan struct{})
	var once sync.Once
	l.pause = func() {
		once.Do(func() { close(paused) })
		<-ended
	}
	return paused, sync.OnceFunc(func() { close(ended) })
}
