package watch

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
)

// source lists and watches for a reflector. It reports the results of requests and the error events of watches, since a reflector does not
// report all of them. It repeats requests without an answer, since a reflector would wait longer each time, partly without
// checking its context.
type source struct {
	dynamic.ResourceInterface
	timeout time.Duration // limit for a list, and for the response header of a watch
	retries *retryLimiter
	outcome func(verb string, err error) // err is nil after a success
}

// listerWatcher returns s for a reflector. client is the client of s.
func (s source) listerWatcher(client dynamic.Interface) cache.ListerWatcher {
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{ListWithContextFunc: s.list, WatchFuncWithContext: s.watch}, client)
}

func (s source) list(ctx context.Context, opts metav1.ListOptions) (list runtime.Object, err error) {
	err = s.answered(ctx, func() error {
		ctx, cancel := context.WithTimeout(ctx, s.timeout)
		defer cancel()
		list, err = s.List(ctx, opts)
		s.outcome("list", err)
		return err
	})
	return list, err
}

func (s source) watch(ctx context.Context, opts metav1.ListOptions) (w watch.Interface, err error) {
	err = s.answered(ctx, func() error {
		w, err = s.begin(ctx, opts)
		if err == nil || opts.SendInitialEvents == nil || classOf(err).unanswered() { // any other error of a streaming list makes the reflector send another request, which is reported
			s.outcome("watch", err)
		}
		return err
	})
	return w, err
}

// begin begins a watch. Its response header must arrive within the timeout.
func (s source) begin(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(s.timeout, cancel)
	w, err := s.Watch(ctx, opts)
	switch {
	case !timer.Stop(): // the timeout has passed
		if err == nil {
			w.Stop()
		}
		return nil, fmt.Errorf("no answer within %v: %w", s.timeout, context.DeadlineExceeded)
	case err != nil:
		cancel()
		return nil, err
	}
	return reportErrors(w, s.outcome, cancel), nil
}

// answered repeats a request until it is answered or ctx ends.
func (s source) answered(ctx context.Context, request func() error) error {
	for {
		answered := s.retries.next()
		err := request()
		if err == nil {
			s.retries.answer()
			return nil
		}
		if !classOf(err).unanswered() {
			return err
		}
		if !s.retries.wait(ctx, answered) {
			return ctx.Err()
		}
	}
}

// reporting is a watch that reports its error events.
type reporting struct {
	events  chan watch.Event
	stopped chan struct{}
	stop    func()
}

// reportErrors returns a watch with the events of w. It calls outcome for each error event, and cancel when it is stopped.
func reportErrors(w watch.Interface, outcome func(verb string, err error), cancel func()) watch.Interface {
	r := &reporting{events: make(chan watch.Event), stopped: make(chan struct{})}
	r.stop = sync.OnceFunc(func() {
		close(r.stopped)
		w.Stop()
		cancel()
	})
	go func() {
		defer close(r.events)
		for e := range w.ResultChan() {
			if e.Type == watch.Error {
				outcome("watch", apierrors.FromObject(e.Object))
			}
			select {
			case r.events <- e:
			case <-r.stopped:
				return
			}
		}
	}()
	return r
}

func (r *reporting) ResultChan() <-chan watch.Event { return r.events }

func (r *reporting) Stop() { r.stop() }
