package natslog

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

const (
	tokenHeader = "Openova-Flow-Token" // identifies an entry to the log that published it
	afterHeader = "Openova-Flow-After" // the publisher's state of the flow: see flowProgress.after
	identityKey = "openova-flow-identity"
	// headerRoom is the part of the payload limit that is reserved for the headers of a message.
	headerRoom = 512
	// syncInterval is the least time between two entries for Sync, which a caller with read access can trigger. The stream keeps
	// maxEntries of them, as of each flow. Purging them earlier would leave gaps that a slow replica cannot tell from missing entries of a flow.
	syncInterval = 50 * time.Millisecond
)

// Log is a hub.Log on a JetStream stream. Run applies the stream's entries to the hub.
type Log struct {
	cfg  Config
	js   jetstream.JetStream
	name string // of this log, in tokens and keys

	// Set by Run before it closes started.
	stream   jetstream.Stream
	bucket   jetstream.KeyValue
	identity string        // of the stream: tells it from other streams of the same name
	started  chan struct{} // closed when stream and bucket exist

	created       bool // Run has created the stream, maybe in an attempt that failed afterwards
	bucketMissing int  // attempts that found no bucket though there must be one

	loaded    atomic.Bool
	outage    atomic.Pointer[error] // why changes are rejected; nil: they are accepted
	stalledAt atomic.Uint64         // the hub is stalled as long as this is the last applied entry
	inFlight  chan struct{}
	tokens    atomic.Int64

	unacknowledged atomic.Int64 // consecutive entries that JetStream rejected or did not answer
	broken         chan error   // receives the error of endDamaged
	skipped        atomic.Int64 // flows restored from a checkpoint because of a gap
	reloaded       atomic.Int64 // calls of reload

	mu       sync.Mutex
	applied  uint64                     // the consumer has handled the entries up to this one
	waiters  []waiter                   // for applied to advance
	pending  map[string]*pendingCommand // by token
	nextSync *syncRequest               // shared by all Sync calls until it is sent
	flows    map[string]*flowProgress   // by flow id

	syncing sync.Mutex // held while a syncRequest is answered, and for pause after that
	pause   func()

	checkpoints checkpointer
}

// waiter waits until an entry has been applied.
type waiter struct {
	seq  uint64
	done chan struct{}
}

// pendingCommand is a command whose Append has not returned.
type pendingCommand struct {
	command record.Command
	outcome chan hub.Outcome
}

// New returns a Log. Append and Sync wait, or fail, until Run has opened the stream.
func New(cfg Config) (*Log, error) {
	l := &Log{cfg: cfg.withDefaults(), started: make(chan struct{}), broken: make(chan error, 1), inFlight: make(chan struct{}, maxInFlight),
		pending: make(map[string]*pendingCommand), flows: make(map[string]*flowProgress)}
	js, err := jetstream.New(l.cfg.Conn)
	if err != nil {
		return nil, fmt.Errorf("create JetStream client: %w", err)
	}
	var b [9]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	l.pause = func() { time.Sleep(syncInterval) }
	l.js, l.name = js, hex.EncodeToString(b[:])
	l.checkpoints.init(l)
	return l, nil
}

// Status reports whether the log has been loaded, and why changes are rejected.
func (l *Log) Status() hub.LogStatus {
	s := hub.LogStatus{Loaded: l.loaded.Load()}
	if !l.cfg.Conn.IsConnected() {
		s.Err = errors.New("not connected to NATS; check NATS_URL and the NATS servers")
	} else if err := l.outage.Load(); err != nil {
		s.Err = *err
	} else if at := l.stalledAt.Load(); at != 0 && at == l.lastApplied() {
		s.Err = fmt.Errorf("log consumer stalled at entry %d", at)
	}
	return s
}

func (l *Log) lastApplied() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.applied
}

func (l *Log) progress(flowID string) *flowProgress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flows[flowID]
}

func (l *Log) setProgress(flowID string, p *flowProgress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flows[flowID] = p
}

func unavailable(format string, args ...any) error {
	return &hub.UnavailableError{Detail: fmt.Sprintf(format, args...)}
}

// Append publishes a command and waits until this log has applied it.
func (l *Log) Append(c record.Command) (hub.Outcome, error) {
	var none hub.Outcome
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Timeout)
	defer cancel()
	if err := l.ready(ctx); err != nil {
		return none, err
	}
	data := c.Encode()
	if limit := l.cfg.Conn.MaxPayload() - headerRoom; int64(len(data)) > limit {
		return none, &hub.TooLargeError{Detail: fmt.Sprintf("the request is %d bytes as a log entry, the limit is %d (max_payload of NATS); send smaller batches", len(data), limit)}
	}
	select {
	case l.inFlight <- struct{}{}:
		defer func() { <-l.inFlight }()
	case <-ctx.Done():
		return none, unavailable("%d other changes are in flight, and this one could not be sent within %s; retry", maxInFlight, l.cfg.Timeout)
	}
	if err := l.checkpoints.throttle(ctx, c.FlowID()); err != nil {
		return none, err
	}
	return l.publish(ctx, c, data)
}

func (l *Log) ready(ctx context.Context) error {
	if s := l.Status(); s.Err != nil {
		return unavailable("the log is unavailable: %v; retry", s.Err)
	}
	select {
	case <-l.started:
		return nil
	case <-ctx.Done():
		return unavailable("the server is loading its flows; retry")
	}
}

func (l *Log) publish(ctx context.Context, c record.Command, data []byte) (hub.Outcome, error) {
	token := l.name + "-" + strconv.FormatInt(l.tokens.Add(1), 10)
	p := &pendingCommand{command: c, outcome: make(chan hub.Outcome, 1)}
	msg := nats.NewMsg(l.subjectOf(c.FlowID()))
	l.mu.Lock()
	l.pending[token] = p
	if after := l.flows[c.FlowID()].after(); after != "" {
		msg.Header.Set(afterHeader, after)
	}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.pending, token)
		l.mu.Unlock()
	}()
	id := c.ID
	if id == "" {
		id = token
	}
	msg.Data = data
	msg.Header.Set(tokenHeader, token)
	ack, err := l.send(ctx, msg, jetstream.WithMsgID(id))
	if err != nil {
		return hub.Outcome{}, unavailable("the log may or may not have accepted the change (%v); retry", reason(err))
	}
	if ack.Duplicate {
		if err := l.wait(ctx, ack.Sequence); err != nil {
			return hub.Outcome{}, err
		}
		select {
		case out := <-p.outcome: // an earlier attempt of this publication succeeded, but its answer was lost
			return out, nil
		default:
			return hub.Outcome{}, hub.ErrRepeated
		}
	}
	select {
	case out := <-p.outcome:
		return out, nil
	case <-ctx.Done():
		return hub.Outcome{}, unavailable("the log has accepted the change, but this server has not applied it within %s; retry", l.cfg.Timeout)
	}
}

// send publishes an entry and returns when a quorum of JetStream has it.
func (l *Log) send(ctx context.Context, msg *nats.Msg, options ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	applied := l.lastApplied()
	ack, err := l.js.PublishMsg(ctx, msg, append(options, jetstream.WithRetryAttempts(8), jetstream.WithRetryWait(250*time.Millisecond))...)
	if err != nil {
		l.unacknowledged.Add(1)
		return nil, err
	}
	l.unacknowledged.Store(0)
	if !ack.Duplicate && l.loaded.Load() && ack.Sequence <= applied {
		l.endDamaged(ack.Sequence, applied)
		return nil, errors.New("the stream has lost entries")
	}
	if l.cfg.OnAcknowledged != nil {
		l.cfg.OnAcknowledged(ack.Sequence)
	}
	return ack, nil
}

// sendNoop publishes an entry that changes nothing, and returns its number. All entries acknowledged before have lower numbers.
func (l *Log) sendNoop(ctx context.Context) (uint64, error) {
	msg := nats.NewMsg(l.subjectOf(""))
	msg.Data = record.Command{Kind: record.KindNumber}.Encode()
	ack, err := l.send(ctx, msg)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// reason returns a short text for an error of NATS.
func reason(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return "timeout"
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return "no JetStream leader"
	case errors.Is(err, nats.ErrReconnectBufExceeded): // nothing is buffered without a connection
		return "not connected to NATS"
	}
	return strings.TrimPrefix(err.Error(), "nats: ")
}

// Sync waits until this hub has applied everything that any replica has acknowledged. It publishes an entry for that, because a stream leader that has
// been cut off still answers read requests, without the entries that others have accepted since.
func (l *Log) Sync() error {
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Timeout)
	defer cancel()
	if err := l.ready(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	r := l.nextSync
	if r == nil {
		r = &syncRequest{done: make(chan struct{})}
		l.nextSync = r
		go l.runSync(r)
	}
	l.mu.Unlock()
	select {
	case <-r.done:
	case <-ctx.Done():
		return unavailable("the end of the log is unknown (timeout); retry")
	}
	if r.err != nil {
		return unavailable("the end of the log is unknown (%v); retry", reason(r.err))
	}
	return l.wait(ctx, r.last)
}

// syncRequest asks for the last entry of the log. All Sync calls made before it is sent share it, since many subscribers reconnect at once.
type syncRequest struct {
	done chan struct{}
	last uint64
	err  error
}

// runSync sends a request when the previous one has been answered and the pause after it is over.
func (l *Log) runSync(r *syncRequest) {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.mu.Lock()
	l.nextSync = nil
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Timeout)
	defer cancel()
	r.last, r.err = l.sendNoop(ctx)
	close(r.done)
	l.pause()
}

func (l *Log) wait(ctx context.Context, seq uint64) error {
	l.mu.Lock()
	if l.applied >= seq {
		l.mu.Unlock()
		return nil
	}
	w := waiter{seq: seq, done: make(chan struct{})}
	l.waiters = append(l.waiters, w)
	l.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		l.mu.Lock()
		l.waiters = slices.DeleteFunc(l.waiters, func(o waiter) bool { return o == w })
		l.mu.Unlock()
		return unavailable("this server is behind its log; retry")
	}
}

// advance records that an entry has been handled, and wakes its waiters.
func (l *Log) advance(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.applied = seq
	waiting := l.waiters[:0]
	for _, w := range l.waiters {
		if w.seq <= seq {
			close(w.done)
		} else {
			waiting = append(waiting, w)
		}
	}
	l.waiters = waiting
}

func (l *Log) streamName() string {
	return strings.ToUpper(strings.ReplaceAll(l.cfg.Name, "-", "_"))
}

func (l *Log) bucketName() string { return l.cfg.Name + "-checkpoints" }
