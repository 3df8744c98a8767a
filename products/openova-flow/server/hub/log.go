package hub

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// Log puts the changes of one or more hubs into one order, so that all of them reach the same state. The flows of a hub with a Log (Config.Log) are changed
// only by Apply and Replace. The methods of a Log may be called from any goroutine.
type Log interface {
	// Append adds a command to the log, waits until this hub has applied it, and returns the outcome. After an *UnavailableError the command may
	// still be applied later; a Post with a Stamp may be repeated then. After a *TooLargeError it is not applied. ErrRepeated means that the log
	// already has a command with the same ID, and that this hub has applied that one.
	Append(record.Command) (Outcome, error)
	// Sync waits until this hub has applied every command that any hub acknowledged before the call. It fails with an *UnavailableError if that is
	// not certain.
	Sync() error
	// Status returns the state of the log as this hub sees it.
	Status() LogStatus
}

// LogStatus is the state of a Log.
type LogStatus struct {
	Loaded bool  // this hub has applied all that was in the log when it started, so it may answer
	Err    error // why no change is accepted at the moment; nil if changes are accepted
}

// LogStatus returns the state of the Log; a hub without one is always loaded.
func (h *Hub) LogStatus() LogStatus {
	if h.cfg.Log == nil {
		return LogStatus{Loaded: true}
	}
	return h.cfg.Log.Status()
}

// Entry is a command with its position in a log.
type Entry struct {
	Seq     int64  // its number in the log: from 1, increasing, below 2^38
	At      int64  // time when the log accepted it, Unix milliseconds
	Birth   string // becomes the incarnation of a flow that the command creates, or the lease of a claim; unique, and equal in all hubs
	Command record.Command
}

// entryBits is how many low bits of a sequence number count the messages of an entry. The bits above are the entry's number.
const entryBits = 15

// MaxEntryMessages is how many messages one entry of a Log may have. It leaves sequence numbers for the messages that the hub adds.
const MaxEntryMessages = 1<<entryBits - 8

// FirstOf returns the first sequence number for messages of entry seq of a Log.
func FirstOf(seq int64) int64 { return seq << entryBits }

// Outcome is the result of a command.
type Outcome struct {
	Receipt record.Receipt
	Lease   claims.Lease // for record.KindClaim
	Err     error        // why it was refused: *IncarnationError, *EmitterError, *LeaseError or *claims.HeldError
	Removed int          // number of removed nodes of a region, or of removed flows
}

// Apply applies an entry. Call it in the order of the log, from one goroutine at a time. Its effect depends only on the entries before: not on limits,
// the clock or readers.
func (h *Hub) Apply(e Entry) Outcome {
	h.order.Lock()
	defer h.order.Unlock()
	return h.apply(change{Command: e.Command, at: e.At, first: FirstOf(e.Seq), last: FirstOf(e.Seq+1) - 1, birth: func() string { return e.Birth }})
}

// ingestByLog appends a request to the log. It checks limits first, because Apply does not.
func (h *Hub) ingestByLog(p record.Post) (record.Receipt, error) {
	if len(p.Messages) > MaxEntryMessages {
		return record.Receipt{Incarnation: h.Incarnation(p.FlowID)}, &TooLargeError{Detail: fmt.Sprintf("a batch may have %d messages, this one has %d; send fewer at a time", MaxEntryMessages, len(p.Messages))}
	}
	r, done, err := h.precheck(p)
	if err != nil || r.Incarnation == record.NoIncarnation && onlyDeletes(p.Messages) { // this hub may be behind the log
		if err := h.cfg.Log.Sync(); err != nil {
			return r, err
		}
		r, done, err = h.precheck(p)
	}
	if done || err != nil {
		return r, err
	}
	c := record.Command{Kind: record.KindPost, Post: p}
	if r.Incarnation == record.NoIncarnation && onlyDeletes(p.Messages) && p.Lease == "" {
		c = record.Command{Kind: record.KindNumber}
	}
	if p.Stamp.Name != "" {
		c.ID = repeatID(p.FlowID, r.Incarnation, p.IfIncarnation, p.Stamp, p.Digest)
	}
	out, err := h.cfg.Log.Append(c)
	if errors.Is(err, ErrRepeated) { // if precheck finds neither its receipt nor an error, the first one has left no effect: this one is new
		if r, done, err = h.precheck(p); done || err != nil {
			return r, err
		}
		c.ID = ""
		out, err = h.cfg.Log.Append(c)
	}
	if err != nil {
		return r, err
	}
	return out.Receipt, out.Err
}

// Pushed returns the number and the bytes of all messages pushed into a flow's ring since the flow was created or restored at this hub.
func (h *Hub) Pushed(flowID string) (messages, bytes int64) {
	h.with(flowID, func(t *topic) { messages, bytes = t.pushed.messages, t.pushed.bytes })
	return messages, bytes
}

// Known reports whether the flow exists or has claims of regions.
func (h *Hub) Known(flowID string) (known bool) {
	h.with(flowID, func(*topic) { known = true })
	return known
}

// CatchUp calls Log.Sync if seq, which a client may have from another hub of the Log, is above LastSeq. Without a Log it does nothing.
func (h *Hub) CatchUp(seq int64) error {
	if h.cfg.Log == nil || seq <= h.last.Load() {
		return nil
	}
	return h.cfg.Log.Sync()
}

// repeatID returns an ID for a command, equal only for equal parts, so that the log recognizes a repeated command.
func repeatID(parts ...any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%#v", parts)) // not %q, for which all integers above U+10FFFF are equal
	return hex.EncodeToString(sum[:16])
}
