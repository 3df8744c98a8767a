//go:build linux

package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// lanesAtMost is the maximum number of posting threads. Two are fast enough not to be the bottleneck.
const lanesAtMost = 2

// answerWithin is how long a lane waits for an answer or its timer before it fails. So a lane must not pause longer between two messages.
const answerWithin = 30 * time.Second

// publisher posts messages over several keep-alive connections, shared out to its lanes. It is not safe for concurrent use.
type publisher struct {
	lanes    []*lane
	accepted []int64 // sequence numbers by message, 0 for those rejected or not posted
	refused  int64
	why      string    // answer to a rejected message
	answered histogram // of the last publish
}

func newPublisher(addr netip.AddrPort, flow string, flows, run, size, conns int) (*publisher, error) {
	p := &publisher{}
	template := newRequest(addr.String(), flow, flows, run, size)
	lanes := min(conns, lanesAtMost)
	for i := range lanes {
		l, err := newLane(addr, template, (conns+i)/lanes)
		if err != nil {
			p.close()
			return nil, err
		}
		p.lanes = append(p.lanes, l)
	}
	return p, nil
}

func (p *publisher) close() {
	for _, l := range p.lanes {
		l.close()
	}
}

// publish posts n more messages and returns when all are answered. With a rate above 0, message i is due after i/rate seconds. If no connection is free
// then, its latency still counts from then: a slow server cannot hide its latency by slowing the generator down (coordinated omission). Messages that are
// not posted within the time limit are dropped; a limit of 0 is none.
func (p *publisher) publish(n int, rate float64, within time.Duration) error {
	first := len(p.accepted)
	p.accepted = append(p.accepted, make([]int64, n)...)
	p.answered = histogram{}
	var wg sync.WaitGroup
	failed := make([]error, len(p.lanes))
	began := clock()
	for i, l := range p.lanes {
		wg.Go(func() {
			failed[i] = l.publish(schedule{began: began, rate: rate, within: within, first: first, offset: i, stride: len(p.lanes), n: n}, p.accepted)
		})
	}
	wg.Wait()
	for _, l := range p.lanes {
		p.answered.merge(&l.answered)
		p.refused += l.refused
		if p.why == "" {
			p.why = l.why
		}
	}
	return errors.Join(failed...)
}

// schedule says which messages a lane posts, and when: of the n messages from index first on, those at offset, offset+stride, and so on.
type schedule struct {
	began                    int64
	rate                     float64
	within                   time.Duration // 0: no limit
	first, offset, stride, n int
}

func (s schedule) over(at int64) bool { return s.within > 0 && at > s.began+int64(s.within) }

func (s schedule) due(i int) int64 { return s.began + int64(float64(i)*1e9/s.rate) }

// lane posts over some of the connections, from one thread.
type lane struct {
	epoll int
	timer int // a timerfd, with -1 as its Fd in epoll events
	conns []*publishing
	idle  []*publishing

	refused  int64 // of the last publish, like why and answered
	why      string
	answered histogram
}

// publishing is a connection of a lane, with the request that it has sent last.
type publishing struct {
	fd      int
	request request
	answer  []byte // read so far
	index   int
	sent    int64
}

func newLane(addr netip.AddrPort, template request, conns int) (*lane, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	l := &lane{epoll: epoll, timer: -1}
	if err := l.open(addr, template, conns); err != nil {
		l.close()
		return nil, fmt.Errorf("publisher: %w", err)
	}
	return l, nil
}

func (l *lane) open(addr netip.AddrPort, template request, conns int) (err error) {
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return fmt.Errorf("timerfd_create: %w", err)
	}
	if err := watch(l.epoll, l.timer, unix.EPOLLIN, -1); err != nil {
		return err
	}
	for i := range conns {
		fd, err := dial(addr, 0, 0)
		if err != nil {
			return err
		}
		c := &publishing{fd: fd, request: template.clone()}
		l.conns = append(l.conns, c)
		l.idle = append(l.idle, c)
		if err := watch(l.epoll, fd, unix.EPOLLIN, i); err != nil {
			return err
		}
	}
	return nil
}

func (l *lane) close() {
	for _, c := range l.conns {
		unix.Close(c.fd)
	}
	if l.timer >= 0 {
		unix.Close(l.timer)
	}
	unix.Close(l.epoll)
}

func (l *lane) publish(s schedule, accepted []int64) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l.refused, l.why, l.answered = 0, "", histogram{}
	slept := true // the lane was idle before the next message was due, so its latency counts from when it is sent
	events := make([]unix.EpollEvent, 64)
	for next := s.offset; ; {
		for next < s.n && len(l.idle) > 0 {
			at := clock()
			if s.over(at) {
				next = s.n
				continue
			}
			if s.rate > 0 {
				due := s.due(next)
				if due > at {
					slept = true
					if err := l.wakeAfter(due - at); err != nil {
						return err
					}
					break
				}
				if !slept {
					at = due
				}
			}
			if err := l.send(s.first+next, at); err != nil {
				return err
			}
			next += s.stride
		}
		if next >= s.n && len(l.idle) == len(l.conns) {
			return nil
		}
		if len(l.idle) == 0 {
			slept = false
		}
		if err := l.turn(events, accepted); err != nil {
			return err
		}
	}
}

// turn waits for responses or the timer, and handles them. It fails after answerWithin without either.
func (l *lane) turn(events []unix.EpollEvent, accepted []int64) error {
	ready, err := wait(l.epoll, events, int(answerWithin/time.Millisecond))
	if err != nil {
		return err
	}
	if ready == 0 {
		return fmt.Errorf("a POST was not answered within %v", answerWithin)
	}
	for _, e := range events[:ready] {
		if e.Fd < 0 {
			_, _ = unix.Read(l.timer, make([]byte, 8))
		} else if err := l.receive(l.conns[e.Fd], accepted); err != nil {
			return err
		}
	}
	return nil
}

func (l *lane) wakeAfter(ns int64) error {
	if err := unix.TimerfdSettime(l.timer, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(ns)}, nil); err != nil {
		return fmt.Errorf("timerfd_settime: %w", err)
	}
	return nil
}

func (l *lane) send(index int, at int64) error {
	c := l.idle[len(l.idle)-1]
	l.idle = l.idle[:len(l.idle)-1]
	c.index, c.sent, c.answer = index, at, c.answer[:0]
	c.request.set(index, at)
	// The connection's send buffer is empty and must have room for a whole request.
	n, err := unix.Write(c.fd, c.request.bytes)
	if err == nil && n < len(c.request.bytes) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("POST: %d of %d bytes written: %w", n, len(c.request.bytes), err)
	}
	return nil
}

func (l *lane) receive(c *publishing, accepted []int64) error {
	var buf [4096]byte
	n, err := unix.Read(c.fd, buf[:])
	if err == unix.EAGAIN || err == unix.EINTR {
		return nil
	}
	if err == nil && n == 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("read the answer to a POST, after %q: %w", c.answer, err)
	}
	c.answer = append(c.answer, buf[:n]...)
	status, body, done, err := parseAnswer(c.answer)
	if err != nil || !done {
		return err
	}
	seq := digits(bytes.TrimPrefix(body, []byte(`{"seq":`)))
	if status == 200 && seq > 0 {
		accepted[c.index] = seq
		l.answered.add(clock() - c.sent)
	} else {
		if l.refused++; l.why == "" {
			l.why = fmt.Sprintf("%d %s", status, body)
		}
	}
	l.idle = append(l.idle, c)
	return nil
}

// parseAnswer parses a response with a Content-Length.
func parseAnswer(b []byte) (status int, body []byte, done bool, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return 0, nil, false, nil
	}
	length := -1
	for line := range bytes.SplitSeq(b[:end], []byte("\r\n")) {
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(name, []byte("Content-Length")) {
			length = int(digits(bytes.TrimSpace(value)))
		}
	}
	if length < 0 || end < len("HTTP/1.1 200") {
		return 0, nil, false, fmt.Errorf("an answer without Content-Length: %q", b)
	}
	body = b[end+4:]
	if len(body) < length {
		return 0, nil, false, nil
	}
	return int(digits(b[len("HTTP/1.1 "):])), body[:length], true, nil
}
