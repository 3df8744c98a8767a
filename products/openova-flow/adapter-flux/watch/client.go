package watch

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// observed is a dynamic client that tells the outcome of every list and watch, error events of a running watch included. A reflector's
// own error handler hears of no 429, of no refused connection while it watches, and of no error event. What gets no answer is repeated here,
// as a reflector would wait longer each time, for up to half a minute, some of that without looking at its context.
type observed struct {
	dynamic.Interface
	gate    *gate
	outcome func(verb string, err error) // err is nil when it went well
}

func (o observed) Resource(r schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	inner := o.Interface.Resource(r)
	return observedResource{inner, inner, o}
}

// IsWatchListSemanticsUnSupported passes on what a reflector asks of its client.
func (o observed) IsWatchListSemanticsUnSupported() bool {
	u, ok := o.Interface.(interface{ IsWatchListSemanticsUnSupported() bool })
	return ok && u.IsWatchListSemanticsUnSupported()
}

type observedResource struct {
	dynamic.ResourceInterface
	all    dynamic.NamespaceableResourceInterface
	client observed
}

func (r observedResource) Namespace(namespace string) dynamic.ResourceInterface {
	return observedResource{r.all.Namespace(namespace), r.all, r.client}
}

func (r observedResource) List(ctx context.Context, opts metav1.ListOptions) (list *unstructured.UnstructuredList, err error) {
	err = r.client.answered(ctx, func() error {
		list, err = r.ResourceInterface.List(ctx, opts)
		r.client.outcome("list", err)
		return err
	})
	return list, err
}

func (r observedResource) Watch(ctx context.Context, opts metav1.ListOptions) (w watch.Interface, err error) {
	err = r.client.answered(ctx, func() error {
		w, err = r.ResourceInterface.Watch(ctx, opts)
		if err == nil || opts.SendInitialEvents == nil || classOf(err).away() { // else a list follows, whose outcome counts
			r.client.outcome("watch", err)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return tellErrors(w, r.client.outcome), nil
}

// answered makes a request until it is answered, or ctx is done.
func (o observed) answered(ctx context.Context, request func() error) error {
	for {
		answered := o.gate.next()
		err := request()
		if err == nil {
			o.gate.open()
			return nil
		}
		if !classOf(err).away() {
			return err
		}
		if !o.gate.wait(ctx, answered) {
			return ctx.Err()
		}
	}
}

// told is a watch whose error events are told on their way.
type told struct {
	inner   watch.Interface
	events  chan watch.Event
	stopped chan struct{}
	stop    sync.Once
}

func tellErrors(w watch.Interface, outcome func(verb string, err error)) watch.Interface {
	t := &told{inner: w, events: make(chan watch.Event), stopped: make(chan struct{})}
	go func() {
		defer close(t.events)
		for e := range w.ResultChan() {
			if e.Type == watch.Error {
				outcome("watch", apierrors.FromObject(e.Object))
			}
			select {
			case t.events <- e:
			case <-t.stopped:
				return
			}
		}
	}()
	return t
}

func (t *told) ResultChan() <-chan watch.Event { return t.events }

func (t *told) Stop() {
	t.stop.Do(func() { close(t.stopped) })
	t.inner.Stop()
}
