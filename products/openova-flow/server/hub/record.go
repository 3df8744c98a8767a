package hub

import "github.com/openova-io/openova/products/openova-flow/server/record"

// What a hub is told and what it keeps, as package record writes it down.
type (
	Command    = record.Command
	Kind       = record.Kind
	Post       = record.Post
	Stamp      = record.Stamp
	Digest     = record.Digest
	Receipt    = record.Receipt
	Claim      = record.Claim
	Checkpoint = record.Checkpoint
	SavedState = record.SavedState
)

// Constants of package record.
const (
	NoIncarnation = record.NoIncarnation
	MinTTL        = record.MinTTL
	DefaultTTL    = record.DefaultTTL
	MaxTTL        = record.MaxTTL
)
