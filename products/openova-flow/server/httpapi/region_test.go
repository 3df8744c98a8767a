package httpapi_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

func (e *env) claim(region, body string) answer {
	e.t.Helper()
	return e.do("PUT", "/v1/flows/F/regions/"+region, body, "Content-Type", asJSON)
}

// lease claims a region for a cluster, and returns the lease.
func (e *env) lease(region, cluster string) string {
	e.t.Helper()
	a := e.claim(region, `{"cluster":"`+cluster+`"}`)
	var got struct {
		Lease      string
		TTLSeconds int
		ExpiresAt  int64
	}
	if a.header.Get("Flow-Incarnation") != e.hub.Incarnation("F") {
		e.t.Errorf("%v", a.header)
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 || got.Lease == "" || got.TTLSeconds != 30 {
		e.t.Fatalf("%d %s", a.status, a.body)
	}
	if in := time.Until(time.UnixMilli(got.ExpiresAt)); in <= 0 || in > 30*time.Second {
		e.t.Errorf("the lease expires in %s", in)
	}
	return got.Lease
}

// regionsText returns the event of a frame, and its regions fsn1 and a/b, as text without times.
func regionsText(t testing.TB, f frame) string {
	t.Helper()
	var r claims.Regions
	if err := json.Unmarshal([]byte(f.data), &r); err != nil || f.id != -1 || r.Regions == nil || r.At == 0 {
		t.Fatalf("%+v: %v", f, err)
	}
	out := f.event
	for _, name := range []string{"fsn1", "a/b"} {
		if region, ok := r.Regions[name]; ok {
			out += " " + name + " " + region.State + " " + region.Cluster
			if region.Refused != nil {
				out += " refused " + region.Refused.Cluster
			}
		}
	}
	return out
}

func TestClaim_OverHTTP(t *testing.T) {
	e := start(t, hub.Config{MaxRegions: 2}, httpapi.Config{})
	lease := e.lease("fsn1", "one")
	if a := e.do("GET", "/v1/flows/F/snapshot", ""); a.status != 404 {
		t.Errorf("a claim created a flow: %s", a.body)
	}
	if again := e.lease("fsn1", "one"); again != lease {
		t.Errorf("%s after %s", again, lease)
	}
	if a := e.claim("fsn1", `{"cluster":"one","ttlSeconds":3600,"more":1}`); !strings.Contains(a.body, `"ttlSeconds":3600`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, tt := range []struct {
		name, region, body string
		status             int
		field              string
	}{
		{"another cluster", "fsn1", `{"cluster":"two"}`, 409, "cluster"},
		{"no cluster", "fsn1", `{}`, 400, "cluster"},
		{"long cluster", "fsn1", `{"cluster":"` + strings.Repeat("x", 129) + `"}`, 400, "cluster"},
		{"number for a cluster", "fsn1", `{"cluster":1}`, 400, "cluster"},
		{"invalid UTF-8", "fsn1", "{\"cluster\":\"\xff\"}", 400, "cluster"},
		{"short TTL", "fsn1", `{"cluster":"one","ttlSeconds":4}`, 400, "ttlSeconds"},
		{"TTL 0", "fsn1", `{"cluster":"one","ttlSeconds":0}`, 400, "ttlSeconds"},
		{"long TTL", "fsn1", `{"cluster":"one","ttlSeconds":3601}`, 400, "ttlSeconds"},
		{"TTL with a fraction", "fsn1", `{"cluster":"one","ttlSeconds":30.5}`, 400, "ttlSeconds"},
		{"no JSON", "fsn1", `cluster`, 400, ""},
		{"empty region", "", `{"cluster":"one"}`, 400, "region"},
		{"region with a bad escape", "%FF", `{"cluster":"one"}`, 400, "region"},
		{"long region", strings.Repeat("x", 254), `{"cluster":"one"}`, 400, "region"},
		{"body too large", "fsn1", `{"cluster":"one","more":"` + strings.Repeat("x", 5000) + `"}`, 413, ""},
	} {
		a := e.claim(tt.region, tt.body)
		if p := isProblem(t, a, tt.status); p.Field != tt.field {
			t.Errorf("%s: %s", tt.name, a.body)
		}
		if tt.status == 409 && !strings.Contains(a.body, `"holder":"one"`) {
			t.Errorf("%s: the answer lacks the holder: %s", tt.name, a.body)
		}
	}
	isProblem(t, e.do("PUT", "/v1/flows/F/regions/fsn1", `{"cluster":"one"}`, "Content-Type", asNDJSON), 415)
	if e.lease("a%2Fb", "two") == "" {
		t.Error("a region with a slash was refused")
	}
	if a := e.claim("third", `{"cluster":"one"}`); a.header.Get("Retry-After") == "" || isProblem(t, a, 429).Field != "region" {
		t.Errorf("%s", a.body)
	}
	metrics := e.do("GET", "/metrics", "").body
	for _, want := range []string{`openova_flow_regions{state="fresh"} 2`, `openova_flow_regions{state="stale"} 0`, "openova_flow_region_claims_refused_total 1"} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	sub := e.watch(streamF)
	first := sub.next().event
	if second := regionsText(t, sub.next()); first != "heartbeat" || second != "regions fsn1 fresh one refused two a/b fresh two" {
		t.Errorf("the stream begins with %s and %q, want heartbeat and regions with both claims", first, second)
	}
}

// TestClaim_LargeBodyIsNotAwaited announces bodies that a message or a batch may have, and sends none.
func TestClaim_LargeBodyIsNotAwaited(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{ReadTimeout: time.Second})
	for contentType, want := range map[string]int{asJSON: 413, asNDJSON: 415} {
		body, send := io.Pipe()
		defer send.Close()
		req, err := http.NewRequest("PUT", e.url+"/v1/flows/F/regions/fsn1", body)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = 500_000
		req.Header.Set("Content-Type", contentType)
		resp, err := e.client.Do(req)
		if err != nil {
			t.Errorf("%s: %v", contentType, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", contentType, resp.StatusCode, want)
		}
	}
}

// TestClaim_ExpiredIsTakenOverByAdmin moves the clock of a server with access control, and of one without. A hub with a log goes by the log's time,
// which the test cannot move: there it waits until the claim expires.
func TestClaim_ExpiredIsTakenOverByAdmin(t *testing.T) {
	var later atomic.Int64
	cfg := hub.Config{Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }}
	claim := func(e *env, cluster string, caller *entry) answer {
		header := []string{"Content-Type", asJSON}
		if caller != nil {
			header = append(header, caller.bearer()...)
		}
		return e.do("PUT", "/v1/flows/F/regions/r1", `{"cluster":"`+cluster+`","ttlSeconds":5}`, header...)
	}
	e, open := guard(t, cfg, httpapi.Config{}, ""), start(t, cfg, httpapi.Config{})
	if a, b := claim(e.env, "one", &ofR1), claim(open, "one", nil); a.status != 200 || b.status != 200 {
		t.Fatalf("%d %s, %d %s", a.status, a.body, b.status, b.body)
	}
	isProblem(t, claim(e.env, "two", &admin), 409)
	later.Store(int64(6 * time.Second))
	expired := func() bool {
		_, err := open.hub.Claim(record.Claim{FlowID: "F", Region: "r1", Cluster: "two", TTL: 5 * time.Second})
		var refused *claims.HeldError
		return errors.As(err, &refused) && refused.Expired
	}
	for end := time.Now().Add(within); !expired(); time.Sleep(20 * time.Millisecond) {
		if !durable || time.Now().After(end) {
			t.Fatal("the claim does not expire")
		}
	}
	isProblem(t, claim(e.env, "two", &ofR1), 409)
	isProblem(t, claim(e.env, "two", &writer), 409)
	isProblem(t, claim(open, "two", nil), 409)
	if a := claim(e.env, "two", &admin); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := claim(e.env, "two", &ofR1); a.status != 200 {
		t.Errorf("renewal by the new owner: %d %s", a.status, a.body)
	}
	open.do("DELETE", "/v1/flows/F/regions/r1", "")
	if a := claim(open, "two", nil); a.status != 200 {
		t.Errorf("claim after the region was deleted: %d %s", a.status, a.body)
	}
}

func TestClaim_PostsCarryTheLease(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	lease := e.lease("fsn1", "one")
	e.post(upsert(node("n", "x")), "Flow-Lease", lease)
	e.post(upsert(node("n", "y")))
	a := e.do("POST", "/v1/flows/F/events", upsert(node("n", "z")), "Content-Type", asJSON, "Flow-Lease", "other")
	if p := isProblem(t, a, http.StatusConflict); p.Field != "Flow-Lease" || a.header.Get("Flow-Incarnation") == "none" {
		t.Errorf("%v %s", a.header, a.body)
	}
	if strings.Contains(e.snapshot(), `"status":"z"`) {
		t.Error("a refused message was applied")
	}
	e.do("DELETE", "/v1/flows/F", "")
	a = e.do("POST", "/v1/flows/F/events", upsert(node("n", "z")), "Content-Type", asJSON, "Flow-Lease", lease)
	if p := isProblem(t, a, http.StatusConflict); p.Field != "Flow-Lease" {
		t.Errorf("after DELETE: %s", a.body)
	}
}

func TestClaim_BoundTokenCannotUseAnotherRegionsLease(t *testing.T) {
	e := guard(t, hub.Config{}, httpapi.Config{}, "").filled()
	put := e.do("PUT", "/v1/flows/F/regions/r1", `{"cluster":"one"}`, append(ofR1.bearer(), "Content-Type", asJSON)...)
	var lease struct{ Lease string }
	if err := json.Unmarshal([]byte(put.body), &lease); err != nil || lease.Lease == "" {
		t.Fatal(put.body, err)
	}
	for caller, want := range map[*entry]int{&ofR1: 200, &ofR2: 409, &adminR1: 200, &writer: 200, &admin: 200} {
		region := "r1"
		if caller == &ofR2 {
			region = "r2"
		}
		if a := e.as(*caller, "POST", "/v1/flows/F/events", upsertOf("F", region+"/b", region), "Flow-Lease", lease.Lease); a.status != want {
			t.Errorf("%s: %d %s", caller.name, a.status, a.body)
		}
	}
}

// TestRegions_OnStreams opens many streams, of the flow and of a selection with it: each gets each change of the regions once.
func TestRegions_OnStreams(t *testing.T) {
	onBothWriters(t, func(t *testing.T, mode string) {
		e := start(t, hub.Config{}, httpapi.Config{StreamMode: mode, Heartbeat: time.Hour}) // no heartbeat between the frames below
		e.post(upsert(node("n", "x")))
		var subscribers []*subscriber
		prefix := func(i int) string { return [2]string{"", "F/"}[i%2] }
		for i := range 200 {
			sub := e.watch([2]string{streamF, "/v1/stream?flow=F"}[i%2])
			subscribers = append(subscribers, sub)
			if f := sub.next(); f.event != "heartbeat" {
				t.Fatalf("stream %d begins with %+v, want heartbeat", i, f)
			}
			if i%2 == 1 {
				sub.next() // flows
			}
			if got := regionsText(t, sub.next()); got != prefix(i)+"regions" {
				t.Fatalf("subscriber %d: %s", i, got)
			}
			if f := sub.next(); f.event != prefix(i)+"snapshot" {
				t.Fatalf("subscriber %d: %+v", i, f)
			}
		}
		everybody := func(want ...string) {
			t.Helper()
			for i, sub := range subscribers {
				for _, w := range want {
					f := sub.next()
					got := f.event
					if f.id == -1 {
						got = regionsText(t, f)
					}
					if got != prefix(i)+w {
						t.Fatalf("subscriber %d: %s, want %s", i, got, prefix(i)+w)
					}
				}
			}
		}
		lease := e.lease("fsn1", "one")
		everybody("regions fsn1 fresh one")
		e.post(upsert(node("n", "y")), "Flow-Lease", lease)
		e.lease("fsn1", "one")
		everybody("upsert-nodes")
		e.claim("fsn1", `{"cluster":"two"}`)
		everybody("regions fsn1 fresh one refused two")
		e.do("DELETE", "/v1/flows/F/regions/fsn1", "")
		e.post(upsert(node("n", "z")))
		everybody("regions", "upsert-nodes")
	})
}

func TestRegions_ChangeTheETag(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	e.post(upsert(node("n", "x")))
	tag := func() string { return e.do("GET", "/v1/flows/F/snapshot", "").header.Get("ETag") }
	before, body := tag(), e.snapshot()
	status := func(etag, encoding string) int {
		return e.do("GET", "/v1/flows/F/snapshot", "", "If-None-Match", etag, "Accept-Encoding", encoding).status
	}
	e.lease("fsn1", "one")
	after := tag()
	if after == before || e.snapshot() != body {
		t.Errorf("the ETag is %s after %s, the snapshot\n%s\nafter\n%s", after, before, e.snapshot(), body)
	}
	e.lease("fsn1", "one")
	for _, encoding := range []string{"gzip", "identity"} {
		if old, current := status(before, encoding), status(after, encoding); old != 200 || current != 304 {
			t.Errorf("%s: status %d with the old ETag, %d with the current one", encoding, old, current)
		}
	}
	if tag() != after {
		t.Error("a renewal changed the ETag")
	}
}

func TestRegions_AreTheClaimsOfAnExistingFlow(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	if a := e.do("GET", "/v1/flows/F/regions", ""); a.status != 404 {
		t.Errorf("%d of a flow that does not exist", a.status)
	}
	e.post(upsert(node("n", "x")))
	read := func() claims.Regions {
		var got claims.Regions
		if err := json.Unmarshal([]byte(e.do("GET", "/v1/flows/F/regions", "").body), &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := read(); len(got.Regions) != 0 || got.At == 0 {
		t.Errorf("%+v without claims", got)
	}
	e.lease("fsn1", "one")
	if got := read().Regions["fsn1"]; got.State != claims.Fresh || got.Cluster != "one" || got.LastSeen == 0 {
		t.Errorf("%+v", got)
	}
}
