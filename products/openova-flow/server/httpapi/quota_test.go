package httpapi_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// TestQuota_NoCallerTakesAllStreams has one caller open as many streams as it can, of one flow and of several.
func TestQuota_NoCallerTakesAllStreams(t *testing.T) {
	onBothWriters(t, func(t *testing.T, mode string) {
		e := guard(t, hub.Config{MaxSubscribers: 16}, httpapi.Config{StreamMode: mode}, "").filled()
		var open []*subscriber
		for i := range 14 {
			open = append(open, e.watch([]string{streamF, "/v1/stream", "/v1/stream?flow=team-a"}[i%3], onlyF.bearer()...))
		}
		for _, path := range []string{streamF, "/v1/stream", "/v1/flows/team-a/stream"} {
			if status, h := e.headers("GET", path, onlyF.bearer()...); status != http.StatusTooManyRequests || h.Get("Retry-After") == "" {
				t.Errorf("%s: %d %v", path, status, h)
			}
			e.as(onlyF, "HEAD", path, "")
		}
		e.watch("/v1/flows/other/stream", reader.bearer()...)
		e.watch("/v1/stream", admin.bearer()...)
		if status, _ := e.headers("GET", streamF, admin.bearer()...); status != http.StatusServiceUnavailable {
			t.Errorf("more than all: %d", status)
		}
		refused := func(caller entry) (lines []string) {
			for line := range strings.Lines(e.log.String()) {
				if strings.Contains(line, `msg="stream refused" by=`+caller.name+" ") {
					lines = append(lines, line)
				}
			}
			return lines
		}
		if lines := refused(onlyF); len(lines) == 0 || len(lines) > 5 || !strings.Contains(lines[0], "status=429") || !strings.Contains(lines[0], "unlogged=0") {
			t.Errorf("six refused streams are logged as %q, want one line a second", lines)
		}
		if lines := refused(admin); len(lines) != 1 || !strings.Contains(lines[0], "status=503") {
			t.Errorf("the stream above the server's limit is logged as %q", lines)
		}
		open[0].cancel()
		until(t, "a stream of the caller to be free", func() bool { return e.as(onlyF, "HEAD", streamF, "").status == http.StatusOK })
		e.watch(streamF, onlyF.bearer()...)
	})
}

// TestQuota_NoCallerTakesAllBytesInFlight has one caller start as many large bodies as it may, and then small ones.
func TestQuota_NoCallerTakesAllBytesInFlight(t *testing.T) {
	e := guard(t, hub.Config{}, httpapi.Config{MaxMessageBytes: 1 << 20, MaxBatchBytes: 1 << 20, MaxIngestBytes: 8 << 20}, "").filled()
	begin := func(size int) {
		conn := e.dial()
		fmt.Fprintf(conn, "POST /v1/flows/F/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret-of-r1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			size, strings.Repeat(" ", size-1))
	}
	refused := func() bool {
		return strings.Contains(e.as(admin, "GET", "/metrics", "").body, `openova_flow_messages_refused_total{code="503"}`)
	}
	for range 12 {
		begin(1 << 20)
	}
	until(t, "large bodies to be refused", refused)
	for range 160 {
		begin(64 << 10)
	}
	until(t, "small bodies of the caller to be refused too", func() bool {
		return e.as(ofR1, "POST", "/v1/flows/F/events", upsertOf("F", "r1/x", "r1")).status == 503
	})
	large := upsertOf("F", "r2/x", "r2") + strings.Repeat(" ", 900<<10)
	for _, body := range []string{upsertOf("F", "r2/x", "r2"), large} {
		if a := e.as(ofR2, "POST", "/v1/flows/F/events", body); a.status != 200 {
			t.Errorf("%d bytes of another: %d %s", len(body), a.status, a.body)
		}
	}
}

// getUnread sends a request and reads only the head of the answer.
func (e *env) getUnread(path string, header ...string) *http.Response {
	e.t.Helper()
	conn := e.dial().(*net.TCPConn)
	_ = conn.SetReadBuffer(4096)
	_ = conn.SetReadDeadline(time.Now().Add(within))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, strings.Join(append(header, ""), "\r\n"))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		e.t.Fatal(err)
	}
	return resp
}

// fillRing fills the ring of flow F with n messages of 60 KiB.
func (e *env) fillRing(n int, header ...string) {
	for i := range n {
		message := fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"n%d","flowId":"F","label":"l","status":"x","meta":{"m":"%s"}}]}`, i, strings.Repeat("x", 60<<10))
		if a := e.do("POST", "/v1/flows/F/events", message, append(header, "Content-Type", asJSON)...); a.status != 200 {
			e.t.Fatal(a.status, a.body)
		}
	}
}

// TestEvents_SlowReadersDoNotAffectOtherCallers has two callers request the history of a flow many times without reading it.
func TestEvents_SlowReadersDoNotAffectOtherCallers(t *testing.T) {
	e := guard(t, hub.Config{}, httpapi.Config{MaxAnswerBytes: 24 << 20}, "").filled()
	e.fillRing(90, admin.bearer()...)
	for range 4 {
		for _, caller := range []entry{reader, admin} {
			for range 6 {
				if resp := e.getUnread("/v1/flows/F/events", "Authorization: "+caller.bearer()[1]); resp.StatusCode != 200 && (resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "") {
					t.Errorf("%s is answered %d, %v", caller.name, resp.StatusCode, resp.Header)
				}
			}
		}
		for _, path := range []string{"/v1/flows/F/events", "/v1/flows/F/snapshot", "/v1/flows/F/rollouts", "/v1/flows/F/revisions", "/v1/flows"} {
			if a := e.as(onlyF, "GET", path, ""); a.status != http.StatusOK {
				t.Errorf("another caller: %s %d %s", path, a.status, a.body)
			}
		}
	}
}

// TestEvents_CallerAtItsLimitIsServedAgainAfterASecond has a single caller: without tokens, all requests from one address are of the same caller.
func TestEvents_CallerAtItsLimitIsServedAgainAfterASecond(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{MaxAnswerBytes: 24 << 20})
	e.fillRing(90)
	for range 12 {
		resp := e.getUnread("/v1/flows/F/events")
		if resp.StatusCode != 200 && (resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" || resp.Header.Get("Content-Type") != "application/problem+json") {
			t.Errorf("%d %v", resp.StatusCode, resp.Header)
		}
	}
	until(t, "the oldest answers to give way", func() bool { return e.do("GET", "/v1/flows/F/events", "").status == 200 })
}

// TestMeasure_HeapWithSlowReaders requests a changing flow on many connections, without reading the answers.
func TestMeasure_HeapWithSlowReaders(t *testing.T) {
	onBothWriters(t, func(t *testing.T, mode string) {
		for _, path := range []string{"/v1/flows/F/snapshot", "/v1/flows/F/events", streamF, "/v1/stream"} {
			t.Run(path, func(t *testing.T) {
				const limit = 24 << 20
				e := start(t, hub.Config{}, httpapi.Config{StreamMode: mode, MaxAnswerBytes: limit})
				e.fillRing(60)
				live := func() int64 {
					runtime.GC()
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					return int64(m.HeapAlloc)
				}
				before := live()
				for i := range 30 {
					e.getUnread(path)
					e.post(upsert(node(fmt.Sprint("changed", i), "x")))
				}
				const most = limit + 16<<20 // also for the newest state, and for answers that are being encoded
				until(t, "30 slow readers to take no more than the limit", func() bool { return live()-before <= most })
			})
		}
	})
}
