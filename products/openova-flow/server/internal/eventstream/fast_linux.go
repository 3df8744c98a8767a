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

// fast writes the streams of HTTP/1 connections without TLS. It takes the connection away from net/http, which frees its buffers and goroutine, and a few
// goroutines, the shards, write to all subscribers without blocking. So a subscriber costs a file descriptor and some hundred bytes, and under load one
// write call sends more frames. All other streams go to the portable Writer.
//
// The end of the connection ends the body (RFC 9112, section 6.3), without chunks, so that subscribers can share its bytes.
type fast struct {
	Config
	portable Writer
	start    sync.Once
	failed   error
	shards   []*shard
	turn     atomic.Uint32 // number of streams so far, to spread them evenly over the shards
	running  sync.WaitGroup
	abort    func()
	aborted  <-chan struct{} // closed by abort: streams end at once
}

// NewFast returns the fast Writer. It writes like the portable one except on Linux, for HTTP/1 without TLS, in a server with ConnContext.
func NewFast(cfg Config) Writer {
	ctx, abort := context.WithCancel(context.Background())
	return &fast{Config: cfg, portable: NewPortable(cfg), abort: abort, aborted: ctx.Done()}
}

func (f *fast) Write(w http.ResponseWriter, r *http.Request, s Stream) {
	if !f.detach(w, r, s) {
		f.portable.Write(w, r, s)
	}
}

// detach gives the connection of a stream to a shard. It returns false, with the connection unchanged, if it cannot take the connection from net/http. If
// it fails later, the stream ends.
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
	shard := f.shards[f.turn.Add(1)%uint32(len(f.shards))]
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
	_ = h.Write(b) // writing to memory cannot fail
	b.WriteString("\r\n")
	return b.Bytes()
}

// duplicate returns a second descriptor of a connection, which stays valid after c is closed.
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

// startShards starts one shard for every two processors. With a shard for each processor, requests would wait while streams are written. With fewer
// shards, requests are served meanwhile, and each write sends more frames.
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
