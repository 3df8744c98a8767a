package httpapi_test

import (
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// newHub makes the hub of a test's server. Module server-jetstream runs these tests with its own hubs: it replaces this file (go test -overlay).
func newHub(_ testing.TB, cfg hub.Config) *hub.Hub { return hub.New(cfg) }

// durable reports whether a restarted server with the same store has the previous server's flows.
const durable = false
