package natslog

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

const (
	keepers   = 2           // checkpoints that are written at once
	writeWait = time.Minute // how long writing one may take
)

// tail is what a log knows of a flow: what of it is in the hub, and what of that is in a checkpoint. Guarded by Log.mu, but for what does
// not change.
type tail struct {
	begun    uint64 // the first entry that this log has seen of it; 0: none
	first    uint64 // there is nothing of the flow before this entry
	last     uint64 // the last entry of it that is in the hub
	count    int64  // entries of it up to last; -1: not known
	restored uint64 // entries up to this one are not applied: they are in the checkpoint that the flow began from
	seqs     []uint64
	bytes    int           // of the entries in seqs
	messages int64         // that the ring had got when the flow was restored
	size     int64         // their bytes
	covered  uint64        // the newest checkpoint is current to this entry
	changed  chan struct{} // closed when covered changes; nil: nobody waits
	queued   bool
}

// cover notes a checkpoint.
func (t *tail) cover(h head) {
	if len(h.Marks) == 0 || h.Marks[len(h.Marks)-1].Seq <= t.covered {
		return
	}
	t.covered = h.Marks[len(h.Marks)-1].Seq
	n, _ := slices.BinarySearch(t.seqs, t.covered+1)
	if len(t.seqs) > 0 {
		t.bytes -= t.bytes / len(t.seqs) * n
	}
	t.seqs = slices.Clone(t.seqs[n:])
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}

// keeper sees to it that what the stream drops is in a checkpoint.
type keeper struct {
	log   *Log
	step  sync.Mutex // held while an entry is applied: whoever holds it sees a hub that is current to Log.applied
	queue chan string
	idle  sync.WaitGroup // what is queued
}

func (k *keeper) init(l *Log) {
	k.log, k.queue = l, make(chan string, 4096)
}

// applied notes an entry of a flow. step is held.
func (k *keeper) applied(h *hub.Hub, flowID string, seq uint64, bytes int, mine bool) {
	if flowID == "" {
		return
	}
	l := k.log
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.flows[flowID]
	if !h.Known(flowID) {
		// Who starts does it again, as whoever ended the flow may have been ended before it did.
		if t != nil && (mine || !l.loaded.Load() && (t.begun < seq || t.restored > 0)) {
			k.idle.Go(func() { k.forget(flowID, seq) })
		}
		if t != nil && t.changed != nil {
			close(t.changed)
		}
		delete(l.flows, flowID)
		return
	}
	if t == nil {
		t = &tail{first: seq, begun: seq}
		l.flows[flowID] = t
	}
	t.last = seq
	if t.count >= 0 {
		t.count++
	}
	if seq <= t.covered {
		return
	}
	t.seqs = append(t.seqs, seq)
	t.bytes += bytes
	due := func(times int) bool {
		return len(t.seqs) >= times*l.cfg.everyEntries() || t.bytes >= times*l.cfg.everyBytes()
	}
	// Who published the entry writes the checkpoint; others only when that does not happen.
	if mine && due(1) || due(2) {
		k.enqueue(flowID, t)
	}
}

// enqueue has a checkpoint written. Log.mu is held.
func (k *keeper) enqueue(flowID string, t *tail) {
	if t.queued {
		return
	}
	k.idle.Add(1)
	select {
	case k.queue <- flowID:
		t.queued = true
	default: // the next entry tries again
		k.idle.Done()
	}
}

// pace waits while a flow has so many entries without a checkpoint that the stream might drop one.
func (k *keeper) pace(ctx context.Context, flowID string) error {
	l := k.log
	for {
		l.mu.Lock()
		t := l.flows[flowID]
		if t == nil || len(t.seqs) < l.cfg.RingCapacity+spare/2 {
			l.mu.Unlock()
			return nil
		}
		k.enqueue(flowID, t)
		if t.changed == nil {
			t.changed = make(chan struct{})
		}
		changed := t.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return unavailable("the state of the flow could not be written down for %s, and the log may drop nothing before it is; try again", l.cfg.Timeout)
		}
	}
}

// run writes checkpoints until ctx ends.
func (k *keeper) run(ctx context.Context, h *hub.Hub) {
	for {
		select {
		case <-ctx.Done():
			return
		case flowID := <-k.queue:
			k.checkpoint(ctx, h, flowID)
			k.idle.Done()
		}
	}
}

// flush has everything written that is in no checkpoint, for as long as wait.
func (k *keeper) flush(wait time.Duration) {
	l := k.log
	l.mu.Lock()
	for flowID, t := range l.flows {
		if len(t.seqs) > 0 {
			k.enqueue(flowID, t)
		}
	}
	l.mu.Unlock()
	done := make(chan struct{})
	go func() { k.idle.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(wait):
	}
}

// checkpoint writes the state of a flow as it is now.
func (k *keeper) checkpoint(ctx context.Context, h *hub.Hub, flowID string) {
	l := k.log
	k.step.Lock()
	l.mu.Lock()
	t := l.flows[flowID]
	m := mark{Seq: l.applied}
	if t != nil {
		t.queued = false
		m.First, m.Last, m.Entries, m.Messages, m.Bytes = t.first, t.last, max(t.count, 0), t.messages, t.size
	}
	nothing := t == nil || len(t.seqs) == 0
	l.mu.Unlock()
	var c *hub.Checkpoint
	if !nothing {
		c = h.Checkpoint(flowID)
		messages, bytes := h.Pushed(flowID)
		m.Messages, m.Bytes = m.Messages+messages, m.Bytes+bytes
	}
	k.step.Unlock()
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	written, err := k.write(ctx, c, m)
	if err != nil {
		l.cfg.Logger.Warn("checkpoint not written", "flow", flowID, "err", err)
		return
	}
	k.learn(flowID, written)
}

// learn notes which checkpoints a flow has.
func (k *keeper) learn(flowID string, h head) {
	l := k.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.flows[flowID]; t != nil {
		t.cover(h)
	}
}

// watch follows the checkpoints that others write, until ctx ends.
func (k *keeper) watch(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := k.follow(ctx); err != nil && ctx.Err() == nil {
			k.log.cfg.Logger.Warn("checkpoints are not followed", "err", err)
		}
		sleep(ctx, retryWait)
	}
	return nil
}

func (k *keeper) follow(ctx context.Context) error {
	w, err := k.log.bucket.Watch(ctx, k.log.keys(headKind)+">", jetstream.UpdatesOnly())
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Updates():
			if !ok {
				return errors.New("the bucket's updates ended")
			}
			if e == nil {
				continue
			}
			flowID, h, err := decodeHead(e)
			if err != nil {
				return err
			}
			k.learn(flowID, h)
		}
	}
}
