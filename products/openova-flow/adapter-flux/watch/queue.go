package watch

import (
	"container/list"
	"context"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
)

// Queue has the events that are not mapped yet: first in, first out. The zero value is an empty queue without a limit.
type Queue struct {
	// A Push drops the second oldest version of its object if more than MaxVersions versions of it and more than Room items in all would wait: the oldest
	// keeps its position, and the newest is the state. A MaxVersions of 0 means no limit, 1 means 2. Set both before use.
	MaxVersions, Room int

	mu      sync.Mutex
	items   list.List // of item
	waiting map[objectKey][]*list.Element
	dropped uint64
	wake    chan struct{}
}

// item is an event, or a function that is called in its turn.
type item struct {
	object objectKey
	event  mapping.Event
	call   func()
}

// objectKey identifies an object, also after it was deleted and created again.
type objectKey struct{ kind, namespace, name string }

func keyOf(e mapping.Event) objectKey {
	if e.Object == nil {
		return objectKey{}
	}
	return objectKey{e.Object.GetKind(), e.Object.GetNamespace(), e.Object.GetName()}
}

// Push appends an event. It never blocks.
func (q *Queue) Push(e mapping.Event) { q.push(item{object: keyOf(e), event: e}) }

// Call makes Run call fn after all items that are in the queue now.
func (q *Queue) Call(fn func()) { q.push(item{call: fn}) }

// Flush waits until all items that are in the queue now are handled, or ctx ends.
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

// Len returns the number of waiting items.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.items.Len()
}

// Dropped returns the number of dropped versions.
func (q *Queue) Dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// Run passes the events to handle, one at a time, until ctx ends. Then it handles the items in the queue and returns. Only one Run at a time is allowed.
func (q *Queue) Run(ctx context.Context, handle func(mapping.Event)) {
	for ctx.Err() == nil {
		if q.next(handle) {
			continue
		}
		select {
		case <-q.woken():
		case <-ctx.Done():
		}
	}
	for range q.Len() { // not until it is empty, since new events could prevent that
		q.next(handle)
	}
}

// next handles the oldest item, and reports whether there was one.
func (q *Queue) next(handle func(mapping.Event)) bool {
	it, ok := q.pop()
	switch {
	case !ok:
		return false
	case it.call != nil:
		it.call()
	default:
		handle(it.event)
	}
	return true
}

func (q *Queue) push(it item) {
	wake := q.woken()
	q.mu.Lock()
	at := q.items.PushBack(it)
	if it.call == nil && q.MaxVersions > 0 {
		q.bound(it.object, at)
	}
	q.mu.Unlock()
	select {
	case wake <- struct{}{}:
	default: // a wake-up is pending
	}
}

// bound records the newest waiting version of an object, and drops one if there are too many. q.mu is held.
func (q *Queue) bound(object objectKey, newest *list.Element) {
	if q.waiting == nil {
		q.waiting = map[objectKey][]*list.Element{}
	}
	versions := append(q.waiting[object], newest)
	if len(versions) > max(q.MaxVersions, 2) && q.items.Len() > q.Room {
		q.items.Remove(versions[1])
		versions = slices.Delete(versions, 1, 2)
		q.dropped++
	}
	q.waiting[object] = versions
}

func (q *Queue) pop() (item, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	first := q.items.Front()
	if first == nil {
		return item{}, false
	}
	it := q.items.Remove(first).(item)
	if versions := q.waiting[it.object]; it.call == nil && len(versions) > 1 {
		q.waiting[it.object] = slices.Delete(versions, 0, 1)
	} else if it.call == nil {
		delete(q.waiting, it.object)
	}
	return it, true
}

func (q *Queue) woken() chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.wake == nil {
		q.wake = make(chan struct{}, 1)
	}
	return q.wake
}

// QueueMetrics returns the metrics of q.
func QueueMetrics(q *Queue) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "flow_adapter_queue_length", Help: "Object versions that wait to be mapped.",
		}, func() float64 { return float64(q.Len()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "flow_adapter_queue_dropped_total", Help: "Object versions that were dropped because too many of the same object waited.",
		}, func() float64 { return float64(q.Dropped()) }),
	}
}
