// Package flowmetrics computes metrics about the content of flows. A flow is judged when a scrape needs it, at most once a second unless it has a new
// incarnation.
package flowmetrics

import (
	"sync"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// Source is what flows are read from, such as a *hub.Hub.
type Source interface {
	FlowIDs() []string // in byte order
	Version(flowID string) hub.Version
	Overview(flowID string) (hub.Overview, error)
}

// Collector collects the metrics. It may be used from any goroutine; concurrent scrapes wait for each other.
type Collector struct {
	source Source

	mu   sync.Mutex
	kept map[string]kept // by flow id
}

// kept is the result for a flow. Later scrapes may use it again.
type kept struct {
	*measures
	version hub.Version
	at      time.Time
}

// New returns a Collector.
func New(s Source) *Collector { return &Collector{source: s} }

// collect returns the measures of the flows within the limits, and how many flows and elements exceed them.
func (c *Collector) collect() (list []*measures, out leftOut) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids, next, regions := c.source.FlowIDs(), make(map[string]kept), 0
	problems, suspended := 0, 0
	for _, id := range ids {
		if len(next) == maxFlows || len(id) > maxLabel {
			out.flows++
			continue
		}
		k, ok := c.look(id)
		if !ok {
			continue // deleted since FlowIDs
		}
		next[id] = k
		m := *k.measures
		out.regions += m.leftOut.regions + cut(&m.regions, &regions, maxAllRegions)
		out.problems += m.leftOut.problems + cut(&m.problems, &problems, maxAllNodes)
		out.suspended += m.leftOut.suspended + cut(&m.suspended, &suspended, maxAllNodes)
		list = append(list, &m)
	}
	c.kept = next
	return list, out
}

// cut shortens a list so that total, the number of elements of all flows so far, stays within limit. It adds the number of kept elements to total.
func cut[T any](list *[]T, total *int, limit int) (removed int) {
	fits := min(len(*list), limit-*total)
	removed = len(*list) - fits
	*list, *total = (*list)[:fits], *total+fits
	return removed
}

// look returns the measures of a flow: the kept ones if they are recent enough, else new ones. It returns false if there is no flow. c.mu is held.
func (c *Collector) look(id string) (kept, bool) {
	version, now := c.source.Version(id), time.Now()
	if k, ok := c.kept[id]; ok && k.version.Incarnation == version.Incarnation {
		if age := now.Sub(k.at); age < minAge || age < maxAge && k.version == version {
			return k, true
		}
	}
	overview, err := c.source.Overview(id)
	if err != nil {
		return kept{}, false
	}
	return kept{measure(id, &overview), version, now}, true
}
