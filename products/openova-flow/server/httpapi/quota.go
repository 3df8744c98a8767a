package httpapi

import "sync"

// quota counts the units of a limited resource that callers have taken.
type quota struct {
	mu    sync.Mutex
	taken map[string]int64 // by caller
	all   int64
}

// take takes n units, unless that exceeds the caller's share, or the limit for all.
func (q *quota) take(caller string, n, share, limit int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.taken[caller]+n > share || q.all+n > limit {
		return false
	}
	if q.taken == nil {
		q.taken = make(map[string]int64)
	}
	q.taken[caller] += n
	q.all += n
	return true
}

// release gives n units back.
func (q *quota) release(caller string, n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all -= n
	if left := q.taken[caller] - n; left > 0 {
		q.taken[caller] = left
	} else {
		delete(q.taken, caller)
	}
}

// total returns the number of units in use.
func (q *quota) total() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.all
}
