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
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
	"github.com/openova-io/openova/products/openova-flow/relay/outbox"
	"github.com/openova-io/openova/products/openova-flow/relay/rules"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

const (
	// lookEvery is how often changed flows are looked at.
	lookEvery = time.Second
	// firstLook is how often it is tried until everything is there for the first look.
	firstLook = 50 * time.Millisecond
	// lookAnyway is after how long a flow is looked at although nothing has come: its state also changes by time.
	lookAnyway = 15_000 // milliseconds
	// Rollouts are read so long after a change of the flow, and so often while one is open, in milliseconds.
	readAfterChange, readWhileOpen = 3_000, 15_000
	// readers is how many lists of rollouts are read at a time.
	readers = 2
)

// session is the relay with one configuration.
type session struct {
	config  *rules.Config
	box     *outbox.Box
	client  *http.Client // of the server
	send    *http.Client // of the channels
	metrics *metrics
	log     *slog.Logger

	server   *follow.Server
	flows    *follow.Flows
	desks    *desks
	lookedAt map[string]int64
	removals int
	read     chan readRollouts
	reading  int
}

// readRollouts is a list of rollouts that was read.
type readRollouts struct {
	flow     string
	rollouts []rollout.Rollout
	err      error
}

// run relays until ctx ends.
func (s *session) run(ctx context.Context) error {
	var err error
	if s.desks, err = newDesks(s.config, s.box, s.log); err != nil {
		return err
	}
	s.desks.told, s.desks.full = s.metrics.told, s.metrics.queueFull
	if err := s.forget(); err != nil {
		return err
	}
	token := channel.Secret(s.config.Server.TokenFile)
	s.server = &follow.Server{URL: s.config.Server.URL, Client: s.client, Token: token.Read, Log: s.log}
	s.flows, s.lookedAt, s.read = follow.NewFlows(), make(map[string]int64), make(chan readRollouts)

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
			if _, err := s.flows.Apply(f, time.Now().UnixMilli()); err != nil {
				s.log.Error("frame unreadable", "flow", f.Flow, "event", f.Event, "err", err)
			}
		case r := <-s.read:
			s.took(r)
		case <-tick.C:
			if s.look(ctx, &wg) {
				tick.Reset(lookEvery)
			}
		}
	}
}

// forget drops what is stored of rules and channels that are gone.
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

// look reads what has to be read, and lets the desks look once everything is there. It reports whether they have looked.
func (s *session) look(ctx context.Context, wg *sync.WaitGroup) bool {
	now := s.flows.Now(time.Now().UnixMilli())
	complete := s.flows.Complete()
	s.metrics.follows(complete, s.flows.Len())
	if !complete {
		return false
	}
	known := true
	changed := s.removals != s.flows.Removals()
	s.flows.Each(func(f *follow.Flow) {
		horizon, wanted := s.desks.readRollouts(f.ID, now)
		if wanted {
			s.readIfDue(ctx, wg, f, now)
		}
		known = known && (f.Known || !wanted)
		if s.desks.read(notice.KindRevision, f.ID) {
			f.FollowRevisions()
		}
		if f.Changed || now-s.lookedAt[f.ID] >= lookAnyway {
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

// readIfDue begins to read the rollouts of a flow if they may have changed.
func (s *session) readIfDue(ctx context.Context, wg *sync.WaitGroup, f *follow.Flow, now int64) {
	age := now - f.ReadAt
	if f.Reading || s.reading >= readers || f.Known && !(f.Stirred && age >= readAfterChange) && !(f.Open() && age >= readWhileOpen) {
		return
	}
	f.Reading, f.Stirred, f.ReadAt = true, false, now
	s.reading++
	wg.Go(func() {
		list, err := s.server.Rollouts(ctx, f.ID)
		select {
		case s.read <- readRollouts{f.ID, list, err}:
		case <-ctx.Done():
		}
	})
}

// took takes a list of rollouts.
func (s *session) took(r readRollouts) {
	s.reading--
	f := s.flows.Get(r.flow)
	if f == nil {
		return
	}
	f.Reading = false
	switch {
	case errors.Is(r.err, follow.ErrNoFlow):
		r.rollouts = nil
	case r.err != nil:
		s.log.Warn("rollouts unreadable", "flow", r.flow, "err", r.err)
		f.Stirred = true
		return
	}
	f.Rollouts, f.Known, f.Changed = r.rollouts, true, true
}
