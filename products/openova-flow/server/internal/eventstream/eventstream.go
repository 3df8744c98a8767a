// Package eventstream writes streams of Server-Sent Events (WHATWG HTML, section 9.2) to subscribers.
//
// There are two Writers that behave alike. The portable one writes each stream from a goroutine of its own, through net/http. The fast one, on Linux and for
// HTTP/1 without TLS, takes the connection away from net/http, and a few goroutines write to all subscribers without blocking. A subscriber that does not
// read delays no other, and is disconnected after Pace.Timeout.
package eventstream

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/internal/backlog"
	"github.com/openova-io/openova/products/openova-flow/server/internal/prom"
)

// Writer writes streams. A stream ends when the client disconnects or is cut off, the source or the session ends, or Config.Done is closed.
type Writer interface {
	// Write writes a stream, whose headers are set in w. It returns when the stream has ended or when other goroutines have taken it over. It does not
	// change r.
	Write(w http.ResponseWriter, r *http.Request, s Stream)
	// Shutdown waits for streams that other goroutines write, and disconnects them when ctx is done. Call it after http.Server.Shutdown, which does not
	// wait for them.
	Shutdown(ctx context.Context)
}

// Stream is one subscriber's stream.
type Stream struct {
	Source  Source
	Session Session
	Caller  string // the caller in the budget
	End     func() // called once, before the server ends the body
}

// Source returns the frames for one subscriber. One goroutine at a time uses it. A *hub.Reader is a Source.
type Source interface {
	// Take returns the next frames, the end of the stream, or an empty Delivery if there is neither.
	Take() hub.Delivery
	// Adopt replaces a call of Take if another Source with the same Key has just taken d and this one would take the same. Else it returns false.
	Adopt(d hub.Delivery) bool
	// Await arranges for one call of w.Wake when there may be frames. If there are frames already, it returns false and arranges nothing. One Await that
	// returns true also serves each Source with the same Key whose last Take came after this one's and left no frames.
	Await(w *hub.Waiter) bool
	// Cancel undoes Await, for all Sources with the same Key.
	Cancel(w *hub.Waiter)
	// Heartbeat returns a frame with the source's newest sequence number. It is the first frame of each stream, before all frames of Take, and is sent
	// again after Config.Heartbeat without a frame.
	Heartbeat() []byte
	// Key is equal for Sources that return the same frames.
	Key() any
}

// Session ends a stream when the caller's credential no longer allows it. An *auth.Session is a Session.
type Session interface {
	Then(f func()) // calls f once when the session ends, or now if it has ended; f must not block
	Err() error    // why the session has ended; nil if it has not
}

// Config configures a Writer.
type Config struct {
	Heartbeat time.Duration   // longest silence of a stream
	Pace      backlog.Pace    // a slower subscriber is disconnected
	Budget    *backlog.Budget // counts unread bytes
	Done      <-chan struct{} // once closed, each stream ends after the frames that are being written
	Sent      *atomic.Int64   // counts bytes written
	Lag       *prom.Histogram // time from when the oldest message of a delivery was applied until it was written
	Logger    *slog.Logger
}

var deletedFrame = []byte("event: deleted\ndata: {}\n\n")

// sendBuffer is the size of a stream's socket buffer, which the kernel doubles for its own use. It is small, so that a stalled subscriber is noticed early and
// then gets new data instead of old.
const sendBuffer = 64 << 10

type connKey struct{}

// ConnContext is for http.Server.ConnContext. Without it NewFast writes all streams like the portable Writer.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

func connOf(ctx context.Context) net.Conn {
	c, _ := ctx.Value(connKey{}).(net.Conn)
	return c
}

func limitSendBuffer(c net.Conn) {
	if over, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = over.NetConn()
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(sendBuffer)
	}
}

// observe records the lag of a written delivery.
func (c *Config) observe(since int64) {
	if since != 0 {
		c.Lag.Observe(time.Duration(time.Now().UnixMilli()-since) * time.Millisecond)
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
