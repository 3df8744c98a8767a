package hub

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"

	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// noRegions is what stands for the regions with a reader that has been told nothing of the regions yet.
const noRegions = -1

// What is said of a region whose cluster renews its claim, and of one whose cluster does not.
const (
	RegionFresh = "fresh"
	RegionStale = "stale"
)

// Region is what is known of a region that somebody has claimed. Times are Unix milliseconds.
type Region struct {
	State   string   `json:"state"` // RegionFresh or RegionStale
	Since   int64    `json:"since"` // since when it is in that state
	Heard   int64    `json:"heard"` // when its cluster last spoke for it
	Cluster string   `json:"cluster"`
	Refused *Refused `json:"refused,omitempty"`
}

// Refused is another cluster that goes on trying to claim a region.
type Refused struct {
	Cluster string `json:"cluster"`
	At      int64  `json:"at"` // when it last tried
}

// Regions is all that is known of the claimed regions of a flow at one instant.
type Regions struct {
	At      int64             `json:"at"` // Unix milliseconds
	Regions map[string]Region `json:"regions"`
}

// regionsFor is how long one frame serves all who are to have it, milliseconds: many come at once, when something changes.
const regionsFor = 100

// regionsFrame is a finished frame about the regions.
type regionsFrame struct {
	rev, at int64
	data    []byte // the JSON alone
	frame   []byte
}

// regions returns a frame about the regions as they are. t.mu is held, for reading at least.
func (t *topic) regions() []byte { return t.regionsFrame().frame }

func (t *topic) regionsFrame() *regionsFrame {
	rev, now := t.rev.Load(), t.hub.nowMs()
	if t.claimed != nil {
		if f := t.claimed.told.Load(); f != nil && f.rev == rev && now-f.at < regionsFor && now >= f.at {
			return f
		}
	}
	data := t.regionsJSON(now)
	f := &regionsFrame{rev: rev, at: now, data: data, frame: appendFrame(nil, 0, "regions", data)}
	if t.claimed != nil {
		t.claimed.told.Store(f)
	}
	return f
}

func (t *topic) regionsJSON(now int64) []byte {
	if len(t.claims()) == 0 { // the most readers by far; encoding in general takes a larger stack, which each of them would keep
		return append(strconv.AppendInt([]byte(`{"at":`), now, 10), `,"regions":{}}`...)
	}
	all := Regions{At: now, Regions: make(map[string]Region, len(t.claims()))}
	for _, c := range t.claims() {
		r := Region{State: RegionFresh, Since: c.changedAt(), Heard: c.heard, Cluster: c.cluster}
		if c.stale {
			r.State = RegionStale
		}
		if c.refused != nil {
			r.Refused = &Refused{c.refused.cluster, c.refused.at}
		}
		all.Regions[c.region] = r
	}
	data, _ := json.Marshal(all) // strings and numbers always marshal
	return data
}

// regionsChanged notifies subscribers when the state of the claims has changed. h.order and t.mu are held.
func (t *topic) regionsChanged() {
	rev := t.digestRegions()
	if rev == t.rev.Load() {
		return
	}
	t.rev.Store(rev)
	t.hub.changes.Add(1)
	begin := t.hub.journal.end
	t.publishRegions()
	t.waiters.wake()
	t.announce(begin)
}

// digestRegions returns a number that tells what is said of the regions apart, but for when somebody was heard or tried last: at least 0,
// which stands for nothing, and the same at all hubs of a log. t.mu is held.
func (t *topic) digestRegions() int64 {
	if len(t.claims()) == 0 {
		return 0
	}
	sum := fnv.New64a()
	for _, c := range t.claims() {
		refused := ""
		if c.refused != nil {
			refused = c.refused.cluster
		}
		fmt.Fprintf(sum, "%q %q %q %v %d\n", c.region, c.cluster, refused, c.stale, c.changedAt())
	}
	return int64(sum.Sum64() >> 1)
}

// renewed reports whether some cluster renews its claim. t.mu is held.
func (t *topic) renewed() bool {
	return slices.ContainsFunc(t.claims(), func(c *claim) bool { return !c.stale })
}

// savedClaims returns the claims as they are, without who else tries. t.mu is held, for reading at least.
func (t *topic) savedClaims() []record.SavedClaim {
	out := make([]record.SavedClaim, 0, len(t.claims()))
	for _, c := range t.claims() {
		out = append(out, record.SavedClaim{Region: c.region, Cluster: c.cluster, Lease: c.lease, TTL: c.ttl, Heard: c.heard, Since: c.since, Loaded: c.loaded})
	}
	return out
}

// restoreClaims puts saved claims in place of those that there are: as they were, or, after a start, as stale until they are renewed.
// Who else tries will try again.
// t.mu is held.
func (t *topic) restoreClaims(saved []record.SavedClaim, anew bool) {
	t.dropClaims()
	for _, s := range saved {
		c := &claim{topic: t, region: s.Region, cluster: s.Cluster, lease: s.Lease, ttl: s.TTL, heard: s.Heard, since: s.Since, loaded: s.Loaded, index: -1}
		now := t.hub.nowMs()
		if anew {
			c.loaded = now
		}
		if c.loaded != 0 || now >= c.expires() {
			c.stale, c.lapsed = true, min(now, c.expires())
		}
		at, _ := t.findClaim(c.region)
		t.addClaim(at, c)
		t.hub.countClaim(c, 1)
		t.hub.lapses.schedule(c)
	}
	if len(saved) > 0 {
		t.account()
		t.regionsChanged()
	}
}
