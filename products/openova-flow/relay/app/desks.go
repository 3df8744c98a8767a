package app

import (
	"log/slog"
	"maps"
	"math"
	"slices"

	"github.com/openova-io/openova/products/openova-flow/relay/notice"
	"github.com/openova-io/openova/products/openova-flow/relay/rules"
)

// store keeps the states of desks, and takes their notices.
type store interface {
	State(desk string) (notice.State, error)
	Room(channel string) int
	Commit(desk, rule, channel string, c notice.Change) error
}

// desk applies one rule for one channel.
type desk struct {
	name, channel string
	rule          *rules.Rule
	limits        notice.Limits
	state         notice.State
	next          int64 // when it is due although nothing has changed
	held          bool  // at the last look, a notice waited for room in the queue of the channel
	failed        bool  // at the last look, the change was not stored
}

// desks are all desks of a configuration. They are not safe for concurrent use.
type desks struct {
	list  []*desk
	store store
	found map[string][]notice.Notice // of each flow, not merged
	log   *slog.Logger

	queued func(d *desk, n *notice.Notice) // called for each notice that is put into a queue
	full   func(channel string)            // called by each look that leaves a notice waiting for room in the queue of its channel
}

// deskName is the name of a rule's desk for a channel. Neither has a slash.
func deskName(rule, channel string) string { return rule + "/" + channel }

func newDesks(c *rules.Config, s store, log *slog.Logger) (*desks, error) {
	all := &desks{store: s, found: make(map[string][]notice.Notice), log: log, queued: func(*desk, *notice.Notice) {}, full: func(string) {}}
	for i := range c.Rules {
		rule := &c.Rules[i]
		for _, channel := range rule.Channels {
			d := &desk{name: deskName(rule.Name, channel), channel: channel, rule: rule, limits: rule.Limits(c.Page)}
			var err error
			if d.state, err = s.State(d.name); err != nil {
				return nil, err
			}
			all.list = append(all.list, d)
		}
	}
	return all, nil
}

// readRollouts reports whether a rule wants rollouts of a flow. No such rule needs a rollout that ended at horizon (Unix milliseconds) or before.
func (a *desks) readRollouts(flow string, now int64) (horizon int64, wanted bool) {
	horizon = math.MaxInt64
	for _, d := range a.list {
		if !d.rule.ReadsFlow(flow) || !d.rule.Reads(notice.KindRollout) {
			continue
		}
		wanted = true
		done, ok := d.state.Ended[flow]
		switch {
		case ok:
		case d.state.Since != 0:
			done = d.state.Since - 1 // a rollout that ended at Since is sent
		default:
			done = now - 1
		}
		horizon = min(horizon, done)
	}
	return horizon, wanted
}

func (a *desks) readRevisions(flow string) bool {
	return slices.ContainsFunc(a.list, func(d *desk) bool { return d.rule.ReadsFlow(flow) && d.rule.Reads(notice.KindRevision) })
}

func (a *desks) readRevisionsOf(region string) bool {
	return slices.ContainsFunc(a.list, func(d *desk) bool { return d.rule.Reads(notice.KindRevision) && d.rule.ReadsRegion(region) })
}

// look compares the found notices with the states of the desks, and commits the changes: for all desks if found has changed, else for those that are due.
func (a *desks) look(now int64, changed bool) {
	for _, d := range a.list {
		if !changed && now < d.next {
			continue
		}
		var mine []notice.Notice
		for _, flow := range slices.Sorted(maps.Keys(a.found)) {
			if d.rule.ReadsFlow(flow) {
				mine = append(mine, d.rule.Select(a.found[flow])...)
			}
		}
		change := d.state.Look(d.limits, now, notice.Merge(mine), a.store.Room(d.channel))
		d.next = change.Next
		if change.Held {
			a.full(d.channel)
			if !d.held {
				a.log.Error("queue full, notices wait", "channel", d.channel, "rule", d.rule.Name)
			}
		}
		d.held = change.Held
		if err := a.store.Commit(d.name, d.rule.Name, d.channel, change); err != nil {
			if !d.failed {
				a.log.Error("notices not stored, trying again", "channel", d.channel, "rule", d.rule.Name, "err", err)
			}
			d.failed, d.next = true, now
			continue
		}
		d.failed = false
		d.state.Apply(change)
		for i := range change.Notices {
			a.queued(d, &change.Notices[i])
		}
	}
}
