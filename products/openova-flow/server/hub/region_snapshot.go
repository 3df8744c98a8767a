package hub

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// maxRegionSnapshots is how many regions of one flow have a snapshot that is kept.
const maxRegionSnapshots = 256

// regionSnapshots are the snapshots of single regions of a flow that were asked for last. As regions have no nodes in common, they take about
// as much memory as the snapshot of the flow.
type regionSnapshots struct {
	mu    sync.Mutex
	state *flow.State // that they are of
	kept  map[string]*regionSnapshot
}

// regionSnapshot is what of a flow belongs to one region.
type regionSnapshot struct {
	snapshot
	version int64  // flow.State.RegionVersion
	flow    string // the FlowInstance as JSON
	tagged  sync.Once
	tag     string
}

// of returns the snapshot of a region of s, which must not change meanwhile. Encoding is left for later.
func (c *regionSnapshots) of(s *flow.State, region string) *regionSnapshot {
	version, instance := s.RegionVersion(region), s.Flow().JSON()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != s {
		c.state, c.kept = s, nil
	}
	if have := c.kept[region]; have != nil && have.version == version && have.flow == instance {
		return have
	}
	made := &regionSnapshot{version: version, flow: instance, snapshot: snapshot{message: s.CollectRegion(region)}}
	if version == 0 { // anybody can name regions that there are not
		delete(c.kept, region)
		return made
	}
	if c.kept == nil {
		c.kept = make(map[string]*regionSnapshot)
	}
	if _, replaced := c.kept[region]; !replaced && len(c.kept) == maxRegionSnapshots {
		for other := range c.kept { // any one: it is made again when it is asked for
			delete(c.kept, other)
			break
		}
	}
	c.kept[region] = made
	return made
}

// drop lets all of them go.
func (c *regionSnapshots) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.kept = nil, nil
}

// RegionSnapshot is what of a flow belongs to one region.
type RegionSnapshot struct {
	Incarnation string // NoIncarnation: the flow does not exist
	shared      *regionSnapshot
}

// Tag tells one answer of JSON from another, within an incarnation of the flow. All hubs of a log have the same for the same state.
func (s RegionSnapshot) Tag() string {
	s.shared.tagged.Do(func() {
		sum := sha256.Sum256(s.JSON())
		s.shared.tag = hex.EncodeToString(sum[:16])
	})
	return s.shared.tag
}

// JSON returns a snapshot message with the FlowInstance, the region's nodes and its relationships (flow.RegionOfRel). It may be shared and
// must not be changed.
func (s RegionSnapshot) JSON() []byte {
	s.shared.encode()
	return s.shared.json
}

// Gzip returns the same, compressed (RFC 1952). It may be shared and must not be changed.
func (s RegionSnapshot) Gzip() []byte { return s.shared.gzip() }

// RegionSnapshot returns what of a flow belongs to a region, which may be nothing but the FlowInstance, or ErrNoFlow. It costs the size of
// the region, and next to nothing while that has not changed. Encoding waits until it is asked for.
func (h *Hub) RegionSnapshot(flowID, region string) (RegionSnapshot, error) {
	t := h.topic(flowID)
	if t == nil {
		return RegionSnapshot{Incarnation: NoIncarnation}, ErrNoFlow
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.state == nil {
		return RegionSnapshot{Incarnation: NoIncarnation}, ErrNoFlow
	}
	return RegionSnapshot{Incarnation: t.incarnation, shared: t.regionSnaps.of(t.state, region)}, nil
}
