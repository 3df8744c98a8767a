package hub

// DropIdle makes one pass of Run.
func DropIdle(h *Hub) { h.dropIdle() }
