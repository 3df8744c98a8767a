package httpapi

import (
	"strings"
	"sync"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
)

// readable remembers which flows callers could read when they last followed all of them, and since what number that is so. Of a flow that a
// caller may read only since then, a number from before says nothing: resuming after it would leave out what the flow was until then.
type readable struct {
	mu sync.Mutex
	by map[string]reads // by caller
}

type reads struct {
	patterns string
	after    int64
}

// since returns the greatest number that a caller can't resume after, given what it may read now and the hub's last number.
func (l *readable) since(g *auth.Grant, last int64) int64 {
	caller, patterns := kind(g.Name()), readableBy(g)
	l.mu.Lock()
	defer l.mu.Unlock()
	was, known := l.by[caller]
	switch {
	case known && was.patterns == patterns:
		return was.after
	case known:
		was.after = last
	case len(l.by) >= maxLimited: // of so many names most are in no file any more
		return last
	case l.by == nil:
		l.by = make(map[string]reads)
	}
	was.patterns = patterns
	l.by[caller] = was
	return was.after
}

// changed notes that a stream of a caller has ended with what it was allowed by: what it had by then was of flows that may be others since.
func (l *readable) changed(name string, last int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if was, known := l.by[kind(name)]; known {
		was.after = last
		l.by[kind(name)] = was
	}
}

// kind is a caller, or for a proxy's users, who may all read the same, what all their names begin with.
func kind(name string) string {
	if strings.HasPrefix(name, "user:") {
		return "user:"
	}
	return name
}

// readableBy names the flows that a caller may read: callers for whom it is equal share streams of all flows.
func readableBy(g *auth.Grant) string { return strings.Join(g.Readable(), "|") }
