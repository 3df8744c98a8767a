package mapping

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// EventType is the type of a watch event.
type EventType string

// The event types, with the names that the Kubernetes watch protocol gives them.
const (
	Added    EventType = "ADDED"
	Modified EventType = "MODIFIED"
	Deleted  EventType = "DELETED"
)

// Event is one version of one object, as a watch delivered it. A change of a spec is dated by At, since objects do not record when their spec changed.
type Event struct {
	At     flow.Time // when the watch delivered it; absent when unknown
	Type   EventType
	Object *unstructured.Unstructured
}

// Change is one step of a region's state: exactly one of its fields is set.
// Changes are applied in order.
type Change struct {
	Node       *flow.Node         // add or replace this node
	Edge       *flow.Relationship // add or replace this relationship
	DeleteNode string             // delete the node with this id and all its relationships
	DeleteEdge *flow.RelKey       // delete the relationship of this key
}
