package natslog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// consumer reads the stream and applies its entries to the hub. One goroutine uses it.
type consumer struct {
	log        *Log
	hub        *hub.Hub
	skipped    uint64 // the last entry of the last gap; 0: none
	complete   bool   // the first pass of loading is over: from then on a gap in the numbers means dropped entries
	load       loading
	shortSince time.Time // when the stream was first seen to end before an acknowledged entry; zero: never
}

const (
	maxSilent = 3           // the bucket counts as damaged when lists has returned errBucketSilent so many times
	heartbeat = time.Second // after two missed heartbeats the stream is read by a new consumer
)

// consume loads the log, then applies entries as they come, until ctx ends.
func (l *Log) consume(ctx context.Context, h *hub.Hub) error {
	c := &consumer{log: l, hub: h}
	lastText, lastAt := "", uint64(0)
	warn := func(message string, err error) { // logs repeated errors once, unless there was progress between them
		if text := fmt.Sprint(message, err); text != lastText || l.lastApplied() != lastAt {
			lastText, lastAt = text, l.lastApplied()
			l.cfg.Logger.Warn(message, "err", err)
		}
	}
	for silent := 0; ; {
		err := c.prepare(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, errBucketSilent) {
			if silent++; silent == maxSilent {
				err = l.damaged("%w", err)
			}
		}
		if fatal := new(fatalError); errors.As(err, &fatal) {
			return fatal.error
		}
		warn("log not readable yet, retrying", err)
		if !sleep(ctx, retryInterval) {
			return nil
		}
	}
	for {
		err := c.readStream(ctx)
		var fatal *fatalError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &fatal):
			return fatal.error
		}
		warn("log read failed, retrying", err)
		if !sleep(ctx, retryInterval) {
			return nil
		}
	}
}

// prepare reads the checkpoint lists and the end of the stream. ctx must have no deadline: then package jetstream waits 5 s for each answer, and a request
// that JetStream loses while it recovers is repeated soon.
func (c *consumer) prepare(ctx context.Context) error {
	l := c.log
	lists, err := l.checkpoints.lists(ctx)
	if err != nil {
		return err
	}
	info, err := l.stream.Info(ctx)
	if err != nil {
		return err
	}
	if err := c.checkEnd(ctx, lists, info); err != nil {
		return err
	}
	last := info.State.LastSeq
	c.load = loading{lists: lists, end: last, target: last, since: time.Now(), late: make(map[string]uint64), seen: make(map[string]bool), ended: make(map[string]uint64)}
	l.mu.Lock()
	l.applied = max(info.State.FirstSeq, 1) - 1
	l.mu.Unlock()
	return nil
}

// readStream reads and applies entries until an error.
func (c *consumer) readStream(ctx context.Context) error {
	l := c.log
	ordered, err := l.js.OrderedConsumer(ctx, l.streamName(), jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: l.applied + 1, InactiveThreshold: time.Minute, MaxResetAttempts: 5})
	if err != nil {
		return err
	}
	messages, err := ordered.Messages(jetstream.PullExpiry(10*time.Second), jetstream.PullHeartbeat(heartbeat), jetstream.PullMaxMessages(2000))
	if err != nil {
		return err
	}
	defer messages.Stop()
	if info := ordered.CachedInfo(); info != nil {
		if err := c.finishIfRead(ctx, info.NumPending); err != nil {
			return err
		}
	}
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if err := c.handle(ctx, m, meta); err != nil {
			return err
		}
		if err := c.finishIfRead(ctx, meta.NumPending); err != nil {
			return err
		}
	}
}

// handle restores checkpoints where an entry needs them, then applies it.
func (c *consumer) handle(ctx context.Context, m jetstream.Msg, meta *jetstream.MsgMetadata) error {
	l, seq := c.log, meta.Sequence.Stream
	if seq <= l.applied {
		return nil
	}
	flowID := flowOfSubject(m.Subject())
	if c.complete && seq > l.applied+1 {
		if err := c.skipGap(ctx, seq); err != nil {
			return err
		}
	}
	if !l.loaded.Load() {
		if err := c.startFlow(ctx, flowID, seq); err != nil {
			return err
		}
	}
	if p := l.progress(flowID); p != nil && seq <= p.restored {
		l.advance(seq)
		return nil
	}
	after := m.Headers().Get(afterHeader)
	if c.missing(after, flowID) > 0 && !mayEndFlow(m.Data()) { // an entry that deletes the flow needs nothing before it
		if err := c.reload(ctx, flowID); err != nil {
			return err
		}
		if p := l.progress(flowID); p != nil && seq <= p.restored {
			l.advance(seq)
			return nil
		}
		if upTo := c.missing(after, flowID); upTo > 0 {
			if err := c.acceptMissing(ctx, flowID, upTo); err != nil {
				return err
			}
		}
	}
	return c.apply(m, meta, flowID)
}

// apply applies an entry and hands the outcome to the Append that published it.
func (c *consumer) apply(m jetstream.Msg, meta *jetstream.MsgMetadata, flowID string) error {
	l, seq := c.log, meta.Sequence.Stream
	l.mu.Lock()
	own := l.pending[m.Headers().Get(tokenHeader)]
	l.mu.Unlock()
	var cmd record.Command
	if own != nil {
		cmd = own.command
	} else {
		var err error
		if cmd, err = record.DecodeCommand(m.Data()); err != nil {
			return fatal("decode entry %d of the log: %w", seq, err)
		}
	}
	l.checkpoints.applyMu.Lock()
	out := c.hub.Apply(hub.Entry{Seq: int64(seq), At: meta.Timestamp.UnixMilli(), Birth: l.incarnationAt(seq), Command: cmd})
	l.checkpoints.entryApplied(c.hub, flowID, seq, len(m.Data()), own != nil)
	if own != nil {
		own.outcome <- out // before advance: an Append that was answered as a duplicate looks for the outcome when its entry is applied
	}
	l.advance(seq)
	l.checkpoints.applyMu.Unlock()
	if !l.loaded.Load() {
		switch cmd.Kind {
		case record.KindDelete:
			c.load.ended[flowID] = seq
		case record.KindIdle: // it may have deleted nothing: then a checkpoint at this entry is of use
			c.load.ended[flowID] = max(c.load.ended[flowID], seq-1)
		}
	}
	return nil
}

// mayEndFlow reports whether an entry may delete a flow. Entries before one that does are dropped.
func mayEndFlow(data []byte) bool {
	c, err := record.DecodeCommand(data)
	return err == nil && (c.Kind == record.KindDelete || c.Kind == record.KindIdle)
}

// incarnationAt returns the incarnation of a flow that entry seq creates.
func (l *Log) incarnationAt(seq uint64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", l.identity, seq))
	return hex.EncodeToString(sum[:9])
}
