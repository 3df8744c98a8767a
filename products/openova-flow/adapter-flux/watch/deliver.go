package watch

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/cache"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
)

// cached is what an informer keeps of an object: enough to notice that it changed or went. Nobody reads the cache, the fold is kept by the
// mapping, so the object itself is only passing through. Thousands of releases take little memory that way.
type cached struct {
	metav1.ObjectMeta // name, namespace, UID and version

	passing *unstructured.Unstructured // until the handler has it
}

// lighten makes a cached of an object, without what nobody reads.
func lighten(keepUnread bool) cache.TransformFunc {
	return func(obj any) (any, error) {
		u, ok := obj.(*unstructured.Unstructured)
		if !ok {
			return obj, nil // it is done already, or a tombstone
		}
		unstructured.RemoveNestedField(u.Object, "metadata", "managedFields")
		unstructured.RemoveNestedField(u.Object, "metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration")
		if !keepUnread {
			unstructured.RemoveNestedField(u.Object, "metadata", "annotations")
			unstructured.RemoveNestedField(u.Object, "spec", "values")
		}
		return &cached{metav1.ObjectMeta{Namespace: u.GetNamespace(), Name: u.GetName(), UID: u.GetUID(), ResourceVersion: u.GetResourceVersion()}, u}, nil
	}
}

// handler queues what an informer of k delivers.
func handler(k Kind, q *Queue, m *Metrics) cache.ResourceEventHandler {
	push := func(typ mapping.EventType, obj any) {
		c, ok := obj.(*cached)
		if !ok {
			return
		}
		u := c.passing
		c.passing = nil
		if u == nil {
			u = c.remains(k)
		}
		m.events.WithLabelValues(k.Name, string(typ)).Inc()
		q.Push(mapping.Event{Type: typ, Object: u})
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { push(mapping.Added, obj) },
		UpdateFunc: func(_, obj any) { push(mapping.Modified, obj) },
		DeleteFunc: func(obj any) {
			if tomb, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = tomb.Obj // the last state that was seen; its deletion was not
			}
			push(mapping.Deleted, obj)
		},
	}
}

// remains is what is left of an object that went while nobody watched: its name.
func (c *cached) remains(k Kind) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(k.Resource.GroupVersion().WithKind(k.Name))
	u.SetNamespace(c.Namespace)
	u.SetName(c.Name)
	u.SetUID(c.UID)
	return u
}
