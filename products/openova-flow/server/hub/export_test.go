package hub

import "weak"

// DropIdle makes one pass of Run.
func DropIdle(h *Hub) { h.dropIdle() }

// KeptRegions returns how many region snapshots are cached for a flow.
func KeptRegions(h *Hub, flowID string) int {
	c := &h.topic(flowID).regionSnaps
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.kept)
}

// Kept returns a function that reports whether the flow's present topic is still in memory.
func Kept(h *Hub, flowID string) func() bool {
	t := weak.Make(h.topic(flowID))
	return func() bool { return t.Value() != nil }
}
