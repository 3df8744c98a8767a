package natslog

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// A flow gets into the hub from a checkpoint and the entries after it, in one of these situations:
//
//   - startFlow: loading reads the flow's first entry in the stream.
//   - finish: loading is over, and the stream has no entry of the flow.
//   - skipGap: the stream has dropped entries that this hub has not read, after the first pass of loading (see finishIfRead).
//   - reload: the hub turns out to lack an entry of the flow.

// loading is the state of a consumer until finish.
type loading struct {
	lists  map[string]checkpointList // at the start
	late   map[string]uint64         // flows with an entry since the start, and the last such entry read
	seen   map[string]bool           // flows with an entry in the stream
	ended  map[string]uint64         // the last entry read that deleted the flow, or the one before an entry that may have
	end    uint64                    // the last entry at the start
	target uint64                    // the entry to read up to
	since  time.Time
}

// finishIfRead ends loading when everything has been read; pending is how many entries the answering server still has.
//
// The stream may drop an entry of a flow before loading reads it. Only a later entry of the flow shows that. So loading makes two passes: up to the end
// of the stream when it started, then up to the end of the stream after the first pass. In the second pass and later, dropped entries leave a gap,
// which skipGap handles.
func (c *consumer) finishIfRead(ctx context.Context, pending uint64) error {
	l := c.log
	for !l.loaded.Load() {
		if l.applied < c.load.target {
			if pending > 0 {
				return nil
			}
			_, err := l.stream.GetMsg(ctx, l.applied+1, jetstream.WithGetMsgSubject(l.allSubjects()))
			if !errors.Is(err, jetstream.ErrMsgNotFound) {
				return err // nil: the stream has more entries than the answering server
			}
		}
		if c.complete {
			return c.finish(ctx)
		}
		info, err := l.stream.Info(ctx)
		if err != nil {
			return err
		}
		c.complete, c.load.target = true, info.State.LastSeq
	}
	return nil
}

// startFlow prepares for the first entry of a flow in the stream: it restores the oldest checkpoint after which the stream is complete.
func (c *consumer) startFlow(ctx context.Context, flowID string, seq uint64) error {
	l := c.log
	if flowID != "" && seq > c.load.end {
		c.load.late[flowID] = seq
	}
	if l.progress(flowID) != nil {
		return nil
	}
	c.load.seen[flowID] = true
	p, err := c.restore(ctx, flowID, c.load.lists[flowID], func(refs []checkpointRef) (checkpointRef, bool) {
		if flowID == "" || len(refs) == 0 || seq <= refs[len(refs)-1].First {
			return checkpointRef{}, false
		}
		// Everything that the stream has dropped is older than this entry, and in the newest checkpoint.
		for _, ref := range refs {
			if ref.Seq+1 >= seq {
				return ref, true
			}
		}
		return newest(refs)
	})
	if err != nil {
		return err
	}
	if p.begun = seq; p.restored == 0 {
		p.first = seq
		if ref, ok := newest(c.load.lists[flowID].Checkpoints); ok && seq < ref.First { // entries of a deleted incarnation
			p.first, p.last, p.restored = ref.First, ref.First-1, ref.First-1
		}
	}
	l.setProgress(flowID, p)
	return nil
}

func newest(refs []checkpointRef) (checkpointRef, bool) {
	if len(refs) == 0 {
		return checkpointRef{}, false
	}
	return refs[len(refs)-1], true
}

// maxListReads is how many times the list is read again, at most, because a listed checkpoint is gone.
const maxListReads = 200

// restore replaces the hub's state of a flow by the checkpoint that choose selects from the list. The returned progress has restored == 0 if choose
// selects none. If the checkpoint has been removed since it was listed, the list is read again, unless the flow was deleted: then restore restores none.
// If it is unreadable, choose gets only newer ones, which contain its state.
func (c *consumer) restore(ctx context.Context, flowID string, list checkpointList, choose func([]checkpointRef) (checkpointRef, bool)) (*flowProgress, error) {
	l := c.log
	var unreadable error
	p := &flowProgress{last: max(list.Ended, c.load.ended[flowID])}
	from := c.load.ended[flowID] + 1 // checkpoints before this entry are unreadable, or of an earlier incarnation
	for attempt := 0; ; attempt++ {
		refs := list.Checkpoints
		for len(refs) > 0 && refs[0].Seq < from {
			refs = refs[1:]
		}
		ref, ok := choose(refs)
		if !ok {
			if unreadable != nil {
				return nil, l.damaged("no checkpoint of flow %s is readable: %w", flowID, unreadable)
			}
			p.noteCheckpoints(list)
			return p, nil
		}
		checkpoint, err := l.checkpoints.read(ctx, flowID, ref)
		if err == nil {
			if unreadable != nil {
				l.cfg.Logger.Error("checkpoint unreadable, continuing from a newer one", "flow", flowID, "err", unreadable)
			}
			if have := c.hub.Incarnation(flowID); have != record.NoIncarnation && have != checkpoint.Incarnation {
				c.deleteFlow(flowID)
			}
			c.hub.Replace(checkpoint)
			p.restored, p.last, p.first, p.messages, p.bytes = ref.Seq, ref.Last, ref.First, ref.Messages, ref.Bytes
			if p.count = ref.Entries; p.count == 0 {
				p.count = -1
			}
			p.noteCheckpoints(list)
			return p, nil
		}
		gone := errors.Is(err, jetstream.ErrKeyNotFound)
		if !gone && !errors.Is(err, errUnreadable) {
			return nil, err
		}
		if gone && attempt == 0 {
			ended, err := c.endedAfter(ctx, flowID, list.newest())
			if err != nil {
				return nil, err
			}
			if ended {
				l.cfg.Logger.Warn("ignored checkpoints of a deleted flow", "flow", flowID)
				return p, nil
			}
		}
		if !gone || attempt >= maxListReads {
			unreadable, from = cmp.Or(unreadable, err), ref.Seq+1
			continue
		}
		if !sleep(ctx, retryInterval/10) {
			return nil, ctx.Err()
		}
		if list, err = l.checkpoints.list(ctx, flowID); err != nil {
			return nil, err
		}
	}
}

// deleteFlow removes a flow from the hub, and nothing from the log.
func (c *consumer) deleteFlow(flowID string) {
	seq := max(c.log.applied, c.skipped, 1)
	c.hub.Apply(hub.Entry{Seq: int64(seq), Command: record.Command{Kind: record.KindDelete, Post: record.Post{FlowID: flowID}}})
}

// finish ends loading. The hub answers from here on.
func (c *consumer) finish(ctx context.Context) error {
	l := c.log
	for flowID, last := range c.load.late { // flows of which the stream may have dropped an entry before it was read
		m, err := l.stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(l.subjectOf(flowID)))
		purged := errors.Is(err, jetstream.ErrMsgNotFound) // by hand: the stream itself keeps the last entries of a flow
		if err != nil && !purged {
			return err
		}
		if p := l.progress(flowID); p != nil && (purged || m.Sequence > max(p.restored+1, p.begun)) {
			if err := c.reload(ctx, flowID); err != nil {
				return err
			}
			if p := l.progress(flowID); purged && p != nil && p.last < last {
				if err := c.acceptMissing(ctx, flowID, last); err != nil {
					return err
				}
			}
		}
		delete(c.load.late, flowID)
	}
	for flowID, list := range c.load.lists { // flows without an entry in the stream
		if !c.load.seen[flowID] && l.progress(flowID) == nil && len(list.Checkpoints) > 0 {
			p, err := c.restore(ctx, flowID, list, newest)
			if err != nil {
				return err
			}
			l.setProgress(flowID, p)
		}
	}
	for flowID, list := range c.load.lists { // flows of which the stream may have lost the last entries
		ref, ok := newest(list.Checkpoints)
		lacks := func() bool { p := l.progress(flowID); return p != nil && p.last < ref.Last }
		if !ok || c.load.ended[flowID] > ref.Seq || !lacks() {
			continue
		}
		if err := c.reload(ctx, flowID); err != nil {
			return err
		}
		if lacks() {
			if err := c.acceptMissing(ctx, flowID, ref.Last); err != nil {
				return err
			}
		}
	}
	c.hub.RaiseLastSeq(hub.FirstOf(int64(l.applied)+1) - 1)
	l.loaded.Store(true)
	lists := c.load.lists
	l.checkpoints.work.Go(func() { l.checkpoints.removeEmptyLists(ctx, lists) })
	l.cfg.Logger.Info("flows loaded", "flows", c.hub.Stats.Flows.Load(), "took", time.Since(c.load.since).Round(time.Millisecond))
	c.load = loading{}
	return nil
}

// skipGap handles entries up to seq-1 that the stream has dropped and this hub has not read. Those of existing flows are in checkpoints that are newer than
// what the hub has.
func (c *consumer) skipGap(ctx context.Context, seq uint64) error {
	l := c.log
	lists, err := l.checkpoints.lists(ctx)
	if err != nil {
		return err
	}
	c.skipped = seq - 1
	restored := int64(0)
	for flowID, list := range lists {
		p, err := c.restore(ctx, flowID, list, func(refs []checkpointRef) (checkpointRef, bool) {
			ref, ok := newest(refs)
			return ref, ok && ref.Seq > l.applied
		})
		if err != nil {
			return err
		}
		if p.restored > 0 {
			l.setProgress(flowID, p)
			restored++
		}
	}
	if restored > 0 {
		l.skipped.Add(restored)
		l.cfg.Logger.Warn("fell behind the log, continuing from checkpoints", "flows", restored)
	}
	return nil
}

// reload builds a flow again from its newest checkpoint and the entries after it that have been applied already.
func (c *consumer) reload(ctx context.Context, flowID string) error {
	l := c.log
	lists, err := l.checkpoints.lists(ctx)
	if err != nil {
		return err
	}
	l.reloaded.Add(1)
	l.checkpoints.applyMu.Lock() // no checkpoint may be taken of half a flow
	defer l.checkpoints.applyMu.Unlock()
	c.deleteFlow(flowID)
	p, err := c.restore(ctx, flowID, lists[flowID], newest)
	if err != nil {
		return err
	}
	l.setProgress(flowID, p)
	l.cfg.Logger.Warn("entries missing in the stream, flow reloaded", "flow", flowID, "checkpoint", p.restored)
	for next := p.restored + 1; next <= l.applied; {
		m, err := l.stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(l.subjectOf(flowID)))
		if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Sequence > l.applied {
			break
		}
		if err != nil {
			return err
		}
		cmd, err := record.DecodeCommand(m.Data)
		if err != nil {
			return fatal("decode entry %d of the log: %w", m.Sequence, err)
		}
		c.hub.Apply(hub.Entry{Seq: int64(m.Sequence), At: m.Time.UnixMilli(), Birth: l.incarnationAt(m.Sequence), Command: cmd})
		l.checkpoints.entryApplied(c.hub, flowID, m.Sequence, len(m.Data), false)
		next = m.Sequence + 1
	}
	return nil
}
