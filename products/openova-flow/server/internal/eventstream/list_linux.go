package eventstream

// list is an ordered list of subscribers. A subscriber is in at most one list of each kind.
type list struct {
	kind        listKind
	first, last *subscriber
}

type listKind int

const (
	ofGroup listKind = iota // lists of a group
	ofTime                  // lists of a shard, ordered by due time
)

// link is a subscriber's entry in a list.
type link struct {
	list       *list
	prev, next *subscriber
}

// add appends a subscriber, after removing it from its current list of this kind.
func (l *list) add(s *subscriber) {
	s.unlink(l.kind)
	s.links[l.kind] = link{list: l, prev: l.last}
	if l.last != nil {
		l.last.links[l.kind].next = s
	} else {
		l.first = s
	}
	l.last = s
}

// addAll appends the subscribers of another list, which is then empty.
func (l *list) addAll(from *list) {
	for from.first != nil {
		l.add(from.first)
	}
}

// in returns the subscriber's list of a kind, nil if there is none.
func (s *subscriber) in(kind listKind) *list { return s.links[kind].list }

// unlink removes a subscriber from its list of a kind, if there is one.
func (s *subscriber) unlink(kind listKind) {
	at := s.links[kind]
	if at.list == nil {
		return
	}
	if at.prev != nil {
		at.prev.links[kind].next = at.next
	} else {
		at.list.first = at.next
	}
	if at.next != nil {
		at.next.links[kind].prev = at.prev
	} else {
		at.list.last = at.prev
	}
	s.links[kind] = link{}
}
