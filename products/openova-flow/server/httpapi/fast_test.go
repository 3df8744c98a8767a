package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// dial connects to the server, for as long as the test takes.
func (e *env) dial() net.Conn {
	e.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { conn.Close() })
	return conn
}

// raw opens a stream over a connection of its own and reads the answer's head. The headers are whole lines.
func (e *env) raw(path string, header ...string) (*net.TCPConn, *bufio.Reader) {
	e.t.Helper()
	conn := e.dial()
	_ = conn.SetReadDeadline(time.Now().Add(within))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, strings.Join(append(header, ""), "\r\n"))
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		e.t.Fatal(resp, err)
	}
	return conn.(*net.TCPConn), bufio.NewReader(resp.Body)
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("timed out waiting for: " + what)
		}
	}
}

func TestStream_FastStreamsHaveNoGoroutine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has the fast writer")
	}
	grown := func(mode string) int {
		e := guard(t, hub.Config{}, httpapi.Config{StreamMode: mode}, "") // guarded, since watching a credential needs no goroutine either
		const token = "Authorization: Bearer secret-reader"
		e.raw(streamF, token)
		until(t, "one stream", func() bool { return e.hub.Stats.Subscribers.Load() == 1 })
		before := runtime.NumGoroutine()
		for range 100 {
			e.raw(streamF, token)
		}
		n := 0
		until(t, "goroutines settle", func() bool {
			n = runtime.NumGoroutine() - before
			return mode != httpapi.StreamAuto || n < 10
		})
		return n
	}
	if n := grown(httpapi.StreamPortable); n < 100 {
		t.Errorf("100 portable streams have %d goroutines: this test cannot tell the writers apart", n)
	}
	grown(httpapi.StreamAuto)
}

func TestStream_DisconnectIsNoticed(t *testing.T) {
	onBothWriters(t, func(t *testing.T, mode string) {
		e := start(t, hub.Config{}, httpapi.Config{StreamMode: mode})
		whole, _ := e.raw(streamF)
		half, _ := e.raw(streamF)
		reset, _ := e.raw(streamF)
		stays, in := e.raw(streamF)
		fmt.Fprint(stays, strings.Repeat("unread data ", 750))
		whole.Close()
		_ = half.CloseWrite()
		_ = reset.SetLinger(0)
		reset.Close()
		until(t, "the three are gone", func() bool { return e.hub.Stats.Subscribers.Load() == 1 })
		e.post(upsert(node("a", "running")))
		p := parser{in}
		for {
			f, err := p.next()
			if err != nil {
				t.Fatalf("the connection that stays open: %v", err)
			}
			if f.event == "snapshot" {
				break
			}
		}
	})
}

func TestStream_HeartbeatsOnASocket(t *testing.T) {
	onBothWriters(t, func(t *testing.T, mode string) {
		e := start(t, hub.Config{}, httpapi.Config{StreamMode: mode, Heartbeat: 30 * time.Millisecond})
		seq := e.post(`{"type":"upsert-flow","flow":{"id":"F","status":"x","startedAt":1}}`)
		sub := e.watch(streamF)
		sub.message()
		for range 3 {
			if f := sub.next(); f.event != "heartbeat" || f.id != -1 || !strings.HasPrefix(f.data, fmt.Sprintf(`{"seq":%d,"at":`, seq)) {
				t.Fatalf("%+v", f)
			}
		}
		next := e.post(upsert(node("a", "running")))
		if f := sub.message(); f.id != next {
			t.Errorf("%+v", f)
		}
	})
}

// TestShutdown_StreamsEndAtAFrame shuts down while a large delivery is being written: the client gets whole frames only.
func TestShutdown_StreamsEndAtAFrame(t *testing.T) {
	onBothWriters(t, func(t *testing.T, mode string) {
		e := start(t, hub.Config{}, httpapi.Config{StreamMode: mode})
		e.post(upsert(node("a", strings.Repeat("x", 900_000))))
		_, in := e.raw(streamF)
		e.post(upsert(node("b", strings.Repeat("y", 900_000))))
		until(t, "it has begun", func() bool { return e.hub.Stats.Snapshots.Load() > 0 })
		e.hub.Close()
		body, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(string(body), "\n\n") {
			t.Errorf("the stream ends with %q", body[max(0, len(body)-80):])
		}
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		e.api.Shutdown(ctx)
		if ctx.Err() != nil || e.hub.Stats.Subscribers.Load() != 0 {
			t.Errorf("%d streams are left", e.hub.Stats.Subscribers.Load())
		}
	})
}

// TestShutdown_DoesNotWaitForStuckSubscribers has a subscriber that reads nothing during the shutdown.
func TestShutdown_DoesNotWaitForStuckSubscribers(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{WriteTimeout: within}) // after which it would be disconnected anyway
	e.stuckConn()
	for range 20 {
		e.post(upsert(node("a", strings.Repeat("x", 900_000))))
	}
	e.hub.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	e.api.Shutdown(ctx)
	if took := time.Since(began); took > within/2 {
		t.Errorf("Shutdown took %s", took)
	}
	if n := e.hub.Stats.Subscribers.Load(); n != 0 {
		t.Errorf("%d streams are left", n)
	}
}

func TestMetrics_StreamsAreCounted(t *testing.T) {
	onBothWriters(t, func(t *testing.T, mode string) {
		e := start(t, hub.Config{}, httpapi.Config{StreamMode: mode})
		conn, _ := e.raw(streamF)
		many, _ := e.raw("/v1/stream")
		if m := e.do("GET", "/metrics", "").body; !strings.Contains(m, "\nopenova_flow_subscribers 2\n") {
			t.Error("an open stream is not counted")
		}
		conn.Close()
		many.Close()
		for _, route := range []string{"stream", "streams"} {
			until(t, route+" is counted as answered", func() bool {
				return strings.Contains(e.do("GET", "/metrics", "").body, `openova_flow_http_requests_total{route="`+route+`",method="GET",code="200"} 1`)
			})
		}
	})
}

func TestMetrics_StreamIsCountedBeforeItsClientSeesTheEnd(t *testing.T) {
	onBothWriters(t, func(t *testing.T, mode string) {
		e := guard(t, hub.Config{}, httpapi.Config{StreamMode: mode}, "").filled()
		for n := range 20 {
			e.fill("F")
			sub := e.watch(streamF, reader.bearer()...)
			sub.message()
			e.as(admin, "DELETE", "/v1/flows/F", "")
			if f := sub.message(); f.event != "deleted" {
				t.Fatalf("%+v", f)
			}
			sub.ended()
			if left := e.hub.Stats.Subscribers.Load(); left != 0 {
				t.Fatalf("%d streams are left", left)
			}
			want := fmt.Sprintf("openova_flow_http_requests_total{route=\"stream\",method=\"GET\",code=\"200\"} %d\n", n+1)
			if m := e.as(admin, "GET", "/metrics", "").body; !strings.Contains(m, want) {
				t.Fatalf("no %s in\n%s", want, m)
			}
		}
	})
}

// TestMetrics_DeliveryLag: only messages for subscribers that were up to date have a lag, not snapshots, and not messages that a resume gets.
func TestMetrics_DeliveryLag(t *testing.T) {
	const metric = "openova_flow_delivery_lag_seconds_count "
	onBothWriters(t, func(t *testing.T, mode string) {
		e := start(t, hub.Config{}, httpapi.Config{StreamMode: mode})
		first := e.post(upsert(node("a", "running")))
		e.post(upsert(node("b", "running")))
		resumed := []string{"Last-Event-ID", strconv.FormatInt(first, 10)}
		subscribers := []*subscriber{e.watch(streamF), e.watch("/v1/stream"), e.watch(streamF, resumed...), e.watch("/v1/stream", resumed...)}
		follow := func(until string) {
			for _, sub := range subscribers {
				for !strings.Contains(sub.message().data, until) {
				}
			}
		}
		follow(`"id":"b"`)
		if m := e.do("GET", "/metrics", "").body; !strings.Contains(m, metric+"0\n") {
			t.Fatalf("a snapshot or a resumed message has a lag:\n%s", m)
		}
		e.post(upsert(node("c", "running")))
		follow(`"id":"c"`)
		until(t, "each delivery has a lag", func() bool { return strings.Contains(e.do("GET", "/metrics", "").body, metric+"4\n") })
		if m := e.do("GET", "/metrics", "").body; !strings.Contains(m, `openova_flow_delivery_lag_seconds_bucket{le="10"} 4`) {
			t.Errorf("a lag of more than 10 s:\n%s", m)
		}
	})
}
