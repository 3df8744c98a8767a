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

// The kinds of commands, and other constants of package record.
const (
	KindPost         = record.KindPost
	KindDelete       = record.KindDelete
	KindDeleteRegion = record.KindDeleteRegion
	KindIdle         = record.KindIdle
	KindHeard        = record.KindHeard
	KindClaim        = record.KindClaim
	KindNumber       = record.KindNumber

	NoIncarnation = record.NoIncarnation
	MinTTL        = record.MinTTL
	DefaultTTL    = record.DefaultTTL
	MaxTTL        = record.MaxTTL
)
