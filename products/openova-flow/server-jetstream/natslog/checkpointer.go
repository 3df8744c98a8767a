package natslog

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

const (
	checkpointWriters = 2           // checkpoints written at once
	writeTimeout      = time.Minute // limit for writing one
)

// flowProgress is how much of a flow's log is in the hub, and how much of that is in a checkpoint. Log.mu guards it; the goroutine of the consumer, which
// alone changes begun, first, last and restored, reads these without it.
type flowProgress struct {
	begun    uint64 // the first entry of the flow that this log has read; 0: not recorded
	first    uint64 // the entry that created the flow; 0: unknown
	last     uint64 // the last entry of the flow that the hub has, or needs no more
	count    int64  // entries of the flow up to last; -1: unknown
	restored uint64 // entries up to it are not applied: the Seq of the restored checkpoint, or the end of a deleted incarnation; 0: neither

	// Messages and bytes that the ring had received when the restored checkpoint was written; 0 without one.
	messages, bytes int64

	checkpointed uint64        // the Seq of the newest checkpoint
	pending      []uint64      // applied entries after checkpointed
	pendingBytes int           // their size; approximate once a checkpoint has covered some
	changed      chan struct{} // closed when checkpointed changes or the flow is deleted; nil: no waiter
	queued       bool
}

// noteCheckpoints records the newest checkpoint of a flow's list, and wakes throttle.
func (p *flowProgress) noteCheckpoints(list checkpointList) {
	if list.newest() <= p.checkpointed {
		return
	}
	p.checkpointed = list.newest()
	n, _ := slices.BinarySearch(p.pending, p.checkpointed+1)
	if len(p.pending) > 0 {
		p.pendingBytes -= p.pendingBytes / len(p.pending) * n
	}
	p.pending = slices.Clone(p.pending[n:])
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// checkpointer writes checkpoints before the stream drops the entries that they contain.
type checkpointer struct {
	log     *Log
	applyMu sync.Mutex // held while entries are applied: its holder sees a hub that is current to Log.applied
	queue   chan string
	work    sync.WaitGroup // queued checkpoints and running removals
}

func (k *checkpointer) init(l *Log) {
	k.log, k.queue = l, make(chan string, 4096)
}

// entryApplied records an applied entry of a flow; own: this log has published it. applyMu is held.
func (k *checkpointer) entryApplied(h *hub.Hub, flowID string, seq uint64, bytes int, own bool) {
	if flowID == "" {
		return
	}
	l := k.log
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.flows[flowID]
	if !h.Known(flowID) {
		// A loading replica repeats the removal: the replica that deleted the flow may have ended before it removed anything.
		if p != nil && (own || !l.loaded.Load() && (p.begun < seq || p.restored > 0)) {
			k.work.Go(func() { k.dropEnded(flowID, seq) })
		}
		if p != nil && p.changed != nil {
			close(p.changed)
		}
		delete(l.flows, flowID)
		return
	}
	if p == nil {
		p = &flowProgress{first: seq, begun: seq}
		l.flows[flowID] = p
	}
	p.last = seq
	if p.count >= 0 {
		p.count++
	}
	if seq <= p.checkpointed {
		return
	}
	p.pending = append(p.pending, seq)
	p.pendingBytes += bytes
	due := func(times int) bool {
		return len(p.pending) >= times*l.cfg.checkpointEntries() || p.pendingBytes >= times*l.cfg.checkpointBytes()
	}
	// The replica that published the entry writes the checkpoint. Others write it when that is overdue.
	if own && due(1) || due(2) {
		k.enqueue(flowID, p)
	}
}

// enqueue queues a checkpoint of a flow. Log.mu is held.
func (k *checkpointer) enqueue(flowID string, p *flowProgress) {
	if p.queued {
		return
	}
	k.work.Add(1)
	select {
	case k.queue <- flowID:
		p.queued = true
	default: // the next entry tries again
		k.work.Done()
	}
}

// throttle waits while a flow has so many entries without a checkpoint that the stream might drop one.
func (k *checkpointer) throttle(ctx context.Context, flowID string) error {
	l := k.log
	for {
		l.mu.Lock()
		p := l.flows[flowID]
		if p == nil || len(p.pending) < l.cfg.RingCapacity+spareEntries/2 {
			l.mu.Unlock()
			return nil
		}
		k.enqueue(flowID, p)
		if p.changed == nil {
			p.changed = make(chan struct{})
		}
		changed := p.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-time.After(retryInterval): // the queue was full, or setProgress has replaced p
		case <-ctx.Done():
			return unavailable("no checkpoint of flow %s could be written within %s, and the log is full without one; retry", flowID, l.cfg.Timeout)
		}
	}
}

// run writes queued checkpoints until ctx ends.
func (k *checkpointer) run(ctx context.Context, h *hub.Hub) {
	for {
		select {
		case <-ctx.Done():
			return
		case flowID := <-k.queue:
			k.checkpoint(ctx, h, flowID)
			k.work.Done()
		}
	}
}

// flush queues a checkpoint of each flow that needs one, and waits until all are written, up to timeout.
func (k *checkpointer) flush(timeout time.Duration) {
	l := k.log
	end := time.After(timeout)
	var needed []string
	l.mu.Lock()
	for flowID, p := range l.flows {
		if len(p.pending) > 0 && !p.queued {
			needed = append(needed, flowID)
		}
	}
	l.mu.Unlock()
	for _, flowID := range needed { // enqueue would drop those that the queue has no room for
		k.work.Add(1)
		select {
		case k.queue <- flowID:
		case <-end:
			k.work.Done()
			return
		}
	}
	done := make(chan struct{})
	go func() { k.work.Wait(); close(done) }()
	select {
	case <-done:
	case <-end:
	}
}

// checkpoint writes the current state of a flow, unless its newest checkpoint has it.
func (k *checkpointer) checkpoint(ctx context.Context, h *hub.Hub, flowID string) {
	l := k.log
	k.applyMu.Lock()
	l.mu.Lock()
	p := l.flows[flowID]
	ref := checkpointRef{Seq: l.applied}
	if p != nil {
		p.queued = false
		ref.First, ref.Last, ref.Entries, ref.Messages, ref.Bytes = p.first, p.last, max(p.count, 0), p.messages, p.bytes
	}
	needed := p != nil && len(p.pending) > 0
	l.mu.Unlock()
	var c *record.Checkpoint
	if needed {
		c = h.Checkpoint(flowID)
		messages, bytes := h.Pushed(flowID)
		ref.Messages, ref.Bytes = ref.Messages+messages, ref.Bytes+bytes
	}
	k.applyMu.Unlock()
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	list, err := k.write(ctx, c, ref)
	if err != nil {
		l.cfg.Logger.Warn("checkpoint not written", "flow", flowID, "err", err)
		return
	}
	k.noteCheckpoints(flowID, list)
}

func (k *checkpointer) noteCheckpoints(flowID string, list checkpointList) {
	l := k.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.flows[flowID]; p != nil {
		p.noteCheckpoints(list)
	}
}

// watch notes the checkpoints that replicas write, until ctx ends. It returns nil.
func (k *checkpointer) watch(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := k.watchOnce(ctx); err != nil && ctx.Err() == nil {
			k.log.cfg.Logger.Warn("watch of checkpoints failed, retrying", "err", err)
		}
		sleep(ctx, retryInterval)
	}
	return nil
}

func (k *checkpointer) watchOnce(ctx context.Context) error {
	w, err := k.log.bucket.Watch(ctx, k.log.keys(listKind)+">", jetstream.UpdatesOnly())
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
			flowID, list, err := decodeList(e)
			if err != nil {
				return err
			}
			k.noteCheckpoints(flowID, list)
		}
	}
}
