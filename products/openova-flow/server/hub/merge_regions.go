package hub

// Regions are no messages: they have no number and are in no ring. A merge keeps the flows in the order in which their regions last
// changed, and a reader how far it has come in that order. What it is told is what is so when it is told.

// markRegions notes that there is something to say of the regions of a flow. t.mu is held.
func (m *merge) markRegions(t *topic) {
	m.marks.Lock()
	m.unsaid[t] = true
	m.marks.Unlock()
}

// markedRegions takes in what markRegions noted. m.mu and m.marks are held.
func (m *merge) markedRegions() {
	for t := range m.unsaid {
		switch known := m.members[t.id]; {
		case known == nil || known.topic != t: // it is yet to join, or has gone
		case known.fresh != nil:
			known.joins = true
		default:
			m.changedRegions(known)
		}
	}
	clear(m.unsaid)
}

// changedRegions has all readers told of the regions of a flow. m.mu is held.
func (m *merge) changedRegions(known *member) {
	known.joins = false
	known.rev = m.rev.Add(1)
	if known.at == nil {
		known.at = m.regions.PushBack(known)
	} else {
		m.regions.MoveToBack(known.at)
	}
}

// forgetRegions is for a flow that has gone, or nil. m.mu is held.
func (m *merge) forgetRegions(known *member) {
	if known != nil && known.at != nil {
		m.regions.Remove(known.at)
		known.at = nil
	}
}

// newRegions returns frames about the regions that have changed since r was told, and notes that it is told. Who is yet to be told
// that a flow came to be, is told that first: its former one may have to go before. m.mu is held.
func (m *merge) newRegions(r *Reader) (frames [][]byte) {
	if r.rev == m.rev.Load() || r.cursor < m.joined {
		return nil
	}
	for e := m.regions.Back(); e != nil && e.Value.(*member).rev > r.rev; e = e.Prev() {
		if frame, _ := e.Value.(*member).regionsFrame(); frame != nil {
			frames = append(frames, frame)
		}
	}
	r.rev = m.rev.Load()
	return frames
}

// allRegions returns frames about the regions of all flows: of those with the incarnations that are given, and of others, which have
// come to be since. m.mu is held.
func (m *merge) allRegions(flows map[string]string) (before, after [][]byte) {
	for id, known := range m.members {
		frame, incarnation := known.regionsFrame()
		switch {
		case frame == nil:
		case flows[id] == incarnation:
			before = append(before, frame)
		case known.fresh == nil: // otherwise it is yet to join
			after = append(after, frame)
		}
	}
	return before, after
}

// regionsFrame returns a frame about the regions of a flow, nil when it was deleted.
func (n *member) regionsFrame() (frame []byte, incarnation string) {
	t := n.topic
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.deleted {
		return nil, NoIncarnation
	}
	return appendFrame(nil, 0, t.id+"/regions", t.regionsFrame().data), t.incarnation
}
