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
	tokenHeader = "Openova-Flow-Token" // by which the log that published an entry knows it again
	afterHeader = "Openova-Flow-After" // what of the flow was in the hub of the log that published the entry: see tail.after
	identityKey = "openova-flow-identity"
	// headRoom is what an entry takes of the greatest payload besides its own bytes: its headers.
	headRoom = 512
	// askEvery is the least time between two questions to the log. Each is an entry, and a read-only caller can trigger one. The stream keeps as many
	// of them as of a flow; purging them sooner would leave gaps that a slow replica cannot tell from missing entries of a flow.
	askEvery = 50 * time.Millisecond
)

// Log is a hub.Log on a JetStream stream. Run feeds the hub.
type Log struct {
	cfg  Config
	js   jetstream.JetStream
	name string // of this log, in tokens

	stream   jetstream.Stream // set by Run, before it has loaded anything
	bucket   jetstream.KeyValue
	identity string // of the stream: two streams of one name are not the same log
	missed   int    // how many times the bucket was not there though it should be

	loaded   atomic.Bool
	started  chan struct{}         // closed when stream and bucket are there
	trouble  atomic.Pointer[error] // why no change can be taken
	stuck    atomic.Uint64         // while this is the last entry that is in the hub, the hub does not get on
	inFlight chan struct{}
	tokens   atomic.Int64

	unanswered atomic.Int64 // changes in a row that got no answer
	broken     chan error
	bridged    atomic.Int64 // flows that went on from a checkpoint
	reloaded   atomic.Int64 // flows that were loaded a second time

	mu      sync.Mutex
	applied uint64                // the last entry that is in the hub
	reached []reach               // who waits for applied to go on
	pending map[string]*published // by token
	asked   *question             // the one that is sent next

	asking sync.Mutex // held while a question is being answered, and for a pause after that
	pause  func()

	flows map[string]*tail // by flow id; guarded by mu
	keep  keeper
}

// reach is one who waits until an entry has been applied.
type reach struct {
	seq  uint64
	done chan struct{}
}

// published is a command of this log that has not been applied yet.
type published struct {
	command hub.Command
	outcome chan hub.Outcome
}

// New returns a Log that nothing can be appended to before Run.
func New(cfg Config) (*Log, error) {
	l := &Log{cfg: cfg.withDefaults(), started: make(chan struct{}), broken: make(chan error, 1), inFlight: make(chan struct{}, maxInFlight),
		pending: make(map[string]*published), flows: make(map[string]*tail)}
	js, err := jetstream.New(l.cfg.Conn)
	if err != nil {
		return nil, fmt.Errorf("use JetStream: %w", err)
	}
	var b [9]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	l.pause = func() { time.Sleep(askEvery) }
	l.js, l.name = js, hex.EncodeToString(b[:])
	l.keep.init(l)
	return l, nil
}

// Status says whether the log has been loaded and takes changes.
func (l *Log) Status() hub.LogStatus {
	s := hub.LogStatus{Loaded: l.loaded.Load()}
	if !l.cfg.Conn.IsConnected() {
		s.Err = errors.New("there is no connection to NATS")
	} else if err := l.trouble.Load(); err != nil {
		s.Err = *err
	} else if at := l.stuck.Load(); at != 0 && at == l.position() {
		s.Err = errors.New("this server does not get on with reading it")
	}
	return s
}

// position returns the last entry that is in the hub.
func (l *Log) position() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.applied
}

func unavailable(format string, args ...any) error {
	return &hub.UnavailableError{Detail: fmt.Sprintf(format, args...)}
}

// Append publishes a command and waits until this log has applied it.
func (l *Log) Append(c hub.Command) (hub.Outcome, error) {
	var none hub.Outcome
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Timeout)
	defer cancel()
	if err := l.ready(ctx); err != nil {
		return none, err
	}
	data := c.Encode()
	if limit := l.cfg.Conn.MaxPayload() - headRoom; int64(len(data)) > limit {
		return none, &hub.TooLargeError{Detail: fmt.Sprintf("a request may have %d bytes as an entry of the log (max_payload of NATS), this one has %d; send less at a time", limit, len(data))}
	}
	select {
	case l.inFlight <- struct{}{}:
		defer func() { <-l.inFlight }()
	case <-ctx.Done():
		return none, unavailable("the log has taken none of %d changes for %s; try again", maxInFlight, l.cfg.Timeout)
	}
	if err := l.keep.pace(ctx, c.FlowID()); err != nil {
		return none, err
	}
	return l.publish(ctx, c, data)
}

func (l *Log) ready(ctx context.Context) error {
	if s := l.Status(); s.Err != nil {
		return unavailable("the log is away: %v; try again", s.Err)
	}
	select {
	case <-l.started:
		return nil
	case <-ctx.Done():
		return unavailable("the server is loading its flows")
	}
}

func (l *Log) publish(ctx context.Context, c hub.Command, data []byte) (hub.Outcome, error) {
	mine := l.name + "-" + strconv.FormatInt(l.tokens.Add(1), 10)
	p := &published{command: c, outcome: make(chan hub.Outcome, 1)}
	msg := nats.NewMsg(l.subjectOf(c.FlowID()))
	l.mu.Lock()
	l.pending[mine] = p
	if after := l.flows[c.FlowID()].after(); after != "" {
		msg.Header.Set(afterHeader, after)
	}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.pending, mine)
		l.mu.Unlock()
	}()
	id := c.ID
	if id == "" {
		id = mine
	}
	msg.Data = data
	msg.Header.Set(tokenHeader, mine)
	ack, err := l.send(ctx, msg, jetstream.WithMsgID(id))
	if err != nil {
		return hub.Outcome{}, unavailable("it is not known whether the log has taken the change (%v); try again", reason(err))
	}
	if ack.Duplicate {
		if err := l.wait(ctx, ack.Sequence); err != nil {
			return hub.Outcome{}, err
		}
		select {
		case out := <-p.outcome: // it was this very publication that was taken, and the first answer got lost
			return out, nil
		default:
			return hub.Outcome{}, hub.ErrRepeated
		}
	}
	select {
	case out := <-p.outcome:
		return out, nil
	case <-ctx.Done():
		return hub.Outcome{}, unavailable("the log has taken the change, and this server has not applied it within %s; try again", l.cfg.Timeout)
	}
}

// send publishes an entry and returns once a quorum of JetStream has it.
func (l *Log) send(ctx context.Context, msg *nats.Msg, options ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	applied := l.position()
	ack, err := l.js.PublishMsg(ctx, msg, append(options, jetstream.WithRetryAttempts(8), jetstream.WithRetryWait(250*time.Millisecond))...)
	if err != nil {
		l.unanswered.Add(1)
		return nil, err
	}
	l.unanswered.Store(0)
	if !ack.Duplicate && l.loaded.Load() && ack.Sequence <= applied {
		l.condemn(ack.Sequence, applied)
		return nil, errors.New("the stream has lost entries")
	}
	if l.cfg.OnAcknowledged != nil {
		l.cfg.OnAcknowledged(ack.Sequence)
	}
	return ack, nil
}

// number publishes an entry that changes nothing, and returns its number: all that was acknowledged before has a lower one.
func (l *Log) number(ctx context.Context) (uint64, error) {
	msg := nats.NewMsg(l.subjectOf(""))
	msg.Data = hub.Command{Kind: record.KindNumber}.Encode()
	ack, err := l.send(ctx, msg)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// reason says what a failure means, shortly.
func reason(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return "no answer in time"
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return "JetStream has no leader"
	}
	return strings.TrimPrefix(err.Error(), "nats: ")
}

// Sync waits until this hub has applied all that was acknowledged by now, at whichever replica. It has the log take an entry for that: a server
// that was the stream's leader before it was cut off would say what it knows, and not know what others have taken since.
func (l *Log) Sync() error {
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Timeout)
	defer cancel()
	if err := l.ready(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	q := l.asked
	if q == nil {
		q = &question{done: make(chan struct{})}
		l.asked = q
		go l.ask(q)
	}
	l.mu.Unlock()
	select {
	case <-q.done:
	case <-ctx.Done():
		return unavailable("the log does not say how far it is; try again")
	}
	if q.err != nil {
		return unavailable("the log does not say how far it is (%v); try again", reason(q.err))
	}
	return l.wait(ctx, q.last)
}

// question is one to the log: how far it is. All who ask it before it is sent share it, since many viewers come back at once.
type question struct {
	done chan struct{}
	last uint64
	err  error
}

// ask sends a question once the one before it has been answered, and a pause is over.
func (l *Log) ask(q *question) {
	l.asking.Lock()
	defer l.asking.Unlock()
	l.mu.Lock()
	l.asked = nil
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Timeout)
	defer cancel()
	q.last, q.err = l.number(ctx)
	close(q.done)
	l.pause()
}

// wait waits until an entry has been applied.
func (l *Log) wait(ctx context.Context, seq uint64) error {
	l.mu.Lock()
	if l.applied >= seq {
		l.mu.Unlock()
		return nil
	}
	r := reach{seq: seq, done: make(chan struct{})}
	l.reached = append(l.reached, r)
	l.mu.Unlock()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		l.mu.Lock()
		l.reached = slices.DeleteFunc(l.reached, func(o reach) bool { return o == r })
		l.mu.Unlock()
		return unavailable("this server is behind its log; try again")
	}
}

func (l *Log) streamName() string {
	return strings.ToUpper(strings.ReplaceAll(l.cfg.Name, "-", "_"))
}
