package hub

import (
	"cmp"
	"container/heap"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// perClaim is about how many bytes a claim takes, what its region and cluster are called included.
const perClaim = 1024

// Lease is the answer to a Claim.
type Lease struct {
	ID        string
	TTL       time.Duration
	ExpiresAt int64 // Unix milliseconds
}

// ClaimError refuses a claim of a region that another cluster has.
type ClaimError struct {
	Region, Cluster string // the cluster that has it
	Heard           int64  // when it last spoke for the region, Unix milliseconds
	Expired         bool
}

func (e *ClaimError) Error() string {
	if e.Expired {
		return fmt.Sprintf("the region %q is that of cluster %s, which has ceased to renew its claim; delete the region, or claim it as an admin, to give it to another", e.Region, e.Cluster)
	}
	return fmt.Sprintf("the region %q is that of cluster %s, which renews its claim; give one of the two clusters another region", e.Region, e.Cluster)
}

// LeaseError refuses a request with a lease that is not the flow's, or is not any longer.
type LeaseError struct{}

func (*LeaseError) Error() string {
	return "no region of the flow has this lease (any longer); claim the region again, then repeat the request with the lease that you get"
}

// claim is what a cluster has said of a region. The lock of its topic guards it.
type claim struct {
	topic                  *topic
	region, cluster, lease string
	ttl                    int64 // milliseconds, like all that follows
	heard                  int64
	since                  int64 // since when it is renewed in time
	lapsed                 int64 // since when it is not
	stale                  bool
	loaded                 int64 // when the hub started with it; 0: it has been renewed since
	refused                *attempt
	scheduled              int64 // when the hub looks at it next; 0: not at all

	due   int64 // guarded by the hub's order, like index: its place in the heap
	index int
}

// claimed is the claims of a flow.
type claimed struct {
	list []*claim // by region
	told atomic.Pointer[regionsFrame]
}

// claims returns the claims by region. t.mu is held, for reading at least.
func (t *topic) claims() []*claim {
	if t.claimed == nil {
		return nil
	}
	return t.claimed.list
}

func (t *topic) addClaim(at int, c *claim) {
	if t.claimed == nil {
		t.claimed = new(claimed)
	}
	t.claimed.list = slices.Insert(t.claimed.list, at, c)
}

// attempt is another identity that tries to have a region.
type attempt struct {
	cluster string
	at      int64 // when it last tried
	until   int64 // when it counts as having given up
}

func (c *claim) expires() int64 { return c.heard + c.ttl }

// changedAt is since when the claim is stale, or is not.
func (c *claim) changedAt() int64 {
	if c.stale {
		return c.lapsed
	}
	return c.since
}

// next is when something changes by itself, 0 when nothing does.
func (c *claim) next() int64 {
	at := int64(0)
	if !c.stale {
		at = c.expires()
	}
	if c.refused != nil && (at == 0 || c.refused.until < at) {
		at = c.refused.until
	}
	return at
}

// Claim gives a cluster the lease of a region, or renews it: one identity always gets the same, until it is dropped. It fails with a
// *ClaimError when the region is another's, or a *LimitError, and with a Log also with what its Append fails with.
func (h *Hub) Claim(q Claim) (Lease, error) {
	if err := h.admitsClaim(q); err != nil {
		return Lease{}, err
	}
	// Renewals and refusals are changes too: all hubs of a log are to know when a cluster spoke last, and who else tries.
	out, err := h.change(Command{Kind: record.KindClaim, Claim: q})
	return out.Lease, cmp.Or(err, out.Err)
}

// claim takes a claim in; lease makes what it gets if it is new. h.order and t.mu are held.
func (t *topic) claim(q Claim, now int64, lease func() string) (Lease, error) {
	ttl := cmp.Or(q.TTL, DefaultTTL)
	at, found := t.findClaim(q.Region)
	switch {
	case !found:
		c := &claim{topic: t, region: q.Region, cluster: q.Cluster, lease: lease(), ttl: ttl.Milliseconds(), since: now, heard: now, index: -1}
		t.addClaim(at, c)
		t.hub.countClaim(c, 1)
		t.account()
		defer t.regionsChanged()
	case t.claims()[at].cluster == q.Cluster:
	default:
		c := t.claims()[at]
		expired := now >= max(c.heard, c.loaded)+c.ttl // nobody could renew it before the hub started
		if !expired || !q.Admin {
			t.refuseClaim(c, q.Cluster, now, now+ttl.Milliseconds())
			return Lease{}, &ClaimError{Region: c.region, Cluster: c.cluster, Heard: c.heard, Expired: expired}
		}
		c.cluster, c.lease, c.since, c.refused = q.Cluster, lease(), now, nil
		defer t.regionsChanged()
	}
	c := t.claims()[at]
	t.renew(c, now)
	c.ttl = ttl.Milliseconds()
	t.hub.lapses.schedule(c)
	return Lease{ID: c.lease, TTL: ttl, ExpiresAt: c.expires()}, nil
}

// refuseClaim notes that another identity wants a region. While one goes on trying, that one is named. t.mu is held.
func (t *topic) refuseClaim(c *claim, cluster string, now, until int64) {
	t.hub.Stats.ClaimsRefused.Add(1)
	switch {
	case c.refused == nil || now >= c.refused.until:
		c.refused = &attempt{cluster: cluster}
		defer t.regionsChanged()
	case c.refused.cluster != cluster:
		return
	}
	c.refused.at, c.refused.until = now, until
	t.hub.lapses.schedule(c)
}

// renew notes that the cluster speaks for its region. Without a claim it does nothing. t.mu is held.
func (t *topic) renew(c *claim, now int64) {
	if c == nil {
		return
	}
	late, said := c.loaded != 0 || now >= c.expires(), c.stale
	if late { // whether or not the hub has found so yet
		c.since, c.loaded = now, 0
	}
	c.heard = now
	t.hub.changes.Add(1)
	t.heard.Store(now)
	t.spoken = now
	if said {
		t.hub.countClaim(c, -1)
		c.stale = false
		t.hub.countClaim(c, 1)
	}
	t.hub.lapses.schedule(c)
	if late || said {
		t.regionsChanged()
	}
}

// lapse makes of a claim what time has made of it. t.mu is held.
func (t *topic) lapse(c *claim, now int64) {
	c.scheduled = 0
	if !slices.Contains(t.claims(), c) {
		return
	}
	changed := false
	if !c.stale && now >= c.expires() {
		t.hub.countClaim(c, -1)
		c.stale, c.lapsed, changed = true, c.expires(), true
		t.hub.countClaim(c, 1)
	}
	if c.refused != nil && now >= c.refused.until {
		c.refused, changed = nil, true
	}
	t.hub.lapses.schedule(c)
	if changed {
		t.regionsChanged()
	}
}

func (t *topic) findClaim(region string) (at int, found bool) {
	return slices.BinarySearchFunc(t.claims(), region, func(c *claim, r string) int { return strings.Compare(c.region, r) })
}

// leased returns the claim that has the lease of a request, or nil: one that is bound to regions has none of others. t.mu is held.
func (t *topic) leased(p Post) *claim {
	for _, c := range t.claims() {
		if c.lease == p.Lease && (p.Regions == nil || slices.Contains(p.Regions, c.region)) {
			return c
		}
	}
	return nil
}

// dropClaim gives a region up, whoever has it. t.mu is held.
func (t *topic) dropClaim(region string) {
	if at, found := t.findClaim(region); found {
		t.forgetClaim(t.claims()[at])
		t.claimed.list = slices.Delete(t.claimed.list, at, at+1)
		t.account()
		t.regionsChanged()
	}
}

// dropClaims gives all regions up. t.mu is held.
func (t *topic) dropClaims() {
	if len(t.claims()) == 0 {
		return
	}
	for _, c := range t.claims() {
		t.forgetClaim(c)
	}
	t.claimed = nil
	t.account()
	t.regionsChanged()
}

func (t *topic) forgetClaim(c *claim) {
	t.hub.countClaim(c, -1)
	t.hub.lapses.remove(c)
}

func (h *Hub) countClaim(c *claim, n int64) {
	if c.stale {
		h.Stats.RegionsStale.Add(n)
	} else {
		h.Stats.RegionsFresh.Add(n)
	}
}

// admitsClaim checks the limits for a claim. What it renews is admitted.
func (h *Hub) admitsClaim(q Claim) error {
	n, waits := 0, true
	if t := h.topic(q.FlowID); t != nil {
		t.mu.RLock()
		_, found := t.findClaim(q.Region)
		n, waits = len(t.claims()), t.state == nil && len(t.claims()) == 0
		t.mu.RUnlock()
		if found {
			return nil
		}
	}
	s := &h.Stats
	if waits && s.waiting.Load() >= int64(h.cfg.MaxFlows) {
		return &LimitError{Server: true, Detail: fmt.Sprintf("regions of %d flows that do not exist are claimed, which is the server's limit", h.cfg.MaxFlows)}
	}
	if n >= h.cfg.MaxRegions {
		return &LimitError{Field: "region", Detail: fmt.Sprintf("%d regions of the flow are claimed, which is the limit; delete those that are no more", h.cfg.MaxRegions)}
	}
	if s.StateBytes.Load()+s.RingBytes.Load() >= h.cfg.MaxStateBytes {
		return &LimitError{Server: true, Detail: fmt.Sprintf("the flows of the server take %d bytes, which is its limit", h.cfg.MaxStateBytes)}
	}
	return nil
}

// lapses is the claims by when time changes something about them. A renewal only moves a claim's end, which is looked at when it
// would have come: so a claim costs its hub one look for each TTL, and nothing when nobody claims anything.
type lapses struct { // guarded by the hub's order
	claims  lapseHeap
	earlier chan struct{} // the first of them has changed
}

// schedule sees to it that a claim is looked at no later than something changes about it. The lock of its topic is held.
func (l *lapses) schedule(c *claim) {
	next := c.next()
	if next == 0 || c.scheduled != 0 && c.scheduled <= next {
		return
	}
	c.scheduled = next
	c.due = next
	if c.index < 0 {
		heap.Push(&l.claims, c)
	} else {
		heap.Fix(&l.claims, c.index)
	}
	if c.index == 0 {
		select {
		case l.earlier <- struct{}{}:
		default:
		}
	}
}

func (l *lapses) remove(c *claim) {
	if c.index >= 0 {
		heap.Remove(&l.claims, c.index)
	}
}

// wait is how long nothing is due.
func (l *lapses) wait(now int64) time.Duration {
	if len(l.claims) == 0 {
		return time.Hour
	}
	return max(time.Duration(l.claims[0].due-now)*time.Millisecond, 0)
}

// take takes the claims out that are due.
func (l *lapses) take(now int64) (due []*claim) {
	for len(l.claims) > 0 && l.claims[0].due <= now {
		due = append(due, heap.Pop(&l.claims).(*claim))
	}
	return due
}

// lapse looks at the claims that are due.
func (h *Hub) lapse() {
	h.order.Lock()
	defer h.order.Unlock()
	now := h.nowMs()
	for _, c := range h.lapses.take(now) {
		c.topic.mu.Lock()
		c.topic.lapse(c, now)
		c.topic.mu.Unlock()
	}
}

type lapseHeap []*claim

func (l lapseHeap) Len() int           { return len(l) }
func (l lapseHeap) Less(i, j int) bool { return l[i].due < l[j].due }
func (l lapseHeap) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].index, l[j].index = i, j
}

func (l *lapseHeap) Push(x any) {
	c := x.(*claim)
	c.index = len(*l)
	*l = append(*l, c)
}

func (l *lapseHeap) Pop() any {
	last := len(*l) - 1
	c := (*l)[last]
	(*l)[last] = nil
	*l = (*l)[:last]
	c.index = -1
	return c
}
