package hub

import "weak"

// DropIdle makes one pass of Run.
func DropIdle(h *Hub) { h.dropIdle() }

// KeptRegions returns how many regions of a flow have a snapshot that is kept.
func KeptRegions(h *Hub, flowID string) int {
	c := &h.topic(flowID).regionSnaps
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.kept)
}

// Kept returns a function that reports whether what the hub has of a flow now is still in memory.
func Kept(h *Hub, flowID string) func() bool {
	t := weak.Make(h.topic(flowID))
	return func() bool { return t.Value() != nil }
}
