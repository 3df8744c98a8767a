package flow

import (
	"encoding/json"
	"strconv"
)

// SchemaVersion is the version of the FlowMessage schema that this package speaks.
const SchemaVersion = 1

// Type is the discriminator of a Message.
type Type string

// The message variants. There are no others.
const (
	TypeSnapshot    Type = "snapshot"
	TypeUpsertFlow  Type = "upsert-flow"
	TypeUpsertNodes Type = "upsert-nodes"
	TypeUpsertRels  Type = "upsert-rels"
	TypeDeleteNodes Type = "delete-nodes"
	TypeDeleteRels  Type = "delete-rels"
)

// Statuses that producers of this project write. Statuses are open strings: any other non-empty one is valid too.
const (
	StatusPending   = "pending"
	StatusRunning   = "running"
	StatusSucceeded = "succeeded"
	StatusFailed    = "failed"
)

// RelType is the kind of a Relationship.
type RelType string

// The relationship types. In all of them From is the predecessor, but in Contains, where From is the child and To its container.
const (
	Contains       RelType = "contains"
	FinishToStart  RelType = "finish-to-start"
	StartToStart   RelType = "start-to-start"
	FinishToFinish RelType = "finish-to-finish"
	StartToFinish  RelType = "start-to-finish"
	Triggers       RelType = "triggers"
)

// Condition says on which outcome of its predecessor a relationship lets its successor go.
type Condition string

// The conditions. The empty Condition is "absent".
const (
	OnSuccess Condition = "on-success"
	OnFailure Condition = "on-failure"
	Always    Condition = "always"
)

// Time is an optional instant in Unix milliseconds. Its zero value is "absent"; the instant 0 is At(0).
type Time struct {
	ms  int64
	set bool
}

// At returns the instant of ms Unix milliseconds.
func At(ms int64) Time { return Time{ms: ms, set: true} }

// Get returns the instant in Unix milliseconds, and whether there is one.
func (t Time) Get() (ms int64, ok bool) { return t.ms, t.set }

// Ms returns the instant in Unix milliseconds, 0 when it is absent.
func (t Time) Ms() int64 { return t.ms }

// IsZero reports whether the instant is absent. encoding/json's omitzero uses it.
func (t Time) IsZero() bool { return !t.set }

// MarshalJSON writes the instant as an integer, null when it is absent.
func (t Time) MarshalJSON() ([]byte, error) {
	if !t.set {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, t.ms, 10), nil
}

// UnmarshalJSON reads an integer. The rules of the contract are Decode's to check, not this method's.
func (t *Time) UnmarshalJSON(b []byte) error {
	if err := json.Unmarshal(b, &t.ms); err != nil {
		return err
	}
	t.set = true
	return nil
}

// Object is a JSON object as it came, on one line; empty when absent. What it means is not this package's concern.
type Object string

// MarshalJSON writes the object as it is, null when it is absent.
func (o Object) MarshalJSON() ([]byte, error) {
	if o == "" {
		return []byte("null"), nil
	}
	return []byte(o), nil
}

// UnmarshalJSON keeps the object as it is.
func (o *Object) UnmarshalJSON(b []byte) error {
	*o = Object(b)
	return nil
}

// Trigger names a flow whose outcome set this one off. FlowID may name a flow that the server has never seen.
type Trigger struct {
	FlowID string `json:"flowId"`
	When   string `json:"when"` // success, failure or always
}

// Instance is one run of a flow (FlowInstance in the contract).
type Instance struct {
	ID           string    `json:"id"`
	DefinitionID string    `json:"definitionId,omitempty"`
	ParentFlowID string    `json:"parentFlowId,omitempty"`
	TriggeredBy  []Trigger `json:"triggeredBy,omitempty"`
	Status       string    `json:"status"`
	StartedAt    Time      `json:"startedAt"`
	EndedAt      Time      `json:"endedAt,omitzero"`
	Meta         Object    `json:"meta,omitempty"`

	raw string
}

// Node is one vertex of a flow: in the Flux adapter a release, a Kustomization or a region. Its key is ID within the flow.
type Node struct {
	ID        string `json:"id"`
	FlowID    string `json:"flowId"`
	Label     string `json:"label"`
	Status    string `json:"status"`
	Family    string `json:"family,omitempty"`
	Region    string `json:"region,omitempty"`
	StartedAt Time   `json:"startedAt,omitzero"`
	EndedAt   Time   `json:"endedAt,omitzero"`
	Meta      Object `json:"meta,omitempty"`

	raw string
}

// RelKey is what identifies a relationship within a flow.
type RelKey struct {
	FromID string  `json:"fromId"`
	ToID   string  `json:"toId"`
	Type   RelType `json:"type"`
}

// Relationship is one edge. FromFlowID and ToFlowID are there only on an edge that leaves the flow. Lag is in seconds.
// Either end may be a node that is not there (yet).
type Relationship struct {
	FromID     string    `json:"fromId"`
	ToID       string    `json:"toId"`
	Type       RelType   `json:"type"`
	FromFlowID string    `json:"fromFlowId,omitempty"`
	ToFlowID   string    `json:"toFlowId,omitempty"`
	Condition  Condition `json:"condition,omitempty"`
	Lag        int64     `json:"lag,omitempty"`

	raw string
}

// Key returns what identifies r within its flow.
func (r Relationship) Key() RelKey { return RelKey{r.FromID, r.ToID, r.Type} }
