package httpapi

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/internal/backlog"
)

// statusClientGone is the status, from nginx, of a request whose client has disconnected before the answer.
const statusClientGone = 499

// answer calls f when it is the caller's turn, and sends the body that f returns, 304 if that is nil, or the problem for its error. f sets the headers of
// the response.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, g *auth.Grant, f func() ([]byte, error)) {
	var body []byte
	var err error
	if !s.inTurn(r, g, func() { body, err = f() }) {
		w.WriteHeader(statusClientGone) // for the metrics
		return
	}
	switch {
	case err != nil:
		writeProblem(w, problemOf(err))
	case body == nil:
		w.WriteHeader(http.StatusNotModified)
	default:
		s.send(w, r, g, body)
	}
}

// answerJSON is like answer, but encodes the value that f returns as JSON, and sets the incarnation header unless incarnation is empty.
func (s *Server) answerJSON(w http.ResponseWriter, r *http.Request, g *auth.Grant, f func() (v any, incarnation string, err error)) {
	s.answer(w, r, g, func() ([]byte, error) {
		v, incarnation, err := f()
		h := w.Header()
		if incarnation != "" {
			h.Set(headerIncarnation, incarnation)
		}
		if err != nil {
			return nil, err
		}
		h.Set("Content-Type", typeJSON)
		h.Set("Cache-Control", "no-store")
		var body bytes.Buffer
		err = encodeJSON(&body, v)
		return body.Bytes(), err
	})
}

const retryAfterUnread = 1 // seconds

// send sends a body of any size. A large body counts against the budget of unread bytes until it is written; if the budget has no space for it, the
// response is 503.
func (s *Server) send(w http.ResponseWriter, r *http.Request, g *auth.Grant, body []byte) {
	if len(body) <= backlog.PieceBytes || r.Method == http.MethodHead {
		_, _ = w.Write(body) // fails only if the client is gone
		return
	}
	deadline := backlog.NewDeadline(w)
	charge, ok := s.unread.Charge(s.caller(r, g), [][]byte{body}, deadline.CutNow)
	if !ok {
		h := w.Header()
		for _, name := range []string{"Content-Length", "Content-Encoding", "ETag"} {
			h.Del(name)
		}
		writeProblem(w, problem{Status: http.StatusServiceUnavailable, RetryAfter: retryAfterUnread, Detail: "too many unread answers; retry, read them faster, or make fewer requests at a time"})
		return
	}
	defer charge.Release()
	defer deadline.Close()
	_, _ = deadline.Write(w, s.pace, body) // fails only if the client is gone or was cut off
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", typeJSON)
	w.Header().Set("Cache-Control", "no-store")
	_ = encodeJSON(w, v) // fails only if the client is gone
}

func encodeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
