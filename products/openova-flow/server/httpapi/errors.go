package httpapi

import (
	"errors"
	"net/http"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/internal/web"
)

type problem = web.Problem

// Seconds for Retry-After.
const (
	retryAfterLimit = 5 // after a limit of the hub, or of a caller's streams, was reached
	retryAfterLog   = 1 // while the log accepts no changes
)

// problemOf returns the answer for an error.
func problemOf(err error) problem {
	var bad *flow.Error
	var incarnation *hub.IncarnationError
	var emitter *hub.EmitterError
	var claim *claims.HeldError
	var lease *hub.LeaseError
	var limit *hub.LimitError
	var unavailable *hub.UnavailableError
	var large *hub.TooLargeError
	var denial *auth.Denial
	var made problem
	switch {
	case errors.As(err, &made):
		return made
	case errors.As(err, &denial):
		p := problem{Status: http.StatusForbidden, Detail: denial.Detail, Field: denial.Field, Line: denial.Line}
		if denial.Unauthenticated() {
			p.Status, p.Challenge = http.StatusUnauthorized, denial.Challenge()
		}
		return p
	case errors.Is(err, flow.ErrTooLarge):
		p := problem{Status: http.StatusRequestEntityTooLarge, Detail: err.Error() + "; split it, or raise FLOW_SERVER_MAX_MESSAGE_BYTES"}
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
		p := problem{Status: http.StatusTooManyRequests, Detail: err.Error(), Field: limit.Field, Line: limit.Line, RetryAfter: retryAfterLimit}
		if limit.Server {
			p.Status = http.StatusServiceUnavailable
		}
		return p
	case errors.As(err, &unavailable):
		return problem{Status: http.StatusServiceUnavailable, Detail: err.Error(), RetryAfter: retryAfterLog, Close: true}
	case errors.As(err, &large):
		return problem{Status: http.StatusRequestEntityTooLarge, Detail: err.Error()}
	case errors.Is(err, hub.ErrNoFlow):
		return problem{Status: http.StatusNotFound, Detail: err.Error()}
	}
	return problem{Status: http.StatusInternalServerError, Detail: err.Error()}
}

func writeProblem(w http.ResponseWriter, p problem) { p.Write(w) }
