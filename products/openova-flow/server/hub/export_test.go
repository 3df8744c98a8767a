package hub

// DropIdle makes one pass of Run.
func DropIdle(h *Hub) { h.dropIdle() }

// Hold begins a request that has its numbers and is not done yet. What it returns ends it.
func Hold(h *Hub) (done func()) {
	p := h.numbers.open()
	h.numbers.take(1)
	return func() {
		p.done()
		h.merges.settle()
	}
}

// KeptRegions returns how many regions of a flow have a snapshot that is kept.
func KeptRegions(h *Hub, flowID string) int {
	c := &h.topic(flowID).regionSnaps
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.kept)
}
