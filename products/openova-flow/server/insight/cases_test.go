package insight_test

import (
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/internal/recorded"
)

// TestVerdict_AdapterCases compares the gate's verdict on each case of the adapter's test data with one written by hand.
func TestVerdict_AdapterCases(t *testing.T) {
	for _, c := range recorded.Cases(t) {
		t.Run(c.Name, func(t *testing.T) {
			for name, g := range c.Gates {
				if got := insight.Read(c.Play(t).At(g.At)).At(g.At, nil).Verdict(everything).Result; got != g.Want {
					t.Errorf("%s: result %s, want %s", name, got, g.Want)
				}
			}
		})
	}
}
