package hub

import (
	"errors"
	"fmt"
	"time"
)

// Config bounds a Hub. The zero value of a field means its default.
type Config struct {
	RingCapacity     int           // messages held for each flow; 4096
	RingBytes        int           // bytes of frames held for each flow; 8 MiB
	JournalEntries   int           // changes of all flows held for readers of several; 16,384
	JournalBytes     int           // bytes of their frames; 8 MiB
	MaxFlows         int           // flows; 10,000
	MaxNodes         int           // nodes of a flow; 20,000
	MaxRelationships int           // relationships of a flow; 100,000
	MaxMetaBytes     int           // bytes of a node's meta; 64 KiB
	MaxFlowBytes     int64         // bytes of the state and ring of a flow, about; 256 MiB
	MaxStateBytes    int64         // bytes of the states and rings of all flows, about; 2 GiB
	MaxSubscribers   int           // streams; 20,000
	MaxEmitters      int           // names in Flow-Emitter that a flow remembers of callers with the same regions; 1,024
	MaxRegions       int           // regions of a flow that are claimed; 256
	IdleTimeout      time.Duration // how long a flow stays without a message and without a word from an emitter; 72 h

	Now func() time.Time // the clock; time.Now
	Log Log              // what orders the changes of this hub and others; none: it orders its own
}

func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.RingCapacity, 4096)
	def(&c.RingBytes, 8<<20)
	def(&c.JournalEntries, 16<<10)
	def(&c.JournalBytes, 8<<20)
	def(&c.MaxFlows, 10_000)
	def(&c.MaxNodes, 20_000)
	def(&c.MaxRelationships, 100_000)
	def(&c.MaxMetaBytes, 64<<10)
	def(&c.MaxSubscribers, 20_000)
	def(&c.MaxEmitters, 1024)
	def(&c.MaxRegions, 256)
	if c.MaxFlowBytes == 0 {
		c.MaxFlowBytes = 256 << 20
	}
	if c.MaxStateBytes == 0 {
		c.MaxStateBytes = 2 << 30
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = 72 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Errors of a Hub.
var (
	// ErrNoFlow: the flow does not exist.
	ErrNoFlow = errors.New("this flow does not exist: nothing was ever posted to it, or it was deleted")
	// ErrClosed: the hub is shutting down.
	ErrClosed = errors.New("the server is shutting down")
	// ErrRepeated is a Log's: it has a command of the same ID.
	ErrRepeated = errors.New("the log has this command already")
)

// IncarnationError refuses a request that was meant for another incarnation of a flow.
type IncarnationError struct{ Want, Have string }

func (e *IncarnationError) Error() string {
	return fmt.Sprintf("the request is for incarnation %s of the flow, the present one is %s; get the snapshot and send what is missing in it", e.Want, e.Have)
}

// EmitterError refuses a request that is not newer than what the emitter of that name sent last.
type EmitterError struct{ Got, Last Stamp }

func (e *EmitterError) Error() string {
	return fmt.Sprintf("emitter %q has sent epoch %d, n %d; epoch %d, n %d is not newer", e.Last.Name, e.Last.Epoch, e.Last.N, e.Got.Epoch, e.Got.N)
}

// UnavailableError says that a change can't be made, or that it is not known whether it was: the Log is away.
type UnavailableError struct{ Detail string }

func (e *UnavailableError) Error() string { return e.Detail }

// TooLargeError refuses a request that the Log can't take as one entry.
type TooLargeError struct{ Detail string }

func (e *TooLargeError) Error() string { return e.Detail }

// LimitError refuses what would go past a limit. Nothing is harmed, and there may be room later.
type LimitError struct {
	Detail string
	Field  string // the offending field, when there is one
	Line   int    // the line of the batch, from 1, when there is one
	Server bool   // the server as a whole is at its limit, not this flow
}

func (e *LimitError) Error() string { return e.Detail }
