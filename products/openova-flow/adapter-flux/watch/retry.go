package watch

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// retryLimiter limits retries to an API server that does not answer. After each pause one of the unanswered requests is repeated, in turn; after the first
// success, all others are.
type retryLimiter struct {
	pause time.Duration
	turn  chan struct{} // held by the request that is repeated next

	mu       sync.Mutex
	answered chan struct{} // closed with the next success
}

func newRetryLimiter(pause time.Duration) *retryLimiter {
	return &retryLimiter{pause: pause, turn: make(chan struct{}, 1), answered: make(chan struct{})}
}

// next returns a channel that the next success closes. Call it before the request is made.
func (l *retryLimiter) next() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answered
}

// answer ends all waits. Call it when a request has succeeded.
func (l *retryLimiter) answer() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.answered)
	l.answered = make(chan struct{})
}

// wait returns true when an unanswered request should be repeated, and false if ctx ends. answered is the channel that next returned before the
// request.
func (l *retryLimiter) wait(ctx context.Context, answered <-chan struct{}) bool {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
		select {
		case <-time.After(l.pause/2 + rand.N(l.pause/2)):
		case <-answered:
		case <-ctx.Done():
		}
	case <-answered:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}
