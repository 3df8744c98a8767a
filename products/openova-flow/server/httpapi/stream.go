package httpapi

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/internal/eventstream"
)

// Modes of streams.
const (
	StreamAuto     = "auto"     // the fast writer if the connection allows it
	StreamPortable = "portable" // always through net/http
)

// ConnContext is for http.Server.ConnContext. The fast writer needs it.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return eventstream.ConnContext(ctx, c)
}

func (s *Server) newStreamWriter() eventstream.Writer {
	cfg := eventstream.Config{Heartbeat: s.cfg.Heartbeat, Pace: s.pace, Budget: s.unread, Done: s.hub.Done(), Sent: &s.metrics.streamBytes, Lag: s.metrics.lag, Logger: s.cfg.Logger}
	if s.cfg.StreamMode == StreamPortable {
		return eventstream.NewPortable(cfg)
	}
	return eventstream.NewFast(cfg)
}

// stream answers with the stream of one flow, which need not exist yet.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string) {
	last, resume := lastEventID(r, "")
	reader, err := s.subscribe(r, g, func() (*hub.Reader, error) { return s.hub.Follow(flowID, last, resume) })
	if err != nil {
		w.Header().Set(headerIncarnation, s.hub.Incarnation(flowID))
		writeProblem(w, problemOf(err))
		return
	}
	w.Header().Set(headerIncarnation, reader.Incarnation())
	s.writeStream(w, r, s.caller(r, g), reader, s.cfg.Auth.Open(g, func(g *auth.Grant) error { return g.CheckRead(flowID) }))
}

// subscribe returns a reader for a caller. It logs an error, at most once a second for each caller.
func (s *Server) subscribe(r *http.Request, g *auth.Grant, follow func() (*hub.Reader, error)) (*hub.Reader, error) {
	reader, err := s.withinShare(g, follow)
	if err != nil {
		if missed, ok := s.fullStreams.allow(s.caller(r, g), time.Now()); ok {
			p := problemOf(err)
			s.cfg.Logger.Warn("stream refused", "by", g.Name(), "status", p.Status, "detail", p.Detail, "unlogged", missed)
		}
	}
	return reader, err
}

// withinShare returns a reader, unless the caller has its share of the streams, about seven eighths: the rest is for others.
func (s *Server) withinShare(g *auth.Grant, follow func() (*hub.Reader, error)) (*hub.Reader, error) {
	if !s.cfg.Auth.Guarded() { // all requests are of one caller
		return follow()
	}
	all := int64(s.hub.MaxSubscribers())
	share := max(1, all-max(1, all/8))
	if !s.subscribers.take(g.Name(), 1, share, math.MaxInt64) {
		return nil, problem{Status: http.StatusTooManyRequests, RetryAfter: retryAfterLimit, Detail: fmt.Sprintf("the caller has %d streams open, the limit for one caller; close some", share)}
	}
	reader, err := follow()
	if err != nil {
		s.subscribers.release(g.Name(), 1)
	}
	return reader, err
}

// Headers of every stream. The lists are shared and never changed.
var (
	eventStream = []string{"text/event-stream"}
	noStore     = []string{"no-store, no-transform"}
	unbuffered  = []string{"no"} // else nginx buffers frames
)

// writeStream sets the headers of a stream. ServeHTTP then writes the frames, unless the request is a HEAD. Reader and session are closed in the end.
func (s *Server) writeStream(w http.ResponseWriter, r *http.Request, caller string, reader *hub.Reader, session *auth.Session) {
	h := w.Header()
	// Behind a stream of the portable writer, net/http keeps two header maps. Each takes half a KiB more from the ninth header on. This header only matters
	// for documents.
	delete(h, "Cross-Origin-Opener-Policy")
	h["Content-Type"], h["Cache-Control"], h["X-Accel-Buffering"] = eventStream, noStore, unbuffered
	if r.Method == http.MethodHead {
		s.unsubscribe(reader, session)
		return
	}
	rec := w.(*recorder)
	route := rec.route // the stream must not keep w, and with it the buffers of net/http
	end := func() {
		s.unsubscribe(reader, session)
		s.metrics.request(route, http.MethodGet, http.StatusOK)
	}
	rec.stream = &eventstream.Stream{Source: reader, Session: session, Caller: caller, End: end}
}

// unsubscribe closes the reader and the session of a stream. If the caller's credential ended the stream, it counts that, and logs it at most once a second
// for each caller.
func (s *Server) unsubscribe(reader *hub.Reader, session *auth.Session) {
	reader.Close()
	session.Close()
	if session != nil {
		s.subscribers.release(session.Caller(), 1)
	}
	if err := session.Err(); err != nil {
		s.metrics.revoked.Add(1)
		if missed, ok := s.revoked.allow(session.Caller(), time.Now()); ok {
			s.cfg.Logger.Info("stream closed: credential revoked or narrowed", "denial", err, "unlogged", missed)
		}
	}
}

// lastEventID reads the client's cursor: a sequence number and the mark of the stream. The header wins over the query; an empty value is absent. A value
// that is not a cursor of this stream gives -1, which resumes nothing.
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
