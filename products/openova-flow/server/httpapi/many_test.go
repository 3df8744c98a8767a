package httpapi_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

func nodeOf(flowID, id, status string) string {
	return upsert(strings.Replace(node(id, status), `"flowId":"F"`, `"flowId":"`+flowID+`"`, 1))
}

func TestStreamMany_NamedFlows(t *testing.T) {
	onBothWriters(t, func(t *testing.T, mode string) {
		e := start(t, hub.Config{}, httpapi.Config{StreamMode: mode})
		e.postTo("a", nodeOf("a", "n", "running"))
		b := e.postTo("b", nodeOf("b", "n", "running"))
		e.postTo("other", nodeOf("other", "n", "running"))
		sub := e.watch("/v1/stream?flow=b&flow=a&flow=late")
		if sub.header.Get("Flow-Incarnation") != "" {
			t.Error("a stream of several flows has a Flow-Incarnation")
		}
		if f := sub.next(); f.event != "heartbeat" || strings.Contains(f.data, "incarnation") {
			t.Errorf("the first frame is %+v, want a heartbeat without incarnation", f)
		}
		if f := sub.next(); f.event != "flows" || f.id != -1 || !strings.Contains(f.data, `"a":"`) || !strings.Contains(f.data, `"b":"`) || strings.Contains(f.data, "other") {
			t.Errorf("the second frame is %+v, want flows without id, with a and b", f)
		}
		if ra, rb := sub.next().event, sub.next().event; ra+rb != "a/regionsb/regions" && ra+rb != "b/regionsa/regions" {
			t.Errorf("then come %s and %s, want a/regions and b/regions in either order", ra, rb)
		}
		one, two := sub.next(), sub.next()
		if one.id != -1 || two.id < b || fmt.Sprint(one.event, two.event) != "a/snapshotb/snapshot" && fmt.Sprint(one.event, two.event) != "b/snapshota/snapshot" {
			t.Errorf("then come %+v and %+v, want the snapshots of a and b, and an id, at least %d, only at the last", one, two, b)
		}
		a := e.postTo("a", nodeOf("a", "n", "succeeded"))
		e.postTo("other", nodeOf("other", "n", "failed"))
		late := e.postTo("late", nodeOf("late", "n", "running"))
		if f := sub.next(); f.id != a || f.event != "a/upsert-nodes" || f.data != nodeOf("a", "n", "succeeded") {
			t.Errorf("a message is %+v", f)
		}
		if f := sub.next(); f.event != "a/upsert-flow" {
			t.Errorf("a derived message is %+v", f)
		}
		if f := sub.next(); f.id < late || f.event != "late/snapshot" {
			t.Errorf("the snapshot of a new flow is %+v", f)
		}
		if f := sub.next(); f.id != -1 || f.event != "late/regions" || !strings.Contains(f.data, `"regions":{}`) {
			t.Errorf("the regions of the new flow are %+v", f)
		}
		e.do("DELETE", "/v1/flows/b", "")
		gone := sub.next()
		if gone.event != "b/deleted" || gone.data != "{}" || gone.id < late {
			t.Errorf("the deletion is %+v", gone)
		}
		again := e.watch("/v1/stream?flow=a&flow=b&flow=late", "Last-Event-ID", fmt.Sprint(a))
		if f := again.message(); f.event != "flows" || strings.Contains(f.data, `"b":`) {
			t.Errorf("on resuming %+v", f)
		}
		if f := again.message(); f.event != "late/snapshot" {
			t.Errorf("on resuming %+v", f)
		}
		if f := again.message(); f.event != "a/upsert-flow" || f.id < a {
			t.Errorf("on resuming %+v", f)
		}
	})
}

func TestStreamMany_AllFlows(t *testing.T) {
	onBothWriters(t, func(t *testing.T, mode string) {
		e := start(t, hub.Config{}, httpapi.Config{StreamMode: mode})
		sub := e.watch("/v1/stream")
		if f := sub.message(); f.event != "flows" || !strings.HasPrefix(f.data, `{"flows":{},`) {
			t.Errorf("%+v", f)
		}
		e.postTo("any", nodeOf("any", "n", "running"))
		if f := sub.message(); f.event != "any/snapshot" || f.id < 1 {
			t.Errorf("%+v", f)
		}
		if f := sub.next(); f.event != "any/regions" {
			t.Errorf("%+v", f)
		}
		e.hub.Close()
		sub.ended()
	})
}

func TestStreamMany_RefusedRequests(t *testing.T) {
	e := start(t, hub.Config{MaxSubscribers: 1}, httpapi.Config{})
	if p := isProblem(t, e.do("GET", "/v1/stream?flow=a&flow=b/c", ""), 400); p.Field != "flow[1]" {
		t.Errorf("%+v", p)
	}
	if p := isProblem(t, e.do("GET", "/v1/stream?"+strings.Repeat("flow=a&", 257), ""), 400); p.Field != "flow" {
		t.Errorf("%+v", p)
	}
	if a := e.do("POST", "/v1/stream", "{}"); a.status != 405 || a.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("%+v", a)
	}
	e.watch("/v1/stream")
	a := e.do("GET", "/v1/stream", "")
	isProblem(t, a, http.StatusServiceUnavailable)
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// TestStreamMany_SelectionsExcludeNoOtherCaller has one caller follow many selections before others follow theirs.
func TestStreamMany_SelectionsExcludeNoOtherCaller(t *testing.T) {
	e := guard(t, hub.Config{}, httpapi.Config{}, "")
	open := func(caller entry, path string) int {
		req, _ := http.NewRequest("GET", e.url+path, nil)
		req.Header.Set("Authorization", caller.bearer()[1])
		resp, err := e.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp.StatusCode
	}
	for i := range 200 {
		if got := open(reader, fmt.Sprintf("/v1/stream?flow=f%d", i)); got != http.StatusOK {
			t.Fatalf("selection %d: %d", i, got)
		}
	}
	for _, path := range []string{"/v1/stream", "/v1/stream?flow=F&flow=team-a"} {
		for _, caller := range []entry{onlyF, admin} {
			if got := open(caller, path); got != http.StatusOK {
				t.Errorf("%s of %s: %d", path, caller.name, got)
			}
		}
	}
}

func TestSnapshot_CompressedWhereAccepted(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	e.post(upsert(node("a", strings.Repeat("x", 1000))))
	plain := e.do("GET", "/v1/flows/F/snapshot", "", "Accept-Encoding", "identity")
	for accept, want := range map[string]string{
		"gzip": "gzip", "br, gzip;q=0.5": "gzip", "*": "gzip", "GZIP": "gzip", "*;q=0, gzip": "gzip",
		"br": "", "gzip;q=0": "", "gzip; q=0.000, *": "", "identity": "",
	} {
		a := e.do("GET", "/v1/flows/F/snapshot", "", "Accept-Encoding", accept)
		if a.status != 200 || a.header.Get("Content-Encoding") != want || a.header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: %d %v", accept, a.status, a.header)
		}
		if same := a.header.Get("ETag") == plain.header.Get("ETag"); same != (want == "") {
			t.Errorf("Accept-Encoding %q: ETag %s", accept, a.header.Get("ETag"))
		}
		if body := gunzip(t, a); body != plain.body {
			t.Errorf("Accept-Encoding %q: another body", accept)
		}
		for _, etag := range []string{a.header.Get("ETag"), plain.header.Get("ETag"), "W/" + a.header.Get("ETag")} {
			if again := e.do("GET", "/v1/flows/F/snapshot", "", "Accept-Encoding", accept, "If-None-Match", etag); again.status != 304 || again.body != "" {
				t.Errorf("Accept-Encoding %q, If-None-Match %s: %d", accept, etag, again.status)
			}
		}
	}
	e.post(upsert(node("a", "y")))
	if a := e.do("GET", "/v1/flows/F/snapshot", "", "If-None-Match", plain.header.Get("ETag")); a.status != 200 {
		t.Errorf("after a change: %d", a.status)
	}
	e.do("DELETE", "/v1/flows/F", "")
	if a := e.do("GET", "/v1/flows/F/snapshot", "", "If-None-Match", "*"); a.status != 404 {
		t.Errorf("after the flow was deleted: %d", a.status)
	}
}

func gunzip(t *testing.T, a answer) string {
	t.Helper()
	if a.header.Get("Content-Encoding") == "" {
		return a.body
	}
	in, err := gzip.NewReader(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestStreamMany_LargeStartArrivesWholeAndInOrder starts a stream with thousands of small frames and some large ones.
func TestStreamMany_LargeStartArrivesWholeAndInOrder(t *testing.T) {
	onBothWriters(t, func(t *testing.T, mode string) {
		e := start(t, hub.Config{}, httpapi.Config{StreamMode: mode})
		var first int64
		for _, id := range []string{"a", "b", "c"} {
			first = e.postTo(id, nodeOf(id, "n", "s0"))
		}
		var want []string
		for i := range 60 {
			id := []string{"a", "b", "c"}[i%3]
			var lines []string
			for n := range 50 {
				size := 1000
				if n == 7 && i%20 == 0 {
					size = 200_000
				}
				lines = append(lines, nodeOf(id, fmt.Sprint("n", i, "-", n), strings.Repeat("x", size+n)))
			}
			e.do("POST", "/v1/flows/"+id+"/events", strings.Join(lines, "\n"), "Content-Type", asNDJSON)
			want = append(want, lines...)
		}
		_, in := e.raw("/v1/stream", fmt.Sprint("Last-Event-ID: ", first))
		p := parser{in}
		for at, last := 0, int64(0); at < len(want); {
			f, err := p.next()
			if err != nil {
				t.Fatalf("after %d messages: %v", at, err)
			}
			if !strings.HasSuffix(f.event, "/upsert-nodes") || strings.Contains(f.data, `"id":"n"`) {
				continue
			}
			if f.data != want[at] || f.id >= 0 && f.id <= last {
				t.Fatalf("message %d is %d %.80s, want %.80s", at, f.id, f.data, want[at])
			}
			at, last = at+1, max(last, f.id)
		}
	})
}
