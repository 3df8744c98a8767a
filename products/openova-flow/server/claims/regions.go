package claims

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// States of a claimed region.
const (
	Fresh = "fresh"
	Stale = "stale" // its claim has expired, or was not renewed since a restart
)

// Region is the state of a claimed region. Times are Unix milliseconds.
type Region struct {
	State    string   `json:"state"` // Fresh or Stale
	Since    int64    `json:"since"` // when it entered that state
	LastSeen int64    `json:"heard"` // when the claim was last renewed
	Cluster  string   `json:"cluster"`
	Refused  *Refused `json:"refused,omitempty"`
}

// Refused is another cluster that has tried to claim a region.
type Refused struct {
	Cluster string `json:"cluster"`
	At      int64  `json:"at"` // when it last tried
}

// Regions is the state of the claimed regions of a flow at one time.
type Regions struct {
	At      int64             `json:"at"` // Unix milliseconds
	Regions map[string]Region `json:"regions"`
}

// JSON returns the Regions of the set as JSON.
func (s *Set) JSON(now int64) []byte {
	if len(s.list) == 0 { // the usual case; encoding/json takes a larger stack, which the goroutine of each reader would keep
		return append(strconv.AppendInt([]byte(`{"at":`), now, 10), `,"regions":{}}`...)
	}
	all := Regions{At: now, Regions: make(map[string]Region, len(s.list))}
	for i := range s.list {
		c := &s.list[i]
		r := Region{State: Fresh, Since: c.changedAt(), LastSeen: c.renewedAt, Cluster: c.cluster}
		if c.staleSince != 0 {
			r.State = Stale
		}
		if c.refused != nil {
			r.Refused = &Refused{c.refused.cluster, c.refused.at}
		}
		all.Regions[c.region] = r
	}
	data, _ := json.Marshal(all) // strings and numbers always marshal
	return data
}

// Saved returns the claims, without attempts, for Restore.
func (s *Set) Saved() []record.SavedClaim {
	out := make([]record.SavedClaim, len(s.list))
	for i, c := range s.list {
		out[i] = record.SavedClaim{Region: c.region, Cluster: c.cluster, Lease: c.lease, TTL: c.ttl, LastSeen: c.renewedAt, Since: c.since, Loaded: c.loaded}
	}
	return out
}

// Restore returns a set of saved claims: unchanged or, if the hub was restarted, stale until they are renewed.
func Restore(saved []record.SavedClaim, now int64, restarted bool) (s Set) {
	for _, v := range saved {
		c := claim{region: v.Region, cluster: v.Cluster, lease: v.Lease, ttl: v.TTL, renewedAt: v.LastSeen, since: v.Since, loaded: v.Loaded}
		if restarted {
			c.loaded = now
		}
		if c.loaded != 0 || now >= c.expires() {
			c.staleSince = min(now, c.expires())
		}
		s.list = append(s.list, c)
	}
	slices.SortFunc(s.list, func(a, b claim) int { return strings.Compare(a.region, b.region) })
	return s
}
