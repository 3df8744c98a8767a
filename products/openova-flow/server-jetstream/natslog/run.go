package natslog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

const (
	retryWait  = 250 * time.Millisecond // between attempts of what failed
	probeEvery = time.Second            // how often JetStream is asked whether it is there
	probeWait  = 2 * time.Second        // and how long it may take to say so
	awayAfter  = 2                      // failures after which it counts as away
	goneAfter  = 5                      // answers that there is no stream after which that is believed
	stuckAfter = 5                      // times that nothing was applied after which a server counts as stuck
	listWait   = time.Minute            // how long finding out what there is to load may take
	flushWait  = 3 * time.Second        // how long the last checkpoints may take

	heartbeat = time.Second // silence of the stream after twice which its reading starts anew
)

// Run feeds a hub from the log until ctx ends, then writes checkpoints of what has none. It fails only with what no waiting mends: the
// stream was made by others or anew, or a later version has written to it.
func (l *Log) Run(ctx context.Context, h *hub.Hub) error {
	if err := l.open(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	close(l.started)
	outlives, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	var keeping, working sync.WaitGroup
	for range keepers {
		keeping.Go(func() { l.keep.run(outlives, h) })
	}
	work, stop := context.WithCancelCause(ctx)
	for _, f := range []func() error{
		func() error { return l.probe(work) },
		func() error { return l.keep.watch(work) },
		func() error { return l.feed(work, h) },
	} {
		working.Go(func() {
			if err := f(); err != nil {
				stop(err)
			}
		})
	}
	working.Wait()
	stop(nil)
	var err error
	if ctx.Err() == nil {
		err = context.Cause(work)
	} else if l.loaded.Load() {
		l.keep.flush(flushWait)
	}
	stopKeeping()
	keeping.Wait()
	return err
}

// sleep waits, or reports that ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// probe finds out whether changes can be taken, until ctx ends. One answer that fails to come, or says that there is no such stream, may be a
// server's that is just starting or busy.
func (l *Log) probe(ctx context.Context) error {
	failed, gone := 0, 0
	var here progress
	for sleep(ctx, probeEvery) {
		state, err := l.look(ctx)
		var trouble error
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failed, gone = 0, 0
			here.look(ctx, l, state.LastSeq)
		case errors.Is(err, errAnother):
			gone = goneAfter
		case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrBucketNotFound):
			gone++
		}
		if gone >= goneAfter {
			return fmt.Errorf("stream %s or bucket %s is not the one that this server has followed: it was deleted or made anew; start the server again", l.streamName(), l.bucketName())
		}
		if err != nil {
			if failed++; failed < awayAfter {
				continue
			}
			trouble = fmt.Errorf("JetStream does not answer: %s", reason(err))
		}
		l.tell(trouble)
	}
	return nil
}

var errAnother = errors.New("it is another stream")

// look asks JetStream for the stream and the bucket, and lifts limits on the stream that lose entries.
func (l *Log) look(ctx context.Context) (state jetstream.StreamState, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	s, err := l.js.Stream(ctx, l.streamName())
	if err != nil {
		return state, err
	}
	info := s.CachedInfo()
	if info.Config.Metadata[identityKey] != l.identity {
		return state, errAnother
	}
	if _, err := l.js.KeyValue(ctx, l.bucketName()); errors.Is(err, jetstream.ErrBucketNotFound) {
		return state, err
	}
	if cfg, changed := l.lossless(info.Config); changed {
		if _, err := l.js.UpdateStream(ctx, cfg); err != nil {
			l.cfg.Logger.Warn("the stream's limits stay", "err", err)
		}
	}
	return info.State, nil
}

// tell notes why no change can be taken, nil when it can, and says in the log when that changes.
func (l *Log) tell(trouble error) {
	if trouble == nil {
		if l.trouble.Swap(nil) != nil {
			l.cfg.Logger.Info("the log takes changes again")
		}
	} else if l.trouble.Swap(&trouble) == nil {
		l.cfg.Logger.Warn("the log takes no changes", "err", trouble)
	}
}

// progress is how far a log was when it was last looked at.
type progress struct {
	applied uint64
	times   int // it has been there, with something to apply
}

// look finds out whether nothing has been applied for a while though there is something: a server that does not follow must not answer as if
// it did.
func (p *progress) look(ctx context.Context, l *Log, last uint64) {
	applied := l.position()
	if p.times++; applied != p.applied || applied >= last || !l.loaded.Load() {
		p.applied, p.times = applied, 0
	}
	if p.times != stuckAfter {
		return
	}
	p.times = 0
	_, err := l.stream.GetMsg(ctx, applied+1, jetstream.WithGetMsgSubject(l.cfg.Name+".log.*"))
	if errors.Is(err, jetstream.ErrMsgNotFound) { // somebody has taken out the last ones
		return
	}
	if l.stuck.Swap(applied) != applied {
		l.cfg.Logger.Warn("this server does not get on with reading the log", "applied", applied, "last", last)
	}
}

// feed applies entries in their order until ctx ends.
func (l *Log) feed(ctx context.Context, h *hub.Hub) error {
	f := &feeder{log: l, hub: h}
	told, at := "", uint64(0)
	tell := func(what string, err error) { // it is tried all the time, and told when something changes
		if text := fmt.Sprint(what, err); text != told || l.position() != at {
			told, at = text, l.position()
			l.cfg.Logger.Warn(what, "err", err)
		}
	}
	for {
		err := f.begin(ctx)
		if err == nil {
			break
		}
		tell("the log can't be read yet", err)
		if !sleep(ctx, retryWait) {
			return nil
		}
	}
	for {
		err := f.read(ctx)
		var fatal *fatalError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &fatal):
			return fatal.error
		}
		tell("reading the log starts anew", err)
		if !sleep(ctx, retryWait) {
			return nil
		}
	}
}

// fatalError is one that trying again does not mend.
type fatalError struct{ error }

func fatal(format string, args ...any) error { return &fatalError{fmt.Errorf(format, args...)} }

// feeder is the one that applies entries.
type feeder struct {
	log     *Log
	hub     *hub.Hub
	upTo    uint64 // what is in the log when it starts
	before  uint64 // the entry before the one that is to be applied
	gapless bool   // from here on an entry that is not there was dropped since
	load    loading
}

// begin finds out what there is to load.
func (f *feeder) begin(ctx context.Context) error {
	l := f.log
	ctx, cancel := context.WithTimeout(ctx, listWait)
	defer cancel()
	heads, err := l.keep.list(ctx)
	if err != nil {
		return err
	}
	info, err := l.stream.Info(ctx)
	if err != nil {
		return err
	}
	f.load = loading{heads: heads, target: info.State.LastSeq, since: time.Now(), late: make(map[string]bool), met: make(map[string]bool)}
	f.upTo = info.State.LastSeq
	l.mu.Lock()
	l.applied = max(info.State.FirstSeq, 1) - 1
	l.mu.Unlock()
	return nil
}

// read applies entries until that fails.
func (f *feeder) read(ctx context.Context) error {
	l := f.log
	c, err := l.js.OrderedConsumer(ctx, l.streamName(), jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: l.applied + 1, InactiveThreshold: time.Minute, MaxResetAttempts: 5})
	if err != nil {
		return err
	}
	messages, err := c.Messages(jetstream.PullExpiry(10*time.Second), jetstream.PullHeartbeat(heartbeat), jetstream.PullMaxMessages(2000))
	if err != nil {
		return err
	}
	defer messages.Stop()
	if info := c.CachedInfo(); info != nil {
		if err := f.arrive(ctx, info.NumPending); err != nil {
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
		if err := f.take(ctx, m, meta); err != nil {
			return err
		}
		if err := f.arrive(ctx, meta.NumPending); err != nil {
			return err
		}
	}
}

// take applies one entry.
func (f *feeder) take(ctx context.Context, m jetstream.Msg, meta *jetstream.MsgMetadata) error {
	l, seq := f.log, meta.Sequence.Stream
	if seq <= l.applied {
		return nil
	}
	flowID := l.flowOfSubject(m.Subject())
	if f.gapless && seq > l.applied+1 {
		if err := f.bridge(ctx, seq); err != nil {
			return err
		}
	}
	if !l.loaded.Load() {
		if err := f.meet(ctx, flowID, seq); err != nil {
			return err
		}
	}
	return f.apply(m, meta, flowID)
}

// apply makes the change of an entry, unless a checkpoint has it, and tells who waits for it.
func (f *feeder) apply(m jetstream.Msg, meta *jetstream.MsgMetadata, flowID string) error {
	l, seq := f.log, meta.Sequence.Stream
	mine := m.Headers().Get(tokenHeader)
	l.mu.Lock()
	p := l.pending[mine]
	known := l.flows[flowID]
	l.mu.Unlock()
	if known != nil && seq <= known.restored {
		l.advance(seq)
		return nil
	}
	var c hub.Command
	if p != nil {
		c = p.command
	} else {
		var err error
		if c, err = hub.DecodeCommand(m.Data()); err != nil {
			return fatal("entry %d of the log: %w", seq, err)
		}
	}
	l.keep.step.Lock()
	out := f.hub.Apply(hub.Entry{Seq: int64(seq), At: meta.Timestamp.UnixMilli(), Birth: l.birth(seq), Command: c})
	l.keep.applied(f.hub, flowID, seq, len(m.Data()), p != nil)
	if p != nil {
		p.outcome <- out // before it is said that the entry is applied: who is answered that it was there already looks for it then
	}
	l.advance(seq)
	l.keep.step.Unlock()
	return nil
}

// advance notes that an entry is in the hub.
func (l *Log) advance(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.applied = seq
	waiting := l.reached[:0]
	for _, r := range l.reached {
		if r.seq <= seq {
			close(r.done)
		} else {
			waiting = append(waiting, r)
		}
	}
	l.reached = waiting
}

// birth is the incarnation of a flow that comes to be with an entry of this stream.
func (l *Log) birth(seq uint64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", l.identity, seq))
	return hex.EncodeToString(sum[:9])
}
