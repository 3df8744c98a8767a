// Package backlog bounds the cost of slow clients: the memory of unread bytes (Budget), and the time until they are read (Pace, Deadline).
package backlog

import (
	"container/list"
	"sync"
	"time"
	"unsafe"
)

// PieceBytes is the most bytes that Deadline.Write writes under one deadline: few enough for a slow client that keeps reading. A Budget does not count
// answers up to this size.
const PieceBytes = 32 << 10

const (
	minAge    = time.Second // a younger answer is evicted only for another caller that holds no more even with its new answer
	minShared = 1 << 10     // a slice of at least this many bytes counts once, even if several answers share it
)

// Budget limits the unread bytes of large answers and deliveries. Bytes that several answers share count once in total, and once for each caller. Until a new
// answer fits, the oldest answer of the caller that holds most is evicted; if several hold the same, the oldest answer of these. In its first
// second an answer is evicted only for another caller that holds no more even with its new answer, later for any caller. So slow clients cannot exclude
// other callers, however many they are. Its methods may be called concurrently.
type Budget struct {
	limit int64

	mu      sync.Mutex
	bytes   int64
	evicted int64
	shared  slices
	callers map[string]*account
}

// slices are the held large slices, by the address of their first byte.
type slices map[*byte]usage

// usage is the length of a slice and the number of charges that hold it.
type usage struct{ bytes, charges int64 }

// add counts the slices of a new charge, and returns how many bytes no other charge holds.
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

// remove removes the slices of a charge, and returns how many bytes no charge holds any more.
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

// missing returns how many bytes of a charge no other charge holds.
func (s slices) missing(c *Charge) int64 {
	n := c.small
	for _, b := range c.large {
		if s[unsafe.SliceData(b)].charges == 0 {
			n += int64(len(b))
		}
	}
	return n
}

// account has the charges of one caller, at least one.
type account struct {
	bytes   int64
	shared  slices
	charges list.List // of *Charge, the oldest first
}

func (a *account) oldest() *Charge { return a.charges.Front().Value.(*Charge) }

// Charge is the memory that one answer holds. It is nil for a small answer.
type Charge struct {
	budget *Budget
	caller string
	began  time.Time
	large  [][]byte // slices that other answers may share
	small  int64    // bytes of the other slices
	evict  func()
	at     *list.Element // nil once it is released or evicted
}

// NewBudget returns a Budget of limit bytes.
func NewBudget(limit int64) *Budget {
	return &Budget{limit: limit, shared: make(slices), callers: make(map[string]*account)}
}

// Charge counts an answer until it is released or evicted. It returns false, and evicts nothing, if the answer does not fit; a retry after a second can evict
// all that is held now. evict is called, from any goroutine, when the answer is evicted. An answer larger than the budget fits if nothing else is held.
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
	var victims []*Charge
	defer func() {
		for _, victim := range victims {
			victim.evict()
		}
	}()
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.bytes+min(b.shared.missing(c), b.limit) > b.limit {
		victim := b.victim(c)
		if victim == nil {
			for i := len(victims) - 1; i >= 0; i-- { // c does not fit even in place of them
				own := b.add(victims[i])
				victims[i].at = own.charges.PushFront(victims[i])
			}
			victims = nil
			return nil, false
		}
		b.remove(victim)
		victims = append(victims, victim)
	}
	b.evicted += int64(len(victims))
	c.at = b.add(c).charges.PushBack(c)
	return c, true
}

// add counts the bytes of a charge, and returns the account of its caller. b.mu is held.
func (b *Budget) add(c *Charge) *account {
	own := b.callers[c.caller]
	if own == nil {
		own = &account{shared: make(slices)}
		b.callers[c.caller] = own
	}
	b.bytes += b.shared.add(c)
	own.bytes += own.shared.add(c)
	return own
}

// victim returns the charge to evict for c, or nil if none may be. b.mu is held.
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

// Release removes the charge from the budget. It may be called more than once.
func (c *Charge) Release() {
	if c == nil {
		return
	}
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	c.budget.remove(c)
}

// remove removes a charge, unless it has been removed already. b.mu is held.
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

// Stats returns the held bytes, and how many answers were evicted so far.
func (b *Budget) Stats() (bytes, evicted int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes, b.evicted
}

// SizeOf returns the total length of the slices of body.
func SizeOf(body [][]byte) (n int) {
	for _, part := range body {
		n += len(part)
	}
	return n
}
