package mapping

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// EventType is what a watch says of an object.
type EventType string

// The event types, with the names that the Kubernetes watch protocol gives them.
const (
	Added    EventType = "ADDED"
	Modified EventType = "MODIFIED"
	Deleted  EventType = "DELETED"
)

// Event is one version of one object, as a watch delivered it. The object is not modified.
type Event struct {
	At     flow.Time // when the watch delivered it; absent when nobody knows
	Type   EventType
	Object *unstructured.Unstructured
}

// Change is one step of a region's state: exactly one of its fields is set.
// Changes are applied in the order in which they are given.
type Change struct {
	Node       *flow.Node         // this node is now so
	Edge       *flow.Relationship // this relationship is now so
	DeleteNode string             // the node of this id is gone, and at the receiver every relationship that touches it
	DeleteEdge *flow.RelKey       // the relationship of this key is gone
}
