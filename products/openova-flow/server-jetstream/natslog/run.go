package natslog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
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

	silentAfter   = 4 * time.Second  // after which a server that the stream's leader has not heard of counts as away
	hopelessAfter = 5                // changes in a row that were not taken after which it is asked whether there is hope
	shortFor      = 30 * time.Second // how long a stream may seem to end before its checkpoints: a leader that is cut off may say so

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
		func() error { return l.awaitBroken(work) },
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
	failed, gone, refused, lonely := 0, 0, 0, 0
	var here progress
	for sleep(ctx, probeEvery) {
		info, err := l.look(ctx)
		var trouble error
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failed, gone = 0, 0
			here.look(ctx, l, info.State.LastSeq)
			if err := quorum(info.Cluster); err == nil {
				lonely = 0
			} else if lonely++; lonely >= awayAfter || l.trouble.Load() != nil { // one look does not end trouble
				trouble = err
			}
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
		if trouble == nil && (l.unanswered.Load() >= awayAfter || l.trouble.Load() != nil) { // STREAM.INFO is answered by a server that takes nothing, too
			if err := l.tryToChange(ctx); err != nil {
				trouble = fmt.Errorf("JetStream takes no changes: %s", reason(err))
				if refused++; refused >= hopelessAfter && l.cfg.Hopeless != nil {
					if err := l.cfg.Hopeless(); err != nil {
						return err
					}
				}
			} else {
				refused = 0
			}
		}
		l.tell(trouble)
	}
	return nil
}

// tryToChange publishes an entry that changes nothing.
func (l *Log) tryToChange(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	_, err := l.number(ctx)
	return err
}

// quorum finds out from what the stream's leader says whether it has heard of a majority lately: one that is cut off answers questions for
// 10 s and more, and takes nothing.
func quorum(c *jetstream.ClusterInfo) error {
	if c != nil && c.Leader == "" {
		return errors.New("the stream has no leader")
	}
	if c == nil || len(c.Replicas) == 0 {
		return nil
	}
	here := 1
	for _, p := range c.Replicas {
		if !p.Offline && p.Active < silentAfter {
			here++
		}
	}
	if all := len(c.Replicas) + 1; here <= all/2 {
		return fmt.Errorf("the stream's leader hears of %d of its %d servers", here, all)
	}
	return nil
}

// DamagedError says that the stream or its checkpoints have lost something that was acknowledged.
type DamagedError struct{ Err error }

func (e *DamagedError) Error() string {
	return "the log is damaged, acknowledged messages are lost: " + e.Err.Error()
}

func (e *DamagedError) Unwrap() error { return e.Err }

func (l *Log) damaged(format string, args ...any) error {
	return &fatalError{&DamagedError{fmt.Errorf("%w; restore stream %s and bucket %s from one backup, or delete both, and emitters send all they have anew",
		fmt.Errorf(format, args...), l.streamName(), l.bucketName())}}
}

// awaitBroken returns what condemn was called with.
func (l *Log) awaitBroken(ctx context.Context) error {
	select {
	case err := <-l.broken:
		return err
	case <-ctx.Done():
		return nil
	}
}

// condemn ends the log, since the stream gave a new entry a number that it had given before: what came after that is lost. No server starts
// with this stream again.
func (l *Log) condemn(seq, applied uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Timeout)
	defer cancel()
	what := fmt.Sprintf("a new entry got number %d after %d had been given out", seq, applied)
	if _, err := l.bucket.PutString(ctx, l.keys(lossKind)+"lost", what); err != nil {
		l.cfg.Logger.Error("loss not noted in the bucket", "err", err)
	}
	select {
	case l.broken <- l.damaged("%s", what):
	default: // it ends already
	}
}

var errAnother = errors.New("it is another stream")

// look asks JetStream for the stream and the bucket, and lifts limits on the stream that lose entries.
func (l *Log) look(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	s, err := l.js.Stream(ctx, l.streamName())
	if err != nil {
		return nil, err
	}
	info := s.CachedInfo()
	if info.Config.Metadata[identityKey] != l.identity {
		return nil, errAnother
	}
	if _, err := l.js.KeyValue(ctx, l.bucketName()); errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, err
	}
	if cfg, changed := l.lossless(info.Config); changed {
		if _, err := l.js.UpdateStream(ctx, cfg); err != nil {
			l.cfg.Logger.Warn("the stream's limits stay", "err", err)
		}
	}
	return info, nil
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
		if fatal := new(fatalError); errors.As(err, &fatal) {
			return fatal.error
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
	short   time.Time // since when the stream seems to end too early
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
	if err := f.whole(ctx, heads, info); err != nil {
		return err
	}
	f.load = loading{heads: heads, target: info.State.LastSeq, since: time.Now(), late: make(map[string]bool), met: make(map[string]bool), ended: make(map[string]uint64)}
	f.upTo = info.State.LastSeq
	l.mu.Lock()
	l.applied = max(info.State.FirstSeq, 1) - 1
	l.mu.Unlock()
	return nil
}

// whole fails when the stream has lost its end.
func (f *feeder) whole(ctx context.Context, heads map[string]head, info *jetstream.StreamInfo) error {
	l := f.log
	note, err := l.bucket.Get(ctx, l.keys(lossKind)+"lost")
	if err == nil {
		return l.damaged("%s", note.Value())
	}
	if !errors.Is(err, jetstream.ErrKeyNotFound) {
		return err
	}
	known := l.cfg.Acknowledged
	for _, h := range heads {
		known = max(known, h.Ended)
		if n := len(h.Marks); n > 0 {
			known = max(known, h.Marks[n-1].Seq)
		}
	}
	if info.State.LastSeq >= known {
		return nil
	}
	if f.short.IsZero() {
		f.short = time.Now()
	}
	if clustered := info.Cluster != nil && len(info.Cluster.Replicas) > 0; clustered && time.Since(f.short) < shortFor {
		return fmt.Errorf("the stream ends with entry %d, and %d was acknowledged", info.State.LastSeq, known)
	}
	return l.damaged("the stream ends with entry %d, and %d was acknowledged", info.State.LastSeq, known)
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
	return f.apply(ctx, m, meta, flowID)
}

// apply makes the change of an entry, unless a checkpoint has it, and tells who waits for it.
func (f *feeder) apply(ctx context.Context, m jetstream.Msg, meta *jetstream.MsgMetadata, flowID string) error {
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
	if missing := f.missing(m.Headers().Get(afterHeader), flowID, known); missing > 0 && !ends(m.Data()) {
		restored, err := f.mend(ctx, flowID, missing)
		if err != nil {
			return err
		}
		if seq <= restored {
			l.advance(seq)
			return nil
		}
	}
	var c hub.Command
	if p != nil {
		c = p.command
	} else {
		var err error
		if c, err = record.DecodeCommand(m.Data()); err != nil {
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
	if !l.loaded.Load() {
		switch c.Kind {
		case record.KindDelete:
			f.load.ended[flowID] = seq
		case record.KindIdle: // what was before it is gone, and it may have ended nothing
			f.load.ended[flowID] = max(f.load.ended[flowID], seq-1)
		}
	}
	return nil
}

// ends reports whether an entry may end a flow. When one has, what came before it is dropped.
func ends(data []byte) bool {
	c, err := record.DecodeCommand(data)
	return err == nil && (c.Kind == record.KindDelete || c.Kind == record.KindIdle)
}

// after says in an entry's header which entry of its flow was the last in the hub of whoever published it, and how many there were up to that.
func (t *tail) after() string {
	if t == nil || t.last == 0 {
		return ""
	}
	return strconv.FormatUint(t.last, 10) + " " + strconv.FormatInt(t.count, 10)
}

// missing returns an entry of a flow that is in the stream no more though no checkpoint that this hub began from has it, or the last one
// before which there must be some; 0 when there is none. What whoever published a later entry had, this hub must have too.
func (f *feeder) missing(header, flowID string, t *tail) uint64 {
	first, rest, ok := strings.Cut(header, " ")
	if !ok {
		return 0
	}
	after, err1 := strconv.ParseUint(first, 10, 64)
	count, err2 := strconv.ParseInt(rest, 10, 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	f.log.mu.Lock() // what publishes reads the tail
	defer f.log.mu.Unlock()
	if t == nil {
		if !f.log.loaded.Load() && after > f.load.ended[flowID] {
			return after
		}
		return 0
	}
	if after > t.last {
		return after
	}
	if after == t.last && count >= 0 {
		if t.count >= 0 && t.count != count {
			return after
		}
		t.count = count
	}
	return 0
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
