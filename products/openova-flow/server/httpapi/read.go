package httpapi

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// snapshot answers with the folded state, or that of one region, or 304.
func (s *Server) snapshot(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string) {
	if r.Header.Get(headerEmitter) != "" && g.CanIngest(flowID) {
		s.hub.Heard(flowID)
	}
	zipped := acceptsGzip(r.Header.Values("Accept-Encoding"))
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Add("Vary", "Accept-Encoding")
	if query := r.URL.Query(); query.Has("region") {
		s.regionSnapshot(w, r, g, flowID, query["region"], zipped)
		return
	}
	if asked := r.Header.Values("If-None-Match"); len(asked) > 0 { // most who ask have it already: they wait for nobody
		if v := s.hub.Version(flowID); v.Incarnation != hub.NoIncarnation && matches(asked, etagOf(v, zipped)) {
			h.Set(headerIncarnation, v.Incarnation)
			h.Set("ETag", etagOf(v, zipped))
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if err := s.hub.CatchUp(seen(asked)); err != nil {
			h.Set(headerIncarnation, s.hub.Incarnation(flowID))
			writeProblem(w, problemOf(err))
			return
		}
	}
	var version hub.Version
	var body []byte
	var err error
	if !s.making(r, g, func() {
		var snap hub.Snapshot
		snap, err = s.hub.Snapshot(flowID)
		if version = snap.Version; err == nil {
			body = bodyOf(snap, zipped)
		}
	}) {
		return
	}
	h.Set(headerIncarnation, version.Incarnation)
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	h.Set("ETag", etagOf(version, zipped))
	h.Set("Content-Type", typeJSON)
	s.sendSnapshot(w, r, g, body, zipped)
}

// regionSnapshot answers with what of the folded state belongs to one region.
func (s *Server) regionSnapshot(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string, regions []string, zipped bool) {
	if len(regions) != 1 || regions[0] == "" || !utf8.ValidString(regions[0]) {
		writeProblem(w, problem{Status: http.StatusBadRequest, Field: "region", Detail: "name one region, percent-encoded, or leave the parameter out for all"})
		return
	}
	var snap hub.RegionSnapshot
	var etag string
	var body []byte
	var err error
	if !s.making(r, g, func() {
		if snap, err = s.hub.RegionSnapshot(flowID, regions[0]); err != nil {
			return
		}
		etag = entityTag(snap.Incarnation+"-"+snap.Tag(), zipped)
		if !matches(r.Header.Values("If-None-Match"), etag) {
			body = bodyOf(snap, zipped)
		}
	}) {
		return
	}
	h := w.Header()
	h.Set(headerIncarnation, snap.Incarnation)
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	h.Set("ETag", etag)
	if body == nil {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", typeJSON)
	s.sendSnapshot(w, r, g, body, zipped)
}

// bodyOf returns the body of a snapshot, which must not be changed.
func bodyOf(snap interface {
	JSON() []byte
	Gzip() []byte
}, zipped bool) []byte {
	if zipped {
		return snap.Gzip()
	}
	return snap.JSON()
}

func (s *Server) sendSnapshot(w http.ResponseWriter, r *http.Request, g *auth.Grant, body []byte, zipped bool) {
	if zipped {
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	s.send(w, r, g, body)
}

// etagOf is the entity tag of a snapshot, and of what streams say of its regions.
func etagOf(v hub.Version, zipped bool) string {
	return entityTag(v.Incarnation+"-"+strconv.FormatInt(v.Seq, 10)+"-"+strconv.FormatInt(v.Regions, 10), zipped)
}

// entityTag quotes a tag; what is encoded otherwise is another entity (RFC 9110, section 8.8.3.3).
func entityTag(tag string, zipped bool) string {
	if zipped {
		tag += "-gzip"
	}
	return `"` + tag + `"`
}

// matches reports whether If-None-Match names etag (RFC 9110, section 13.1.2; the comparison is weak). It does too when it names the
// same in the other encoding: it is the same state.
func matches(values []string, etag string) bool {
	for _, v := range values {
		for _, tag := range strings.Split(v, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || bare(tag) == bare(etag) {
				return true
			}
		}
	}
	return false
}

// seen returns the greatest sequence number in the tags of If-None-Match, 0 when there is none.
func seen(values []string) (number int64) {
	for _, v := range values {
		for _, tag := range strings.Split(v, ",") {
			if parts := strings.Split(strings.Trim(bare(strings.TrimSpace(tag)), `"`), "-"); len(parts) == 3 { // as etagOf makes them
				n, _ := strconv.ParseInt(parts[1], 10, 64)
				number = max(number, n)
			}
		}
	}
	return number
}

func bare(etag string) string {
	return strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(etag, "W/"), `"`), "-gzip")
}

// acceptsGzip reports whether Accept-Encoding allows gzip (RFC 9110, section 12.5.3).
func acceptsGzip(values []string) bool {
	any := false
	for _, v := range values {
		for _, part := range strings.Split(v, ",") {
			coding, params, _ := strings.Cut(part, ";")
			weight, found := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
			allowed := !found || strings.Trim(weight, "0.") != ""
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				return allowed
			case "*":
				any = allowed
			}
		}
	}
	return any
}

// events answers with the messages that are still held.
func (s *Server) events(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string) {
	query := r.URL.Query()
	after, ok1 := queryInt(query, "after", 0)
	limit, ok2 := queryInt(query, "limit", 0)
	if !ok1 || !ok2 || query.Has("limit") && query.Get("limit") != "" && limit < 1 {
		field := "after"
		if ok1 {
			field = "limit"
		}
		writeProblem(w, problem{Status: http.StatusBadRequest, Field: field, Detail: "after is a sequence number (0 or more), limit a number of messages (1 or more)"})
		return
	}
	if err := s.hub.CatchUp(after); err != nil {
		w.Header().Set(headerIncarnation, s.hub.Incarnation(flowID))
		writeProblem(w, problemOf(err))
		return
	}
	s.answerJSON(w, r, g, func() (any, string, error) {
		history, err := s.hub.History(flowID, after, int(min(limit, 1<<30)))
		return history, history.Incarnation, err
	})
}

func queryInt(query url.Values, name string, def int64) (int64, bool) {
	text := query.Get(name)
	if text == "" {
		return def, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0
}

// list answers with the flows that the caller may read.
func (s *Server) list(w http.ResponseWriter, r *http.Request, g *auth.Grant) {
	if err := g.CheckReader(); err != nil {
		s.deny(w, r, err)
		return
	}
	s.answerJSON(w, r, g, func() (any, string, error) { return map[string]any{"flows": s.hub.List(g.CanRead)}, "", nil })
}

func (s *Server) rollouts(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string) {
	s.answerJSON(w, r, g, func() (any, string, error) {
		list, incarnation, err := s.hub.Rollouts(flowID)
		return map[string]any{"rollouts": list}, incarnation, err
	})
}

// answerJSON answers with what f makes, as JSON: a value, and the incarnation of the flow that it is about, if it is about one.
func (s *Server) answerJSON(w http.ResponseWriter, r *http.Request, g *auth.Grant, f func() (v any, incarnation string, err error)) {
	var body bytes.Buffer
	var incarnation string
	var err error
	if !s.making(r, g, func() {
		var v any
		if v, incarnation, err = f(); err == nil {
			err = encodeJSON(&body, v)
		}
	}) {
		return
	}
	if incarnation != "" {
		w.Header().Set(headerIncarnation, incarnation)
	}
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	w.Header().Set("Content-Type", typeJSON)
	w.Header().Set("Cache-Control", "no-store")
	s.send(w, r, g, body.Bytes())
}

func (s *Server) deleteFlow(w http.ResponseWriter, _ *http.Request, g *auth.Grant, flowID string) {
	there, err := s.hub.Delete(flowID)
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	s.audit("flow deleted", g, "flow", flowID, "existed", there)
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte("ok\n"))
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	status := s.hub.LogStatus()
	switch {
	case !s.ready.Load() || !status.Loaded:
		writeProblem(w, problem{Status: http.StatusServiceUnavailable, Detail: "the server is starting or draining", retryAfter: 1})
		return
	case status.Err != nil:
		writeProblem(w, problem{Status: http.StatusServiceUnavailable, Detail: "reads and streams go on, changes are refused: " + status.Err.Error(), retryAfter: retryAfterLog})
		return
	}
	s.healthz(w, r)
}

// root is the page, or the description for whoever asks for JSON. A browser that nobody has signed in with is sent to do that.
func (s *Server) root(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept")
	page := s.cfg.Page != nil && !prefersJSON(r.Header.Get("Accept"))
	if _, err := s.cfg.Auth.Authenticate(r); err != nil {
		if page && strings.Contains(r.Header.Get("Accept"), "text/html") {
			s.toSignIn(w, r, err)
			return
		}
		s.deny(w, r, err)
		return
	}
	if page {
		s.cfg.Page.ServeHTTP(w, r)
		return
	}
	writeJSON(w, describe(s.cfg.Version))
}

// prefersJSON reports whether an Accept header names application/json and not text/html before it.
func prefersJSON(accept string) bool {
	for _, part := range strings.Split(accept, ",") {
		kind, _, _ := strings.Cut(part, ";")
		switch strings.TrimSpace(kind) {
		case typeJSON:
			return true
		case "text/html":
			return false
		}
	}
	return false
}

func describe(version string) any {
	type endpoint struct {
		Method string `json:"method"`
		Path   string `json:"path"`
		Does   string `json:"does"`
	}
	return struct {
		Name          string     `json:"name"`
		Version       string     `json:"version"`
		SchemaVersion int        `json:"schemaVersion"`
		Endpoints     []endpoint `json:"endpoints"`
	}{"openova-flow-server", version, 1, []endpoint{
		{"POST", "/v1/flows/{flowId}/events", "fold one message (application/json) or many, one a line (application/x-ndjson)"},
		{"GET", "/v1/flows/{flowId}/snapshot", "the folded state, with ?region=R that of one region; ETag and If-None-Match"},
		{"GET", "/v1/flows/{flowId}/stream", "Server-Sent Events; Last-Event-ID or ?lastEventId= resumes"},
		{"GET", "/v1/flows/{flowId}/events?after=N&limit=M", "the messages still held, and the state before the first of them"},
		{"GET", "/v1/flows/{flowId}/rollouts", "the rollouts, newest first"},
		{"GET", "/v1/flows/{flowId}/problems", "what is wrong now, one entry for each root cause, with ?region=R in that region; application/json, text/plain or text/markdown"},
		{"DELETE", "/v1/flows/{flowId}", "end the flow"},
		{"PUT", "/v1/flows/{flowId}/regions/{region}", "claim a region for a cluster, or renew that"},
		{"DELETE", "/v1/flows/{flowId}/regions/{region}", "remove a region's nodes and what touches them, and its claim"},
		{"GET", "/v1/flows", "all flows"},
		{"GET", "/v1/stream?flow=a&flow=b", "Server-Sent Events of several flows, of all when none is named; the event is <flowId>/<type>, and Last-Event-ID resumes all"},
		{"GET", "/v1/me", "who the caller is taken for, and what it may do"},
		{"POST", "/sign-in", "take a token as a cookie, for browsers; GET is the page for it"},
		{"POST", "/sign-out", "have the browser forget the cookie"},
		{"GET", "/healthz", "200 while the process lives"},
		{"GET", "/readyz", "200 when it can serve"},
		{"GET", "/metrics", "Prometheus text"},
		{"GET", "/", "the page; with Accept: application/json this description"},
	}}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", typeJSON)
	w.Header().Set("Cache-Control", "no-store")
	_ = encodeJSON(w, v) // only a client that has gone makes this fail
}

func encodeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
