package flow

import (
	"encoding/json"
	"strconv"
)

// SchemaVersion is the version of the FlowMessage schema that this package implements.
const SchemaVersion = 1

// Type is the type of a Message.
type Type string

// All types of messages.
const (
	TypeSnapshot    Type = "snapshot"
	TypeUpsertFlow  Type = "upsert-flow"
	TypeUpsertNodes Type = "upsert-nodes"
	TypeUpsertRels  Type = "upsert-rels"
	TypeDeleteNodes Type = "delete-nodes"
	TypeDeleteRels  Type = "delete-rels"
)

// Statuses that Worst ranks. Any other non-empty string is valid too, and counts as running.
const (
	StatusPending   = "pending"
	StatusRunning   = "running"
	StatusSucceeded = "succeeded"
	StatusFailed    = "failed"
)

// RelType is the kind of a Relationship.
type RelType string

// All types of relationships. From is the predecessor, except in Contains, where From is the child and To its container.
const (
	Contains       RelType = "contains"
	FinishToStart  RelType = "finish-to-start"
	StartToStart   RelType = "start-to-start"
	FinishToFinish RelType = "finish-to-finish"
	StartToFinish  RelType = "start-to-finish"
	Triggers       RelType = "triggers"
)

// Condition is the outcome of the predecessor on which a relationship lets its successor start.
type Condition string

// All conditions. The empty Condition means absent.
const (
	OnSuccess Condition = "on-success"
	OnFailure Condition = "on-failure"
	Always    Condition = "always"
)

// Time is an optional instant in Unix milliseconds. The zero value means absent; the instant 0 is At(0).
type Time struct {
	ms  int64
	set bool
}

// At returns the instant ms, in Unix milliseconds.
func At(ms int64) Time { return Time{ms: ms, set: true} }

// Get returns the instant in Unix milliseconds, and whether it is present.
func (t Time) Get() (ms int64, ok bool) { return t.ms, t.set }

// Ms returns the instant in Unix milliseconds, or 0 if it is absent.
func (t Time) Ms() int64 { return t.ms }

// IsZero reports whether the instant is absent. encoding/json's omitzero uses it.
func (t Time) IsZero() bool { return !t.set }

// MarshalJSON writes the instant as an integer, or null if it is absent.
func (t Time) MarshalJSON() ([]byte, error) {
	if !t.set {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, t.ms, 10), nil
}

// UnmarshalJSON reads an integer, or null for an absent instant. It does not check the range; Decode does.
func (t *Time) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*t = Time{}
		return nil
	}
	if err := json.Unmarshal(b, &t.ms); err != nil {
		return err
	}
	t.set = true
	return nil
}

// Object is the original bytes of a JSON object, on one line; empty if absent.
type Object string

// MarshalJSON writes the object unchanged, or null if it is absent.
func (o Object) MarshalJSON() ([]byte, error) {
	if o == "" {
		return []byte("null"), nil
	}
	return []byte(o), nil
}

// UnmarshalJSON keeps the object unchanged; null becomes an absent object.
func (o *Object) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		b = nil
	}
	*o = Object(b)
	return nil
}

// Trigger names another flow whose outcome starts this one. The server need not know FlowID.
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

// Node is one vertex of a flow. ID is its key within the flow.
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

// RelKey is the key of a relationship within a flow.
type RelKey struct {
	FromID string  `json:"fromId"`
	ToID   string  `json:"toId"`
	Type   RelType `json:"type"`
}

// Relationship is one edge. FromFlowID and ToFlowID are the flows of its ends; empty means this flow. Lag is in seconds. The
// nodes at its ends need not exist.
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

// Key returns the key of r within its flow.
func (r Relationship) Key() RelKey { return RelKey{r.FromID, r.ToID, r.Type} }
