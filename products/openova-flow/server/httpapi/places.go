package httpapi

import "sync"

// places are for what takes much memory while it is under way, or of which there is only so much. Each caller has some of them at most: who takes a long time over it
// keeps out nobody else.
type places struct {
	mu    sync.Mutex
	taken map[string]int // by caller
	all   int
}

// take takes a place, unless the caller has all that one may have, or all together have all that there are.
func (p *places) take(caller string, each, all int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == all || p.taken[caller] == each {
		return false
	}
	if p.taken == nil {
		p.taken = make(map[string]int)
	}
	p.taken[caller]++
	p.all++
	return true
}

func (p *places) give(caller string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.taken[caller]--; p.taken[caller] == 0 {
		delete(p.taken, caller)
	}
}
