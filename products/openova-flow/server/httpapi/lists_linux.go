package httpapi

import "time"

// list is clients of a group, each in one list at most.
type list struct{ first, last *client }

// add puts a client at the end, out of the list that it is in.
func (l *list) add(c *client) {
	if c.list != nil {
		c.list.remove(c)
	}
	c.list, c.prev, c.next = l, l.last, nil
	if l.last != nil {
		l.last.next = c
	} else {
		l.first = c
	}
	l.last = c
}

func (l *list) remove(c *client) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		l.last = c.prev
	}
	c.list, c.prev, c.next = nil, nil, nil
}

// takeAll moves the clients of another list to the end of this one.
func (l *list) takeAll(from *list) {
	for c := from.first; c != nil; c = from.first {
		l.add(c)
	}
}

// timeline is clients in the order in which they are due, which is that in which they were added: all wait equally long.
type timeline struct{ first, last *client }

// add puts a client at the end, out of the timeline that it is in.
func (t *timeline) add(c *client, due time.Duration) {
	if c.timeline != nil {
		c.timeline.remove(c)
	}
	c.timeline, c.due, c.before, c.after = t, due, t.last, nil
	if t.last != nil {
		t.last.after = c
	} else {
		t.first = c
	}
	t.last = c
}

func (t *timeline) remove(c *client) {
	if c.before != nil {
		c.before.after = c.after
	} else {
		t.first = c.after
	}
	if c.after != nil {
		c.after.before = c.before
	} else {
		t.last = c.before
	}
	c.timeline, c.before, c.after = nil, nil, nil
}
