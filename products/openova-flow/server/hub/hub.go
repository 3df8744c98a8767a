package hub

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/record"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// Hub is many flows. Its methods may be called from any goroutine.
type Hub struct {
	cfg        Config
	order      sync.Mutex   // held while a change gets its numbers and is applied; locked before all others
	last       atomic.Int64 // the greatest sequence number that was given out; written with order held
	restored   atomic.Int64 // the greatest sequence number of a restored flow; greater than last while the log has not come so far
	changes    atomic.Int64
	topics     sync.Map   // flow id → *topic
	mu         sync.Mutex // held to add a topic to topics or to take one out
	journal    journal
	selections selections
	lapses     lapses
	done       chan struct{}
	close      sync.Once
	Stats      Stats
}

// Stats counts what a Hub did. Every field may be read at any time.
type Stats struct {
	Flows, Nodes, Relationships, StateBytes, RingEntries, RingBytes, Subscribers atomic.Int64 // what there is now
	RegionsFresh, RegionsStale                                                   atomic.Int64 // claims that are renewed, and that are not

	Messages  [6]atomic.Int64 // applied, by flow.Type in the order of MessageTypes
	Derived   atomic.Int64    // upsert-flow messages that the hub made itself
	PutBack   atomic.Int64    // relationships that the hub put back after deletions by who may not remove them
	Frames    atomic.Int64    // handed to readers
	Snapshots atomic.Int64    // snapshot frames handed to readers
	Resyncs   atomic.Int64    // snapshot frames in place of messages that a reader had missed
	Dropped   atomic.Int64    // flows dropped because nobody spoke for them

	Saves, SaveFailures, SavedAt, StatesSetAside atomic.Int64 // of whoever keeps the hub in a file; SavedAt in Unix seconds

	ClaimsRefused atomic.Int64 // claims of a region that another cluster has

	waiting atomic.Int64 // flows that do not exist and have claims
}

// MessageTypes is the order of Stats.Messages.
var MessageTypes = [6]flow.Type{flow.TypeSnapshot, flow.TypeUpsertFlow, flow.TypeUpsertNodes, flow.TypeUpsertRels, flow.TypeDeleteNodes, flow.TypeDeleteRels}

// New returns a hub without flows.
func New(cfg Config) *Hub {
	h := &Hub{cfg: cfg.withDefaults(), done: make(chan struct{}), lapses: lapses{earlier: make(chan struct{}, 1)}}
	h.journal.maxEntries, h.journal.maxBytes = h.cfg.JournalEntries, h.cfg.JournalBytes
	if cfg.Log == nil {
		h.last.Store(h.cfg.Now().UnixMicro())
	}
	return h
}

// Close ends all streams: Done closes, and then whoever waits is woken. Ingest and reads go on working, so that requests in flight finish.
func (h *Hub) Close() {
	h.close.Do(func() {
		close(h.done)
		h.topics.Range(func(_, v any) bool {
			v.(*topic).waiters.wake()
			return true
		})
		h.selections.wake()
	})
}

// Done is closed when streams are to end.
func (h *Hub) Done() <-chan struct{} { return h.done }

func (h *Hub) nowMs() int64 { return h.cfg.Now().UnixMilli() }

func (h *Hub) topic(flowID string) *topic {
	if t, ok := h.topics.Load(flowID); ok {
		return t.(*topic)
	}
	return nil
}

// ensure returns the topic of a flow, made when there is none.
func (h *Hub) ensure(flowID string) *topic {
	if t := h.topic(flowID); t != nil {
		return t
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.topic(flowID); t != nil {
		return t
	}
	t := newTopic(h, flowID)
	h.selections.store(t)
	return t
}

// lock returns the topic of a flow, made when there is none, with its lock held. unlock releases it.
func (h *Hub) lock(flowID string) *topic {
	for {
		t := h.ensure(flowID)
		t.mu.Lock()
		if !t.gone {
			return t
		}
		t.mu.Unlock()
	}
}

// unlock releases the lock of a topic, and takes the topic out when it is empty.
func (h *Hub) unlock(t *topic) {
	empty := t.empty() && !t.gone
	t.mu.Unlock()
	if empty {
		h.release(t)
	}
}

// release takes a topic out that is empty.
func (h *Hub) release(t *topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.empty() && !t.gone {
		t.gone = true
		h.topics.Delete(t.id)
	}
}

// Delete ends a flow: its readers are told, its state and the claims of its regions are dropped. It reports whether there was one. Only
// with a Log it can fail.
func (h *Hub) Delete(flowID string) (bool, error) {
	out, err := h.removal(Command{Kind: record.KindDelete, Post: Post{FlowID: flowID}})
	return out.Removed > 0, err
}

// DeleteRegion removes the nodes of a region, and what touches them, by an ordinary delete-nodes message, and drops the claim of the
// region. It returns the number of nodes. Only with a Log it can fail.
func (h *Hub) DeleteRegion(flowID, region string) (int, error) {
	out, err := h.removal(Command{Kind: record.KindDeleteRegion, Post: Post{FlowID: flowID}, Region: region})
	return out.Removed, err
}

// remove ends a flow with a sequence number, if condition holds for it, and returns how many flows that were. h.order is held.
func (h *Hub) remove(flowID string, seq int64, condition func(*topic) bool) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topic(flowID)
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !condition(t) {
		return 0
	}
	if t.state == nil {
		t.dropClaims()
		if t.empty() {
			t.gone = true
			h.topics.Delete(flowID)
		}
		return 0
	}
	h.topics.Delete(flowID)
	t.drop(seq)
	return 1
}

// with calls f with what there is of a flow, locked: its state, or only claims.
func (h *Hub) with(flowID string, f func(*topic)) {
	t := h.topic(flowID)
	if t == nil {
		return
	}
	t.mu.Lock()
	defer h.unlock(t)
	if !t.gone && (t.state != nil || len(t.claims()) > 0) {
		f(t)
	}
}

func newIncarnation() string {
	var b [9]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// Summary describes a flow in a list.
type Summary struct {
	ID          string         `json:"id"`
	Status      string         `json:"status"`
	StartedAt   flow.Time      `json:"startedAt"`
	EndedAt     flow.Time      `json:"endedAt,omitzero"`
	Counts      map[string]int `json:"counts"` // nodes by status
	Regions     []string       `json:"regions"`
	Seq         int64          `json:"seq"`
	UpdatedAt   int64          `json:"updatedAt"` // Unix milliseconds
	Incarnation string         `json:"incarnation"`
}

// List returns the flows that match, by id; all of them when match is nil.
func (h *Hub) List(match func(flowID string) bool) []Summary {
	list := []Summary{}
	h.topics.Range(func(id, v any) bool {
		if match != nil && !match(id.(string)) {
			return true
		}
		if s, ok := v.(*topic).summary(); ok {
			list = append(list, s)
		}
		return true
	})
	slices.SortFunc(list, func(a, b Summary) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// Rollouts returns the rollouts of a flow, newest first.
func (h *Hub) Rollouts(flowID string) ([]rollout.Rollout, string, error) {
	t := h.topic(flowID)
	if t == nil {
		return nil, NoIncarnation, ErrNoFlow
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.state == nil {
		return nil, NoIncarnation, ErrNoFlow
	}
	return t.rollouts.Rollouts(h.nowMs()), t.incarnation, nil
}

// Incarnation returns the present incarnation of a flow, NoIncarnation when it does not exist.
func (h *Hub) Incarnation(flowID string) string {
	t := h.topic(flowID)
	if t == nil {
		return NoIncarnation
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.incarnation
}

// Heard notes that an emitter speaks for a flow though it has nothing to send, so that the flow is not dropped as idle.
func (h *Hub) Heard(flowID string) {
	if t := h.topic(flowID); t != nil {
		t.heard.Store(h.nowMs())
		h.changes.Add(1)
	}
}

// Changes returns a number that is another whenever what Save writes would be.
func (h *Hub) Changes() int64 { return h.changes.Load() }

// Run lets claims lapse that are not renewed, and drops flows that nobody speaks for any more, until ctx ends.
func (h *Hub) Run(ctx context.Context) {
	tick := time.NewTicker(min(time.Minute, max(h.cfg.IdleTimeout/4, time.Millisecond)))
	defer tick.Stop()
	due := time.NewTimer(time.Hour)
	defer due.Stop()
	for {
		h.order.Lock()
		due.Reset(h.lapses.wait(h.nowMs()))
		h.order.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			h.dropIdle()
		case <-h.lapses.earlier:
		case <-due.C:
			h.lapse()
		}
	}
}

// dropIdle drops flows without a message or a renewal since the idle timeout, and claims of flows that never came to be. With a log it also tells
// the other hubs of renewals that came to this hub alone.
func (h *Hub) dropIdle() {
	limit := h.nowMs() - h.cfg.IdleTimeout.Milliseconds()
	var commands []Command
	h.topics.Range(func(_, v any) bool {
		t := v.(*topic)
		t.mu.RLock()
		defer t.mu.RUnlock()
		spoke, heard := t.spokeAt(), t.heard.Load()
		switch p := (Post{FlowID: t.id, IfIncarnation: t.incarnation}); {
		case t.state == nil && len(t.claims()) == 0:
		case spoke < limit && heard < limit && !t.renewed():
			commands = append(commands, Command{Kind: record.KindIdle, Post: p, SilentSince: spoke})
		case h.cfg.Log != nil && heard-spoke > h.cfg.IdleTimeout.Milliseconds()/4:
			commands = append(commands, Command{Kind: record.KindHeard, Post: p, SilentSince: spoke})
		}
		return true
	})
	for _, c := range commands {
		c.ID = repeatID(c.Kind, c.Post.FlowID, c.Post.IfIncarnation, c.SilentSince)
		if _, err := h.change(c); err != nil && !errors.Is(err, ErrRepeated) {
			return // the log is away; there is time
		}
	}
}
