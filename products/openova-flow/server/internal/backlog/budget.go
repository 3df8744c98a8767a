// Package backlog bounds what clients that read slowly cost: the memory of what they have not read yet (Budget), and the time that they may take over it
// (Pace, Deadline).
package backlog

import (
	"container/list"
	"sync"
	"time"
	"unsafe"
)

// PieceBytes is how much is written under one deadline: little enough that a slow client that does read gets it done in time. Answers up to this size
// are not counted by a Budget.
const PieceBytes = 32 << 10

const (
	minAge    = time.Second // for which an answer does not give way to a caller that holds as much
	minShared = 1 << 10     // bytes from which on the budget notices that several answers share a slice
)

// Budget limits the bytes of large answers and deliveries that clients have not read yet. Bytes that several answers share count once in all, and once for
// each caller. When there is no room for more, the caller that holds most loses its oldest answer, of equals the one whose answer is the oldest: at once to
// a caller that holds less, and after a second to any. So slow clients, however many callers they are, keep nobody out. Its methods may be called
// concurrently.
type Budget struct {
	limit int64

	mu      sync.Mutex
	bytes   int64
	evicted int64
	shared  slices
	callers map[string]*account
}

// slices are the large slices that are held, by where they begin.
type slices map[*byte]usage

// usage is the length of a slice and how many charges hold it.
type usage struct{ bytes, charges int64 }

// add counts the slices of one more charge, and returns how many bytes nobody held before.
func (s slices) add(c *Charge) int64 {
	n := c.small
	for _, b := range c.large {
		at := unsafe.SliceData(b)
		u := s[at]
		if u.charges++; u.charges == 1 {
			u.bytes = int64(len(b))
			n += u.bytes
		}
		s[at] = u
	}
	return n
}

// remove takes off the slices of a charge, and returns how many bytes nobody holds any more.
func (s slices) remove(c *Charge) int64 {
	n := c.small
	for _, b := range c.large {
		at := unsafe.SliceData(b)
		u := s[at]
		if u.charges--; u.charges > 0 {
			s[at] = u
			continue
		}
		n += u.bytes
		delete(s, at)
	}
	return n
}

// missing is how many bytes of a charge are not held yet.
func (s slices) missing(c *Charge) int64 {
	n := c.small
	for _, b := range c.large {
		if s[unsafe.SliceData(b)].charges == 0 {
			n += int64(len(b))
		}
	}
	return n
}

// account is what one caller holds. It has one charge at least.
type account struct {
	bytes   int64
	shared  slices
	charges list.List // of *Charge, the oldest first
}

func (a *account) oldest() *Charge { return a.charges.Front().Value.(*Charge) }

// Charge is what one answer holds in memory. That of a small answer is nil.
type Charge struct {
	budget *Budget
	caller string
	began  time.Time
	large  [][]byte // slices that other answers may share
	small  int64    // bytes of the others
	evict  func()
	at     *list.Element // nil once it is released
}

// NewBudget returns a Budget of so many bytes.
func NewBudget(limit int64) *Budget {
	return &Budget{limit: limit, shared: make(slices), callers: make(map[string]*account)}
}

// Charge counts an answer until its release. It reports false when there is no room, which there will be after a second. evict is called, by any goroutine,
// when the answer has to give way; it is not counted any more then. An answer that is larger than the budget counts as if it had just that size.
func (b *Budget) Charge(caller string, body [][]byte, evict func()) (*Charge, bool) {
	if SizeOf(body) <= PieceBytes {
		return nil, true
	}
	c := &Charge{budget: b, caller: caller, began: time.Now(), evict: evict}
	for _, part := range body {
		if len(part) < minShared {
			c.small += int64(len(part))
		} else {
			c.large = append(c.large, part)
		}
	}
	var evictions []func()
	defer func() {
		for _, evict := range evictions {
			evict()
		}
	}()
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.bytes+min(b.shared.missing(c), b.limit) > b.limit {
		victim := b.victim(c)
		if victim == nil {
			return nil, false
		}
		b.evicted++
		b.remove(victim)
		evictions = append(evictions, victim.evict)
	}
	own := b.callers[caller]
	if own == nil {
		own = &account{shared: make(slices)}
		b.callers[caller] = own
	}
	b.bytes += b.shared.add(c)
	own.bytes += own.shared.add(c)
	c.at = own.charges.PushBack(c)
	return c, true
}

// victim is the charge that has to give way to c, nil when c has to. b.mu is held.
func (b *Budget) victim(c *Charge) *Charge {
	most, name := (*account)(nil), ""
	for n, a := range b.callers {
		if most == nil || a.bytes > most.bytes || a.bytes == most.bytes && a.oldest().began.Before(most.oldest().began) {
			most, name = a, n
		}
	}
	if most == nil {
		return nil
	}
	wants := slices(nil).missing(c)
	if own := b.callers[c.caller]; own != nil {
		wants = own.bytes + own.shared.missing(c)
	}
	oldest := most.oldest()
	if name != c.caller && most.bytes >= wants || c.began.Sub(oldest.began) >= minAge {
		return oldest
	}
	return nil
}

// Release ends the counting. It may be called more than once.
func (c *Charge) Release() {
	if c == nil {
		return
	}
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	c.budget.remove(c)
}

// remove takes off a charge, unless that was done before. b.mu is held.
func (b *Budget) remove(c *Charge) {
	if c.at == nil {
		return
	}
	own := b.callers[c.caller]
	own.charges.Remove(c.at)
	c.at = nil
	b.bytes -= b.shared.remove(c)
	own.bytes -= own.shared.remove(c)
	if own.charges.Len() == 0 {
		delete(b.callers, c.caller)
	}
}

// Stats returns the bytes that are held, and how many answers had to give way so far.
func (b *Budget) Stats() (bytes, evicted int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes, b.evicted
}

// SizeOf is how many bytes some slices have together.
func SizeOf(body [][]byte) (n int) {
	for _, part := range body {
		n += len(part)
	}
	return n
}
