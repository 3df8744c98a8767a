package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"sync"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
)

const (
	firstBytes   = 64 << 10 // most bytes reserved for a body before any of it has arrived; also the limit of a small body (reservation.grow)
	messageBytes = 512      // approximate memory of a message besides its own bytes
)

// bodyType returns the content type of a request's body. The error is a problem.
func bodyType(r *http.Request) (contentType string, err error) {
	contentType = header(r, "Content-Type")
	if contentType != typeJSON && contentType != typeNDJSON { // rare: it has parameters or capitals
		contentType, _, _ = mime.ParseMediaType(contentType)
	}
	if contentType != typeJSON && contentType != typeNDJSON {
		return "", problem{Status: http.StatusUnsupportedMediaType, Field: "Content-Type", Detail: "send one message as application/json, or several, one on each line, as application/x-ndjson"}
	}
	if e := header(r, "Content-Encoding"); e != "" && e != "identity" {
		return "", problem{Status: http.StatusUnsupportedMediaType, Field: "Content-Encoding", Detail: "send the body without a content encoding"}
	}
	return contentType, nil
}

// readMessages reads a body of messages within its limits. memory counts the memory of the body and, for a batch, of its decoded messages. The error is a
// problem.
func (s *Server) readMessages(w http.ResponseWriter, r *http.Request, memory *reservation) (body []byte, contentType string, err error) {
	if contentType, err = bodyType(r); err != nil {
		return nil, "", err
	}
	limit := s.cfg.MaxMessageBytes
	if contentType == typeNDJSON {
		limit = s.cfg.MaxBatchBytes
	}
	if body, err = s.readBody(w, r, memory, limit); err != nil {
		if errors.Is(err, errLongBody) {
			err = tooLarge(limit, contentType)
		}
		return nil, "", err
	}
	if contentType == typeNDJSON { // many tiny messages take more memory than their bytes
		messages := messageBytes * int64(bytes.Count(body, []byte{'\n'})+1)
		if most := s.ingestShare() - int64(cap(body)); messages > most { // a retry would fail too
			return nil, "", problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("a batch of this size may have %d lines; send fewer at a time", most/messageBytes)}
		}
		if err := memory.grow(messages, len(body) <= firstBytes); err != nil {
			return nil, "", err
		}
	}
	return body, contentType, nil
}

// errLongBody is the error of readBody for a body above the limit.
var errLongBody = errors.New("body too long")

// readBody reads a body of at most limit bytes. A declared length is checked before anything is read. memory counts the memory of the body. The error is a
// problem, or errLongBody.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, memory *reservation, limit int64) (body []byte, err error) {
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close")
		return nil, errLongBody
	}
	// A client may declare more than it sends, so memory is reserved as bytes arrive.
	capacity := int64(4 << 10)
	if r.ContentLength >= 0 {
		capacity = min(r.ContentLength, firstBytes)
	}
	if err := memory.grow(capacity, true); err != nil {
		return nil, err
	}
	if capacity <= int64(len(memory.buffer)) {
		body = memory.buffer[:0:capacity]
	} else {
		body = make([]byte, 0, capacity)
	}
	in := r.Body
	if r.ContentLength < 0 { // else net/http ends it at its declared length
		in = http.MaxBytesReader(w, in, limit)
	}
	for complete := false; !complete; {
		if len(body) == cap(body) {
			more := int64(max(cap(body), 512))
			if left := r.ContentLength - int64(len(body)); left > 0 {
				more = min(more, left)
			}
			if err := memory.grow(more, int64(cap(body))+more <= firstBytes); err != nil {
				return nil, err
			}
			body = append(make([]byte, 0, int64(cap(body))+more), body...)
		}
		n, err := in.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		var over *http.MaxBytesError
		switch {
		case errors.Is(err, io.EOF):
			complete = true
		case errors.As(err, &over):
			return nil, errLongBody
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, problem{Status: http.StatusRequestTimeout, Detail: fmt.Sprintf("the body did not arrive within %s", s.cfg.ReadTimeout)}
		case err != nil:
			return nil, problem{Status: http.StatusBadRequest, Detail: "the body can't be read: " + err.Error()}
		default:
			complete = r.ContentLength >= 0 && int64(len(body)) >= r.ContentLength
		}
	}
	return body, nil
}

func tooLarge(limit int64, contentType string) problem {
	setting := "FLOW_SERVER_MAX_BATCH_BYTES"
	if contentType == typeJSON {
		setting = "FLOW_SERVER_MAX_MESSAGE_BYTES"
	}
	return problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("the body exceeds %d bytes, the limit for %s; send less at a time, or raise %s", limit, contentType, setting)}
}

// reservation is the memory of one body while it is read and applied.
type reservation struct {
	server *Server
	caller string
	bytes  int64
	buffer [1024]byte // has the body if its declared length fits
}

var reservations = sync.Pool{New: func() any { return new(reservation) }}

func (s *Server) reserve(g *auth.Grant) *reservation {
	m := reservations.Get().(*reservation)
	m.server, m.caller, m.bytes = s, g.Name(), 0
	return m
}

// ingestShare returns how many bytes of bodies one caller may take: without access control the limit; else seven eighths of it, or two batches if these are
// more, but at most the limit.
func (s *Server) ingestShare() int64 {
	limit := s.cfg.MaxIngestBytes
	if !s.cfg.Auth.Guarded() {
		return limit
	}
	return max(limit-limit/8, min(limit, 2*s.cfg.MaxBatchBytes))
}

// grow reserves n more bytes. It returns a problem if that would exceed the caller's share or the limit. Small bodies may exceed the limit by an eighth, so
// that large ones do not exclude them.
func (m *reservation) grow(n int64, small bool) error {
	s := m.server
	limit, share := s.cfg.MaxIngestBytes, s.ingestShare()
	if small {
		limit += limit / 8
	}
	if !s.cfg.Auth.Guarded() {
		share = limit
	}
	if !s.bodies.take(m.caller, n, share, limit) {
		return problem{Status: http.StatusServiceUnavailable, RetryAfter: 1,
			Detail: fmt.Sprintf("ingest buffer full: the caller's share or the server's limit of %d bytes is in use; retry", s.cfg.MaxIngestBytes)}
	}
	m.bytes += n
	return nil
}

// release releases all that grow has reserved. The body must not be used after it.
func (m *reservation) release() {
	m.server.bodies.release(m.caller, m.bytes)
	m.server, m.caller = nil, ""
	reservations.Put(m)
}
