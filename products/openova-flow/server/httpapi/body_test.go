package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// TestBody_LateBodyHoldsNoConnection sends incomplete bodies. Of these requests, only the handler of POST /sign-in reads the body; for the others net/http
// reads it before it answers.
func TestBody_LateBodyHoldsNoConnection(t *testing.T) {
	e := guard(t, hub.Config{}, httpapi.Config{ReadTimeout: 100 * time.Millisecond}, "")
	for _, tt := range []struct {
		request string
		status  int
	}{
		{"GET /healthz", 200}, {"POST /v1/flows/F/events", 401}, {"PUT /v1/nothing", 404}, {"PATCH /v1/flows", 405}, {"POST /sign-out", 303}, {"POST /sign-in", 400},
	} {
		for _, body := range []string{"Content-Length: 10", "Transfer-Encoding: chunked"} {
			conn := e.dial()
			_ = conn.SetReadDeadline(time.Now().Add(within))
			fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n%s\r\n\r\n", tt.request, body)
			in := bufio.NewReader(conn)
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatalf("%s, %s: %v", tt.request, body, err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			if _, err := in.ReadByte(); resp.StatusCode != tt.status || err == nil || strings.Contains(err.Error(), "timeout") {
				t.Errorf("%s, %s: %d, then %v", tt.request, body, resp.StatusCode, err)
			}
		}
	}
}
