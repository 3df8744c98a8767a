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
)

// Hold keeps entries from being applied until the function that it returns is called, and what has been read is read again then.
func (l *Log) Hold() (release func()) {
	l.keep.step.Lock()
	return l.keep.step.Unlock
}

// Bridged returns how many times a flow went on from a checkpoint because the hub was away too long.
func (l *Log) Bridged() int64 { return l.bridged.Load() }

// Reading reports whether the log has begun to read the stream.
func (l *Log) Reading() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.flows) > 0
}

// Reloaded returns how many flows were loaded a second time because the stream dropped entries of them meanwhile.
func (l *Log) Reloaded() int64 { return l.reloaded.Load() }

// Unanswered returns how many changes in a row were not taken.
func (l *Log) Unanswered() int64 { return l.unanswered.Load() }

// Checkpoint writes the state of a flow down, as a keeper does.
func (l *Log) Checkpoint(h *hub.Hub, flowID string) {
	l.keep.checkpoint(context.Background(), h, flowID)
}

// Behind reports whether the stream has an entry that has not been applied.
func (l *Log) Behind(t *testing.T) bool {
	info, err := l.stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.LastSeq > l.position()
}

// Lost is what publishing a command comes to when JetStream has taken it already, and the answer to that was lost. It calls waiting once it waits for
// the entry to be applied.
func (l *Log) Lost(t *testing.T, c hub.Command, waiting func()) (hub.Outcome, error) {
	mine := l.name + "-" + strconv.FormatInt(l.tokens.Load()+1, 10) // which is taken next
	msg := nats.NewMsg(l.subjectOf(c.FlowID()))
	msg.Data = c.Encode()
	msg.Header.Set(tokenHeader, mine)
	ack, err := l.js.PublishMsg(t.Context(), msg, jetstream.WithMsgID(mine))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for ok := false; !ok; time.Sleep(time.Millisecond) {
			l.mu.Lock()
			ok = slices.ContainsFunc(l.reached, func(r reach) bool { return r.seq == ack.Sequence })
			l.mu.Unlock()
		}
		waiting()
	}()
	return l.publish(t.Context(), c, msg.Data)
}

// Await waits until this log has applied what another has.
func (l *Log) Await(t *testing.T, other *Log) {
	if err := l.wait(t.Context(), other.position()); err != nil {
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

// AskWithoutPause has each question sent as soon as the one before has been answered.
func (l *Log) AskWithoutPause() { l.pause = func() {} }

// Pause makes the pause after the next question last until end is called; paused says that it has begun. Later ones take no time.
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
