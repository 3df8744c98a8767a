package matrix

import (
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/app"
)

// newLog returns the log of one server, nil for flows in memory. Another module replaces only this file.
func newLog(testing.TB) app.Log { return nil }
