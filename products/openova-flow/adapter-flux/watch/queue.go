package watch

import (
	"context"
	"sync"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
)

// Queue holds what was watched until it is folded: first in, first out, without a bound. The zero value is an empty queue.
type Queue struct {
	mu    sync.Mutex
	items []item
	wake  chan struct{}
}

// item is an event, or a function to call when all before it are handled.
type item struct {
	event mapping.Event
	call  func()
}

// Push appends an event. It never blocks.
func (q *Queue) Push(e mapping.Event) { q.push(item{event: e}) }

// Call has fn called by Run, after all that is in the queue now.
func (q *Queue) Call(fn func()) { q.push(item{call: fn}) }

// Flush waits until all that is in the queue now is handled, or ctx is done.
func (q *Queue) Flush(ctx context.Context) error {
	done := make(chan struct{})
	q.Call(func() { close(done) })
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Len is the number of items that wait.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// Run hands the events to handle, one after the other, until ctx is done and what was queued by then is handled. Only one Run at a time.
func (q *Queue) Run(ctx context.Context, handle func(mapping.Event)) {
	for done := false; !done; {
		select {
		case <-q.woken():
		case <-ctx.Done():
			done = true
		}
		for _, it := range q.take() {
			if it.call != nil {
				it.call()
			} else {
				handle(it.event)
			}
		}
	}
}

func (q *Queue) push(it item) {
	wake := q.woken()
	q.mu.Lock()
	q.items = append(q.items, it)
	q.mu.Unlock()
	select {
	case wake <- struct{}{}:
	default: // it is awake, or will be
	}
}

func (q *Queue) take() []item {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items = nil
	return items
}

func (q *Queue) woken() chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.wake == nil {
		q.wake = make(chan struct{}, 1)
	}
	return q.wake
}
