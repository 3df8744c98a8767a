package httpapi_test

import (
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// newHub makes the hub of a test's server. A module whose hubs are fed by a log runs these tests over its own: with another version of
// this file (go test -overlay).
func newHub(_ testing.TB, cfg hub.Config) *hub.Hub { return hub.New(cfg) }

// durable is whether a server that starts again with the same store has what the one before had.
const durable = false
