package hub

import (
	"cmp"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// perClaim is the approximate number of bytes of a claim.
const perClaim = 1024

// claimed has the claims of a flow, their frame for readers, and the timer that expires them.
type claimed struct {
	claims.Set
	rev   atomic.Int64                 // Digest of the claims when readers were last notified
	frame atomic.Pointer[regionsFrame] // the last frame made
	timer *time.Timer                  // calls topic.expireClaims
}

// LeaseError refuses a request whose lease belongs to no claim of the flow or, for a bound caller, to none in the caller's regions.
type LeaseError struct{}

func (*LeaseError) Error() string {
	return "the flow has no claim with this lease; claim the region again, then repeat the request with the new lease"
}

// Claim gives a cluster the lease of a region, or renews it, and fails, as claims.Set.Claim does. It also fails with a *LimitError, or with an error of
// Log.Append.
func (h *Hub) Claim(q record.Claim) (claims.Lease, error) {
	if err := h.admitsClaim(q); err != nil {
		return claims.Lease{}, err
	}
	// A renewal, or a claim of a region that another cluster holds, is a change too: all hubs of a log need it.
	out, err := h.change(record.Command{Kind: record.KindClaim, Claim: q})
	return out.Lease, cmp.Or(err, out.Err)
}

// admitsClaim checks the limits, which do not apply to a region that has a claim already.
func (h *Hub) admitsClaim(q record.Claim) error {
	n, waits := 0, true
	if t := h.topic(q.FlowID); t != nil {
		t.mu.RLock()
		n = t.claimed.Len()
		waits = t.state == nil && n == 0
		claimed := t.claimed.Has(q.Region)
		t.mu.RUnlock()
		if claimed {
			return nil
		}
	}
	s := &h.Stats
	if waits && s.waiting.Load() >= int64(h.cfg.MaxFlows) {
		return &LimitError{Server: true, Detail: fmt.Sprintf("the server is at its limit of %d flows that have claimed regions but no messages; delete some, or raise FLOW_SERVER_MAX_FLOWS", h.cfg.MaxFlows)}
	}
	if n >= h.cfg.MaxRegions {
		return &LimitError{Field: "region", Detail: fmt.Sprintf("the flow is at its limit of %d claimed regions; delete regions that no longer exist, or raise FLOW_SERVER_MAX_REGIONS", h.cfg.MaxRegions)}
	}
	if s.StateBytes.Load()+s.RingBytes.Load() >= h.cfg.MaxStateBytes {
		return &LimitError{Server: true, Detail: h.cfg.fullDetail()}
	}
	return nil
}

// h.order and t.mu are held.
func (t *topic) claim(c change) (claims.Lease, error) {
	lease, err := t.claimed.Claim(c.Claim, c.at, c.birth)
	if err != nil {
		t.hub.Stats.ClaimsRefused.Add(1)
	} else {
		t.renewed(c.at)
	}
	t.claimsChanged()
	return lease, err
}

// renew renews the claim with the lease of a request, if there is one. h.order and t.mu are held.
func (t *topic) renew(p record.Post, now int64) {
	found, changed := t.claimed.Renew(p.Lease, p.Regions, now)
	if found {
		t.renewed(now)
	}
	if changed {
		t.claimsChanged()
	}
}

// renewed records that a command has renewed a claim. t.mu is held.
func (t *topic) renewed(now int64) {
	t.hub.changes.Add(1)
	t.activeAt.Store(now)
	t.renewedAt = now
}

// h.order and t.mu are held.
func (t *topic) replaceClaims(s claims.Set) {
	t.claimed.Set = s
	t.claimsChanged()
}

// claimsChanged counts the claims, sets their timer and, when their state has changed, notifies subscribers. h.order and t.mu are held.
func (t *topic) claimsChanged() {
	t.account()
	t.watchClaims()
	rev := t.claimed.Digest()
	if rev == t.claimed.rev.Load() {
		return
	}
	t.claimed.rev.Store(rev)
	t.hub.changes.Add(1)
	begin := t.hub.journal.end
	t.publishRegions()
	t.waiters.wake()
	t.announce(begin)
}

// watchClaims sets the timer that calls expireClaims when that is due next (claims.Set.Next). A renewal by a POST does not reset the timer: expireClaims sets
// it again if it fired too early. t.mu is held.
func (t *topic) watchClaims() {
	c := &t.claimed
	next := c.Next()
	wait := time.Duration(next-t.hub.nowMs()) * time.Millisecond
	switch {
	case c.timer == nil && next != 0:
		c.timer = time.AfterFunc(wait, t.expireClaims)
	case next != 0:
		c.timer.Reset(wait)
	case c.timer != nil:
		c.timer.Stop() // it would keep the topic in memory
	}
}

func (t *topic) expireClaims() {
	t.hub.order.Lock()
	defer t.hub.order.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.claimed.Expire(t.hub.nowMs())
	t.claimsChanged()
}

// noRegions is Reader.rev before the first regions frame.
const noRegions = -1

// Regions returns the state of the claimed regions of a flow as the JSON of a claims.Regions, and the flow's incarnation; or ErrNoFlow. The JSON may be
// shared and must not be changed.
func (h *Hub) Regions(flowID string) (data []byte, incarnation string, err error) {
	t, err := h.read(flowID)
	if err != nil {
		return nil, record.NoIncarnation, err
	}
	defer t.mu.RUnlock()
	return t.regions().data, t.incarnation, nil
}

// regionsFor is how long readers share a regions frame, in milliseconds: after a change all of them need one at once.
const regionsFor = 100

type regionsFrame struct {
	rev, at int64
	data    []byte // the JSON alone
	frame   []byte
}

// regions returns a frame with the state of the regions, made within the last regionsFor. t.mu is held, at least for reading.
func (t *topic) regions() *regionsFrame {
	c := &t.claimed
	rev, now := c.rev.Load(), t.hub.nowMs()
	if f := c.frame.Load(); f != nil && f.rev == rev && now-f.at < regionsFor && now >= f.at {
		return f
	}
	data := c.JSON(now)
	f := &regionsFrame{rev: rev, at: now, data: data, frame: appendFrame(nil, 0, "regions", data)}
	c.frame.Store(f)
	return f
}
