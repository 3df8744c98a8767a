// Package web has code that all HTTP handlers of the server's programs share: problem documents, content negotiation,
// conditional requests and security headers.
package web

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// Problem is an RFC 9457 document, and an error. Write fills in its type, about:blank, and its title, the text of the status.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`           // the cause, and what to change
	Field  string `json:"field,omitempty"`  // the offending field or header
	Line   int    `json:"line,omitempty"`   // the offending line of a batch, from 1
	Holder string `json:"holder,omitempty"` // the cluster that holds the claim of the region

	RetryAfter int    `json:"-"` // in seconds; 0: no header
	Close      bool   `json:"-"` // end the connection, so that the client's next one may reach another replica
	Challenge  string `json:"-"` // WWW-Authenticate
}

func (p Problem) Error() string { return p.Detail }

// Write answers with the problem. Long texts are cut.
func (p Problem) Write(w http.ResponseWriter) {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	p.Detail, p.Field, p.Holder = Cut(p.Detail, maxDetail), Cut(p.Field, MaxEcho), Cut(p.Holder, MaxEcho)
	h := w.Header()
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	if p.Close {
		h.Set("Connection", "close")
	}
	if p.Challenge != "" {
		h.Set("WWW-Authenticate", p.Challenge)
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // fails only if the client has disconnected
}

// MaxEcho is the limit, in bytes, for text of a request in a problem document or a log line.
const MaxEcho = 256

const maxDetail = 600 // bytes

// Cut returns s, or the whole characters in its first limit bytes and an ellipsis.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
