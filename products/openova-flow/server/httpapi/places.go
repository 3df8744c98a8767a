package httpapi

import "sync"

// places are for what there is only so much of. Each caller has some of them at most: who takes many, or a long time over them, keeps out
// nobody else.
type places struct {
	mu    sync.Mutex
	taken map[string]int64 // by caller
	all   int64
}

// take takes n places, unless the caller would have more than one may have, or all together more than there are.
func (p *places) take(caller string, n, each, all int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all+n > all || p.taken[caller]+n > each {
		return false
	}
	if p.taken == nil {
		p.taken = make(map[string]int64)
	}
	p.taken[caller] += n
	p.all += n
	return true
}

func (p *places) give(caller string, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all -= n
	if left := p.taken[caller] - n; left > 0 {
		p.taken[caller] = left
	} else {
		delete(p.taken, caller)
	}
}
