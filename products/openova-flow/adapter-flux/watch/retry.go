package watch

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// gate limits retries to an API server that does not answer. After each pause one of the unanswered requests is repeated, in turn; after the first
// answer, all others are.
type gate struct {
	pause time.Duration
	turn  chan struct{} // held by the request that is repeated next

	mu       sync.Mutex
	answered chan struct{} // closed with the next answer
}

func newGate(pause time.Duration) *gate {
	return &gate{pause: pause, turn: make(chan struct{}, 1), answered: make(chan struct{})}
}

// next returns a channel that the next answer closes. Call it before the request is made.
func (g *gate) next() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.answered
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.answered)
	g.answered = make(chan struct{})
}

// wait returns true when an unanswered request should be repeated, and false if ctx ends. answered is what next returned before the
// request.
func (g *gate) wait(ctx context.Context, answered <-chan struct{}) bool {
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
		select {
		case <-time.After(g.pause/2 + rand.N(g.pause/2)):
		case <-answered:
		case <-ctx.Done():
		}
	case <-answered:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}
