package follow_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/relay/follow"
)

// spaces is the transport of a server whose answers are spaces without an end.
type spaces struct{}

func (spaces) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(spaces{})}, nil
}

func (spaces) Read(p []byte) (int, error) { return copy(p, blank), nil }

var blank = bytes.Repeat([]byte(" "), 1<<20)

func TestServer_LongListNamesTheLimit(t *testing.T) {
	s := &follow.Server{URL: "http://x", Client: &http.Client{Transport: spaces{}}, Token: func() (string, error) { return "", nil }}
	if _, err := s.Rollouts(t.Context(), "f"); err == nil || !strings.Contains(err.Error(), "64 MiB") {
		t.Errorf("%v, want an error that names the limit", err)
	}
}
