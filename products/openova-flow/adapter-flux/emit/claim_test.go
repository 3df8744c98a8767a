package emit

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

func withRealServer(t *testing.T, f func(t *testing.T, s *realServer)) {
	synctest.Test(t, func(t *testing.T) {
		s := &realServer{}
		s.restart()
		f(t, s)
	})
}

// region returns the claim of region r1 on the server, or nil if there is none.
func (s *realServer) region(t *testing.T) *claims.Region {
	t.Helper()
	reader, err := s.hub.Follow("F", 0, false)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	_, data, _ := strings.Cut(string(reader.Take().Frames[0]), "data: ")
	var all claims.Regions
	if err := json.Unmarshal([]byte(data), &all); err != nil {
		t.Fatal(err)
	}
	if r, ok := all.Regions["r1"]; ok {
		return &r
	}
	return nil
}

// calls records requests in order, as method and path below the flow. It is safe for concurrent use.
type calls struct {
	mu   sync.Mutex
	list []string
}

func (c *calls) note(req *http.Request, _ []byte) *fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, req.Method+" "+strings.TrimPrefix(req.URL.Path, "/v1/flows/F"))
	return nil
}

func (c *calls) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.list
	c.list = nil
	return out
}

func TestClaim_PrecedesTheFirstPost(t *testing.T) {
	withRealServer(t, func(t *testing.T, s *realServer) {
		g := newRig(t, s)
		var seen calls
		g.injectFaults(seen.note)
		g.em.Lead(1)
		g.run()
		g.settle(time.Minute)
		if got := seen.take(); len(got) != 0 {
			t.Errorf("requests before Loaded: %v", got)
		}
		g.em.Loaded()
		g.change(g.region.upsert("", "running"), g.region.upsert("a", "running"))
		g.drain()
		if got := strings.Join(seen.take(), ", "); got != "PUT /regions/r1, GET /snapshot, POST /events" {
			t.Errorf("requests: %s", got)
		}
		if lease := g.allPosts()[0].header.Get("Flow-Lease"); lease == "" {
			t.Error("the POST has no lease")
		}
		if r := s.region(t); r == nil || r.Cluster != "uid-ours" || r.State != claims.Fresh {
			t.Errorf("%+v", r)
		}
		g.settle(DefaultTTL / 3 * 6)
		if got := strings.Join(seen.take(), ", "); got != strings.TrimSuffix(strings.Repeat("PUT /regions/r1, ", 6), ", ") {
			t.Errorf("requests in a minute without changes: %s", got)
		}
		for range 20 {
			g.change(g.region.upsert("a", time.Now().String()))
			g.settle(time.Second)
		}
		for _, call := range seen.take() {
			if call != "POST /events" {
				t.Errorf("%s though POSTs renew the claim", call)
			}
		}
		_ = g.stop()
	})
}

func TestClaim_RenewalCountsAsSuccess(t *testing.T) {
	withRealServer(t, func(t *testing.T, s *realServer) {
		g := newRig(t, s)
		g.lead()
		g.change(g.region.upsert("a", "running"))
		g.drain()
		g.settle(time.Minute)
		at := time.UnixMilli(int64(1000 * testutil.ToFloat64(g.em.metrics.success)))
		if age := time.Since(at); age > DefaultTTL/3+time.Second {
			t.Errorf("the last success was %v ago", age)
		}
		_ = g.stop()
	})
}

func TestRun_StopsPostingToAClaimedRegion(t *testing.T) {
	withRealServer(t, func(t *testing.T, s *realServer) {
		g := newRig(t, s)
		theirs := record.Claim{FlowID: "F", Region: "r1", Cluster: "uid-theirs"}
		claim := func() {
			if _, err := s.hub.Claim(theirs); err != nil {
				t.Fatal(err)
			}
		}
		claim()
		g.region.fold(g.region.upsert("", "running"), g.region.upsert("a", "running"))
		g.lead()
		for range 60 { // the other cluster renews its claim
			g.settle(10 * time.Second)
			claim()
			if r := s.region(t); r.Refused == nil || r.Refused.Cluster != "uid-ours" {
				t.Fatalf("the server does not show the refused claim: %+v", r)
			}
		}
		g.settle(time.Hour) // the claim expires, but the region is still the other cluster's
		if n := len(g.allPosts()); n != 0 {
			t.Errorf("%d POSTs", n)
		}
		g.wantReadyError("uid-theirs")
		g.wantReadyError("uid-ours")
		if g.log.count("another cluster") != 1 || g.log.count("cluster=uid-theirs own=uid-ours") != 1 || testutil.ToFloat64(g.em.metrics.conflict) != 1 {
			t.Errorf("the conflict is not in the log once with both, or not in the metric: %v", g.log.lines)
		}
		g.direct(t, http.MethodDelete, "/regions/r1", "")
		g.settle(DefaultTTL)
		g.wantSameState()
		g.wantReadyError("")
		if testutil.ToFloat64(g.em.metrics.conflict) != 0 {
			t.Error("the metric still shows a conflict")
		}

		g.direct(t, http.MethodDelete, "/regions/r1", "") // the region is deleted, and the other cluster claims it
		claim()
		before := len(g.applied())
		g.change(g.region.upsert("a", "failed"))
		g.settle(time.Minute)
		g.wantReadyError("uid-theirs")
		if len(g.applied()) != before || g.log.count("another cluster") != 2 {
			t.Errorf("%d POSTs into another cluster's region", len(g.applied())-before)
		}
		if err := g.stop(); err == nil {
			t.Error("Run returned no error though changes are unconfirmed")
		}
	})
}

// TestClaim_LostLeaseIsClaimedAgainAndThePostRepeated deletes the region on the server while the emitter has nothing to send.
func TestClaim_LostLeaseIsClaimedAgainAndThePostRepeated(t *testing.T) {
	withRealServer(t, func(t *testing.T, s *realServer) {
		g := newRig(t, s)
		g.lead()
		g.change(g.region.upsert("a", "running"))
		g.drain()
		g.settle(time.Second)
		if _, err := s.hub.DeleteRegion("F", "r1"); err != nil {
			t.Fatal(err)
		}
		var seen calls
		g.injectFaults(seen.note)
		before := len(g.allPosts())
		g.change(g.region.upsert("a", "succeeded"))
		g.drain()
		if got := strings.Join(seen.take(), ", "); got != "POST /events, PUT /regions/r1, POST /events" {
			t.Errorf("requests: %s", got)
		}
		posts := g.allPosts()[before:]
		if posts[0].body != posts[1].body || posts[0].header.Get("Flow-Emitter") != posts[1].header.Get("Flow-Emitter") || posts[0].header.Get("Flow-Lease") == posts[1].header.Get("Flow-Lease") {
			t.Errorf("%+v", posts)
		}
		if n := testutil.ToFloat64(g.em.metrics.posts.WithLabelValues("unleased")); n != 1 {
			t.Errorf("the metric counts %v", n)
		}
		_ = g.stop()
	})
}

// TestClaim_RejectedLeaseIsNotRetriedInALoop uses a server that rejects the lease of every POST.
func TestClaim_RejectedLeaseIsNotRetriedInALoop(t *testing.T) {
	withRealServer(t, func(t *testing.T, s *realServer) {
		g := newRig(t, s)
		g.injectFaults(func(req *http.Request, _ []byte) *fault {
			if req.Method != http.MethodPost {
				return nil
			}
			return &fault{status: 409, header: map[string]string{"Content-Type": "application/problem+json"}, body: `{"field":"Flow-Lease"}`}
		})
		g.lead()
		g.change(g.region.upsert("a", "running"))
		g.settle(10 * time.Minute)
		if n := len(g.allPosts()); n < 20 || n > 120 {
			t.Errorf("%d POSTs in ten minutes", n)
		}
		g.wantReadyError("loses the claim of the region")
		g.injectFaults(nil)
		g.drain()
		g.wantReadyError("")
		_ = g.stop()
	})
}

// TestClaim_NotRenewedWhileChangesAreRejected uses a server that answers POSTs with 503 and accepts all other requests.
func TestClaim_NotRenewedWhileChangesAreRejected(t *testing.T) {
	withRealServer(t, func(t *testing.T, s *realServer) {
		g := newRig(t, s)
		g.lead()
		g.change(g.region.upsert("a", "running"))
		g.drain()
		broken := func(req *http.Request, _ []byte) *fault {
			if req.Method == http.MethodPost {
				return &fault{status: http.StatusServiceUnavailable}
			}
			return nil
		}
		g.injectFaults(broken)
		g.change(g.region.upsert("a", "succeeded"))
		g.settle(5 * time.Minute)
		if age := time.Since(time.UnixMilli(s.region(t).LastSeen)); age < 4*time.Minute {
			t.Errorf("the region's state is five minutes old, but it was last seen %s ago", age)
		}
		g.injectFaults(nil)
		g.drain()
		if age := time.Since(time.UnixMilli(s.region(t).LastSeen)); age > time.Second {
			t.Errorf("last seen %s ago", age)
		}
		_ = g.stop()
	})
}

func TestRun_EmptyServerGetsEverythingAgain(t *testing.T) {
	withRealServer(t, func(t *testing.T, s *realServer) {
		g := newRig(t, s)
		g.lead()
		g.change(g.region.upsert("a", "running"))
		g.drain()
		s.restart()
		if s.region(t) != nil {
			t.Error("an empty server has the region")
		}
		g.settle(10 * time.Second)
		if r := s.region(t); r == nil || r.State != claims.Fresh {
			t.Errorf("%+v", r)
		}
		g.wantSameState()
		g.wantReadyError("")
		_ = g.stop()
	})
}

func TestClaim_ForbiddenTokenIsReportedByReady(t *testing.T) {
	withRealServer(t, func(t *testing.T, s *realServer) {
		g := newRig(t, s)
		broken := func(req *http.Request, _ []byte) *fault {
			if req.Method == http.MethodPut {
				return &fault{status: http.StatusForbidden, header: map[string]string{"Content-Type": "application/problem+json"}, body: `{"detail":"\"r1\" does not belong to the regions of the token (r2)","field":"region"}`}
			}
			return nil
		}
		g.injectFaults(broken)
		g.change(g.region.upsert("a", "running"))
		g.lead()
		g.settle(10 * time.Minute)
		g.wantReadyError("(403)")
		g.wantReadyError("regions of the token (r2)")
		if n := g.log.count("(403)"); n != 1 || len(g.allPosts()) != 0 {
			t.Errorf("%d lines, %d POSTs", n, len(g.allPosts()))
		}
		g.injectFaults(nil)
		g.drain()
		g.wantReadyError("")
		g.injectFaults(broken) // the permission is withdrawn
		g.settle(10 * time.Minute)
		g.wantReadyError("(403)")
		if n := g.log.count("(403)"); n != 2 {
			t.Errorf("%d lines", n)
		}
		_ = g.stop()
	})
}

func TestSetBlind_ClaimIsNotRenewedWhileBlind(t *testing.T) {
	withRealServer(t, func(t *testing.T, s *realServer) {
		g := newRig(t, s)
		g.lead()
		defer g.stop()
		g.change(g.region.upsert("a", "running"))
		g.drain()
		var seen calls
		g.injectFaults(seen.note)
		renewed := func() (n int) {
			for _, call := range seen.take() {
				if !strings.HasPrefix(call, "GET ") {
					n++
				}
			}
			return n
		}
		g.settle(DefaultTTL)
		if n := renewed(); n != 3 {
			t.Errorf("renewed %d times in %v while the API server answers", n, DefaultTTL)
		}
		g.em.SetBlind(true)
		g.em.SetBlind(true)
		g.settle(time.Hour)
		if n := renewed(); n != 0 {
			t.Errorf("renewed %d times while the API server does not answer", n)
		}
		g.em.SetBlind(false)
		synctest.Wait()
		if n := renewed(); n != 1 {
			t.Errorf("renewed %d times at once after the API server's first answer", n)
		}
		if g.log.count("not renewing the claim") != 1 || g.log.count("answers again") != 1 {
			t.Errorf("log:\n%v", g.log.lines)
		}
	})
}

func TestSetBlind_EmptiedServerGetsTheRegionAndOneClaim(t *testing.T) {
	withRealServer(t, func(t *testing.T, s *realServer) {
		g := newRig(t, s)
		g.lead()
		defer g.stop()
		g.change(g.region.upsert("a", "running"))
		g.drain()
		g.em.SetBlind(true)
		g.settle(time.Hour)
		s.restart()
		g.settle(time.Minute)
		g.wantSameState()
		if r := s.region(t); r == nil || r.LastSeen > time.Now().Add(-DefaultTTL).UnixMilli() {
			t.Errorf("the region is %+v, want one claim and no renewal", r)
		}
	})
}

func TestClaim_RefusedClaimIsRepeatedLessOften(t *testing.T) {
	withRealServer(t, func(t *testing.T, s *realServer) {
		if _, err := s.hub.Claim(record.Claim{FlowID: "F", Region: "r1", Cluster: "uid-theirs", TTL: record.MaxTTL}); err != nil {
			t.Fatal(err)
		}
		g := newRig(t, s)
		g.lead()
		g.settle(time.Minute)
		var seen calls
		g.injectFaults(seen.note)
		g.settle(10 * time.Minute)
		// Every two thirds of the TTL and up to a second more, so that the server keeps showing this cluster as refused.
		if n := len(seen.take()); n < 27 || n > 31 {
			t.Errorf("%d claims in ten minutes", n)
		}
		_ = g.stop()
	})
}
