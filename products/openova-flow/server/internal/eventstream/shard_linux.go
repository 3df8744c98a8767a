package eventstream

import (
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/internal/backlog"
)

const (
	batchSize     = 64       // subscribers of a group that are written to before the next group's turn
	maxInputBytes = 16 << 10 // bytes that a subscriber may send on its stream; they are discarded
	maxWriteBytes = 64 << 10 // bytes of several frames in one write, about the size of a socket's buffer
)

// shard has one goroutine that writes to its subscribers (run), and one that watches their sockets (poller.run). All other
// goroutines notify run through the inbox.
type shard struct {
	*Config
	abort  <-chan struct{} // when it is closed, all subscribers are disconnected at once
	poller *poller
	signal chan struct{} // something was put into the inbox

	mu    sync.Mutex
	inbox inbox
	ended bool

	// Only run uses the fields below.
	slots       []slot // all subscribers; pollEvents refer to slots by index
	freeSlots   []int32
	groups      map[any]*group // by Source.Key
	queue       []*group       // groups with subscribers to write to
	heartbeats  list           // subscribers without pending frames, by the time of their next heartbeat
	stalled     list           // subscribers with pending frames, by the time when they are disconnected unless they read
	started     time.Time
	now         time.Duration // since started
	subscribers int
	aborted     bool   // new subscribers are disconnected
	input       []byte // buffer for data that subscribers send
	output      []byte // buffer for frames that are written together
}

// inbox has the notifications of other goroutines for run.
type inbox struct {
	joined   []*subscriber
	expelled []*subscriber // subscribers to disconnect; each was added before
	woken    []*group      // groups that may have frames
	events   []pollEvent
}

type slot struct {
	subscriber *subscriber
	generation int32
}

// subscriber is a source and the descriptor of its connection.
type subscriber struct {
	fd      int
	slot    int32
	ending  bool // to be disconnected once the pending frames are written
	source  Source
	group   *group
	caller  string
	end     func()
	pending [][]byte // frames to write
	written int      // bytes of pending[0] already written
	since   int64    // Delivery.Since of the pending delivery
	input   int      // bytes that the subscriber has sent on its stream

	charge   *backlog.Charge // for pending frames that could not be written at once
	deadline time.Duration   // when all pending frames must be written; 0: none of them has had to wait

	links [2]link       // by listKind; in no list of its group while pending frames wait for the socket
	due   time.Duration // its time in the list of kind ofTime
}

// group has the subscribers with equal keys of their sources.
type group struct {
	shard       *shard
	waiter      hub.Waiter
	todo        list // subscribers that may have frames
	idle        list // subscribers without frames, the longest idle first
	size        int
	queued      bool
	last        hub.Delivery // the group's latest delivery, for other subscribers to adopt
	heartbeat   []byte       // the frame made at heartbeatAt
	heartbeatAt time.Duration
}

func newShard(cfg *Config, abort <-chan struct{}) (*shard, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	return &shard{Config: cfg, abort: abort, poller: p, signal: make(chan struct{}, 1), groups: make(map[any]*group), heartbeats: list{kind: ofTime}, stalled: list{kind: ofTime},
		started: time.Now(), input: make([]byte, 4<<10)}, nil
}

// add adds a subscriber. It returns false if the shard has ended.
func (s *shard) add(sub *subscriber) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.inbox.joined = append(s.inbox.joined, sub)
	s.wake()
	return true
}

// expel disconnects a subscriber that was added. Pending frames are dropped.
func (s *shard) expel(sub *subscriber) {
	s.mu.Lock()
	s.inbox.expelled = append(s.inbox.expelled, sub)
	s.mu.Unlock()
	s.wake()
}

func (s *shard) notify(events []pollEvent) {
	s.mu.Lock()
	s.inbox.events = append(s.inbox.events, events...)
	s.mu.Unlock()
	s.wake()
}

// wake is the group's hub.Waiter.Wake.
func (g *group) wake() {
	g.shard.mu.Lock()
	g.shard.inbox.woken = append(g.shard.inbox.woken, g)
	g.shard.mu.Unlock()
	g.shard.wake()
}

func (s *shard) wake() {
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// run serves the subscribers until Config.Done or abort is closed and the last one is disconnected.
func (s *shard) run() {
	defer s.poller.close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	ready := make(chan struct{}) // closed, so that the select does not wait
	close(ready)
	done, abort := s.Done, s.abort
	for {
		queued := ready
		if len(s.queue) == 0 {
			queued = nil
			timer.Reset(s.untilDue())
		}
		select {
		case <-queued:
		case <-s.signal:
		case <-timer.C:
		case <-done:
			done = nil
			s.endAll(false)
		case <-abort:
			abort, done, s.aborted = nil, nil, true
			s.endAll(true)
		}
		s.now = time.Since(s.started)
		s.receive(done == nil)
		s.runTimers()
		if len(s.queue) > 0 {
			g := s.queue[0]
			s.queue = s.queue[1:]
			g.queued = false
			s.serve(g)
		}
		if done == nil && s.subscribers == 0 && s.tryEnd() {
			return
		}
	}
}

// tryEnd ends the shard, unless a subscriber was added meanwhile.
func (s *shard) tryEnd() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = len(s.inbox.joined) == 0
	return s.ended
}

// receive empties the inbox.
func (s *shard) receive(ending bool) {
	s.mu.Lock()
	in := s.inbox
	s.inbox = inbox{}
	s.mu.Unlock()
	for _, sub := range in.joined {
		sub.ending = ending
		s.admit(sub)
	}
	for _, sub := range in.expelled {
		if s.slots[sub.slot].subscriber == sub {
			s.drop(sub)
		}
	}
	for _, g := range in.woken {
		g.todo.addAll(&g.idle)
		s.enqueue(g)
	}
	for _, e := range in.events {
		if at := s.slots[e.slot]; at.generation == e.generation && at.subscriber != nil {
			s.react(at.subscriber, e.flags)
		}
	}
}

func (s *shard) admit(sub *subscriber) {
	s.subscribers++
	if n := len(s.freeSlots); n > 0 {
		sub.slot, s.freeSlots = s.freeSlots[n-1], s.freeSlots[:n-1]
	} else {
		sub.slot = int32(len(s.slots))
		s.slots = append(s.slots, slot{})
	}
	s.slots[sub.slot].subscriber = sub
	g := s.groups[sub.source.Key()]
	if g == nil {
		g = &group{shard: s}
		g.waiter.Wake = g.wake
		s.groups[sub.source.Key()] = g
	}
	g.size++
	sub.group = g
	if s.aborted {
		s.drop(sub)
		return
	}
	if err := s.poller.add(sub.fd, sub.slot, s.slots[sub.slot].generation); err != nil {
		s.Logger.Warn("stream dropped: cannot watch its socket", "err", err)
		s.drop(sub)
		return
	}
	s.flush(sub)
}

func (s *shard) enqueue(g *group) {
	if !g.queued && g.size > 0 {
		g.queued = true
		s.queue = append(s.queue, g)
	}
}

// react handles an event of a subscriber's socket.
func (s *shard) react(sub *subscriber, flags uint32) {
	if flags&(syscall.EPOLLIN|syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 && !s.discardInput(sub) {
		s.drop(sub)
		return
	}
	if flags&syscall.EPOLLOUT != 0 && len(sub.pending) > 0 {
		s.flush(sub)
	}
}

// discardInput reads and discards data that a subscriber sends. It returns false if the connection is closed or broken, or if the subscriber has sent
// too much: reading takes the shard's time from other subscribers.
func (s *shard) discardInput(sub *subscriber) bool {
	for sub.input <= maxInputBytes {
		n, err := syscall.Read(sub.fd, s.input)
		switch {
		case err == syscall.EAGAIN:
			return true
		case err == syscall.EINTR:
		case err != nil || n == 0:
			return false
		default:
			sub.input += n
		}
	}
	return false
}

// serve writes the next frames to at most batchSize subscribers of a group.
func (s *shard) serve(g *group) {
	for range batchSize {
		if g.todo.first == nil {
			break
		}
		s.next(g.todo.first)
	}
	if g.todo.first == nil {
		if g.idle.first == nil || g.idle.first.source.Await(&g.waiter) {
			g.last = hub.Delivery{}
			return
		}
		g.todo.addAll(&g.idle)
	}
	s.enqueue(g)
	runtime.Gosched() // let requests run that have arrived meanwhile
}

// next writes the next frames to a subscriber.
func (s *shard) next(sub *subscriber) {
	g := sub.group
	d := g.last
	if !sub.source.Adopt(d) {
		d = sub.source.Take()
	}
	switch {
	case d.Ended:
		sub.pending, sub.ending = [][]byte{deletedFrame}, true
		s.flush(sub)
	case d.Frames == nil:
		g.idle.add(sub)
	default:
		g.last = d
		sub.pending, sub.since = d.Frames, d.Since
		if d.More {
			g.todo.add(sub) // behind the group's other subscribers
		} else {
			g.idle.add(sub) // Await notices frames that arrived since Take
		}
		s.flush(sub)
	}
}

// flush writes pending frames until the socket's buffer is full.
func (s *shard) flush(sub *subscriber) {
	written, err := 0, error(nil)
	for len(sub.pending) > 0 && err == nil {
		n, piece := 0, s.coalesce(sub)
		switch n, err = syscall.Write(sub.fd, piece); err {
		case nil:
			sub.wrote(n)
			written += n
			if n < len(piece) { // the socket's buffer is full; the poller reports when it has space
				err = syscall.EAGAIN
			}
		case syscall.EINTR:
			err = nil
		}
	}
	s.Sent.Add(int64(written))
	switch {
	case err == syscall.EAGAIN:
		sub.unlink(ofGroup)
		if !s.mayStall(sub) {
			s.drop(sub)
			return
		}
		if written > 0 || sub.in(ofTime) != &s.stalled {
			s.schedule(&s.stalled, sub, s.Pace.Timeout)
		}
	case err != nil || sub.ending:
		s.drop(sub)
	default:
		s.observe(sub.since)
		sub.pending, sub.since = nil, 0
		sub.settle()
		s.schedule(&s.heartbeats, sub, s.Heartbeat)
		if sub.in(ofGroup) == nil {
			sub.group.todo.add(sub)
			s.enqueue(sub.group)
		}
	}
}

// coalesce returns the bytes to write next: the rest of the first frame, or up to maxWriteBytes of several frames, copied together. The result is valid
// until the next call.
func (s *shard) coalesce(sub *subscriber) []byte {
	first := sub.pending[0][sub.written:]
	if len(sub.pending) == 1 || len(first) >= maxWriteBytes {
		return first
	}
	s.output = append(s.output[:0], first...)
	for _, frame := range sub.pending[1:] {
		s.output = append(s.output, frame[:min(len(frame), maxWriteBytes-len(s.output))]...)
		if len(s.output) == maxWriteBytes {
			break
		}
	}
	return s.output
}

// wrote records that n more bytes were written to a subscriber.
func (sub *subscriber) wrote(n int) {
	for sub.written += n; len(sub.pending) > 0 && sub.written >= len(sub.pending[0]); {
		sub.written -= len(sub.pending[0])
		sub.pending = sub.pending[1:]
	}
}

// mayStall charges pending frames that could not be written at once to the budget. It returns false if they do not fit, or were not written by the
// subscriber's deadline.
func (s *shard) mayStall(sub *subscriber) (ok bool) {
	if sub.deadline == 0 {
		sub.deadline = s.now + s.Pace.Allowance(backlog.SizeOf(sub.pending))
		sub.charge, ok = s.Budget.Charge(sub.caller, sub.pending, func() { s.expel(sub) })
		return ok
	}
	return s.now < sub.deadline
}

// settle releases the charge of mayStall.
func (sub *subscriber) settle() {
	sub.charge.Release()
	sub.charge, sub.deadline = nil, 0
}

// schedule moves a subscriber to the end of a list of kind ofTime. All subscribers of a list wait equally long, so the list is in order of due times.
func (s *shard) schedule(l *list, sub *subscriber, wait time.Duration) {
	sub.due = s.now + wait
	l.add(sub)
}

// untilDue returns how long the shard may wait for a signal.
func (s *shard) untilDue() time.Duration {
	due := time.Hour
	for _, l := range []*list{&s.heartbeats, &s.stalled} {
		if l.first != nil {
			due = min(due, l.first.due-time.Since(s.started))
		}
	}
	return max(due, 0)
}

// runTimers disconnects subscribers that read nothing, and sends due heartbeats.
func (s *shard) runTimers() {
	for sub := s.stalled.first; sub != nil && sub.due <= s.now; sub = s.stalled.first {
		s.drop(sub)
	}
	for range batchSize {
		sub := s.heartbeats.first
		if sub == nil || sub.due > s.now {
			return
		}
		g := sub.group
		if g.heartbeat == nil || g.heartbeatAt != s.now {
			g.heartbeat, g.heartbeatAt = sub.source.Heartbeat(), s.now
		}
		sub.pending = [][]byte{g.heartbeat}
		s.flush(sub)
	}
}

// endAll disconnects all subscribers: at once, or each after its pending frames.
func (s *shard) endAll(atOnce bool) {
	for _, at := range s.slots {
		if sub := at.subscriber; sub != nil {
			if sub.ending = true; atOnce || len(sub.pending) == 0 {
				s.drop(sub)
			}
		}
	}
}

// drop disconnects a subscriber.
func (s *shard) drop(sub *subscriber) {
	sub.settle()
	g := sub.group
	sub.unlink(ofGroup)
	sub.unlink(ofTime)
	s.slots[sub.slot].subscriber = nil
	s.slots[sub.slot].generation++
	s.freeSlots = append(s.freeSlots, sub.slot)
	s.subscribers--
	if g.size--; g.size == 0 {
		sub.source.Cancel(&g.waiter)
		delete(s.groups, sub.source.Key())
	}
	sub.end() // before the client can see the end
	_ = syscall.Close(sub.fd)
}
