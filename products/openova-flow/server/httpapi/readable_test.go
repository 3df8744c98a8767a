package httpapi

import (
	"net/http/httptest"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
)

// TestWhatAStreamHadWhenItEndedIsNotResumedAfter has another stream of the caller come first after a change: it may begin while this one
// still goes on.
func TestWhatAStreamHadWhenItEndedIsNotResumedAfter(t *testing.T) {
	g, err := auth.Unguarded().Authenticate(httptest.NewRequest("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	var l readable
	l.changed(g.Name(), 3) // of one that followed a single flow
	if got := l.since(g, 5); got != 0 {
		t.Errorf("nothing has changed, and after %d is nothing resumed", got)
	}
	l.changed(g.Name(), 9)
	if got := l.since(g, 12); got != 9 {
		t.Errorf("after %d is nothing resumed, want 9", got)
	}
	if kind("user:ann") != kind("user:bob") || kind("user") == kind("user:ann") {
		t.Error("users of a proxy are told apart, or are not from others")
	}
}
