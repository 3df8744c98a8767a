package watch

import (
	"context"
	"errors"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// observed is a dynamic client that tells the outcome of every list and watch, error events of a running watch included. A reflector's
// own error handler hears of no 429, of no refused connection while it watches, and of no error event.
type observed struct {
	dynamic.Interface
	outcome func(verb string, err error) // err is nil when it went well
}

func (o observed) Resource(r schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	inner := o.Interface.Resource(r)
	return observedResource{inner, inner, o.outcome}
}

// IsWatchListSemanticsUnSupported passes on what a reflector asks of its client.
func (o observed) IsWatchListSemanticsUnSupported() bool {
	u, ok := o.Interface.(interface{ IsWatchListSemanticsUnSupported() bool })
	return ok && u.IsWatchListSemanticsUnSupported()
}

type observedResource struct {
	dynamic.ResourceInterface
	all     dynamic.NamespaceableResourceInterface
	outcome func(verb string, err error)
}

func (r observedResource) Namespace(namespace string) dynamic.ResourceInterface {
	return observedResource{r.all.Namespace(namespace), r.all, r.outcome}
}

func (r observedResource) List(ctx context.Context, opts metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	list, err := r.ResourceInterface.List(ctx, opts)
	r.outcome("list", err)
	return list, err
}

func (r observedResource) Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	w, err := r.ResourceInterface.Watch(ctx, opts)
	if err != nil && opts.SendInitialEvents != nil {
		return nil, untilList(err)
	}
	r.outcome("watch", err)
	if err != nil {
		return nil, err
	}
	return tellErrors(w, r.outcome), nil
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

// untilList makes a reflector that could not stream its initial list go on to an ordinary list at once, whose outcome then counts. On a
// 429 and on a refused connection it would otherwise sit out its backoff without looking at its context, and stopping could take half
// a minute. An expired version it handles well.
func untilList(err error) error {
	if apierrors.IsGone(err) || apierrors.IsResourceExpired(err) {
		return err
	}
	return errors.New(err.Error())
}
