package httpapi_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// discard is a ResponseWriter that costs next to nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkPost is a POST of one 400-byte message without the network: what the server adds to net/http.
func BenchmarkPost(b *testing.B) {
	api := httpapi.New(hub.New(hub.Config{}), httpapi.Config{})
	bodies := make([][]byte, 1000)
	for i := range bodies {
		id := fmt.Sprintf("r1/n%d", i)
		bodies[i] = []byte(upsert(node(id, "running", `,"region":"r1","startedAt":1790000000000,"meta":{"kind":"HelmRelease","s":"`+strings.Repeat("x", 230)+`"}`)))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		body := bodies[i%len(bodies)]
		r, _ := http.NewRequest("POST", "/v1/flows/F/events", io.NopCloser(bytes.NewReader(body)))
		r.ContentLength = int64(len(body))
		r.Header.Set("Content-Type", asJSON)
		api.ServeHTTP(&discard{http.Header{}}, r)
	}
}
