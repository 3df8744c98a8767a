package watch

import (
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// store is the cache.ReflectorStore of one reflector. It queues the reflector's objects, and keeps only the version of each, to detect changes and
// deletions, since the mapping has the rest. Only the reflector calls it, one call at a time.
type store struct {
	kind       Kind
	queue      *Queue
	now        func() time.Time
	metrics    *Metrics
	keepUnread bool
	synced     func() // called after each list was queued

	known map[types.NamespacedName]version
}

// version identifies a state of an object.
type version struct {
	uid      types.UID
	resource string
}

// Add implements cache.ReflectorStore.
func (s *store) Add(obj any) error {
	u, typ := s.strip(obj), mapping.Added
	if _, known := s.known[nameOf(u)]; known {
		typ = mapping.Modified
	}
	s.known[nameOf(u)] = versionOf(u)
	s.push(typ, u)
	return nil
}

// Update implements cache.ReflectorStore.
func (s *store) Update(obj any) error { return s.Add(obj) }

// Delete implements cache.ReflectorStore.
func (s *store) Delete(obj any) error {
	u := s.strip(obj)
	delete(s.known, nameOf(u))
	s.push(mapping.Deleted, u)
	return nil
}

// Replace implements cache.ReflectorStore. An object that is missing from the list was deleted while there was no watch.
func (s *store) Replace(list []any, _ string) error {
	listed := make(map[types.NamespacedName]bool, len(list))
	for _, obj := range list {
		listed[nameOf(obj.(*unstructured.Unstructured))] = true
	}
	for name, v := range s.known {
		if !listed[name] {
			_ = s.Delete(s.tombstone(name, v))
		}
	}
	for _, obj := range list {
		if u := obj.(*unstructured.Unstructured); s.known[nameOf(u)] != versionOf(u) {
			_ = s.Add(obj)
		}
	}
	s.synced()
	return nil
}

// Resync implements cache.ReflectorStore. It is never called: the reflector has no resync period.
func (s *store) Resync() error { return nil }

// Transformer implements cache.TransformingStore: it strips the objects of a streamed list as they arrive.
func (s *store) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) { return s.strip(obj), nil }
}

func (s *store) push(typ mapping.EventType, u *unstructured.Unstructured) {
	s.metrics.events.WithLabelValues(s.kind.Name, string(typ)).Inc()
	s.queue.Push(mapping.Event{At: flow.At(s.now().UnixMilli()), Type: typ, Object: u})
}

// strip removes large fields that the mapping does not read. With keepUnread it keeps spec.values, and all annotations except kubectl's copy of the object.
func (s *store) strip(obj any) *unstructured.Unstructured {
	u := obj.(*unstructured.Unstructured)
	unstructured.RemoveNestedField(u.Object, "metadata", "managedFields")
	unstructured.RemoveNestedField(u.Object, "metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration")
	if !s.keepUnread {
		unstructured.RemoveNestedField(u.Object, "metadata", "annotations")
		unstructured.RemoveNestedField(u.Object, "spec", "values")
	}
	return u
}

// tombstone returns the known fields of a deleted object with an unknown last state.
func (s *store) tombstone(name types.NamespacedName, v version) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(s.kind.Resource.GroupVersion().WithKind(s.kind.Name))
	u.SetNamespace(name.Namespace)
	u.SetName(name.Name)
	u.SetUID(v.uid)
	return u
}

func nameOf(u *unstructured.Unstructured) types.NamespacedName {
	return types.NamespacedName{Namespace: u.GetNamespace(), Name: u.GetName()}
}

func versionOf(u *unstructured.Unstructured) version {
	return version{u.GetUID(), u.GetResourceVersion()}
}
