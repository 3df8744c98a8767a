//go:build !linux

package httpapi

import (
	"context"
	"net/http"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// fan is the fast path of streams, which only Linux has.
type fan struct{}

func newFan(*Server) *fan { return nil }

func (*fan) take(http.ResponseWriter, *http.Request, string, *hub.Reader, *auth.Session) bool {
	return false
}

func (*fan) shutdown(context.Context) {}
