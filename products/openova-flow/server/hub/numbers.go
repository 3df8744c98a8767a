package hub

import (
	"math/rand/v2"
	"sync/atomic"
)

// numbers gives requests their sequence numbers, and knows up to which number all is done: flows take theirs side by side, so a
// greater number may be visible while a smaller one is still being folded elsewhere.
type numbers struct {
	last   atomic.Int64
	places [64]place
	entry  place // of the entry of a Log that is being applied
}

// place holds a lower bound of the numbers that a request under way has or will get; 0 when it is free.
type place struct {
	from atomic.Int64
	_    [56]byte // places are written by different processors
}

// open marks a request as under way, before it gets its numbers. done ends it.
func (n *numbers) open() *place {
	for i := rand.Uint32(); ; i++ {
		p := &n.places[i%uint32(len(n.places))]
		if p.from.CompareAndSwap(0, n.last.Load()+1) {
			return p
		}
	}
}

// openEntry marks an entry of a Log as under way, before it gets its numbers. Entries come one at a time and their place is no other request's, so
// done may end it more than once.
func (n *numbers) openEntry() *place {
	n.entry.from.Store(n.last.Load() + 1)
	return &n.entry
}

func (p *place) done() { p.from.Store(0) }

// below returns number, or less where the place holds a request that may get it.
func (p *place) below(number int64) int64 {
	if from := p.from.Load(); from != 0 {
		return min(number, from-1)
	}
	return number
}

// take returns the first of count numbers.
func (n *numbers) take(count int64) int64 { return n.last.Add(count) - count + 1 }

// raise makes every number that is taken from now on greater than one that was given out elsewhere or before.
func (n *numbers) raise(to int64) {
	for last := n.last.Load(); last < to && !n.last.CompareAndSwap(last, to); last = n.last.Load() {
	}
}

// settled returns a number such that every request with that one or a smaller one is done. It may be less than it was before, since
// a place's bound may be lower than what its request gets; what was settled stays so.
func (n *numbers) settled() int64 {
	least := n.last.Load()
	for i := range n.places {
		least = n.places[i].below(least)
	}
	return n.entry.below(least)
}
