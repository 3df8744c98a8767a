package hub

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// Config bounds a Hub. The zero value of a field means its default (withDefaults).
type Config struct {
	RingCapacity     int           // messages held for each flow
	RingBytes        int           // bytes of frames held for each flow
	JournalEntries   int           // changes of all flows held for streams of several flows
	JournalBytes     int           // approximate bytes of these changes
	MaxFlows         int           // flows
	MaxNodes         int           // nodes of a flow
	MaxRelationships int           // relationships of a flow
	MaxMetaBytes     int           // bytes of a node's meta
	MaxFlowBytes     int64         // approximate bytes of the state and ring of a flow
	MaxStateBytes    int64         // approximate bytes of the states and rings of all flows
	MaxSubscribers   int           // streams
	MaxEmitters      int           // emitters that a flow remembers for each set of regions that callers are bound to
	MaxRegions       int           // claimed regions of a flow
	IdleTimeout      time.Duration // a flow without activity for this long is dropped, unless it has a fresh claim

	Now func() time.Time // the clock
	Log Log              // orders the changes of several hubs; nil: this hub orders its own
}

// DefaultConfig returns a Config with each field at its default.
func DefaultConfig() Config { return Config{}.withDefaults() }

func (c Config) withDefaults() Config {
	c.RingCapacity = cmp.Or(c.RingCapacity, 4096)
	c.RingBytes = cmp.Or(c.RingBytes, 8<<20)
	c.JournalEntries = cmp.Or(c.JournalEntries, 16<<10)
	c.JournalBytes = cmp.Or(c.JournalBytes, 8<<20)
	c.MaxFlows = cmp.Or(c.MaxFlows, 10_000)
	c.MaxNodes = cmp.Or(c.MaxNodes, 20_000)
	c.MaxRelationships = cmp.Or(c.MaxRelationships, 100_000)
	c.MaxMetaBytes = cmp.Or(c.MaxMetaBytes, 64<<10)
	c.MaxFlowBytes = cmp.Or(c.MaxFlowBytes, 256<<20)
	c.MaxStateBytes = cmp.Or(c.MaxStateBytes, 2<<30)
	c.MaxSubscribers = cmp.Or(c.MaxSubscribers, 20_000)
	c.MaxEmitters = cmp.Or(c.MaxEmitters, 1024)
	c.MaxRegions = cmp.Or(c.MaxRegions, 256)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, 72*time.Hour)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Errors of a Hub.
var (
	// ErrNoFlow: the flow does not exist.
	ErrNoFlow = errors.New("this flow does not exist: no message has created it, or it was deleted")
	// ErrRepeated is returned by Log.Append for a command with an ID that is already in the log.
	ErrRepeated = errors.New("the log has this command already")
)

// IncarnationError refuses a request that was meant for another incarnation of a flow.
type IncarnationError struct{ Want, Have string }

func (e *IncarnationError) Error() string {
	return fmt.Sprintf("the request is for incarnation %s of the flow, the present one is %s; get the snapshot and send what is missing in it", e.Want, e.Have)
}

// EmitterError refuses a request that is not newer than the last one of that emitter.
type EmitterError struct{ Got, Last record.Stamp }

func (e *EmitterError) Error() string {
	return fmt.Sprintf("emitter %q has sent epoch %d, n %d; epoch %d, n %d is not newer", e.Last.Name, e.Last.Epoch, e.Last.N, e.Got.Epoch, e.Got.N)
}

// UnavailableError: the Log is unavailable. A command that was appended may still be applied later.
type UnavailableError struct{ Detail string }

func (e *UnavailableError) Error() string { return e.Detail }

// TooLargeError refuses a request that the Log can't take as one entry.
type TooLargeError struct{ Detail string }

func (e *TooLargeError) Error() string { return e.Detail }

// LimitError refuses a request that would exceed a limit. The request changed nothing.
type LimitError struct {
	Detail string
	Field  string // the field that exceeds the limit; empty: none does
	Line   int    // its line in the batch, from 1; 0: none
	Server bool   // the limit is one of the server, not of a flow
}

func (e *LimitError) Error() string { return e.Detail }
