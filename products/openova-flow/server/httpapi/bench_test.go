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

// discard is a ResponseWriter with almost no cost.
type discard struct {
	header http.Header
	code   int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(code int)        { d.code = code }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkPost posts one 400-byte message without a network: the cost of the server beyond net/http.
func BenchmarkPost(b *testing.B) {
	benchmarkPost(b, httpapi.New(hub.New(hub.Config{}), httpapi.Config{}))
}

// BenchmarkPostWithToken is the same with one of seven tokens, which is bound to the region.
func BenchmarkPostWithToken(b *testing.B) {
	e := guard(b, hub.Config{}, httpapi.Config{}, "")
	benchmarkPost(b, e.api, ofR1.bearer()...)
}

func benchmarkPost(b *testing.B, api http.Handler, header ...string) {
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
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := &discard{header: http.Header{}}
		if api.ServeHTTP(w, r); w.code >= 400 {
			b.Fatal(w.code)
		}
	}
}

// BenchmarkSnapshot10000 gets the snapshot of an unchanged flow of 10,000 nodes over a socket.
func BenchmarkSnapshot10000(b *testing.B) {
	e := start(b, hub.Config{}, httpapi.Config{})
	for i := range 100 {
		var nodes []string
		for n := range 100 {
			nodes = append(nodes, node(fmt.Sprintf("r%d/n%d", i, n), "running", `,"region":"r1","startedAt":1790000000000,"meta":{"kind":"HelmRelease","s":"`+strings.Repeat("x", 230)+`"}`))
		}
		e.post(upsert(nodes...))
	}
	etag := e.do("GET", "/v1/flows/F/snapshot", "", "Accept-Encoding", "identity").header.Get("ETag")
	for _, how := range []struct{ name, header, value string }{
		{"as it is", "Accept-Encoding", "identity"},
		{"gzip", "Accept-Encoding", "gzip"},
		{"not modified", "If-None-Match", etag},
	} {
		b.Run(how.name, func(b *testing.B) {
			for b.Loop() {
				r, _ := http.NewRequest("GET", e.url+"/v1/flows/F/snapshot", nil)
				r.Header.Set(how.header, how.value)
				resp, err := e.client.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				n, _ := io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				b.SetBytes(n)
			}
		})
	}
}
