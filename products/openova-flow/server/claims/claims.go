// Package claims keeps the claims of a flow: which cluster has each region, which may claim it, when a claim expires, and the state that readers see.
//
// It has no clock, timers or locks: the caller passes the time, in Unix milliseconds, and serializes writes with reads. Which cluster has a region depends
// only on the times passed to Claim, to Renew and, after a restart, to Restore. Hubs of one log pass the times in the log to Claim and Renew, so that they
// agree. Other times may be those of a hub's own clock.
package claims

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// Set is the claims of one flow. The zero value is empty. It may be read by several goroutines while none changes it.
type Set struct {
	list []claim // by region
}

// claim is the claim of a region by a cluster. Times are Unix milliseconds.
type claim struct {
	region, cluster, lease string
	ttl                    int64 // milliseconds
	renewedAt              int64 // when it was last renewed
	since                  int64 // start of its current unbroken series of renewals
	staleSince             int64 // when it expired or, if earlier, a restarted hub loaded it; 0: fresh
	loaded                 int64 // when a hub loaded it from a file; 0 once it is renewed
	refused                *attempt
}

// attempt is a cluster that tries to claim a region of another.
type attempt struct {
	cluster string
	at      int64 // when it last tried
	until   int64 // when the attempt is forgotten
}

// Lease is the answer to a claim.
type Lease struct {
	ID        string
	TTL       time.Duration
	ExpiresAt int64 // Unix milliseconds
}

// HeldError refuses a claim of a region that another cluster holds.
type HeldError struct {
	Region, Cluster string // Cluster holds Region
	LastSeen        int64  // when the claim was last renewed, Unix milliseconds
	Expired         bool
}

func (e *HeldError) Error() string {
	if e.Expired {
		return fmt.Sprintf("region %q belongs to cluster %s, whose claim has expired; delete the region, or claim it as an admin, to give it to another cluster", e.Region, e.Cluster)
	}
	return fmt.Sprintf("region %q belongs to cluster %s, which renews its claim; give one of the two clusters another region", e.Region, e.Cluster)
}

// Len returns how many claims there are.
func (s *Set) Len() int { return len(s.list) }

// Count returns how many claims are fresh, and how many are stale.
func (s *Set) Count() (fresh, stale int64) {
	for i := range s.list {
		if s.list[i].staleSince != 0 {
			stale++
		}
	}
	return int64(len(s.list)) - stale, stale
}

func (s *Set) find(region string) (at int, found bool) {
	return slices.BinarySearchFunc(s.list, region, func(c claim, r string) int { return strings.Compare(c.region, r) })
}

// Has reports whether a region is claimed.
func (s *Set) Has(region string) bool {
	_, found := s.find(region)
	return found
}

// Claim gives a cluster the lease of a region, or renews it: a cluster gets the same lease until the claim is dropped or taken over. newLease
// makes the id of a new lease. If another cluster holds the region, Claim fails with a *HeldError and records the attempt, unless a third cluster keeps
// trying; but if the claim has expired and q.Admin is set, the cluster takes the region over.
func (s *Set) Claim(q record.Claim, now int64, newLease func() string) (Lease, error) {
	ttl := cmp.Or(q.TTL, record.DefaultTTL)
	at, found := s.find(q.Region)
	if !found {
		s.list = slices.Insert(s.list, at, claim{region: q.Region, cluster: q.Cluster, lease: newLease(), ttl: ttl.Milliseconds(), renewedAt: now, since: now})
	}
	c := &s.list[at]
	if c.cluster != q.Cluster {
		expired := now >= max(c.renewedAt, c.loaded)+c.ttl // before the hub loaded the claim, its cluster could not renew it
		if !expired || !q.Admin {
			c.refuse(q.Cluster, now, now+ttl.Milliseconds())
			return Lease{}, &HeldError{Region: c.region, Cluster: c.cluster, LastSeen: c.renewedAt, Expired: expired}
		}
		c.cluster, c.lease, c.since, c.refused = q.Cluster, newLease(), now, nil
	}
	c.renew(now)
	c.ttl = ttl.Milliseconds()
	return Lease{ID: c.lease, TTL: ttl, ExpiresAt: c.expires()}, nil
}

// Leased returns the region of a lease. If regions is not nil, the region must be one of them.
func (s *Set) Leased(lease string, regions []string) (region string, ok bool) {
	if c := s.leased(lease, regions); c != nil {
		return c.region, true
	}
	return "", false
}

func (s *Set) leased(lease string, regions []string) *claim {
	for i := range s.list {
		if c := &s.list[i]; c.lease == lease && (regions == nil || slices.Contains(regions, c.region)) {
			return c
		}
	}
	return nil
}

// Renew renews the claim that Leased finds. It reports whether there is one, and whether its state changed.
func (s *Set) Renew(lease string, regions []string, now int64) (found, changed bool) {
	c := s.leased(lease, regions)
	if c == nil {
		return false, false
	}
	return true, c.renew(now)
}

// Expire marks expired claims as stale, and removes old attempts.
func (s *Set) Expire(now int64) {
	for i := range s.list {
		c := &s.list[i]
		if c.staleSince == 0 && now >= c.expires() {
			c.staleSince = c.expires()
		}
		if c.refused != nil && now >= c.refused.until {
			c.refused = nil
		}
	}
}

// Next returns when Expire has to be called next, 0 for never.
func (s *Set) Next() (next int64) {
	soonest := func(at int64) {
		if next == 0 || at < next {
			next = at
		}
	}
	for i := range s.list {
		c := &s.list[i]
		if c.staleSince == 0 {
			soonest(c.expires())
		}
		if c.refused != nil {
			soonest(c.refused.until)
		}
	}
	return next
}

// Drop drops the claim of a region, if there is one.
func (s *Set) Drop(region string) {
	if at, found := s.find(region); found {
		s.list = slices.Delete(s.list, at, at+1)
	}
}

// StaleLastSeen returns, by region, when each stale claim was last renewed.
func (s *Set) StaleLastSeen() map[string]int64 {
	seen := make(map[string]int64)
	for i := range s.list {
		if c := &s.list[i]; c.staleSince != 0 {
			seen[c.region] = c.renewedAt
		}
	}
	return seen
}

// Digest returns a digest of the state of the claims, without the times of the last renewal and attempt: 0 for no claims, never negative, and the same
// at all hubs of a log at which the same claims and attempts have expired.
func (s *Set) Digest() int64 {
	if len(s.list) == 0 {
		return 0
	}
	sum := fnv.New64a()
	for i := range s.list {
		c := &s.list[i]
		refused := ""
		if c.refused != nil {
			refused = c.refused.cluster
		}
		fmt.Fprintf(sum, "%q %q %q %v %d\n", c.region, c.cluster, refused, c.staleSince != 0, c.changedAt())
	}
	return int64(sum.Sum64() >> 1)
}

func (c *claim) expires() int64 { return c.renewedAt + c.ttl }

// changedAt returns when the claim entered its current state.
func (c *claim) changedAt() int64 { return cmp.Or(c.staleSince, c.since) }

// renew renews the claim, and reports whether its state changed.
func (c *claim) renew(now int64) (changed bool) {
	expired := c.loaded != 0 || now >= c.expires() // not staleSince, which depends on the clock of one hub
	changed = expired || c.staleSince != 0
	if expired {
		c.since, c.loaded = now, 0
	}
	c.renewedAt, c.staleSince = now, 0
	return changed
}

// refuse records an attempt. While one cluster keeps trying, the attempts of other clusters are not recorded.
func (c *claim) refuse(cluster string, now, until int64) {
	switch {
	case c.refused == nil || now >= c.refused.until:
		c.refused = &attempt{cluster: cluster}
	case c.refused.cluster != cluster:
		return
	}
	c.refused.at, c.refused.until = now, until
}
