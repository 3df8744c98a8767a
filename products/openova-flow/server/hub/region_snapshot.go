package hub

import (
	"maps"
	"sync"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// maxRegionSnapshots is how many region snapshots of a flow are cached.
const maxRegionSnapshots = 256

// regionSnapshots caches the snapshots of single regions of a flow. Regions have no nodes in common, so those of one state take about as much memory as the
// snapshot of the flow.
type regionSnapshots struct {
	mu   sync.Mutex
	kept map[string]regionSnapshot
}

type regionSnapshot struct {
	*snapshot
	version int64  // flow.State.RegionVersion
	flow    string // the FlowInstance as JSON
}

// of returns the snapshot of a region of s, which must not change meanwhile. Encoding is left for later.
func (c *regionSnapshots) of(s *flow.State, region string) *snapshot {
	version, instance := s.RegionVersion(region), s.Flow().JSON()
	c.mu.Lock()
	defer c.mu.Unlock()
	have, kept := c.kept[region]
	if kept && have.version == version && have.flow == instance {
		return have.snapshot
	}
	made := &snapshot{message: s.CollectRegion(region)}
	if version == 0 { // an unknown region; callers can name as many as they like
		delete(c.kept, region)
		return made
	}
	if c.kept == nil {
		c.kept = make(map[string]regionSnapshot)
	}
	maps.DeleteFunc(c.kept, func(other string, k regionSnapshot) bool { return k.version != s.RegionVersion(other) })
	if len(c.kept) == maxRegionSnapshots && !kept {
		for other := range c.kept {
			delete(c.kept, other)
			break
		}
	}
	c.kept[region] = regionSnapshot{made, version, instance}
	return made
}

// drop empties the cache. It must be called when the flow's state is replaced.
func (c *regionSnapshots) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = nil
}
