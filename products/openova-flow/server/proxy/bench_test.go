package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/proxy"
)

// BenchmarkProxy_IdleStream reports the memory and goroutines of one open stream in the process that mounts the proxy, with HTTP/1.1 on both sides. The
// other ends of the connections are in this process too; they take some hundred bytes.
func BenchmarkProxy_IdleStream(b *testing.B) {
	upstream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer upstream.Close()
	go func() {
		for {
			conn, err := upstream.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			if _, err := http.ReadRequest(bufio.NewReaderSize(conn, 1024)); err != nil {
				return
			}
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(heartbeat), heartbeat)
		}
	}()
	h, err := proxy.New(proxy.Config{Upstream: &url.URL{Scheme: "http", Host: upstream.Addr().String()}, Authorize: allow, Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	srv := httptest.NewServer(h)
	defer srv.Close()
	defer h.Close()
	open := func(n int) {
		for range n {
			conn, err := net.Dial("tcp", srv.Listener.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { conn.Close() })
			fmt.Fprint(conn, "GET /v1/flows/F/stream HTTP/1.1\r\nHost: x\r\n\r\n")
			head := make([]byte, 12)
			if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 200" {
				b.Fatalf("%q %v", head, err)
			}
		}
	}
	open(10)
	bytes, goroutines := inUse()
	const streams = 500
	open(streams)
	after, running := inUse()
	b.ReportMetric(float64(after-bytes)/streams, "B/stream")
	b.ReportMetric(float64(running-goroutines)/streams, "goroutines/stream")
	b.ReportMetric(0, "ns/op")
}

func inUse() (bytes, goroutines int64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse), int64(runtime.NumGoroutine())
}
