package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// problem is an RFC 9457 document. Its title is the status' own text and its type therefore about:blank.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`           // what is wrong and what to change
	Field  string `json:"field,omitempty"`  // the offending field or header
	Line   int    `json:"line,omitempty"`   // the offending line of a batch, from 1
	Holder string `json:"holder,omitempty"` // the cluster that has the region which another one claims

	retryAfter int    // seconds
	elsewhere  bool   // another replica may do it: the connection ends, so that the next one goes to whichever
	challenge  string // WWW-Authenticate
}

// Seconds after which another try is worth it.
const (
	retryAfterLimit = 5 // of what a limit refused
	retryAfterLog   = 1 // of what the log did not take
)

// Error makes a problem the error of who has found it.
func (p problem) Error() string { return p.Detail }

// problemOf turns an error of the packages below into an answer. It is the one place that does.
func problemOf(err error) problem {
	var bad *flow.Error
	var incarnation *hub.IncarnationError
	var emitter *hub.EmitterError
	var claim *hub.ClaimError
	var lease *hub.LeaseError
	var limit *hub.LimitError
	var away *hub.UnavailableError
	var large *hub.TooLargeError
	var refusal *auth.Refusal
	var made problem
	switch {
	case errors.As(err, &made):
		return made
	case errors.As(err, &refusal):
		p := problem{Status: http.StatusForbidden, Detail: refusal.Detail, Field: refusal.Field, Line: refusal.Line}
		if refusal.Unauthenticated() {
			p.Status, p.challenge = http.StatusUnauthorized, refusal.Challenge()
		}
		return p
	case errors.Is(err, flow.ErrTooLarge):
		p := problem{Status: http.StatusRequestEntityTooLarge, Detail: err.Error()}
		if errors.As(err, &bad) {
			p.Line = bad.Line
		}
		return p
	case errors.As(err, &bad):
		return problem{Status: http.StatusBadRequest, Detail: err.Error(), Field: bad.Field, Line: bad.Line}
	case errors.As(err, &incarnation):
		return problem{Status: http.StatusPreconditionFailed, Detail: err.Error(), Field: headerIfIncarnation}
	case errors.As(err, &emitter):
		return problem{Status: http.StatusConflict, Detail: err.Error(), Field: headerEmitter}
	case errors.As(err, &claim):
		return problem{Status: http.StatusConflict, Detail: err.Error(), Field: "cluster", Holder: claim.Cluster}
	case errors.As(err, &lease):
		return problem{Status: http.StatusConflict, Detail: err.Error(), Field: headerLease}
	case errors.As(err, &limit):
		p := problem{Status: http.StatusTooManyRequests, Detail: err.Error(), Field: limit.Field, Line: limit.Line, retryAfter: retryAfterLimit}
		if limit.Server {
			p.Status = http.StatusServiceUnavailable
		}
		return p
	case errors.As(err, &away):
		return problem{Status: http.StatusServiceUnavailable, Detail: err.Error(), retryAfter: retryAfterLog, elsewhere: true}
	case errors.As(err, &large):
		return problem{Status: http.StatusRequestEntityTooLarge, Detail: err.Error()}
	case errors.Is(err, hub.ErrNoFlow):
		return problem{Status: http.StatusNotFound, Detail: err.Error()}
	}
	return problem{Status: http.StatusInternalServerError, Detail: err.Error()}
}

func writeProblem(w http.ResponseWriter, p problem) {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	p.Detail, p.Field, p.Holder = cut(p.Detail, maxDetail), cut(p.Field, maxEcho), cut(p.Holder, maxEcho)
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	h := w.Header()
	if p.elsewhere {
		h.Set("Connection", "close")
	}
	if p.challenge != "" {
		h.Set("WWW-Authenticate", p.challenge)
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // a client that has gone needs no answer
}

// Bytes of what a problem document or a log line repeats of a request, at most.
const (
	maxDetail = 600
	maxEcho   = 256
)

// cut returns the beginning of s where s has more than limit bytes.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
