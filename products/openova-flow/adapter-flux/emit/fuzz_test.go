package emit

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// answering is a server that always gives the same answer.
type answering struct {
	status int
	header http.Header
	body   string
}

func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(strings.NewReader(a.body))}, nil
}

// FuzzAnswer checks that an answer without a sequence number confirms no POST, and that no answer makes the emitter wait too long.
func FuzzAnswer(f *testing.F) {
	f.Add(200, "application/json", "", `{"seq":5}`)
	f.Add(503, "application/problem+json", "Wed, 21 Oct 2999 07:28:00 GMT", `{"title":"t","line":-5,"field":7}`)
	f.Add(429, "application/problem+json", "-99999999999", `{"line":1e99}`)
	f.Fuzz(func(t *testing.T, status int, contentType, retry, body string) {
		c := &client{base: "http://server/v1/flows/F", timeout: time.Minute, transport: answering{status,
			http.Header{"Content-Type": {contentType}, "Retry-After": {retry}}, body}}
		a, err := c.post(t.Context(), &batch{}, "e;epoch=1;n=1", "")
		if a.retryAfter < 0 || a.retryAfter > maxRetryAfter {
			t.Fatalf("%q: wait for %s", retry, a.retryAfter)
		}
		if confirmed := err == nil && a.status == http.StatusOK; confirmed && !strings.Contains(strings.ToLower(body), `seq`) && !strings.Contains(body, `\u`) {
			t.Fatalf("%q confirmed the POST", body)
		}
	})
}
