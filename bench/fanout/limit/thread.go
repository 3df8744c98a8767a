//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	heartbeatEvery = 15 * time.Second
	sweepEvery     = 250 * time.Millisecond
)

// thread owns the connections that it accepted.
type thread struct {
	server      *server
	epoll       int
	listener    int
	wakeFD      int
	conns       map[int32]*conn
	subscribers map[*topic][]*conn
	buf         []byte
	now         time.Time
	swept       time.Time

	mu     sync.Mutex
	queued []message
}

type conn struct {
	fd      int32
	topic   *topic    // of a subscriber; nil: a publisher, or no request yet
	at      int       // index in the subscribers of the topic
	from    int64     // sequence number of the subscriber's snapshot
	wrote   time.Time // when a frame was last written or queued
	partial []byte    // an incomplete request
	pending [][]byte  // not written yet: the rest of a write, then whole writes
}

func newThread(s *server, addr netip.AddrPort) (*thread, error) {
	t := &thread{server: s, conns: map[int32]*conn{}, subscribers: map[*topic][]*conn{}, buf: make([]byte, 64<<10)}
	var err error
	if t.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	if t.wakeFD, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	if t.listener, err = listenOn(addr); err != nil {
		return nil, err
	}
	for _, fd := range []int{t.wakeFD, t.listener} {
		if err := t.control(unix.EPOLL_CTL_ADD, int32(fd), unix.EPOLLIN); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *thread) control(op int, fd int32, events uint32) error {
	if err := unix.EpollCtl(t.epoll, op, int(fd), &unix.EpollEvent{Events: events, Fd: fd}); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// enqueue queues a message. Any thread may call it, under the server's lock.
func (t *thread) enqueue(m message) {
	t.mu.Lock()
	first := len(t.queued) == 0
	t.queued = append(t.queued, m)
	t.mu.Unlock()
	if first {
		_, _ = unix.Write(t.wakeFD, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

func (t *thread) run() error {
	runtime.LockOSThread()
	events := make([]unix.EpollEvent, 256)
	var queue, spare []message
	for {
		timeout := int(sweepEvery / time.Millisecond)
		if len(queue) > 0 {
			timeout = 0
		}
		n, err := unix.EpollWait(t.epoll, events, timeout)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		t.now = time.Now()
		for _, e := range events[:max(n, 0)] {
			t.event(e)
		}
		if len(queue) == 0 {
			t.mu.Lock()
			t.queued, queue, spare = spare[:0], t.queued, t.queued
			t.mu.Unlock()
		}
		if len(queue) > 0 { // one message between two waits, so that requests are served meanwhile
			t.fanOut(queue[0])
			queue[0] = message{}
			queue = queue[1:]
		}
		t.sweep()
	}
}

func (t *thread) event(e unix.EpollEvent) {
	switch e.Fd {
	case int32(t.wakeFD):
		_, _ = unix.Read(t.wakeFD, make([]byte, 8))
	case int32(t.listener):
		t.accept()
	default:
		c := t.conns[e.Fd]
		if c == nil {
			return
		}
		if e.Events&unix.EPOLLOUT != 0 {
			t.flush(c)
		}
		if e.Events&^unix.EPOLLOUT != 0 {
			t.read(c)
		}
	}
}

func (t *thread) accept() {
	for {
		fd, _, err := unix.Accept4(t.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		if t.control(unix.EPOLL_CTL_ADD, int32(fd), unix.EPOLLIN) != nil {
			unix.Close(fd)
			continue
		}
		t.conns[int32(fd)] = &conn{fd: int32(fd)}
	}
}

func (t *thread) fanOut(m message) {
	for _, c := range t.subscribers[m.topic] {
		if m.seq > c.from {
			t.write(c, m.frame)
		}
	}
}

// write writes once and keeps the rest, or queues b behind the rest of earlier writes.
func (t *thread) write(c *conn, b []byte) {
	c.wrote = t.now
	if len(c.pending) > 0 {
		c.pending = append(c.pending, b)
		return
	}
	n, err := unix.Write(int(c.fd), b)
	if n = max(n, 0); n == len(b) || err != nil && err != unix.EAGAIN {
		return // epoll reports the error too, and read closes the connection
	}
	c.pending = append(c.pending, b[n:])
	_ = t.control(unix.EPOLL_CTL_MOD, c.fd, unix.EPOLLIN|unix.EPOLLOUT)
}

func (t *thread) flush(c *conn) {
	for len(c.pending) > 0 {
		n, err := unix.Write(int(c.fd), c.pending[0])
		if n = max(n, 0); err != nil && err != unix.EAGAIN {
			return
		}
		if n < len(c.pending[0]) {
			c.pending[0] = c.pending[0][n:]
			return
		}
		c.pending = c.pending[1:]
	}
	c.pending = nil
	_ = t.control(unix.EPOLL_CTL_MOD, c.fd, unix.EPOLLIN)
}

func (t *thread) close(c *conn) {
	if c.topic != nil {
		rs := t.subscribers[c.topic]
		last := rs[len(rs)-1]
		rs[c.at], last.at = last, c.at
		t.subscribers[c.topic] = rs[:len(rs)-1]
	}
	delete(t.conns, c.fd)
	unix.Close(int(c.fd))
}

func (t *thread) sweep() {
	if t.now.Sub(t.swept) < sweepEvery {
		return
	}
	t.swept = t.now
	for _, rs := range t.subscribers {
		for _, c := range rs {
			if t.now.Sub(c.wrote) >= heartbeatEvery {
				t.write(c, []byte("event: heartbeat\ndata: {}\n\n"))
			}
		}
	}
}
