package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// writeAtMost is how much of a stream goes out under one write deadline: little enough that a slow reader that does take bytes
// gets it done in time.
const writeAtMost = 32 << 10

// sendBuffer is how many bytes the kernel is asked to take for a stream (it doubles that for its own use): little enough that one who
// stalls is known early and gets what is new, not what is old.
const sendBuffer = 64 << 10

var deletedFrame = []byte("event: deleted\ndata: {}\n\n")

// Modes of streams.
const (
	StreamAuto     = "auto"     // the fast path wherever the connection allows it
	StreamPortable = "portable" // always through net/http
)

type connKey struct{}

// ConnContext is for http.Server.ConnContext. Without it streams never take the fast path.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

func connOf(ctx context.Context) net.Conn {
	c, _ := ctx.Value(connKey{}).(net.Conn)
	return c
}

// stream follows a flow by Server-Sent Events (WHATWG HTML, section 9.2) until the client goes, takes no bytes for too long, the
// flow is deleted, the caller may no longer read it or the server shuts down.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string) {
	last, resume := lastEventID(r, "")
	reader, err := s.read(g, func() (*hub.Reader, error) { return s.hub.Follow(flowID, last, resume) })
	if err != nil {
		w.Header().Set(headerIncarnation, s.hub.Incarnation(flowID))
		writeProblem(w, problemOf(err))
		return
	}
	w.Header().Set(headerIncarnation, reader.Incarnation())
	s.follow(w, r, s.caller(r, g), reader, s.cfg.Auth.Open(g, func(g *auth.Grant) error { return g.CheckRead(flowID) }))
}

// read returns a reader for a caller, unless that has as many as one may have: an eighth of all is left to others.
func (s *Server) read(g *auth.Grant, follow func() (*hub.Reader, error)) (*hub.Reader, error) {
	if !s.cfg.Auth.Guarded() { // everybody is one caller
		return follow()
	}
	all := int64(s.hub.MaxSubscribers())
	if each := max(1, all-max(1, all/8)); !s.streams.take(g.Name(), 1, each, math.MaxInt64) {
		return nil, problem{Status: http.StatusTooManyRequests, retryAfter: retryAfterLimit, Detail: fmt.Sprintf("the caller has %d streams open, which is the limit of one", each)}
	}
	reader, err := follow()
	if err != nil {
		s.streams.give(g.Name(), 1)
	}
	return reader, err
}

// leave ends what follow was given, and says so when it was for the caller's credential.
func (s *Server) leave(reader *hub.Reader, session *auth.Session) {
	reader.Close()
	session.Close()
	if session != nil {
		s.streams.give(session.Caller(), 1)
	}
	if err := session.Err(); err != nil {
		s.metrics.revoked.Add(1)
		if missed, ok := s.endings.allow(session.Caller(), time.Now()); ok {
			s.cfg.Logger.Info("stream ended with what its credential allows", "refusal", err, "unlogged", missed)
		}
	}
}

// Headers of every stream. The lists are shared and never changed.
var (
	isEventStream = []string{"text/event-stream"}
	noStore       = []string{"no-store, no-transform"}
	unbuffered    = []string{"no"} // nginx would hold frames back
)

// follow begins a stream of what a reader reads, until its end or that of the session. Both are closed then.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, who string, reader *hub.Reader, session *auth.Session) {
	h := w.Header()
	// Each of the two header maps that net/http keeps for as long as a stream is open takes half a KiB more from the ninth header on. This
	// one is about what a browser shows as a page, which a stream is not.
	delete(h, "Cross-Origin-Opener-Policy")
	h["Content-Type"], h["Cache-Control"], h["X-Accel-Buffering"] = isEventStream, noStore, unbuffered
	if r.Method == http.MethodHead {
		s.leave(reader, session)
		return
	}
	if r.ProtoMajor == 1 {
		limitSendBuffer(connOf(r.Context()))
	}
	cw := w.(*countingWriter)
	if cw.handedOver = s.fan.take(w, r, who, reader, session); !cw.handedOver {
		cw.who, cw.reader, cw.session = who, reader, session
	}
}

// run runs a stream through net/http.
func (s *Server) run(w *countingWriter, r *http.Request) {
	defer s.leave(w.reader, w.session)
	out := streamWriter{deadline: deadline{rc: http.NewResponseController(w.ResponseWriter)}, w: w.ResponseWriter, timeout: s.cfg.WriteTimeout, shared: r.ProtoMajor > 1, metrics: &s.metrics}
	if out.write(w.reader.Heartbeat()) != nil {
		return
	}
	s.pump(r.Context(), &out, w.who, w.reader, w.session)
}

// pump writes what a reader reads. It is apart from what writes the headers, which takes net/http the most stack of all: with both in one
// frame, each stream would keep twice as much.
func (s *Server) pump(ctx context.Context, out *streamWriter, who string, reader *hub.Reader, session *auth.Session) {
	// Whatever happens wakes by one channel: each further one that a goroutine waits for costs an idle reader some hundred bytes.
	woken := make(chan struct{}, 1)
	waiter := hub.Waiter{Wake: func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	}}
	defer reader.Cancel(&waiter)
	if session != nil {
		session.Then(func() {
			out.cut()
			waiter.Wake()
		})
		defer out.end()
	}
	last := time.Now() // when a frame went out
	alarm := last.Add(s.cfg.Heartbeat)
	beat := time.AfterFunc(s.cfg.Heartbeat, waiter.Wake)
	defer beat.Stop()
	for !s.closing() && session.Err() == nil { // a stream that never catches up ends too
		d, now := reader.Take(), time.Now()
		var err error
		switch {
		case d.Ended:
			_ = out.write(deletedFrame)
			return
		case d.Frames != nil:
			err = s.deliver(out, who, d.Frames)
		case now.Sub(last) >= s.cfg.Heartbeat:
			err = out.write(reader.Heartbeat())
		case !reader.Await(&waiter):
			continue
		default:
			if !now.Before(alarm) {
				alarm = last.Add(s.cfg.Heartbeat)
				beat.Reset(alarm.Sub(now))
			}
			if s.closing() || session.Err() != nil { // it may have begun before there was somebody to wake
				return
			}
			select {
			case <-woken:
			case <-ctx.Done():
				return
			}
			continue
		}
		if err != nil {
			return
		}
		last = time.Now()
	}
}

// deliver writes what a reader has taken, which counts among the answers meanwhile.
func (s *Server) deliver(out *streamWriter, who string, frames [][]byte) error {
	held, ok := s.answers.take(who, frames, out.cutNow)
	if !ok {
		return errCut
	}
	defer held.release()
	return out.writeWithin(s.allowance(sizeOf(frames)), frames...)
}

func sizeOf(frames [][]byte) (n int) {
	for _, f := range frames {
		n += len(f)
	}
	return n
}

// closing reports whether streams are to end.
func (s *Server) closing() bool {
	select {
	case <-s.hub.Done():
		return true
	default:
		return false
	}
}

func limitSendBuffer(c net.Conn) {
	if over, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = over.NetConn()
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(sendBuffer)
	}
}

// lastEventID reads where a client was: a sequence number and the mark of the stream. The header wins over the query; an empty one is none. What is
// anything else can't be resumed from: the client gets its state anew.
func lastEventID(r *http.Request, mark string) (seq int64, resume bool) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("lastEventId")
	}
	if text == "" {
		return 0, false
	}
	digits, marked := strings.CutSuffix(text, mark)
	seq, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !marked {
		seq = -1
	}
	return seq, true
}

// streamWriter writes frames under a deadline that moves with progress.
type streamWriter struct {
	deadline
	w       http.ResponseWriter
	timeout time.Duration
	shared  bool // the connection has other streams (HTTP/2)
	set     time.Time
	metrics *metrics
}

// deadline is that by which what is being written has to be taken.
type deadline struct {
	rc *http.ResponseController

	mu   sync.Mutex
	over bool // nothing more is written, and no deadline set
}

// slack is by how much more than the timeout a deadline is set, so that it needs to be moved only so often.
const slack = time.Second

var errCut = errors.New("the stream was cut")

func (o *streamWriter) write(frames ...[]byte) error { return o.writeWithin(0, frames...) }

// writeWithin writes frames. All of them have to be taken within a time, unless that is 0.
func (o *streamWriter) writeWithin(all time.Duration, frames ...[]byte) error {
	began := time.Now()
	for _, b := range frames {
		for len(b) > 0 {
			now := time.Now()
			if all > 0 && now.Sub(began) > all {
				return errCut
			}
			if now.Sub(o.set) > min(slack, o.timeout/8) {
				if err := o.until(now.Add(o.timeout + min(slack, o.timeout/8))); err != nil {
					return err
				}
				o.set = now
			}
			n, err := o.w.Write(b[:min(len(b), writeAtMost)])
			o.metrics.streamBytes.Add(int64(n))
			if err != nil {
				return err
			}
			b = b[n:]
		}
	}
	if err := o.rc.Flush(); err != nil || !o.shared {
		return err
	}
	// Over HTTP/2 a deadline that passes while nothing is written would end the stream.
	o.set = time.Time{}
	return o.until(time.Time{})
}

func (o *deadline) until(deadline time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		return errCut
	}
	return o.rc.SetWriteDeadline(deadline)
}

// cut ends what is being written within a second, and all that would follow. Any goroutine may call it.
func (o *deadline) cut() { o.stop(slack) }

// cutNow is cut without the second.
func (o *deadline) cutNow() { o.stop(0) }

func (o *deadline) stop(within time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.over {
		o.over = true
		_ = o.rc.SetWriteDeadline(time.Now().Add(within))
	}
}

// end makes cut do nothing from now on: what it would cut belongs to somebody else once the handler has returned.
func (o *deadline) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
}

// writeMoving writes b piece by piece, each under a deadline of its own and all of them within a time, so that who takes no bytes is cut, and who takes
// too few. A writer that knows no deadlines, as one that another program has wrapped, takes b without any.
func writeMoving(w io.Writer, out *deadline, each, all time.Duration, b []byte) (written int, err error) {
	for end := time.Now().Add(all); len(b) > 0; {
		until := time.Now().Add(each)
		if until.After(end) {
			until = end
		}
		if err := out.until(until); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return written, err
		}
		n, err := w.Write(b[:min(len(b), writeAtMost)])
		written += n
		if err != nil {
			return written, err
		}
		b = b[n:]
	}
	return written, nil
}
