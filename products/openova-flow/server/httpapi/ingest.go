package httpapi

import (
	"crypto/sha256"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/internal/web"
	"github.com/openova-io/openova/products/openova-flow/server/record"
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
)

var jsonHeader = []string{typeJSON} // value of Content-Type; shared and never changed

// post applies one message, or a batch with one on each line. Permissions are checked before the body is read, after it is read, and for each message.
func (s *Server) post(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string) {
	if err := g.CheckWrite(flowID, nil); err != nil {
		s.metrics.refused(http.StatusForbidden)
		s.deny(w, r, err)
		return
	}
	stamp, err := parseStamp(r.Header)
	if err != nil {
		s.refuse(w, r, g, flowID, err)
		return
	}
	memory := s.reserve(g)
	defer memory.release()
	body, contentType, err := s.readMessages(w, r, memory)
	if err != nil {
		s.refuse(w, r, g, flowID, err)
		return
	}
	if g, err = s.cfg.Auth.Recheck(r.Context(), g); err != nil {
		s.metrics.refused(problemOf(err).Status)
		s.deny(w, r, err)
		return
	}
	var messages []*flow.Message
	if contentType == typeNDJSON {
		messages, err = flow.DecodeBatch(flowID, body, int(s.cfg.MaxMessageBytes))
	} else {
		messages = make([]*flow.Message, 1)
		messages[0], err = flow.Decode(flowID, body)
	}
	if err == nil {
		err = g.CheckWrite(flowID, messages)
	}
	var receipt record.Receipt
	if err == nil {
		stamp.Name = g.Emitter(stamp.Name)
		post := record.Post{FlowID: flowID, Messages: messages, Regions: g.Regions(), IfIncarnation: header(r, headerIfIncarnation), Stamp: stamp, Lease: header(r, headerLease)}
		if stamp.Name != "" {
			post.Digest = sha256.Sum256(body)
		}
		receipt, err = s.hub.Ingest(post)
		w.Header()[headerIncarnation] = []string{receipt.Incarnation}
	}
	if err != nil {
		s.noteDenial(w, r, err)
		s.refuse(w, r, g, flowID, err)
		return
	}
	w.Header()["Content-Type"] = jsonHeader
	_, _ = w.Write(append(strconv.AppendInt([]byte(`{"seq":`), receipt.Seq, 10), "}\n"...))
}

// header returns the first value of a header. The name must be in canonical form, which http.Header.Get would compute for each request.
func header(r *http.Request, name string) string {
	if values := r.Header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// refuse answers a POST that is not applied, and counts it. It logs the reason, at most once a second for each caller, unless that is a denial.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string, err error) {
	p := problemOf(err)
	s.metrics.refused(p.Status)
	if w.Header().Get(headerIncarnation) == "" {
		w.Header().Set(headerIncarnation, s.hub.Incarnation(flowID))
	}
	if p.Status == http.StatusForbidden { // a denial, which noteDenial has logged
		writeProblem(w, p)
		return
	}
	if missed, ok := s.refusals.allow(g.Name(), time.Now()); ok {
		level := slog.LevelWarn
		if p.Status == http.StatusPreconditionFailed { // normal after a restart: the emitter compares and sends what is missing
			level = slog.LevelInfo
		}
		s.cfg.Logger.Log(r.Context(), level, "message refused", "by", g.Name(), "flow", flowID, "status", p.Status, "field", terminal.Text(p.Field, web.MaxEcho), "line", p.Line, "detail", terminal.Text(p.Detail, web.MaxEcho),
			"emitter", emitterName(r), "unlogged", missed)
	}
	writeProblem(w, p)
}

func emitterName(r *http.Request) string {
	name, _, _ := strings.Cut(r.Header.Get(headerEmitter), ";")
	return web.Cut(name, 64)
}

// parseStamp reads Flow-Emitter: <name>;epoch=<int>;n=<int>. Without the header the stamp is zero.
func parseStamp(h http.Header) (record.Stamp, error) {
	values := h[headerEmitter]
	if len(values) == 0 {
		return record.Stamp{}, nil
	}
	bad := problem{Status: http.StatusBadRequest, Field: headerEmitter, Detail: "must be <name>;epoch=<int>;n=<int>; the name has 1 to 128 bytes and no semicolon"}
	parts := strings.Split(values[0], ";")
	if len(values) != 1 || len(parts) != 3 {
		return record.Stamp{}, bad
	}
	s := record.Stamp{Name: strings.TrimSpace(parts[0])}
	epoch, okEpoch := strings.CutPrefix(strings.TrimSpace(parts[1]), "epoch=")
	n, okN := strings.CutPrefix(strings.TrimSpace(parts[2]), "n=")
	if len(s.Name) < 1 || len(s.Name) > 128 || !okEpoch || !okN {
		return record.Stamp{}, bad
	}
	var err1, err2 error
	s.Epoch, err1 = strconv.ParseInt(epoch, 10, 64)
	s.N, err2 = strconv.ParseInt(n, 10, 64)
	if err1 != nil || err2 != nil {
		return record.Stamp{}, bad
	}
	return s, nil
}
