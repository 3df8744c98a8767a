package watch

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func object(name, uid, version string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
		"spec": map[string]any{"interval": "1m", "values": map[string]any{"a": "b"}}}}
	u.SetNamespace("ns")
	u.SetName(name)
	u.SetUID(types.UID(uid))
	u.SetResourceVersion(version)
	u.SetAnnotations(map[string]string{"a": "b"})
	return u
}

// drained returns the events in the queue, as type, name and UID.
func drained(q *Queue) (all []string) {
	ended, end := context.WithCancel(context.Background())
	end()
	q.Run(ended, func(e mapping.Event) {
		all = append(all, fmt.Sprint(e.Type, " ", e.Object.GetName(), " ", e.Object.GetUID()))
	})
	return all
}

func TestStore_ListQueuesOnlyWhatChanged(t *testing.T) {
	synced := 0
	s := &store{kind: Kinds[0], queue: &Queue{}, now: time.Now, metrics: NewMetrics(), known: map[types.NamespacedName]version{}, synced: func() { synced++ }}
	_ = s.Replace([]any{object("same", "1", "1"), object("changed", "2", "2"), object("again", "3", "3"), object("gone", "4", "4")}, "4")
	if got := drained(s.queue); len(got) != 4 || synced != 1 {
		t.Errorf("%q, synced %d times", got, synced)
	}
	_ = s.Update(object("changed", "2", "5"))
	_ = s.Delete(object("again", "3", "6"))
	_ = s.Add(object("again", "7", "7"))
	want := []string{"MODIFIED changed 2", "DELETED again 3", "ADDED again 7"}
	if got := drained(s.queue); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	_ = s.Replace([]any{object("same", "1", "1"), object("changed", "2", "8"), object("again", "9", "9"), object("new", "10", "10")}, "10")
	want = []string{"DELETED gone 4", "MODIFIED changed 2", "MODIFIED again 9", "ADDED new 10"}
	if got := drained(s.queue); !slices.Equal(got, want) || synced != 2 {
		t.Errorf("%q, want %q; synced %d times", got, want, synced)
	}
}

// TestStore_EventsAreByTheClustersClock: events have the time of the clock by which the objects are dated, not of this machine's.
func TestStore_EventsAreByTheClustersClock(t *testing.T) {
	at := time.Date(2001, 2, 3, 4, 5, 6, 7e6, time.UTC)
	s := &store{kind: Kinds[0], queue: &Queue{}, now: func() time.Time { return at }, metrics: NewMetrics(), known: map[types.NamespacedName]version{}}
	_ = s.Add(object("a", "1", "1"))
	_ = s.Delete(object("a", "1", "2"))
	ended, end := context.WithCancel(t.Context())
	end()
	events := 0
	s.queue.Run(ended, func(e mapping.Event) {
		if events++; e.At != flow.At(at.UnixMilli()) {
			t.Errorf("%s at %d, want %d", e.Type, e.At.Ms(), at.UnixMilli())
		}
	})
	if events != 2 {
		t.Errorf("%d events", events)
	}
}

func TestStore_StreamedListIsStrippedOnArrival(t *testing.T) {
	for _, keep := range []bool{false, true} {
		s := &store{keepUnread: keep}
		obj, err := s.Transformer()(object("a", "1", "1"))
		if err != nil {
			t.Fatal(err)
		}
		u := obj.(*unstructured.Unstructured)
		if _, values, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "values"); values != keep || (len(u.GetAnnotations()) > 0) != keep {
			t.Errorf("keep %v: %v", keep, u.Object)
		}
	}
}
