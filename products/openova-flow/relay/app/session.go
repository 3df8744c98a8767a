package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/relay/follow"
	"github.com/openova-io/openova/products/openova-flow/relay/outbox"
	"github.com/openova-io/openova/products/openova-flow/relay/rules"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

const (
	// lookEvery is how often changed flows are looked at.
	lookEvery = time.Second
	// firstLook is how often the first look is tried. It needs the states of all flows, and their lists if a rule wants them.
	firstLook = 50 * time.Millisecond
	// lookAnyway is how often, in milliseconds, a flow without changes is looked at: its state also depends on the time.
	lookAnyway = 15_000
	// readAfterChange is the minimum time, in milliseconds, between two reads of the lists of a flow that has changed or whose last read failed.
	readAfterChange = 3_000
	// readWhileOpen is how often, in milliseconds, the lists of a flow are read while its newest rollout has not ended.
	readWhileOpen = 15_000
	// readers is the maximum number of flows whose lists are read at the same time.
	readers = 2
)

// session is the relay with one configuration.
type session struct {
	config  *rules.Config
	box     *outbox.Box
	client  *http.Client // for the server
	send    *http.Client // for the channels
	metrics *metrics
	log     *slog.Logger

	server   *follow.Server
	flows    *follow.Flows
	desks    *desks
	lookedAt map[string]int64 // time of the last look at each flow, by the server's clock
	removals int              // flows.Removals() at the last look
	read     chan lists
	reading  int // flows whose lists are being read
}

// lists is the result of reading the lists of a flow.
type lists struct {
	flow      *follow.Flow
	rollouts  []rollout.Rollout
	revisions []revision.Revision
	err       error

	withRevisions bool // the revisions were asked for
}

func (s *session) run(ctx context.Context) error {
	var err error
	if s.desks, err = newDesks(s.config, s.box, s.log); err != nil {
		return err
	}
	s.desks.queued, s.desks.full = s.metrics.noticeQueued, s.metrics.queueFull
	if err := s.forget(); err != nil {
		return err
	}
	token := channel.Secret(s.config.Server.TokenFile)
	s.server = &follow.Server{URL: s.config.Server.URL, Client: s.client, Token: token.Read, Log: s.log, Lost: s.metrics.lost}
	s.flows, s.lookedAt, s.read = follow.NewFlows(), make(map[string]int64), make(chan lists)

	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for name, c := range s.config.Channels {
		w := &outbox.Worker{Box: s.box, Channel: name, Sender: newSender(c, s.send), Log: s.log, Report: s.metrics.attempt}
		wg.Go(func() { w.Run(ctx) })
	}
	frames := make(chan follow.Frame)
	wg.Go(func() { s.server.Run(ctx, frames) })
	tick := time.NewTicker(firstLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case f := <-frames:
			if err := s.flows.Apply(f, time.Now().UnixMilli()); err != nil {
				s.log.Error("frame unreadable", "flow", f.Flow, "event", f.Event, "err", err)
			}
		case r := <-s.read:
			s.applyLists(r)
		case <-tick.C:
			if s.look(ctx, &wg) {
				tick.Reset(lookEvery)
			}
		}
	}
}

// forget deletes the stored data of rules and channels that are not in the configuration.
func (s *session) forget() error {
	var names, ruleNames, channels []string
	for _, d := range s.desks.list {
		names = append(names, d.name)
		ruleNames = append(ruleNames, d.rule.Name)
	}
	for name := range s.config.Channels {
		channels = append(channels, name)
	}
	return s.box.Keep(names, ruleNames, channels)
}

// look does nothing until the states of all flows are complete. Then it starts to read lists that may have changed, and lets the desks look if all lists that
// rules want are known. It reports whether it did.
func (s *session) look(ctx context.Context, wg *sync.WaitGroup) bool {
	now := s.flows.Now(time.Now().UnixMilli())
	complete := s.flows.Complete()
	s.metrics.following(complete, s.flows.Len())
	if !complete {
		return false
	}
	known := true
	changed := s.removals != s.flows.Removals()
	s.flows.Each(func(f *follow.Flow) {
		horizon, rollouts := s.desks.readRollouts(f.ID, now)
		revisions := s.desks.readRevisions(f.ID)
		if revisions {
			f.FollowRevisions(s.desks.readRevisionsOf)
		}
		if rollouts || revisions {
			s.readIfDue(ctx, wg, f, rollouts, now)
		}
		known = known && (f.Known || !rollouts && !revisions)
		if f.Changed || passed(now, s.lookedAt[f.ID], lookAnyway) {
			f.Rollouts = slices.DeleteFunc(f.Rollouts, func(r rollout.Rollout) bool { return !r.EndedAt.IsZero() && r.EndedAt.Ms() <= horizon })
			s.desks.found[f.ID] = f.Find(now)
			s.lookedAt[f.ID], changed = now, true
		}
	})
	if s.removals != s.flows.Removals() {
		s.removals = s.flows.Removals()
		for id := range s.lookedAt {
			if s.flows.Get(id) == nil {
				delete(s.lookedAt, id)
				delete(s.desks.found, id)
			}
		}
	}
	if known {
		s.metrics.ready.Store(true)
		s.desks.look(now, changed)
	}
	return known
}

// passed reports whether so many milliseconds have passed since then, or the server's clock was set back meanwhile.
func passed(now, then, milliseconds int64) bool {
	return now < then || now-then >= milliseconds
}

// readIfDue starts to read the lists of a flow if they may have changed.
func (s *session) readIfDue(ctx context.Context, wg *sync.WaitGroup, f *follow.Flow, rollouts bool, now int64) {
	outdated := !f.Known || f.RevisionsOutdated || f.RolloutsOutdated && rollouts
	due := f.ReadAt == 0 || outdated && passed(now, f.ReadAt, readAfterChange) || f.Open() && passed(now, f.ReadAt, readWhileOpen)
	if !due || f.Reading || s.reading >= readers {
		return
	}
	r := lists{flow: f, withRevisions: f.RevisionsOutdated}
	f.Reading, f.RolloutsOutdated, f.RevisionsOutdated, f.ReadAt = true, false, false, now
	s.reading++
	wg.Go(func() {
		if rollouts {
			r.rollouts, r.err = s.server.Rollouts(ctx, f.ID)
		}
		if r.withRevisions && r.err == nil {
			r.revisions, r.err = s.server.Revisions(ctx, f.ID)
		}
		select {
		case s.read <- r:
		case <-ctx.Done():
		}
	})
}

func (s *session) applyLists(r lists) {
	s.reading--
	f := r.flow
	if s.flows.Get(f.ID) != f { // it was deleted meanwhile
		return
	}
	f.Reading = false
	switch {
	case errors.Is(r.err, follow.ErrNoFlow):
		r.rollouts, r.revisions = nil, nil
	case r.err != nil:
		s.log.Warn("reading rollouts or revisions failed", "flow", f.ID, "err", r.err)
		f.RolloutsOutdated, f.RevisionsOutdated = true, f.RevisionsOutdated || r.withRevisions
		return
	}
	f.Rollouts, f.Known, f.Changed = r.rollouts, true, true
	if r.withRevisions {
		f.Revisions = r.revisions
	}
}
