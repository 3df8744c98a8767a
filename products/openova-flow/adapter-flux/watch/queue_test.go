package watch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
)

func numbered(i int64) mapping.Event {
	return mapping.Event{Type: mapping.Modified, Object: &unstructured.Unstructured{Object: map[string]any{"n": i}}}
}

func TestTheQueueKeepsEveryVersionOfEveryPusherInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q watch.Queue
		ctx, cancel := context.WithCancel(context.Background())
		next := map[string]int64{}
		var wg sync.WaitGroup
		wg.Go(func() {
			q.Run(ctx, func(e mapping.Event) {
				name := e.Object.GetName()
				n, _, _ := unstructured.NestedInt64(e.Object.Object, "n")
				if n != next[name] {
					t.Errorf("%s: got %d, want %d", name, n, next[name])
				}
				next[name]++
			})
		})
		var pushers sync.WaitGroup
		for _, name := range []string{"a", "b", "c"} {
			pushers.Go(func() {
				for i := range int64(1000) {
					e := numbered(i)
					e.Object.SetName(name)
					q.Push(e)
				}
			})
		}
		pushers.Wait()
		if err := q.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b", "c"} {
			if next[name] != 1000 {
				t.Errorf("%s: %d of 1000 handled when Flush returned", name, next[name])
			}
		}
		cancel()
		wg.Wait()
	})
}

func TestWhatIsQueuedWhenTheQueueStopsIsStillHandled(t *testing.T) {
	var q watch.Queue
	for i := range int64(10) {
		q.Push(numbered(i))
	}
	if got := q.Len(); got != 10 {
		t.Errorf("length %d, want 10", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	handled := 0
	q.Run(ctx, func(mapping.Event) { handled++ })
	if handled != 10 || q.Len() != 0 {
		t.Errorf("%d handled, %d left", handled, q.Len())
	}
	if err := q.Flush(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Flush of a queue that does not run: %v", err)
	}
}
