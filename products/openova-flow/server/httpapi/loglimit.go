package httpapi

import (
	"sync"
	"time"
)

// logLimiter allows one line a second, so that a caller cannot flood the log.
type logLimiter struct {
	mu     sync.Mutex
	last   time.Time
	missed int
}

// allow reports whether a line may be logged now, and how many were not since the last one.
func (l *logLimiter) allow(now time.Time) (missed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.last) < time.Second {
		l.missed++
		return 0, false
	}
	missed, l.missed, l.last = l.missed, 0, now
	return missed, true
}

// maxLimited is how many callers have a limiter of their own: a proxy may name any number of users.
const maxLimited = 4096

// logLimiters has a logLimiter for each of the first maxLimited callers, so that none uses up the lines of another. All later and all unknown callers share
// one.
type logLimiters struct {
	mu sync.Mutex
	by map[string]*logLimiter // by the caller's name
}

func (l *logLimiters) allow(caller string, now time.Time) (missed int, ok bool) {
	return l.of(caller).allow(now)
}

func (l *logLimiters) of(caller string) *logLimiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil {
		l.by = make(map[string]*logLimiter)
	}
	if l.by[caller] == nil && len(l.by) >= maxLimited {
		caller = ""
	}
	if l.by[caller] == nil {
		l.by[caller] = new(logLimiter)
	}
	return l.by[caller]
}
