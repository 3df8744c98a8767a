package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// TestRevoked_StreamsEnd changes the tokens file while streams are open.
func TestRevoked_StreamsEnd(t *testing.T) {
	onBothWriters(t, testStreamsEndWithTheirCredential)
}

func testStreamsEndWithTheirCredential(t *testing.T, mode string) {
	t.Parallel()
	e := guard(t, hub.Config{}, httpapi.Config{StreamMode: mode}, "").filled()
	open := func(caller entry, path string) *subscriber {
		t.Helper()
		sub := e.watch(path, caller.bearer()...)
		for range map[bool]int{true: 3, false: 2}[strings.HasPrefix(path, "/v1/stream")] { // heartbeat, flows, regions
			sub.next()
		}
		return sub
	}
	ends := map[string]*subscriber{
		"one flow: token revoked":                             open(reader, streamF),
		"all flows: token revoked":                            open(reader, "/v1/stream"),
		"one flow: removed from the token's flows":            open(onlyF, "/v1/flows/team-a/stream"),
		"all flows: token now has fewer flows":                open(onlyF, "/v1/stream"),
		"two named flows: one removed from the token's flows": open(onlyF, "/v1/stream?flow=F&flow=team-a"),
		"all flows: token now has more flows than the stream": open(ofR1, "/v1/stream"),
		"one flow: token may no longer read":                  open(ofR2, streamF),
	}
	stay := map[string]*subscriber{
		"one flow: still among the token's flows":       open(onlyF, streamF),
		"one named flow: still among the token's flows": open(onlyF, "/v1/stream?flow=F"),
		"one flow: token unchanged":                     open(admin, streamF),
		"all flows: token now writes to another region": open(adminR1, "/v1/stream"),
	}
	fewer, more, blind, moved := onlyF, ofR1, ofR2, adminR1
	fewer.flows, more.flows, blind.scopes = []string{"F"}, []string{"F", "other"}, []string{"ingest"}
	moved.regions = []string{"r2"}
	e.write([]entry{fewer, more, blind, moved, admin, writer}, "")
	for name, sub := range ends {
		t.Log(name)
		for ended := false; !ended; {
			select {
			case _, ok := <-sub.frames:
				ended = !ok
			case <-time.After(within):
				t.Fatalf("the stream did not end: %s", name)
			}
		}
	}
	e.as(writer, "POST", "/v1/flows/F/events", upsertOf("F", "r1/news", "r1"))
	for name, sub := range stay {
		t.Log(name)
		for !strings.Contains(sub.next().data, "r1/news") {
		}
	}
	metrics := e.as(admin, "GET", "/metrics", "").body
	for _, want := range []string{fmt.Sprintf("streams_revoked_total %d", len(ends)), fmt.Sprintf("openova_flow_subscribers %d", len(stay))} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
	if log := e.log.String(); !strings.Contains(log, "stream closed: credential revoked or narrowed") || !strings.Contains(log, "denial.name=") {
		t.Errorf("the closed streams are not in the log:\n%s", log)
	}
	if a := e.as(reader, "GET", streamF, ""); a.status != 401 {
		t.Errorf("the revoked token opened another stream: %d", a.status)
	}
}

// TestRevoked_StuckSubscriberIsDisconnected: a stream that is stuck in a write ends long before its write timeout.
func TestRevoked_StuckSubscriberIsDisconnected(t *testing.T) {
	onBothWriters(t, testStuckRevokedSubscriberIsDisconnected)
}

func testStuckRevokedSubscriberIsDisconnected(t *testing.T, mode string) {
	t.Parallel()
	e := guard(t, hub.Config{RingBytes: 64 << 20}, httpapi.Config{StreamMode: mode, WriteTimeout: time.Hour}, "")
	conn := e.dial()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret-reader\r\n\r\n", streamF)
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	big := upsert(node("a", strings.Repeat("x", 500_000)))
	for range 20 {
		e.as(writer, "POST", "/v1/flows/F/events", big)
	}
	e.write([]entry{admin, writer}, "")
	until(t, "the stuck stream has ended", func() bool { return e.hub.Stats.Subscribers.Load() == 0 })
}

// TestStream_ConnectionIsReusedAfterItsStream: net/http keeps the connection, and the stream's deadlines are cleared.
func TestStream_ConnectionIsReusedAfterItsStream(t *testing.T) {
	for name, end := range map[string]func(*guarded){
		"deleted": func(e *guarded) { e.as(admin, "DELETE", "/v1/flows/F", "") },
		"revoked": func(e *guarded) { e.write([]entry{admin, writer}, "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := guard(t, hub.Config{}, httpapi.Config{StreamMode: httpapi.StreamPortable, WriteTimeout: 4 * time.Second}, "").filled()
			conn := e.dial()
			in := bufio.NewReader(conn)
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret-reader\r\n\r\n", streamF)
			stream, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Body.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			end(e)
			if _, err := io.Copy(io.Discard, stream.Body); err != nil || stream.Close {
				t.Fatalf("the stream ended with %v, connection closed: %t", err, stream.Close)
			}
			time.Sleep(5 * time.Second) // longer than any deadline of the stream
			fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
			if next, err := http.ReadResponse(in, nil); err != nil || next.StatusCode != 200 {
				t.Errorf("the request after it: %v %v", next, err)
			}
		})
	}
}

// TestStreamMany_HasTheFlowsOfTheCaller also creates flows while the stream is open.
func TestStreamMany_HasTheFlowsOfTheCaller(t *testing.T) {
	onBothWriters(t, func(t *testing.T, mode string) {
		e := guard(t, hub.Config{}, httpapi.Config{StreamMode: mode}, "").filled()
		sub := e.watch("/v1/stream", onlyF.bearer()...)
		if f := sub.message(); f.event != "flows" || strings.Contains(f.data, "other") || !strings.Contains(f.data, `"F"`) || !strings.Contains(f.data, `"team-a"`) {
			t.Errorf("%+v", f)
		}
		seen := map[string]bool{sub.message().event: true, sub.message().event: true}
		if !seen["F/snapshot"] || !seen["team-a/snapshot"] {
			t.Errorf("%v", seen)
		}
		for _, id := range []string{"other", "another", "team-b", "F"} {
			e.fill(id)
		}
		for {
			f := sub.message()
			if id, _, _ := strings.Cut(f.event, "/"); id == "other" || id == "another" || strings.Contains(f.data, "other") {
				t.Errorf("%+v", f)
			} else if seen[f.event] = true; id == "F" && f.event != "F/snapshot" {
				break
			}
		}
		if !seen["team-b/snapshot"] {
			t.Errorf("%v", seen)
		}
	})
}

// TestRevoked_HTTP2StreamEnds also checks that other streams of the connection go on.
func TestRevoked_HTTP2StreamEnds(t *testing.T) {
	t.Parallel()
	e := guard(t, hub.Config{}, httpapi.Config{}, "").filled()
	srv := httptest.NewUnstartedServer(e.api)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	overTLS := *e.env
	overTLS.url, overTLS.client = srv.URL, srv.Client()
	gone, stays := overTLS.watch(streamF, reader.bearer()...), overTLS.watch(streamF, admin.bearer()...)
	gone.next()
	stays.next()
	e.write([]entry{admin, writer}, "")
	for ended := false; !ended; {
		select {
		case _, ok := <-gone.frames:
			ended = !ok
		case <-time.After(within):
			t.Fatal("the stream has not ended")
		}
	}
	e.fill("F")
	for !strings.Contains(stays.next().event, "upsert") {
	}
	e.hub.Close()
}

// TestStreamMany_NewlyReadableFlowGetsASnapshot changes the flows that a caller may read, with and without an open stream of all its flows, which ends then.
// An id from before the change resumes nothing, since the client has no state of the new flow; an id from after it resumes.
func TestStreamMany_NewlyReadableFlowGetsASnapshot(t *testing.T) {
	for name, open := range map[string]bool{"an open stream ends": true, "nothing is open": false} {
		t.Run(name, func(t *testing.T) {
			e := guard(t, hub.Config{}, httpapi.Config{}, "").filled()
			sub := e.watch("/v1/stream", ofR1.bearer()...)
			next := func(sub *subscriber) (id, got string) {
				for id == "" {
					f := sub.message()
					if got += f.event + " "; f.id > 0 {
						id = fmt.Sprint(f.id, f.mark)
					}
				}
				return id, got
			}
			before, _ := next(sub)
			again := func(id string) (string, string) {
				sub := e.watch("/v1/stream", append(ofR1.bearer(), "Last-Event-ID", id)...)
				defer sub.cancel()
				return next(sub)
			}
			if !open {
				sub.cancel()
				sub.ended()
			}
			news := func() { e.as(admin, "POST", "/v1/flows/F/events", upsertOf("F", "r1/b", "r1")) }
			news()
			if _, got := again(before); strings.Contains(got, "snapshot") {
				t.Errorf("while nothing has changed it gets %s", got)
			}
			more := ofR1
			more.flows = []string{"F", "other"}
			e.write([]entry{more, admin}, "")
			until(t, "the new file to be read", func() bool { return e.as(ofR1, "GET", "/v1/flows/other/snapshot", "").status == 200 })
			e.as(admin, "POST", "/v1/flows/other/events", upsertOf("other", "r1/b", "r1"))
			digits, _, _ := strings.Cut(before, ".")
			var after string
			for _, id := range []string{before, before, digits, digits + "."} {
				var got string
				if after, got = again(id); !strings.Contains(got, "other/snapshot") {
					t.Errorf("with %s it gets %s", id, got)
				}
			}
			news()
			if _, got := again(after); strings.Contains(got, "snapshot") {
				t.Errorf("with an id from after the change it gets %s", got)
			}
			e.write([]entry{ofR1, admin}, "")
			until(t, "the old file to be read again", func() bool { return e.as(ofR1, "GET", "/v1/flows/other/snapshot", "").status == 403 })
			news()
			if _, got := again(after); !strings.Contains(got, "F/snapshot") {
				t.Errorf("with an id for more flows it gets %s", got)
			}
		})
	}
}

// TestRevoked_BodyThatEndsLaterIsNotApplied starts requests, then revokes one token and narrows another, and then sends the rest of the bodies.
func TestRevoked_BodyThatEndsLaterIsNotApplied(t *testing.T) {
	e := guard(t, hub.Config{}, httpapi.Config{}, "").filled()
	type request struct {
		caller                   entry
		method, path, body, want string
	}
	requests := []request{
		{ofR1, "POST", "/v1/flows/F/events", upsertOf("F", "r1/late", "r1"), "HTTP/1.1 401 "},
		{ofR1, "PUT", "/v1/flows/F/regions/r1", `{"cluster":"late"}`, "HTTP/1.1 401 "},
		{ofR2, "POST", "/v1/flows/F/events", upsertOf("F", "r2/late", "r2"), "HTTP/1.1 403 "},
		{ofR2, "PUT", "/v1/flows/F/regions/r2", `{"cluster":"late"}`, "HTTP/1.1 403 "},
		{writer, "POST", "/v1/flows/F/events", upsertOf("F", "r3/late", "r3"), "HTTP/1.1 200 "},
	}
	var conns []net.Conn
	for _, r := range requests {
		conn := e.dial()
		conns = append(conns, conn)
		fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret-%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			r.method, r.path, r.caller.name, len(r.body), r.body[:10])
	}
	begun := 0 // bytes reserved for all bodies, which happens once the callers are authenticated
	for _, r := range requests {
		begun += len(r.body)
	}
	until(t, "all bodies to be read", func() bool {
		return strings.Contains(e.as(admin, "GET", "/metrics", "").body, fmt.Sprintf("openova_flow_ingest_bytes %d\n", begun))
	})
	narrowed := ofR2
	narrowed.regions = []string{"r4"}
	e.write([]entry{narrowed, writer, admin}, "")
	until(t, "the new file to be read", func() bool { return e.as(ofR1, "GET", "/v1/me", "").status == 401 })
	for i, r := range requests {
		fmt.Fprint(conns[i], r.body[10:])
		answer := make([]byte, len(r.want))
		_ = conns[i].SetReadDeadline(time.Now().Add(within))
		if _, err := io.ReadFull(conns[i], answer); err != nil || string(answer) != r.want {
			t.Errorf("%s %s of %s: %q, %v", r.method, r.path, r.caller.name, answer, err)
		}
	}
	if state := e.as(admin, "GET", "/v1/flows/F/snapshot", "").body; strings.Contains(state, "r1/late") || strings.Contains(state, "r2/late") || !strings.Contains(state, "r3/late") {
		t.Error(state)
	}
	if log := e.log.String(); !strings.Contains(log, "denial.reason=unknown denial.name=of-r1 ") || strings.Contains(log, "message refused") {
		t.Errorf("the log is\n%s", log)
	}
}
