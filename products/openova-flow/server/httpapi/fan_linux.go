package httpapi

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

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// fan writes the streams of HTTP/1.1 connections without TLS: it takes the connection away from net/http, gives its buffers and
// goroutine back, and a few goroutines of its own write to all of them without blocking. A reader then costs a file descriptor and
// some hundred bytes, and what one write call takes from the ring grows with the load by itself.
//
// The body is delimited by the end of the connection (RFC 9112, section 6.3), so that readers share its bytes.
type fan struct {
	server *Server
	start  sync.Once
	failed error
	shards []*shard
	turn   atomic.Uint32
	wg     sync.WaitGroup
	force  chan struct{} // closed: what is not written by then is not written
	forced sync.Once
}

func newFan(s *Server) *fan { return &fan{server: s, force: make(chan struct{})} }

// take hands a stream's connection over, with the headers of w. It reports false, and leaves the connection alone, when that is not
// possible. The reader and the session are the fan's then.
func (f *fan) take(w http.ResponseWriter, r *http.Request, who string, reader *hub.Reader, session *auth.Session) bool {
	tcp, ok := connOf(r.Context()).(*net.TCPConn)
	if !ok || r.ProtoMajor != 1 || r.TLS != nil || f.server.cfg.StreamMode == StreamPortable {
		return false
	}
	if f.start.Do(f.run); f.failed != nil {
		return false
	}
	head := responseHead(w.Header())
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	defer conn.Close()
	rt, _ := f.server.find(r)
	finish := func() {
		f.server.leave(reader, session)
		f.server.metrics.request(rt.name, http.MethodGet, http.StatusOK)
	}
	fd, err := duplicate(tcp)
	if err != nil {
		finish()
		return true
	}
	c := &client{fd: fd, who: who, reader: reader, finish: finish, pending: [][]byte{head, reader.Heartbeat()}}
	s := f.shards[int(f.turn.Add(1))%len(f.shards)]
	if !s.add(c) {
		finish()
		_ = syscall.Close(fd)
		return true
	}
	if session != nil {
		session.Then(func() { s.expel(c) })
	}
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

// run starts the shards: half as many as there are processors. With one for each, requests wait for a processor while streams are
// written; with these, they come in meanwhile, and each write takes more frames.
func (f *fan) run() {
	for range max(1, runtime.GOMAXPROCS(0)/2) {
		s, err := newShard(f)
		if err != nil {
			f.failed = err
			f.server.cfg.Logger.Warn("streams take the portable path", "err", err)
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
		f.wg.Go(s.run)
		f.wg.Go(func() { s.poller.run(s.happened) })
	}
}

// shutdown waits until the streams have ended, which they do by themselves once the hub is closed, or ctx is done.
func (f *fan) shutdown(ctx context.Context) {
	f.start.Do(func() { f.failed = net.ErrClosed })
	ended := make(chan struct{})
	go func() { f.wg.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
		f.forced.Do(func() { close(f.force) })
		<-ended
	}
}
