package httpapi

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// writeAtMost is how much of a stream goes out under one write deadline: little enough that a slow reader that does take bytes
// gets it done in time.
const writeAtMost = 32 << 10

// stream follows a flow by Server-Sent Events (WHATWG HTML, section 9.2) until the client goes, takes no bytes for too long, the
// flow is deleted or the server shuts down.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, flowID string) {
	last, resume := lastEventID(r)
	reader, err := s.hub.Follow(flowID, last, resume)
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	defer reader.Close()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx would hold frames back
	h.Set(headerIncarnation, reader.Incarnation())
	if r.Method == http.MethodHead {
		return
	}
	out := streamWriter{w: w, rc: http.NewResponseController(w), timeout: s.cfg.WriteTimeout, metrics: &s.metrics}
	if out.write(reader.Heartbeat()) != nil {
		return
	}
	beat := time.NewTimer(s.cfg.Heartbeat)
	defer beat.Stop()
	for {
		d := reader.Take()
		var err error
		switch {
		case d.Deleted:
			_ = out.write([]byte("event: deleted\ndata: {}\n\n"))
			return
		case d.Frames != nil:
			err = out.write(d.Frames...)
		default:
			select {
			case <-d.Wait:
				continue
			case <-beat.C:
				err = out.write(reader.Heartbeat())
			case <-r.Context().Done():
				return
			case <-s.hub.Done():
				return
			}
		}
		if err != nil {
			return
		}
		beat.Reset(s.cfg.Heartbeat)
		select {
		case <-s.hub.Done(): // a stream that never catches up must end too
			return
		default:
		}
	}
}

// lastEventID reads where a client was. The header wins over the query; an empty one is none. What is no number can't be
// resumed from, and is told apart from none only by that the client then gets its state anew.
func lastEventID(r *http.Request) (seq int64, resume bool) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("lastEventId")
	}
	if text == "" {
		return 0, false
	}
	seq, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		seq = -1
	}
	return seq, true
}

// streamWriter writes frames under a deadline that moves with progress.
type streamWriter struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
	metrics *metrics
}

func (o *streamWriter) write(frames ...[]byte) error {
	for _, b := range frames {
		n, err := writeMoving(o.w, o.rc, o.timeout, b)
		o.metrics.streamBytes.Add(int64(n))
		if err != nil {
			return err
		}
	}
	if err := o.rc.Flush(); err != nil {
		return err
	}
	// Over HTTP/2 a deadline that passes while nothing is written would end the stream.
	return o.rc.SetWriteDeadline(time.Time{})
}

// writeMoving writes b piece by piece, each under a deadline of its own, so that only who takes no bytes is cut.
func writeMoving(w io.Writer, rc *http.ResponseController, timeout time.Duration, b []byte) (written int, err error) {
	for len(b) > 0 {
		if err := rc.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
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
