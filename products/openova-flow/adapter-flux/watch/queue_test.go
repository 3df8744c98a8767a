package watch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
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

func TestQueue_KeepsTheOrderOfEveryPusher(t *testing.T) {
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

func TestQueue_HandlesQueuedItemsAtTheEnd(t *testing.T) {
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

func versioned(name string, i int64) mapping.Event {
	e := numbered(i)
	e.Object.SetName(name)
	return e
}

// handled runs q until it is empty, and returns the handled events as name and number.
func handled(q *watch.Queue) []string {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var got []string
	q.Run(ctx, func(e mapping.Event) {
		n, _, _ := unstructured.NestedInt64(e.Object.Object, "n")
		got = append(got, fmt.Sprint(e.Object.GetName(), n))
	})
	return got
}

func TestQueue_StormOnOneObjectDropsItsMiddleVersions(t *testing.T) {
	q := watch.Queue{MaxVersions: 3}
	call := 0
	q.Push(versioned("other", 1))
	for i := range int64(1000) {
		q.Push(versioned("storm", i))
		if i == 500 {
			q.Push(versioned("other", 2))
			q.Call(func() { call++ })
		}
	}
	q.Push(versioned("last", 1))
	if q.Len() != 7 || q.Dropped() != 997 {
		t.Errorf("%d wait, %d were dropped", q.Len(), q.Dropped())
	}
	want := []string{"other1", "storm0", "other2", "storm998", "storm999", "last1"}
	if got := handled(&q); !slices.Equal(got, want) || call != 1 {
		t.Errorf("got %v and %d calls, want %v", got, call, want)
	}
	for i := range int64(3) { // handled versions no longer count
		q.Push(versioned("storm", i))
	}
	if got := handled(&q); len(got) != 3 || q.Dropped() != 997 {
		t.Errorf("got %v, %d were dropped", got, q.Dropped())
	}
}

// TestQueue_KeepsAllVersionsWhileThereIsRoom has many waiting versions of one object, but few items in all.
func TestQueue_KeepsAllVersionsWhileThereIsRoom(t *testing.T) {
	q := watch.Queue{MaxVersions: 3, Room: 10}
	for i := range int64(10) {
		q.Push(versioned("a", i))
	}
	if q.Len() != 10 || q.Dropped() != 0 {
		t.Errorf("%d wait, %d were dropped", q.Len(), q.Dropped())
	}
	q.Push(versioned("b", 0))
	q.Push(versioned("a", 10))
	if want := []string{"a0", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "b0", "a10"}; !slices.Equal(handled(&q), want) || q.Dropped() != 1 {
		t.Errorf("%d were dropped", q.Dropped())
	}
}

func TestQueue_DistinctObjectsAreCountedApart(t *testing.T) {
	q := watch.Queue{MaxVersions: 2}
	for i := range int64(3) {
		for _, at := range [][3]string{{"A", "x", "n"}, {"B", "x", "n"}, {"A", "y", "n"}, {"A", "x", "m"}} {
			e := versioned(at[2], i)
			e.Object.SetKind(at[0])
			e.Object.SetNamespace(at[1])
			q.Push(e)
		}
	}
	if q.Len() != 8 || q.Dropped() != 4 {
		t.Errorf("%d wait, %d were dropped", q.Len(), q.Dropped())
	}
}

// TestQueue_NewestVersionIsHandledLast pushes random versions of a few objects while some of them are handled.
func TestQueue_NewestVersionIsHandledLast(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		most := 2 + random.IntN(4)
		q := watch.Queue{MaxVersions: most}
		pushed, last := map[string]int64{}, map[string]int64{}
		ctx, cancel := context.WithCancel(context.Background())
		check := func(e mapping.Event) {
			name := e.Object.GetName()
			n, _, _ := unstructured.NestedInt64(e.Object.Object, "n")
			if n <= last[name] {
				t.Fatalf("seed %d: version %d of %s comes after %d", seed, n, name, last[name])
			}
			last[name] = n
			for range random.IntN(3) {
				if name := fmt.Sprint(random.IntN(5)); pushed[name] < 100 {
					pushed[name]++
					q.Push(versioned(name, pushed[name]))
				}
			}
			if q.Len() > 5*most {
				t.Fatalf("seed %d: %d versions of 5 objects wait", seed, q.Len())
			}
		}
		for range 50 {
			name := fmt.Sprint(random.IntN(5))
			pushed[name]++
			q.Push(versioned(name, pushed[name]))
		}
		cancel()
		for q.Len() > 0 {
			q.Run(ctx, check)
		}
		for name, n := range pushed {
			if last[name] != n {
				t.Errorf("seed %d: the newest version of %s is %d, but the last handled one %d", seed, name, n, last[name])
			}
		}
	}
}

func TestMeasure_QueueHeapOfAnObjectIsBounded(t *testing.T) {
	const size = 64 << 10
	q := watch.Queue{MaxVersions: 16}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range int64(20_000) { // 1.3 GB
		e := versioned("storm", i)
		e.Object.Object["large"] = strings.Repeat("x", size)
		q.Push(e)
	}
	if grown := int64(heap()) - int64(before); grown > 2*16*size {
		t.Errorf("%d bytes for an object with versions of %d bytes", grown, size)
	}
	if q.Len() != 16 {
		t.Errorf("%d wait", q.Len())
	}
}

// TestQueue_EndsThoughEventsKeepComing pushes another event with each handled one.
func TestQueue_EndsThoughEventsKeepComing(t *testing.T) {
	var q watch.Queue
	ctx, cancel := context.WithCancel(context.Background())
	handled := int64(0)
	q.Push(numbered(0))
	q.Run(ctx, func(mapping.Event) {
		if handled++; handled == 1000 {
			cancel()
		}
		q.Push(numbered(handled))
	})
	if handled != 1001 {
		t.Errorf("%d were handled, 1000 of them before the end", handled)
	}
}
