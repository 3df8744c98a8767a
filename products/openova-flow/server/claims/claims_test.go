package claims_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

const ttl = 30 * time.Second

// set is a Set whose leases are l1, l2 and so on.
type set struct {
	claims.Set
	leases int
}

func (s *set) claim(region, cluster string, now int64, admin bool) (claims.Lease, error) {
	return s.Claim(record.Claim{Region: region, Cluster: cluster, TTL: ttl, Admin: admin}, now, func() string {
		s.leases++
		return fmt.Sprint("l", s.leases)
	})
}

func (s *set) regions(t *testing.T, now int64) map[string]claims.Region {
	t.Helper()
	var r claims.Regions
	if err := json.Unmarshal(s.JSON(now), &r); err != nil || r.At != now {
		t.Fatalf("%s: %v", s.JSON(now), err)
	}
	return r.Regions
}

func TestSet_OneClusterHoldsARegion(t *testing.T) {
	var s set
	for i, step := range []struct {
		now     int64
		cluster string
		admin   bool
		lease   string // empty: refused
		expired bool
	}{
		{0, "a", false, "l1", false},
		{10_000, "a", false, "l1", false},
		{39_999, "b", true, "", false},
		{40_000, "b", false, "", true},
		{40_000, "b", true, "l2", true},
		{40_000, "a", true, "", false},
		{90_000, "b", false, "l2", false},
	} {
		if r, claimed := s.regions(t, step.now)["r"]; claimed && r.Refused != nil && r.Refused.Cluster == r.Cluster {
			t.Errorf("step %d: %s holds the region, but is listed as refused", i, r.Cluster)
		}
		lease, err := s.claim("r", step.cluster, step.now, step.admin)
		var held *claims.HeldError
		switch {
		case step.lease != "":
			if want := (claims.Lease{ID: step.lease, TTL: ttl, ExpiresAt: step.now + 30_000}); err != nil || lease != want {
				t.Errorf("step %d: %+v, %v, want %+v", i, lease, err, want)
			}
		case !errors.As(err, &held) || held.Region != "r" || held.Expired != step.expired:
			t.Errorf("step %d: %+v, want a refusal, expired: %v", i, err, step.expired)
		}
	}
}

func TestSet_Expire(t *testing.T) {
	var s set
	if s.Next() != 0 || s.Digest() != 0 || s.Len() != 0 {
		t.Fatalf("an empty set expires at %d, digest %d, %d claims", s.Next(), s.Digest(), s.Len())
	}
	for _, c := range []struct {
		region string
		now    int64
	}{{"r2", 1000}, {"r1", 2000}} {
		if _, err := s.claim(c.region, "a", c.now, false); err != nil {
			t.Fatal(err)
		}
	}
	digest := s.Digest()
	if found, changed := s.Renew("l1", nil, 5000); !found || changed || s.Digest() != digest || digest <= 0 {
		t.Errorf("a renewal in time: found %v, changed %v, digest %d, then %d", found, changed, digest, s.Digest())
	}
	if found, _ := s.Renew("l1", []string{"r1"}, 6000); found {
		t.Error("a request that is bound to r1 renewed r2")
	}
	if next := s.Next(); next != 32_000 {
		t.Errorf("expires at %d, want 32000, when r1 does", next)
	}
	s.Expire(31_999)
	if fresh, stale := s.Count(); fresh != 2 || stale != 0 {
		t.Errorf("%d fresh, %d stale before any expires", fresh, stale)
	}
	s.Expire(32_000)
	want := map[string]claims.Region{
		"r1": {State: claims.Stale, Since: 32_000, LastSeen: 2000, Cluster: "a"},
		"r2": {State: claims.Fresh, Since: 1000, LastSeen: 5000, Cluster: "a"},
	}
	if got := s.regions(t, 32_500); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := s.StaleLastSeen(); !reflect.DeepEqual(got, map[string]int64{"r1": 2000}) {
		t.Errorf("stale regions were last seen at %v", got)
	}
	if fresh, stale := s.Count(); fresh != 1 || stale != 1 || s.Digest() == digest || s.Next() != 35_000 {
		t.Errorf("%d fresh, %d stale, digest %d, next at %d", fresh, stale, s.Digest(), s.Next())
	}
	if found, changed := s.Renew("l2", nil, 33_000); !found || !changed || s.regions(t, 33_000)["r1"].Since != 33_000 {
		t.Errorf("a renewal after the expiry: found %v, changed %v, %+v", found, changed, s.regions(t, 33_000))
	}
	s.Drop("r1")
	if s.Drop("r3"); s.Len() != 1 || s.Has("r1") || !s.Has("r2") {
		t.Errorf("%d claims after one of two was dropped", s.Len())
	}
}

func TestSet_RenewalInTimeCountsAfterAnExpiryByAFastClock(t *testing.T) {
	var s set
	if _, err := s.claim("r", "a", 1000, false); err != nil {
		t.Fatal(err)
	}
	s.Expire(31_000)
	if found, changed := s.Renew("l1", nil, 30_999); !found || !changed {
		t.Errorf("found %v, changed %v", found, changed)
	}
	if got, want := s.regions(t, 31_000)["r"], (claims.Region{State: claims.Fresh, Since: 1000, LastSeen: 30_999, Cluster: "a"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestSet_Attempts(t *testing.T) {
	var s set
	refused := func(now int64) *claims.Refused { return s.regions(t, now)["r"].Refused }
	try := func(cluster string, now int64) {
		if _, err := s.claim("r", cluster, now, false); err == nil {
			t.Fatalf("%s got the lease at %d", cluster, now)
		}
	}
	if _, err := s.claim("r", "a", 0, false); err != nil {
		t.Fatal(err)
	}
	try("b", 1000)
	try("c", 2000)
	try("b", 3000)
	if got := refused(3000); got == nil || *got != (claims.Refused{Cluster: "b", At: 3000}) {
		t.Errorf("%+v, want b, which tried first, at 3000", got)
	}
	if _, err := s.claim("r", "a", 20_000, false); err != nil || refused(20_000) == nil {
		t.Errorf("%v, %+v: a renewal forgot the attempt", err, refused(20_000))
	}
	if s.Next() != 33_000 {
		t.Errorf("next at %d, want 33000, when the attempt is forgotten", s.Next())
	}
	if s.Expire(33_000); refused(33_000) != nil || s.Next() != 50_000 {
		t.Errorf("%+v, next at %d", refused(33_000), s.Next())
	}
	try("c", 34_000)
	try("b", 63_999)
	if got := refused(63_999); got == nil || got.Cluster != "c" {
		t.Errorf("%+v, want c", got)
	}
	try("b", 64_000) // without a call of Expire before
	if got := refused(64_000); got == nil || *got != (claims.Refused{Cluster: "b", At: 64_000}) {
		t.Errorf("%+v, want b, as the attempt of c is over", got)
	}
}

func TestSet_Restore(t *testing.T) {
	var s set
	for _, region := range []string{"r2", "r1"} {
		if _, err := s.claim(region, "a", 1000, false); err != nil {
			t.Fatal(err)
		}
	}
	saved := s.Saved()
	same := claims.Restore(saved, 2000, false)
	if same.Digest() != s.Digest() || !reflect.DeepEqual(same.Saved(), saved) {
		t.Errorf("%+v, want %+v", same.Saved(), saved)
	}
	expired := claims.Restore(saved, 31_000, false)
	if _, stale := expired.Count(); stale != 2 {
		t.Errorf("%d stale, want both, since they have expired", stale)
	}
	restarted := set{Set: claims.Restore(saved, 2000, true), leases: 2}
	if _, stale := restarted.Count(); stale != 2 || restarted.regions(t, 2000)["r1"].Since != 2000 || restarted.Saved()[0].Loaded != 2000 {
		t.Errorf("after a start: %+v", restarted.regions(t, 2000))
	}
	var held *claims.HeldError
	if _, err := restarted.claim("r1", "b", 31_999, true); !errors.As(err, &held) || held.Expired {
		t.Errorf("%v, want a refusal: the holder could not renew before the start", err)
	}
	if _, err := restarted.claim("r1", "b", 32_000, true); err != nil {
		t.Errorf("%v, a whole TTL after the start", err)
	}
	if _, changed := restarted.Renew("l1", nil, 32_000); !changed || restarted.Saved()[1].Loaded != 0 || restarted.regions(t, 32_000)["r2"].Since != 32_000 {
		t.Errorf("after a renewal: %+v", restarted.regions(t, 32_000))
	}
}
