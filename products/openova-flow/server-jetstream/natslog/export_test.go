package natslog

import (
	"context"
	"testing"

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

// Checkpoint writes the state of a flow down, as a keeper does.
func (l *Log) Checkpoint(h *hub.Hub, flowID string) {
	l.keep.checkpoint(context.Background(), h, flowID)
}

// Held returns how many entries the stream has.
func (l *Log) Held(t *testing.T) uint64 {
	info, err := l.stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Msgs
}
