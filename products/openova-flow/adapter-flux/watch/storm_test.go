package watch_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// blocking is a Fold that records its events, and blocks at the first version of object storm until it is released.
type blocking struct {
	watch.Fold
	once    sync.Once
	reached chan struct{}
	release chan struct{}

	mu     sync.Mutex
	folded []mapping.Event
}

func (b *blocking) Apply(e mapping.Event) ([]mapping.Change, error) {
	if e.Object.GetName() == "storm" {
		b.once.Do(func() { close(b.reached) })
		<-b.release
	}
	b.mu.Lock()
	b.folded = append(b.folded, e)
	b.mu.Unlock()
	return b.Fold.Apply(e)
}

func (b *blocking) all() []mapping.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.folded
}

func TestWatch_StormOnOneObjectDelaysNoOther(t *testing.T) {
	const updates = 3000
	s := server(t, releases)
	client, err := dynamic.NewForConfig(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	discovery, err := watch.NewAPIDiscovery(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	out := &sink{state: flow.NewState(flowID, 0)}
	fold := &blocking{Fold: mapping.NewCluster(mapping.Config{FlowID: flowID, Region: "r"}), reached: make(chan struct{}), release: make(chan struct{})}
	log := slog.New(slog.DiscardHandler)
	pump := watch.NewPump(watch.PumpConfig{Fold: fold, Sink: out, Logger: log})
	watcher := watch.New(watch.Config{Client: client, Discovery: discovery, Kinds: watch.Kinds[:1], Logger: log})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { watcher.Run(ctx, &pump.Queue) })
	wg.Go(func() { pump.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	unblock := sync.OnceFunc(func() { close(fold.release) })
	defer unblock()

	storm := func(i int, ready string) map[string]any {
		o := release("flux-system", "storm", "1", ready)
		m := o["metadata"].(map[string]any)
		m["annotations"] = map[string]any{"note": strings.Repeat("x", 1000)}
		m["managedFields"] = []any{map[string]any{"manager": "kubectl"}}
		m["generation"] = int64(i)
		return o
	}
	s.Put(releases.Resource, release("flux-system", "calm", "2", "False"))
	eventually(t, func() bool { return len(fold.all()) == 1 }, func() any { return fold.all() })
	done(t, watcher.Complete(), "the initial list is folded") // from here on only versions enter the queue
	s.Put(releases.Resource, storm(1, ""))
	done(t, fold.reached, "the storm begins")
	for i := range updates {
		s.Put(releases.Resource, storm(2+i, "False"))
	}
	s.Put(releases.Resource, storm(updates+2, "True"))
	s.Put(releases.Resource, release("flux-system", "calm", "2", "True"))
	waits := func() int { return int(pump.Queue.Dropped()) + pump.Queue.Len() }
	eventually(t, func() bool { return waits() == updates+2 }, func() any { return waits() })
	if n := pump.Queue.Len(); n > 513 {
		t.Errorf("%d versions of two objects wait", n)
	}
	unblock()
	eventually(t, func() bool { return out.statuses()["r/calm"] == "succeeded" }, func() any { return out.statuses() })
	between := 0
	for _, e := range fold.all() {
		if e.Object.GetName() == "storm" {
			between++
		}
		if _, values, _ := unstructured.NestedFieldNoCopy(e.Object.Object, "spec", "values"); values || len(e.Object.GetAnnotations())+len(e.Object.GetManagedFields()) > 0 {
			t.Fatalf("an unread field is kept: %v", e.Object.Object)
		}
	}
	if between > 513 { // the one being folded, and the waiting ones
		t.Errorf("%d versions of one object were folded before the other's change", between)
	}
	if _, m := out.node("r/storm"); out.statuses()["r/storm"] != "succeeded" || m["generation"] != float64(updates+2) {
		t.Errorf("the last version of the storm is %v", m)
	}
}

type refusing struct{ watch.Fold }

func (refusing) Apply(e mapping.Event) ([]mapping.Change, error) {
	return nil, fmt.Errorf("version %s is invalid", e.Object.GetResourceVersion())
}

func TestPump_ObjectThatIsSkippedOftenIsLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := &logged{}
		pump := watch.NewPump(watch.PumpConfig{Fold: refusing{}, Logger: slog.New(slog.NewTextHandler(lines, nil))})
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { pump.Run(ctx) })
		for i := range int64(3 * 60) {
			for range 50 {
				e := versioned("a", i)
				e.Object.SetResourceVersion(fmt.Sprint(i))
				pump.Queue.Push(e)
				pump.Queue.Push(versioned("b", i))
				synctest.Wait()
			}
			time.Sleep(time.Second)
		}
		cancel()
		wg.Wait()
		for _, name := range []string{"a", "b"} {
			if n := lines.lines("object skipped", "name="+name); n != 3 {
				t.Errorf("%d lines about %s in three minutes, want 3", n, name)
			}
		}
	})
}
