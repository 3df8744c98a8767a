package httpapi

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// Names of headers, in their canonical form.
const (
	headerIncarnation   = "Flow-Incarnation"
	headerIfIncarnation = "Flow-If-Incarnation"
	headerEmitter       = "Flow-Emitter"
	headerLease         = "Flow-Lease"
)

const (
	typeJSON   = "application/json"
	typeNDJSON = "application/x-ndjson"

	firstRoom  = 64 << 10 // bytes that a body gets before any of it has arrived
	perMessage = 512      // bytes that a message takes besides its own, about
)

var isJSON = []string{typeJSON} // shared and never changed

// post takes one message, or many, one a line.
func (s *Server) post(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string) {
	if err := g.CheckWrite(flowID, nil); err != nil { // before anything is read
		s.metrics.refused(http.StatusForbidden)
		s.deny(w, r, err)
		return
	}
	stamp, err := parseStamp(r.Header)
	if err != nil {
		s.refuse(w, r, g, flowID, problem{Status: http.StatusBadRequest, Field: headerEmitter, Detail: err.Error()})
		return
	}
	body, contentType, p := s.body(w, r, g)
	defer s.release(g, int64(cap(body)))
	if p.Status != 0 {
		s.refuse(w, r, g, flowID, p)
		return
	}
	room, p := s.roomFor(contentType, body, g)
	defer s.release(g, room)
	if p.Status != 0 {
		s.refuse(w, r, g, flowID, p)
		return
	}
	if g, err = s.cfg.Auth.Again(r.Context(), g); err != nil {
		s.metrics.refused(problemOf(err).Status)
		s.deny(w, r, err)
		return
	}
	messages, err := s.decode(flowID, contentType, body)
	if err == nil {
		err = g.CheckWrite(flowID, messages)
	}
	var receipt hub.Receipt
	if err == nil {
		stamp.Name = g.Emitter(stamp.Name)
		post := hub.Post{FlowID: flowID, Messages: messages, Regions: g.Regions(), IfIncarnation: header(r, headerIfIncarnation), Stamp: stamp, Lease: header(r, headerLease)}
		if stamp.Name != "" {
			post.Digest = sha256.Sum256(body)
		}
		receipt, err = s.hub.Ingest(post)
		w.Header()[headerIncarnation] = []string{receipt.Incarnation}
	}
	if err != nil {
		s.noteRefusal(r, err)
		s.refuse(w, r, g, flowID, problemOf(err))
		return
	}
	w.Header()["Content-Type"] = isJSON
	_, _ = w.Write(append(strconv.AppendInt([]byte(`{"seq":`), receipt.Seq, 10), "}\n"...))
}

// header returns the first value of a header, whose name is in its canonical form: finding that out for each request takes its time.
func header(r *http.Request, name string) string {
	if values := r.Header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// roomFor counts what the messages of a batch take in memory besides their bytes, which for many tiny ones is most.
func (s *Server) roomFor(contentType string, body []byte, g *auth.Grant) (room int64, p problem) {
	if contentType != typeNDJSON {
		return 0, problem{}
	}
	room = perMessage * int64(bytes.Count(body, []byte{'\n'})+1)
	if most := s.ingestOfOne() - int64(cap(body)); room > most { // which waiting does not change
		return 0, problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("a batch of so many bytes may have %d lines; send fewer at a time", most/perMessage)}
	}
	if !s.reserve(g, room, len(body) <= firstRoom) {
		return 0, s.busy()
	}
	return room, problem{}
}

func (s *Server) decode(flowID, contentType string, body []byte) ([]*flow.Message, error) {
	if contentType == typeNDJSON {
		return flow.DecodeBatch(flowID, body, int(s.cfg.MaxMessageBytes))
	}
	m, err := flow.Decode(flowID, body)
	if err != nil {
		return nil, err
	}
	return []*flow.Message{m}, nil
}

// body reads the body of a POST within its limits, which are checked before a byte of it is read where its length is declared.
// What it returns counts as bytes in flight until the caller takes its capacity off again.
func (s *Server) body(w http.ResponseWriter, r *http.Request, g *auth.Grant) (body []byte, contentType string, p problem) {
	contentType = header(r, "Content-Type")
	if contentType != typeJSON && contentType != typeNDJSON { // seldom: there are parameters, or capitals
		contentType, _, _ = mime.ParseMediaType(contentType)
	}
	if contentType != typeJSON && contentType != typeNDJSON {
		return nil, "", problem{Status: http.StatusUnsupportedMediaType, Field: "Content-Type", Detail: "send one message as application/json, or many, one a line, as application/x-ndjson"}
	}
	if e := header(r, "Content-Encoding"); e != "" && e != "identity" {
		return nil, "", problem{Status: http.StatusUnsupportedMediaType, Field: "Content-Encoding", Detail: "send the body without a content encoding"}
	}
	limit := s.cfg.MaxMessageBytes
	if contentType == typeNDJSON {
		limit = s.cfg.MaxBatchBytes
	}
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close")
		return nil, "", tooLarge(limit, contentType)
	}
	// What is declared is taken on trust only so far: memory is given as bytes arrive.
	want := int64(4 << 10)
	if r.ContentLength >= 0 {
		want = min(r.ContentLength, firstRoom)
	}
	if !s.reserve(g, want, true) {
		return nil, "", s.busy()
	}
	body = make([]byte, 0, want)
	in := r.Body
	if r.ContentLength < 0 { // else net/http ends it at the length that is declared
		in = http.MaxBytesReader(w, in, limit)
	}
	for {
		if len(body) == cap(body) {
			more := int64(max(cap(body), 512))
			if left := r.ContentLength - int64(len(body)); left > 0 {
				more = min(more, left)
			}
			if !s.reserve(g, more, int64(cap(body))+more <= firstRoom) {
				return body, "", s.busy()
			}
			grown := make([]byte, len(body), int64(cap(body))+more)
			copy(grown, body)
			body = grown
		}
		n, err := in.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		var over *http.MaxBytesError
		switch {
		case errors.Is(err, io.EOF):
			return body, contentType, problem{}
		case errors.As(err, &over):
			return body, "", tooLarge(limit, contentType)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return body, "", problem{Status: http.StatusRequestTimeout, Detail: fmt.Sprintf("the body did not arrive within %s", s.cfg.ReadTimeout)}
		case err != nil:
			return body, "", problem{Status: http.StatusBadRequest, Detail: "the body ended early: " + err.Error()}
		case r.ContentLength >= 0 && int64(len(body)) >= r.ContentLength:
			return body, contentType, problem{}
		}
	}
}

func tooLarge(limit int64, contentType string) problem {
	return problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("the body may have %d bytes as %s; send less at a time", limit, contentType)}
}

// ingestOfOne is how many bytes of bodies in flight one caller may have: it leaves an eighth to others, where there is room for two of its
// batches at once besides.
func (s *Server) ingestOfOne() int64 {
	limit := s.cfg.MaxIngestBytes
	if !s.cfg.Auth.Guarded() { // everybody is one caller
		return limit
	}
	return max(limit-limit/8, min(limit, 2*s.cfg.MaxBatchBytes))
}

// reserve counts bytes in flight, unless that would go past the limit. Bodies that are small have an eighth more, so that the large ones do not
// keep them out.
func (s *Server) reserve(g *auth.Grant, n int64, small bool) bool {
	limit := s.cfg.MaxIngestBytes
	if small {
		limit += limit / 8
	}
	if s.cfg.Auth.Guarded() && !s.bodies.take(g.Name(), n, s.ingestOfOne(), math.MaxInt64) {
		return false
	}
	// What is refused is not counted for a moment either: others would be refused for it.
	for taken := s.ingest.Load(); taken+n <= limit; taken = s.ingest.Load() {
		if s.ingest.CompareAndSwap(taken, taken+n) {
			return true
		}
	}
	if s.cfg.Auth.Guarded() {
		s.bodies.give(g.Name(), n)
	}
	return false
}

// release takes off what reserve has counted.
func (s *Server) release(g *auth.Grant, n int64) {
	if n == 0 {
		return
	}
	s.ingest.Add(-n)
	if s.cfg.Auth.Guarded() {
		s.bodies.give(g.Name(), n)
	}
}

func (s *Server) busy() problem {
	return problem{Status: http.StatusServiceUnavailable, retryAfter: 1,
		Detail: fmt.Sprintf("requests that the server is reading, of the caller or of all, are at the limit; that of all is %d bytes", s.cfg.MaxIngestBytes)}
}

// refuse answers a POST that is not applied, counts it and says in the log what is wrong with it. That may repeat a name of the message, cut, and never
// more of it.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string, p problem) {
	s.metrics.refused(p.Status)
	if w.Header().Get(headerIncarnation) == "" {
		w.Header().Set(headerIncarnation, s.hub.Incarnation(flowID))
	}
	if p.Status == http.StatusForbidden { // that is in the log by itself
		writeProblem(w, p)
		return
	}
	if missed, ok := s.refusals.allow(g.Name(), time.Now()); ok {
		s.cfg.Logger.Warn("message refused", "by", g.Name(), "flow", flowID, "status", p.Status, "field", terminal.Text(p.Field, maxEcho), "line", p.Line, "detail", terminal.Text(p.Detail, maxEcho),
			"emitter", emitterName(r), "unlogged", missed)
	}
	writeProblem(w, p)
}

func emitterName(r *http.Request) string {
	name, _, _ := strings.Cut(r.Header.Get(headerEmitter), ";")
	if len(name) > 64 {
		name = name[:64]
	}
	return name
}

// parseStamp reads Flow-Emitter: <name>;epoch=<int>;n=<int>. Without the header the stamp is zero.
func parseStamp(h http.Header) (hub.Stamp, error) {
	values := h[headerEmitter]
	if len(values) == 0 {
		return hub.Stamp{}, nil
	}
	bad := errors.New("it is <name>;epoch=<int>;n=<int>, the name having 1 to 128 characters and no semicolon")
	parts := strings.Split(values[0], ";")
	if len(values) != 1 || len(parts) != 3 {
		return hub.Stamp{}, bad
	}
	s := hub.Stamp{Name: strings.TrimSpace(parts[0])}
	epoch, okEpoch := strings.CutPrefix(strings.TrimSpace(parts[1]), "epoch=")
	n, okN := strings.CutPrefix(strings.TrimSpace(parts[2]), "n=")
	if len(s.Name) < 1 || len(s.Name) > 128 || !okEpoch || !okN {
		return hub.Stamp{}, bad
	}
	var err1, err2 error
	s.Epoch, err1 = strconv.ParseInt(epoch, 10, 64)
	s.N, err2 = strconv.ParseInt(n, 10, 64)
	if err1 != nil || err2 != nil {
		return hub.Stamp{}, bad
	}
	return s, nil
}
