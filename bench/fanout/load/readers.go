//go:build linux

package load

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// stalledBuffer is the receive buffer of a stalled reader, small so that it blocks the server soon.
	stalledBuffer = 8 << 10
	// connectAhead limits the connections that wait for their answer: fewer than the kernel's accept queue.
	connectAhead = 512
	// connectAllAhead is the same for streams of all flows. It is small since each begins with all snapshots, and a server limits unread data.
	connectAllAhead = 8
)

// readers reads any number of streams on one thread. Until close has returned, tally, failed and what changes in each reader belong to that thread, except
// atomic fields.
type readers struct {
	addr    netip.AddrPort
	request []byte
	epoll   int
	all     []*reader
	ahead   int // see connectAhead

	tally   tally
	thread  int // id of the reading thread
	stop    atomic.Bool
	stopped chan struct{}
	failed  error
	ready   atomic.Int64
	gone    atomic.Int64 // readers whose stream ended
	arrived atomic.Int64 // reads that returned bytes
}

type readersConfig struct {
	flow     string
	all      bool // the readers follow all flows as one stream
	run      int
	readers  int
	stalled  int
	messages int   // total number of messages
	measured int   // index of the first message that counts for latency and throughput
	after    int64 // Last-Event-ID; 0: none, a reader starts with a snapshot
}

func newReaders(addr netip.AddrPort, c readersConfig) (*readers, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	resume := ""
	if c.after > 0 {
		resume = fmt.Sprintf("Last-Event-ID: %d\r\n", c.after)
	}
	rs := &readers{addr: addr, epoll: epoll, ahead: connectAhead, stopped: make(chan struct{})}
	path := "/v1/flows/" + c.flow + "/stream"
	if c.all {
		path, rs.ahead = "/v1/stream", connectAllAhead
	}
	rs.request = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n%s\r\n", path, addr, resume)
	rs.tally = tally{mark: markOf(c.run), measured: c.measured, ids: make([]int64, c.messages)}
	for i := range c.readers + c.stalled {
		r := &reader{stalls: i >= c.readers, resumes: c.after > 0, pos: c.after, seen: make([]uint64, (c.messages+63)/64)}
		r.fd.Store(-1)
		rs.all = append(rs.all, r)
	}
	thread := make(chan int)
	go rs.read(thread)
	rs.thread = <-thread
	return rs, nil
}

// connect opens the streams and waits until all readers have their first snapshot, or the response header when they resume.
func (rs *readers) connect(within time.Duration) error {
	deadline := time.Now().Add(within)
	for i, r := range rs.all {
		buffer := 0
		if r.stalls {
			buffer = stalledBuffer
		}
		fd, err := dial(rs.addr, i, buffer)
		if err != nil {
			return fmt.Errorf("reader %d: %w", i, err)
		}
		r.fd.Store(int64(fd))
		if _, err := unix.Write(fd, rs.request); err != nil {
			return fmt.Errorf("reader %d: %w", i, err)
		}
		if err := watch(rs.epoll, fd, unix.EPOLLIN|unix.EPOLLRDHUP, i); err != nil {
			return err
		}
		if err := rs.waitReady(i+1-rs.ahead, deadline); err != nil {
			return err
		}
	}
	return rs.waitReady(len(rs.all), deadline)
}

func (rs *readers) waitReady(n int, deadline time.Time) error {
	for rs.ready.Load() < int64(n) {
		if rs.gone.Load() > 0 || time.Now().After(deadline) {
			ready := rs.ready.Load()
			rs.close()
			return fmt.Errorf("%d of %d readers are connected: %s", ready, len(rs.all), rs.why())
		}
		time.Sleep(200 * time.Microsecond)
	}
	return nil
}

// await waits until every reader that does not stall has reached an id or has ended, or nothing has arrived for a while.
func (rs *readers) await(id int64, quiet time.Duration) {
	arrived, since := rs.arrived.Load(), time.Now()
	for from := 0; ; time.Sleep(500 * time.Microsecond) {
		for ; from < len(rs.all); from++ {
			if r := rs.all[from]; !r.stalls && !r.over.Load() && r.last.Load() < id {
				break
			}
		}
		if from == len(rs.all) {
			return
		}
		if a := rs.arrived.Load(); a != arrived {
			arrived, since = a, time.Now()
		} else if time.Since(since) > quiet {
			return
		}
	}
}

// close ends the reading thread and the connections. After it the tally may be read.
func (rs *readers) close() {
	if rs.stop.Swap(true) {
		return
	}
	<-rs.stopped
	for _, r := range rs.all {
		if fd := int(r.fd.Load()); fd >= 0 {
			r.cutWhileStalled = r.stalls && !established(fd)
			unix.Close(fd)
		}
	}
	unix.Close(rs.epoll)
}

// why returns the cause of a failed connect. Call it after close.
func (rs *readers) why() string {
	if rs.failed != nil {
		return rs.failed.Error()
	}
	for i, r := range rs.all {
		if r.cut != "" {
			return fmt.Sprintf("reader %d: %s", i, r.cut)
		}
	}
	return "no answer"
}

// read reads until stop is set or epoll fails. It sends the id of its thread first.
func (rs *readers) read(thread chan<- int) {
	defer close(rs.stopped)
	runtime.LockOSThread()
	thread <- unix.Gettid()
	events := make([]unix.EpollEvent, 512)
	buf := make([]byte, 256<<10)
	for !rs.stop.Load() {
		n, err := wait(rs.epoll, events, 50)
		if err != nil {
			rs.failed = err
			return
		}
		for _, e := range events[:n] {
			buf = rs.readOne(rs.all[e.Fd], buf)
		}
	}
}

// readOne reads once from a connection. It returns the buffer for the next read.
func (rs *readers) readOne(r *reader, buf []byte) []byte {
	if r.over.Load() {
		return buf
	}
	fd := int(r.fd.Load())
	for len(buf) < 2*len(r.carry) {
		buf = make([]byte, 2*len(buf)) // for a larger snapshot
	}
	kept := copy(buf, r.carry)
	n, err := unix.Read(fd, buf[kept:])
	if err == unix.EAGAIN || err == unix.EINTR {
		return buf
	}
	if err == nil && n == 0 {
		err = errors.New("the server ended the stream")
	}
	wasReady := r.ready
	if err == nil {
		err = rs.tally.take(r, buf[:kept+n], kept, clock())
	}
	if err != nil {
		r.cut = err.Error()
		rs.gone.Add(1)
		r.over.Store(true)
		_ = unix.EpollCtl(rs.epoll, unix.EPOLL_CTL_DEL, fd, nil)
		return buf
	}
	r.last.Store(r.pos)
	rs.arrived.Add(1)
	if r.ready && !wasReady {
		rs.ready.Add(1)
		if r.stalls {
			_ = unix.EpollCtl(rs.epoll, unix.EPOLL_CTL_DEL, fd, nil)
		}
	}
	return buf
}
