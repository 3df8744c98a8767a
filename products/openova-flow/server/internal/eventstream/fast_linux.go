package eventstream

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// fast writes the streams of HTTP/1.1 connections without TLS: it takes the connection away from net/http, which frees its buffers and goroutine, and a few
// goroutines of its own, the shards, write to all of them without blocking. A subscriber then costs a file descriptor and some hundred bytes, and what one
// write call takes from the ring grows with the load by itself. All other streams are the portable Writer's.
//
// The body is delimited by the end of the connection (RFC 9112, section 6.3), so that subscribers share its bytes.
type fast struct {
	Config
	portable Writer
	start    sync.Once
	failed   error
	shards   []*shard
	turn     atomic.Uint32 // counts streams, which go to the shards in turns
	running  sync.WaitGroup
	abort    func()
	aborted  <-chan struct{} // closed by abort: streams end at once
}

// NewFast returns the Writer that is fast where that is possible: on Linux, for HTTP/1.1 without TLS, when the server has ConnContext.
func NewFast(cfg Config) Writer {
	ctx, abort := context.WithCancel(context.Background())
	return &fast{Config: cfg, portable: NewPortable(cfg), abort: abort, aborted: ctx.Done()}
}

func (f *fast) Write(w http.ResponseWriter, r *http.Request, s Stream) {
	if !f.detach(w, r, s) {
		f.portable.Write(w, r, s)
	}
}

// detach hands the connection of a stream over to a shard. It reports false, and leaves the connection alone, when that is not possible.
func (f *fast) detach(w http.ResponseWriter, r *http.Request, s Stream) bool {
	tcp, ok := connOf(r.Context()).(*net.TCPConn)
	if !ok || r.ProtoMajor != 1 || r.TLS != nil {
		return false
	}
	if f.start.Do(f.startShards); f.failed != nil {
		return false
	}
	head := responseHead(w.Header())
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	defer conn.Close()
	limitSendBuffer(tcp)
	fd, err := duplicate(tcp)
	if err != nil {
		s.End()
		return true
	}
	sub := &subscriber{fd: fd, source: s.Source, caller: s.Caller, end: s.End, pending: [][]byte{head, s.Source.Heartbeat()}}
	shard := f.shards[int(f.turn.Add(1))%len(f.shards)]
	if !shard.add(sub) {
		s.End()
		_ = syscall.Close(fd)
		return true
	}
	s.Session.Then(func() { shard.expel(sub) })
	return true
}

func responseHead(h http.Header) []byte {
	h.Set("Connection", "close")
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	b := bytes.NewBufferString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(b) // to memory: it cannot fail
	b.WriteString("\r\n")
	return b.Bytes()
}

// duplicate returns a descriptor of a connection that outlives it.
func duplicate(c *net.TCPConn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, errno := uintptr(0), syscall.Errno(0)
	if err := raw.Control(func(own uintptr) {
		fd, _, errno = syscall.Syscall(syscall.SYS_FCNTL, own, syscall.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return -1, err
	}
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// startShards starts half as many shards as there are processors. With one for each, requests would wait for a processor while streams are written; with
// these, requests come in meanwhile, and each write takes more frames.
func (f *fast) startShards() {
	for range max(1, runtime.GOMAXPROCS(0)/2) {
		s, err := newShard(&f.Config, f.aborted)
		if err != nil {
			f.failed = err
			f.Logger.Warn("epoll unavailable, writing all streams through net/http", "err", err)
			break
		}
		f.shards = append(f.shards, s)
	}
	if f.failed != nil {
		for _, s := range f.shards {
			s.poller.close()
		}
		return
	}
	for _, s := range f.shards {
		f.running.Go(s.run)
		f.running.Go(func() { s.poller.run(s.notify) })
	}
}

func (f *fast) Shutdown(ctx context.Context) {
	f.start.Do(func() { f.failed = net.ErrClosed })
	ended := make(chan struct{})
	go func() { f.running.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
		f.abort()
		<-ended
	}
}
