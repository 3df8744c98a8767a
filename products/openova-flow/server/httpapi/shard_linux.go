package httpapi

import (
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

const (
	clientsAtOnce = 64       // written to before other groups have their turn
	sentAtMost    = 16 << 10 // bytes that a client may send on its stream; nothing of it is wanted
	lotAtMost     = 64 << 10 // bytes of small frames in one write: what a socket's buffer has room for, about
)

// shard is one goroutine that writes to its clients, and another that waits for their sockets.
type shard struct {
	fan    *fan
	poller *poller
	signal chan struct{} // there is something in what mu guards

	mu    sync.Mutex
	fresh []*client
	woken []*group
	news  []happening
	leave []*client // those that may not stay
	ended bool

	// The rest belongs to the shard's goroutine.
	slots   []slot
	vacant  []int32
	groups  map[any]*group
	work    []*group // those with clients to do
	beats   timeline // clients that have all, by when they get a heartbeat
	stalls  timeline // clients that take nothing, by when they are cut
	now     time.Duration
	began   time.Time
	clients int
	forced  bool   // whoever comes is turned away
	scratch []byte // for what clients send
	joined  []byte // for frames that are written as one
}

type slot struct {
	client     *client
	generation int32
}

// client is a reader and the descriptor of its connection.
type client struct {
	fd      int
	slot    int32
	ending  bool // is closed once it has what is pending
	reader  *hub.Reader
	group   *group
	finish  func()
	pending [][]byte      // what it has not taken yet: if any, it is in no list of its group
	taken   int           // of the first of them it has so many bytes
	sent    int           // bytes that it has sent on its stream
	who     string        // whose it is
	held    *holding      // of what is pending, once it was not taken at once
	until   time.Duration // when all that is pending has to be taken; 0: it was not written yet, or taken at once

	list       *list // of its group, that it is in
	prev, next *client

	timeline      *timeline
	due           time.Duration
	before, after *client
}

// group is the clients of one source.
type group struct {
	shard  *shard
	waiter hub.Waiter
	todo   list // those that may have something to take
	idle   list // those that have all, in the order in which they found so
	size   int
	queued bool         // it is in work
	last   hub.Delivery // what one of them took last: the next one is likely to be at the same place
	beat   []byte       // the heartbeat of the instant beatAt
	beatAt time.Duration
}

func newShard(f *fan) (*shard, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	return &shard{fan: f, poller: p, signal: make(chan struct{}, 1), groups: make(map[any]*group), began: time.Now(), scratch: make([]byte, 4<<10)}, nil
}

// add takes a client, unless the shard has ended.
func (s *shard) add(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.fresh = append(s.fresh, c)
	s.wake()
	return true
}

// expel ends a client that was added, wherever it stands: what it has not taken by then is not for it any more.
func (s *shard) expel(c *client) {
	s.mu.Lock()
	s.leave = append(s.leave, c)
	s.mu.Unlock()
	s.wake()
}

func (s *shard) happened(news []happening) {
	s.mu.Lock()
	s.news = append(s.news, news...)
	s.mu.Unlock()
	s.wake()
}

func (s *shard) wake() {
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// run serves the clients until the hub is closed and the last of them has gone.
func (s *shard) run() {
	defer s.poller.close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	done, force := s.fan.server.hub.Done(), s.fan.force
	for {
		if len(s.work) == 0 {
			timer.Reset(s.untilDue())
			select {
			case <-s.signal:
			case <-timer.C:
			case <-done:
				done = nil
				s.endAll(false)
			case <-force:
				force, s.forced = nil, true
				s.endAll(true)
			}
		} else {
			select {
			case <-done:
				done = nil
				s.endAll(false)
			case <-force:
				force, s.forced = nil, true
				s.endAll(true)
			default:
			}
		}
		s.now = time.Since(s.began)
		s.receive(done == nil)
		s.expire()
		if len(s.work) > 0 {
			g := s.work[0]
			s.work = s.work[1:]
			g.queued = false
			s.serve(g)
		}
		if done == nil && s.clients == 0 && s.end() {
			return
		}
	}
}

// end ends the shard, unless somebody has come meanwhile.
func (s *shard) end() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = len(s.fresh) == 0
	return s.ended
}

// receive takes what others have left for the shard.
func (s *shard) receive(ending bool) {
	s.mu.Lock()
	fresh, woken, news, leave := s.fresh, s.woken, s.news, s.leave
	s.fresh, s.woken, s.news, s.leave = nil, nil, nil, nil
	s.mu.Unlock()
	for _, c := range fresh {
		c.ending = ending
		s.admit(c)
	}
	for _, c := range leave { // each was fresh before
		if s.slots[c.slot].client == c {
			s.drop(c)
		}
	}
	for _, g := range woken {
		g.retry()
		s.queue(g)
	}
	for _, n := range news {
		if at := s.slots[n.slot]; at.generation == n.generation && at.client != nil {
			s.react(at.client, n.flags)
		}
	}
}

func (s *shard) admit(c *client) {
	s.clients++
	if n := len(s.vacant); n > 0 {
		c.slot, s.vacant = s.vacant[n-1], s.vacant[:n-1]
	} else {
		c.slot = int32(len(s.slots))
		s.slots = append(s.slots, slot{})
	}
	s.slots[c.slot].client = c
	g := s.groups[c.reader.Source()]
	if g == nil {
		g = &group{shard: s}
		g.waiter.Wake = g.wake
		s.groups[c.reader.Source()] = g
	}
	g.size++
	c.group = g
	if s.forced {
		s.drop(c)
		return
	}
	if err := s.poller.add(c.fd, c.slot, s.slots[c.slot].generation); err != nil {
		s.fan.server.cfg.Logger.Warn("a stream cannot be watched", "err", err)
		s.drop(c)
		return
	}
	s.flush(c)
}

// wake is called by the hub.
func (g *group) wake() {
	g.shard.mu.Lock()
	g.shard.woken = append(g.shard.woken, g)
	g.shard.mu.Unlock()
	g.shard.wake()
}

// sleeps reports whether there is nothing for any client, and then arranges for the group to be woken when there may be.
func (g *group) sleeps() bool {
	return g.idle.first == nil || g.idle.first.reader.Await(&g.waiter)
}

// retry has all clients look again.
func (g *group) retry() { g.todo.takeAll(&g.idle) }

func (s *shard) queue(g *group) {
	if !g.queued && g.size > 0 {
		g.queued = true
		s.work = append(s.work, g)
	}
}

// react takes what happened to a client's socket.
func (s *shard) react(c *client, flags uint32) {
	if flags&(syscall.EPOLLIN|syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 && !s.listen(c) {
		s.drop(c)
		return
	}
	if flags&syscall.EPOLLOUT != 0 && len(c.pending) > 0 {
		s.flush(c)
	}
}

// listen reads what a client sends, and reports whether the client may stay. It may send next to nothing: reading would take the shard's
// time from the other clients.
func (s *shard) listen(c *client) bool {
	for c.sent <= sentAtMost {
		n, err := syscall.Read(c.fd, s.scratch)
		switch {
		case err == syscall.EAGAIN:
			return true
		case err == syscall.EINTR:
		case err != nil || n == 0:
			return false
		default:
			c.sent += n
		}
	}
	return false
}

// serve writes to some clients of a group what they have not taken yet.
func (s *shard) serve(g *group) {
	for range clientsAtOnce {
		c := g.todo.first
		if c == nil {
			break
		}
		s.advance(c)
	}
	switch {
	case g.todo.first != nil:
	case g.sleeps():
		g.last = hub.Delivery{}
		return
	default:
		g.retry()
	}
	s.queue(g)
	runtime.Gosched() // requests that arrive meanwhile have their turn
}

// advance gives a client what comes next.
func (s *shard) advance(c *client) {
	g := c.group
	d := g.last
	if !c.reader.Adopt(d) {
		d = c.reader.Take()
	}
	switch {
	case d.Ended:
		c.pending, c.ending = [][]byte{deletedFrame}, true
		s.flush(c)
	case d.Frames == nil:
		g.idle.add(c)
	default:
		g.last = d
		c.pending = d.Frames
		if d.More {
			g.todo.add(c) // behind the others
		} else {
			g.idle.add(c) // as of this instant: what comes meanwhile is found by Await
		}
		s.flush(c)
	}
}

// flush writes what is pending for a client, as far as its socket takes it.
func (s *shard) flush(c *client) {
	written, err := 0, error(nil)
	for len(c.pending) > 0 && err == nil {
		n, lot := 0, s.lot(c)
		switch n, err = syscall.Write(c.fd, lot); err {
		case nil:
			c.took(n)
			written += n
			if n < len(lot) { // its buffer is full, and the poller tells when it is not
				err = syscall.EAGAIN
			}
		case syscall.EINTR:
			err = nil
		}
	}
	s.fan.server.metrics.streamBytes.Add(int64(written))
	switch {
	case err == syscall.EAGAIN:
		if c.list != nil {
			c.list.remove(c)
		}
		if !s.holds(c) {
			s.drop(c)
			return
		}
		if written > 0 || c.timeline != &s.stalls {
			s.stalls.add(c, s.now+s.fan.server.cfg.WriteTimeout)
		}
	case err != nil || c.ending:
		s.drop(c)
	default:
		c.pending = nil
		c.release()
		s.beats.add(c, s.now+s.fan.server.cfg.Heartbeat)
		if c.list == nil {
			c.group.todo.add(c)
			s.queue(c.group)
		}
	}
}

// holds counts what a client has not taken at once, and reports whether it may go on taking that.
func (s *shard) holds(c *client) (ok bool) {
	if c.until == 0 {
		server := s.fan.server
		c.until = s.now + server.allowance(sizeOf(c.pending))
		c.held, ok = server.answers.take(c.who, c.pending, func() { s.expel(c) })
		return ok
	}
	return s.now < c.until
}

func (c *client) release() {
	c.held.release()
	c.held, c.until = nil, 0
}

// lot returns what a client gets with the next write: one frame, or several beside each other where they are small. It holds until the next.
func (s *shard) lot(c *client) []byte {
	first := c.pending[0][c.taken:]
	if len(c.pending) == 1 || len(first) >= lotAtMost {
		return first
	}
	s.joined = append(s.joined[:0], first...)
	for _, frame := range c.pending[1:] {
		s.joined = append(s.joined, frame[:min(len(frame), lotAtMost-len(s.joined))]...)
		if len(s.joined) == lotAtMost {
			break
		}
	}
	return s.joined
}

// took notes that a client has taken n bytes more of what is pending for it.
func (c *client) took(n int) {
	for len(c.pending) > 0 {
		left := len(c.pending[0]) - c.taken
		if n < left {
			c.taken += n
			return
		}
		n -= left
		c.pending, c.taken = c.pending[1:], 0
	}
}

// untilDue is how long nothing has to be done that nobody asks for.
func (s *shard) untilDue() time.Duration {
	due := time.Hour
	for _, t := range []*timeline{&s.beats, &s.stalls} {
		if t.first != nil {
			due = min(due, t.first.due-time.Since(s.began))
		}
	}
	return max(due, 0)
}

// expire sends the heartbeats that are due, and cuts those who take nothing.
func (s *shard) expire() {
	for c := s.stalls.first; c != nil && c.due <= s.now; c = s.stalls.first {
		s.drop(c)
	}
	for n := 0; n < clientsAtOnce; n++ {
		c := s.beats.first
		if c == nil || c.due > s.now {
			return
		}
		g := c.group
		if g.beat == nil || g.beatAt != s.now {
			g.beat, g.beatAt = c.reader.Heartbeat(), s.now
		}
		c.pending = [][]byte{g.beat}
		s.flush(c)
	}
}

// endAll ends the clients: at once, or each when it has the frames that it was being written.
func (s *shard) endAll(atOnce bool) {
	for _, at := range s.slots {
		if c := at.client; c != nil {
			if c.ending = true; atOnce || len(c.pending) == 0 {
				s.drop(c)
			}
		}
	}
}

// drop ends a client.
func (s *shard) drop(c *client) {
	c.release()
	g := c.group
	if c.list != nil {
		c.list.remove(c)
	}
	if c.timeline != nil {
		c.timeline.remove(c)
	}
	s.slots[c.slot].client = nil
	s.slots[c.slot].generation++
	s.vacant = append(s.vacant, c.slot)
	s.clients--
	if g.size--; g.size == 0 {
		c.reader.Cancel(&g.waiter)
		delete(s.groups, c.reader.Source())
	}
	c.finish() // before the client can know
	_ = syscall.Close(c.fd)
}
