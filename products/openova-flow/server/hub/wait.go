package hub

import "sync"

// Waiter is one who waits for something to take. Set Wake, then give it to Reader.Await, at one source at a time.
type Waiter struct {
	// Wake is called once after each Await that returned true, or not at all after Cancel, and now and then without cause. It is
	// called from any goroutine, with locks of the hub held: it must not block and not call the hub.
	Wake func()

	prev, next *Waiter
	waits      bool
}

// waiters is those who wait at one source.
type waiters struct {
	mu    sync.Mutex
	first *Waiter
	n     int
}

func (l *waiters) add(w *Waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.waits {
		return
	}
	w.prev, w.next, w.waits = nil, l.first, true
	if l.first != nil {
		l.first.prev = w
	}
	l.first = w
	l.n++
}

func (l *waiters) remove(w *Waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !w.waits {
		return
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.prev, w.next, w.waits = nil, nil, false
	l.n--
}

// fewWaiters is how many are woken by whoever made the change. More are woken beside it, so that ingest does not wait for them.
const fewWaiters = 16

// wake wakes all who wait.
func (l *waiters) wake() {
	l.mu.Lock()
	if l.n == 0 {
		l.mu.Unlock()
		return
	}
	var room [fewWaiters]func()
	calls := room[:0]
	if l.n > fewWaiters {
		calls = make([]func(), 0, l.n)
	}
	for w := l.first; w != nil; {
		next := w.next
		calls = append(calls, w.Wake)
		w.prev, w.next, w.waits = nil, nil, false
		w = next
	}
	l.first, l.n = nil, 0
	l.mu.Unlock()
	if len(calls) > fewWaiters {
		go call(calls)
		return
	}
	call(calls)
}

func call(all []func()) {
	for _, f := range all {
		f()
	}
}
