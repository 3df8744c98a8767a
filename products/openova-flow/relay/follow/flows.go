package follow

import (
	"encoding/json"
	"fmt"

	"github.com/openova-io/openova/products/openova-flow/relay/notice"
	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/gate"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// Flows is the state of all flows. It is not safe for concurrent use.
type Flows struct {
	flows    map[string]*Flow
	listed   bool            // the list of flows has arrived on this connection
	arriving bool            // an initial snapshot of this connection has arrived
	pending  map[string]bool // flows whose snapshot has not arrived yet
	clock    int64           // how far the server's clock is ahead of the local one, in milliseconds
	removals int
}

// Flow is the state of one flow.
type Flow struct {
	ID        string
	state     *flow.State
	regions   map[string]claims.Region
	snapshot  *flow.Message // of state, at the last Find
	read      *gate.State   // read from snapshot; nil: state has changed since
	Rollouts  []rollout.Rollout
	Revisions []revision.Revision // the newest; without FollowRevisions they are not read
	Known     bool                // the lists that rules want have been read once
	Changed   bool                // since the last Find
	ReadAt    int64               // when reading Rollouts or Revisions last began, Unix milliseconds by the server's clock; 0: never
	Reading   bool                // Rollouts or Revisions are being read

	RolloutsOutdated  bool // Rollouts must be read again
	RevisionsOutdated bool // Revisions must be read again

	incarnation string
	failures    map[string]notice.Failure // of the members of the rollouts
	revisions   *revisions                // nil without FollowRevisions
}

// NewFlows returns the state before the first frame.
func NewFlows() *Flows {
	return &Flows{flows: make(map[string]*Flow), pending: make(map[string]bool)}
}

// Apply applies a frame. now is the local time, Unix milliseconds.
func (s *Flows) Apply(f Frame, now int64) error {
	if f.Flow == "" {
		return s.applyStreamEvent(f, now)
	}
	switch f.Event {
	case "deleted":
		s.remove(f.Flow)
		return nil
	case "regions":
		var regions claims.Regions
		if err := json.Unmarshal(f.Data, &regions); err != nil {
			return fmt.Errorf("read the regions of flow %s: %w", f.Flow, err)
		}
		fl := s.flow(f.Flow)
		fl.regions, fl.Changed = regions.Regions, true
		return nil
	}
	m, err := flow.Decode(f.Flow, f.Data)
	if err != nil {
		return fmt.Errorf("read a message of flow %s: %w", f.Flow, err)
	}
	fl := s.flow(f.Flow)
	fl.state.Apply(m)
	fl.read, fl.Changed, fl.RolloutsOutdated = nil, true, true
	switch {
	case f.ID != "": // a cursor: all initial snapshots have arrived, and only changes follow
		clear(s.pending)
	case m.Type == flow.TypeSnapshot:
		s.snapshotArrived(f.Flow)
	}
	return nil
}

// snapshotArrived records one of the initial snapshots of a connection. After the first one, the snapshots of all other flows are pending until they arrive,
// or until a cursor or a heartbeat does.
func (s *Flows) snapshotArrived(id string) {
	if !s.arriving {
		for other := range s.flows {
			s.pending[other] = true
		}
	}
	s.arriving = true
	delete(s.pending, id)
}

// applyStreamEvent applies an event that belongs to the stream, not to a flow.
func (s *Flows) applyStreamEvent(f Frame, now int64) error {
	switch f.Event {
	case Connected, Lost:
		s.listed, s.arriving = false, false
	case "heartbeat":
		var beat struct{ At int64 }
		if err := json.Unmarshal(f.Data, &beat); err != nil {
			return fmt.Errorf("read a heartbeat: %w", err)
		}
		s.clock = beat.At - now
		if s.listed {
			clear(s.pending)
		}
	case "flows": // the regions of all these flows follow
		var all struct{ Flows map[string]string }
		if err := json.Unmarshal(f.Data, &all); err != nil {
			return fmt.Errorf("read the list of flows: %w", err)
		}
		s.listed, s.arriving = true, false
		clear(s.pending)
		for id, fl := range s.flows {
			if all.Flows[id] != fl.incarnation && fl.incarnation != "" || all.Flows[id] == "" {
				s.remove(id)
			}
		}
		for id, incarnation := range all.Flows {
			if s.flows[id] == nil {
				s.pending[id] = true
			}
			s.flow(id).incarnation = incarnation
		}
	}
	return nil
}

func (s *Flows) flow(id string) *Flow {
	fl := s.flows[id]
	if fl == nil {
		fl = &Flow{ID: id, state: flow.NewState(id, 0)}
		s.flows[id] = fl
	}
	return fl
}

func (s *Flows) remove(id string) {
	delete(s.flows, id)
	delete(s.pending, id)
	s.removals++
}

// Complete reports whether the states of all flows of the server are known and up to date. Without a connection they are not.
func (s *Flows) Complete() bool { return s.listed && len(s.pending) == 0 }

// Removals returns how many flows were removed.
func (s *Flows) Removals() int { return s.removals }

// Each calls f with each flow, in no order.
func (s *Flows) Each(f func(*Flow)) {
	for _, fl := range s.flows {
		f(fl)
	}
}

// Get returns a flow, nil if there is none.
func (s *Flows) Get(id string) *Flow { return s.flows[id] }

// Len returns how many flows there are.
func (s *Flows) Len() int { return len(s.flows) }

// Now returns the time by the server's clock. Both are Unix milliseconds.
func (s *Flows) Now(local int64) int64 { return local + s.clock }

// Open reports whether the newest rollout has not ended.
func (f *Flow) Open() bool { return len(f.Rollouts) > 0 && f.Rollouts[0].EndedAt.IsZero() }

// Find returns the notices of the flow. now is Unix milliseconds by the server's clock.
func (f *Flow) Find(now int64) []notice.Notice {
	f.Changed = false
	if f.read == nil {
		f.snapshot = f.state.Collect()
		f.read = gate.Read(f.snapshot)
	}
	if len(f.Rollouts) == 0 || f.failures == nil {
		f.failures = make(map[string]notice.Failure)
	}
	look := notice.Look{Flow: f.ID, Now: now, State: f.state, Rollouts: f.Rollouts, Stale: make(map[string]int64), Failures: f.failures}
	lastSeen := make(map[string]int64)
	for name, r := range f.regions {
		if r.State == claims.Stale {
			lastSeen[name], look.Stale[name] = r.LastSeen, r.Since
		}
	}
	look.View = f.read.Graph().At(now, lastSeen)
	if f.revisions != nil {
		look.Revisions = f.revisions.look(f, now)
	}
	return notice.Find(look)
}
