package hub

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// Log puts the changes of one or more hubs into one order, so that all of them come to the same. A hub that has one (Config.Log) is
// changed by Apply alone. Its methods may be called from any goroutine.
type Log interface {
	// Append adds a command and returns what Apply of this hub made of it. When it fails, with an *UnavailableError or a
	// *TooLargeError, the command may still be applied later; a Post with a Stamp may then be repeated. It fails with ErrRepeated
	// when the log has a command of the same ID already; this hub has then applied that one.
	Append(Command) (Outcome, error)
	// Sync waits until this hub has applied all that anybody was told to be in the log when it was called, or fails with an
	// *UnavailableError when that is not known for certain.
	Sync() error
	// Status says how far this hub and the log are apart.
	Status() LogStatus
}

// LogStatus is the state of a Log.
type LogStatus struct {
	Loaded bool  // this hub has what was in the log when it started: it may answer
	Err    error // why no change can be taken at the moment; nil when it can
}

// LogStatus says how far this hub and its Log are apart. A hub without one needs nothing.
func (h *Hub) LogStatus() LogStatus {
	if h.cfg.Log == nil {
		return LogStatus{Loaded: true}
	}
	return h.cfg.Log.Status()
}

// Entry is a command that has its place in a log.
type Entry struct {
	Seq     int64  // its number in the log, at least 1, each greater than the one before, below 2^38
	At      int64  // when the log took it, Unix milliseconds
	Birth   string // the incarnation of a flow that comes to be with it: the same for all hubs, and never given before
	Command Command
}

// entryBits is how many bits of a sequence number tell the messages of an entry apart. The others are the entry's own number.
const entryBits = 15

// MaxEntryMessages is how many messages one entry of a Log may have. A few numbers are left for what the hub adds itself.
const MaxEntryMessages = 1<<entryBits - 8

// FirstOf returns the first of the numbers that entry seq of a Log may give to messages.
func FirstOf(seq int64) int64 { return seq << entryBits }

// Outcome is what a hub made of a command.
type Outcome struct {
	Receipt Receipt
	Lease   Lease // of record.KindClaim
	Err     error // *IncarnationError, *EmitterError, *LeaseError or *ClaimError: it was refused
	Removed int   // nodes of a region that were removed, or 1 for a flow
}

// Apply makes the change of an entry. Entries come in their order, from one goroutine at a time. What it does depends on the
// entries that were applied before and on nothing else: not on limits, the clock or who reads.
func (h *Hub) Apply(e Entry) Outcome {
	h.order.Lock()
	defer h.order.Unlock()
	return h.apply(change{Command: e.Command, at: e.At, first: FirstOf(e.Seq), last: FirstOf(e.Seq+1) - 1, birth: func() string { return e.Birth }})
}

// ingestByLog has a request put into the log. Limits are this hub's own and are checked before: what is in the log is applied.
func (h *Hub) ingestByLog(p Post) (Receipt, error) {
	if len(p.Messages) > MaxEntryMessages {
		return Receipt{Incarnation: h.Incarnation(p.FlowID)}, &TooLargeError{Detail: fmt.Sprintf("a batch may have %d messages, this one has %d; send fewer at a time", MaxEntryMessages, len(p.Messages))}
	}
	r, done, err := h.foresee(p)
	if err != nil || r.Incarnation == NoIncarnation && onlyDeletes(p.Messages) { // it may be that this hub is behind
		if err := h.cfg.Log.Sync(); err != nil {
			return r, err
		}
		r, done, err = h.foresee(p)
	}
	if done || err != nil {
		return r, err
	}
	c := Command{Kind: record.KindPost, Post: p}
	if r.Incarnation == NoIncarnation && onlyDeletes(p.Messages) && p.Lease == "" {
		c = Command{Kind: record.KindNumber}
	}
	if p.Stamp.Name != "" {
		c.ID = repeatID(p.FlowID, r.Incarnation, p.IfIncarnation, p.Stamp, p.Digest)
	}
	out, err := h.cfg.Log.Append(c)
	if errors.Is(err, ErrRepeated) { // applied or refused by now, unless the flow has come to be or ended since
		if r, done, err = h.foresee(p); done || err != nil {
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

// foresee says what would become of a request as things are: done when it is an exact repeat, an error when it would be refused.
func (h *Hub) foresee(p Post) (r Receipt, done bool, err error) {
	t := h.topic(p.FlowID)
	if t == nil {
		t = newTopic(h, p.FlowID)
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if last := t.repeated(p); last != nil {
		return last.Receipt, true, nil
	}
	r.Incarnation = t.incarnation
	return r, false, cmp.Or(t.conditions(p), h.admits(p, t))
}

// Pushed returns how many messages the ring of a flow has got since the flow began here or was restored, and their bytes.
func (h *Hub) Pushed(flowID string) (messages, bytes int64) {
	h.with(flowID, func(t *topic) { messages, bytes = t.pushed.messages, t.pushed.bytes })
	return messages, bytes
}

// Known reports whether there is anything of a flow: its state, or claims of its regions.
func (h *Hub) Known(flowID string) (known bool) {
	h.with(flowID, func(*topic) { known = true })
	return known
}

// CatchUp makes sure that this hub has what a client has seen at another one of the Log, or fails with an *UnavailableError.
func (h *Hub) CatchUp(number int64) error {
	if h.cfg.Log == nil || number <= h.last.Load() {
		return nil
	}
	return h.cfg.Log.Sync()
}

// repeatID is the same for requests that say the same of the same thing.
func repeatID(parts ...any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", parts))
	return hex.EncodeToString(sum[:16])
}
