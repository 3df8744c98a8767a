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

	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/internal/prom"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// Hub holds the flows of a server. Its methods may be called from any goroutine.
type Hub struct {
	cfg        Config
	order      sync.Mutex   // held while a change gets its sequence numbers and is applied; locked before all other locks
	last       atomic.Int64 // LastSeq; written with order held
	restored   atomic.Int64 // the greatest sequence number of the restored flows; greater than last until the log's entries up to it are applied
	changes    atomic.Int64
	topics     sync.Map   // flow id → *topic
	mu         sync.Mutex // held to add a topic to topics or to remove one
	journal    journal
	selections selections
	done       chan struct{}
	close      sync.Once
	Stats      Stats
}

// Stats has the counters and gauges of a Hub. Every field may be read at any time.
type Stats struct {
	Flows, Nodes, Relationships, StateBytes, RingEntries, RingBytes, Subscribers atomic.Int64 // gauges
	RegionsFresh, RegionsStale                                                   atomic.Int64 // gauges of claims

	Apply *prom.Histogram // time to apply a change

	Messages  [6]atomic.Int64 // messages applied, by flow.Type in the order of MessageTypes
	Derived   atomic.Int64    // upsert-flow messages that the hub made itself
	PutBack   atomic.Int64    // foreign relationships restored after a deletion by a caller bound to regions
	Delivered atomic.Int64    // messages handed to readers, without snapshots
	Snapshots atomic.Int64    // snapshot frames handed to readers
	Resyncs   atomic.Int64    // snapshot frames handed to readers that resumed or fell behind
	Dropped   atomic.Int64    // flows dropped after the idle timeout

	Saves, SaveFailures, SavedAt, StatesSetAside atomic.Int64 // written by package app, which saves the hub to a file; SavedAt in Unix seconds

	ClaimsRefused atomic.Int64 // claims of a region that another cluster holds

	waiting atomic.Int64 // topics without a flow, kept for their claims
}

// MessageTypes is the order of Stats.Messages.
var MessageTypes = [6]flow.Type{flow.TypeSnapshot, flow.TypeUpsertFlow, flow.TypeUpsertNodes, flow.TypeUpsertRels, flow.TypeDeleteNodes, flow.TypeDeleteRels}

// New returns a hub without flows.
func New(cfg Config) *Hub {
	h := &Hub{cfg: cfg.withDefaults(), done: make(chan struct{})}
	h.Stats.Apply = prom.NewHistogram(5*time.Microsecond, 10*time.Microsecond, 25*time.Microsecond, 50*time.Microsecond, 100*time.Microsecond, 250*time.Microsecond,
		500*time.Microsecond, time.Millisecond, 5*time.Millisecond, 25*time.Millisecond, 100*time.Millisecond, time.Second)
	h.journal.maxEntries, h.journal.maxBytes = h.cfg.JournalEntries, h.cfg.JournalBytes
	if cfg.Log == nil {
		h.last.Store(h.cfg.Now().UnixMicro())
	}
	return h
}

// Close closes Done, then wakes all waiters, so that streams end. Ingest and reads continue to work, so that requests in flight finish. It may be called more
// than once.
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

// Done is closed by Close.
func (h *Hub) Done() <-chan struct{} { return h.done }

func (h *Hub) nowMs() int64 { return h.cfg.Now().UnixMilli() }

// Delete deletes a flow with the claims of its regions, and ends its readers. It reports whether the flow existed. It fails only with a Log.
func (h *Hub) Delete(flowID string) (bool, error) {
	out, err := h.removal(record.Command{Kind: record.KindDelete, Post: record.Post{FlowID: flowID}})
	return out.Removed > 0, err
}

// DeleteRegion removes the nodes of a region and their relationships, with an ordinary delete-nodes message. It drops the region's claim, and forgets the
// emitters whose last request had its lease. It returns the number of nodes. It fails only with a Log.
func (h *Hub) DeleteRegion(flowID, region string) (int, error) {
	out, err := h.removal(record.Command{Kind: record.KindDeleteRegion, Post: record.Post{FlowID: flowID}, Region: region})
	return out.Removed, err
}

// remove deletes a flow, with seq as the sequence number of the deletion, or drops the claims of a flow that does not exist. It does nothing unless due
// holds. It returns the number of deleted flows, 0 or 1. h.order is held.
func (h *Hub) remove(flowID string, seq int64, due func(*topic) bool) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topic(flowID)
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !due(t) {
		return 0
	}
	if t.state == nil {
		t.replaceClaims(claims.Set{})
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

// with calls f with the locked topic of a flow that exists or has claims.
func (h *Hub) with(flowID string, f func(*topic)) {
	t := h.topic(flowID)
	if t == nil {
		return
	}
	t.mu.Lock()
	defer h.unlock(t)
	if !t.gone && (t.state != nil || t.claimed.Len() > 0) {
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

// List returns the flows that match, sorted by id; all of them when match is nil.
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

// FlowIDs returns the ids of the flows, in byte order.
func (h *Hub) FlowIDs() (ids []string) {
	h.topics.Range(func(id, v any) bool {
		if v.(*topic).headIncarnation.Load() != nil {
			ids = append(ids, id.(string))
		}
		return true
	})
	slices.Sort(ids)
	return ids
}

// Incarnation returns the present incarnation of a flow, NoIncarnation when it does not exist.
func (h *Hub) Incarnation(flowID string) string { return h.Version(flowID).Incarnation }

// RecordActivity records that an emitter of a flow is active without posting, so that the flow is not dropped as idle.
func (h *Hub) RecordActivity(flowID string) {
	if t := h.topic(flowID); t != nil {
		t.activeAt.Store(h.nowMs())
		h.changes.Add(1)
	}
}

// Changes returns a number that changes with the output of Save, except if only the last sequence number changes. It is for a hub without a Log.
func (h *Hub) Changes() int64 { return h.changes.Load() }

// Run drops idle flows, and old claims of flows that do not exist, until ctx ends (dropIdle).
func (h *Hub) Run(ctx context.Context) {
	tick := time.NewTicker(min(time.Minute, max(h.cfg.IdleTimeout/4, time.Millisecond)))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			h.dropIdle()
		}
	}
}

// dropIdle drops flows that have no fresh claim and had no message, renewal or RecordActivity within the idle timeout. Under the same conditions it drops the
// claims of flows that do not exist. With a Log it also puts activity into the log that only this hub has recorded.
func (h *Hub) dropIdle() {
	limit := h.nowMs() - h.cfg.IdleTimeout.Milliseconds()
	var commands []record.Command
	h.topics.Range(func(_, v any) bool {
		t := v.(*topic)
		t.mu.RLock()
		defer t.mu.RUnlock()
		logged, active := t.lastActivity(), t.activeAt.Load()
		fresh, _ := t.claimed.Count()
		switch p := (record.Post{FlowID: t.id, IfIncarnation: t.incarnation}); {
		case t.state == nil && t.claimed.Len() == 0:
		case logged < limit && active < limit && fresh == 0:
			commands = append(commands, record.Command{Kind: record.KindIdle, Post: p, LastActivity: logged})
		case h.cfg.Log != nil && active-logged > h.cfg.IdleTimeout.Milliseconds()/4:
			commands = append(commands, record.Command{Kind: record.KindActivity, Post: p, LastActivity: logged})
		}
		return true
	})
	for _, c := range commands {
		c.ID = repeatID(c.Kind, c.Post.FlowID, c.Post.IfIncarnation, c.LastActivity)
		if _, err := h.change(c); err != nil && !errors.Is(err, ErrRepeated) {
			return // the log is unavailable; the next tick retries
		}
	}
}
