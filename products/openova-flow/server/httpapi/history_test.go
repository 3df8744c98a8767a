package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// TestNobodyHasAllStreams has one caller open as many as it can, of one flow and of many.
func TestNobodyHasAllStreams(t *testing.T) {
	onBothPaths(t, func(t *testing.T, mode string) {
		e := guard(t, hub.Config{MaxSubscribers: 16}, httpapi.Config{StreamMode: mode}, "").filled()
		var open []*viewer
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
		open[0].cancel()
		until(t, "a place to be free", func() bool { return e.as(onlyF, "HEAD", streamF, "").status == http.StatusOK })
		e.watch(streamF, onlyF.bearer()...)
	})
}

// TestNobodyHasAllBytesInFlight has one caller begin as many large bodies as it may, and then small ones.
func TestNobodyHasAllBytesInFlight(t *testing.T) {
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
	until(t, "they stay", func() bool {
		return e.as(ofR1, "POST", "/v1/flows/F/events", upsertOf("F", "r1/x", "r1")).status == 503
	})
	large := upsertOf("F", "r2/x", "r2") + strings.Repeat(" ", 900<<10)
	for _, body := range []string{upsertOf("F", "r2/x", "r2"), large} {
		if a := e.as(ofR2, "POST", "/v1/flows/F/events", body); a.status != 200 {
			t.Errorf("%d bytes of another: %d %s", len(body), a.status, a.body)
		}
	}
}

func TestWhoReadsThePastSlowlyKeepsNobodyElseFromIt(t *testing.T) {
	e := guard(t, hub.Config{}, httpapi.Config{}, "")
	const past = "/v1/flows/F/events"
	meta := strings.Repeat("x", 60<<10)
	for i := range 120 { // more than sockets take by themselves
		e.as(admin, "POST", past, fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"n%d","flowId":"F","label":"l","status":"x","meta":{"m":"%s"}}]}`, i, meta))
	}
	slow := 0
	for status := http.StatusOK; status == http.StatusOK; slow++ {
		if slow > 20 {
			t.Fatal("as many answers about the past as one likes are under way at once")
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", e.url+past, nil)
		req.Header.Set("Authorization", reader.bearer()[1])
		resp, err := e.client.Do(req) // and reads no more than the head
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		status = resp.StatusCode
	}
	for _, who := range []entry{admin, onlyF} {
		if a := e.as(who, "GET", past, ""); a.status != http.StatusOK {
			t.Errorf("%d of another are under way or refused, %s: %d %s", slow, who.name, a.status, a.body)
		}
	}
}
