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
	batchSize     = 64       // subscribers that are written to before other groups have their turn
	maxInputBytes = 16 << 10 // that a subscriber may send on its stream; they are discarded
	maxWriteBytes = 64 << 10 // of small frames in one write: about what a socket's buffer has room for
)

// shard has one goroutine that writes to its subscribers (run), and one that watches their sockets (poller.run). The latter, the hub and handlers leave
// news in the inbox.
type shard struct {
	*Config
	abort  <-chan struct{} // closed: all are disconnected at once
	poller *poller
	signal chan struct{} // there is something in the inbox

	mu    sync.Mutex
	inbox inbox
	ended bool

	// The rest belongs to run.
	slots       []slot // all subscribers; events of the poller name slots
	freeSlots   []int32
	groups      map[any]*group // by Source.Key
	queue       []*group       // groups with subscribers to write to
	heartbeats  list           // subscribers that have taken all frames, by when they get a heartbeat
	stalled     list           // subscribers that take no bytes, by when they are disconnected
	started     time.Time
	now         time.Duration // since started
	subscribers int
	aborted     bool   // subscribers that join are disconnected
	input       []byte // buffer for what subscribers send
	output      []byte // buffer for frames that are written together
}

// inbox is what other goroutines leave for run.
type inbox struct {
	joined   []*subscriber
	expelled []*subscriber // to be disconnected; each has joined before
	woken    []*group      // that may have something to take
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
	ending  bool // is disconnected once it has what is pending
	source  Source
	group   *group
	caller  string
	end     func()
	pending [][]byte // frames that it has not taken yet
	written int      // bytes of pending[0] that it has taken
	since   int64    // of the delivery that is pending
	input   int      // bytes that it has sent on its stream

	charge   *backlog.Charge // of what is pending, once it was not taken at once
	deadline time.Duration   // when all that is pending has to be taken; 0: it was taken at once so far

	links [2]link       // by listKind; it is in no list of its group while something is pending that it was not ready to take
	due   time.Duration // for the list of kind ofTime
}

// group is the subscribers whose sources have one key.
type group struct {
	shard       *shard
	waiter      hub.Waiter
	todo        list // subscribers that may have something to take
	idle        list // subscribers that had nothing to take, the longest idle first
	size        int
	queued      bool
	last        hub.Delivery // taken last by one of them; others probably take the same
	heartbeat   []byte       // as of heartbeatAt
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

// add takes a subscriber, unless the shard has ended.
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

// expel disconnects a subscriber that was added. What it has not taken by then it does not get.
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

// wake is called by the hub.
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

// run serves the subscribers until Config.Done is closed and the last of them has gone.
func (s *shard) run() {
	defer s.poller.close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	ready := make(chan struct{}) // does not make it wait
	close(ready)
	done, abort := s.Done, s.abort
	for {
		idle := ready
		if len(s.queue) == 0 {
			idle = nil
			timer.Reset(s.untilDue())
		}
		select {
		case <-idle:
		case <-s.signal:
		case <-timer.C:
		case <-done:
			done = nil
			s.endAll(false)
		case <-abort:
			abort, s.aborted = nil, true
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

// tryEnd ends the shard, unless a subscriber has joined meanwhile.
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

// react handles what happened to a subscriber's socket.
func (s *shard) react(sub *subscriber, flags uint32) {
	if flags&(syscall.EPOLLIN|syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 && !s.discardInput(sub) {
		s.drop(sub)
		return
	}
	if flags&syscall.EPOLLOUT != 0 && len(sub.pending) > 0 {
		s.flush(sub)
	}
}

// discardInput reads what a subscriber sends, and reports whether it may stay. It may send next to nothing: reading takes the shard's time from the other
// subscribers.
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

// serve writes to some subscribers of a group what is next for them.
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
	runtime.Gosched() // requests that arrive meanwhile have their turn
}

// next writes to a subscriber what is next for it.
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
			g.todo.add(sub) // behind the others
		} else {
			g.idle.add(sub) // as of now: what comes meanwhile is found by Await
		}
		s.flush(sub)
	}
}

// flush writes what is pending for a subscriber, as far as its socket takes it.
func (s *shard) flush(sub *subscriber) {
	written, err := 0, error(nil)
	for len(sub.pending) > 0 && err == nil {
		n, piece := 0, s.coalesce(sub)
		switch n, err = syscall.Write(sub.fd, piece); err {
		case nil:
			sub.took(n)
			written += n
			if n < len(piece) { // the socket's buffer is full; the poller tells when it is not
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

// coalesce returns what is written to a subscriber next: one frame, or several small ones as one piece, which is valid until the next call.
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

// took notes that a subscriber has taken n bytes more.
func (sub *subscriber) took(n int) {
	for sub.written += n; len(sub.pending) > 0 && sub.written >= len(sub.pending[0]); {
		sub.written -= len(sub.pending[0])
		sub.pending = sub.pending[1:]
	}
}

// mayStall charges what a subscriber has not taken at once to the budget, and reports whether the subscriber may go on taking it.
func (s *shard) mayStall(sub *subscriber) (ok bool) {
	if sub.deadline == 0 {
		sub.deadline = s.now + s.Pace.Allowance(backlog.SizeOf(sub.pending))
		sub.charge, ok = s.Budget.Charge(sub.caller, sub.pending, func() { s.expel(sub) })
		return ok
	}
	return s.now < sub.deadline
}

// settle ends what mayStall began.
func (sub *subscriber) settle() {
	sub.charge.Release()
	sub.charge, sub.deadline = nil, 0
}

// schedule moves a subscriber to the end of a list of kind ofTime. All in a list wait equally long, so that they are in the order in which they are due.
func (s *shard) schedule(l *list, sub *subscriber, wait time.Duration) {
	sub.due = s.now + wait
	l.add(sub)
}

// untilDue is how long the shard may wait for a signal.
func (s *shard) untilDue() time.Duration {
	due := time.Hour
	for _, l := range []*list{&s.heartbeats, &s.stalled} {
		if l.first != nil {
			due = min(due, l.first.due-time.Since(s.started))
		}
	}
	return max(due, 0)
}

// runTimers disconnects subscribers that take nothing, and sends the heartbeats that are due.
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

// endAll disconnects all subscribers: at once, or each when it has the frames that were being written to it.
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
	sub.end() // before the client can know
	_ = syscall.Close(sub.fd)
}
