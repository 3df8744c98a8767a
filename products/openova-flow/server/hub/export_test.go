package hub

// DropIdle makes one pass of Run.
func DropIdle(h *Hub) { h.dropIdle() }

// KeptRegions returns how many regions of a flow have a snapshot that is kept.
func KeptRegions(h *Hub, flowID string) int {
	c := &h.topic(flowID).regionSnaps
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.kept)
}
