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

// loading is what a log knows while it loads.
type loading struct {
	heads  map[string]head   // the checkpoints that there were when it started
	late   map[string]bool   // flows that have got an entry since
	met    map[string]bool   // flows that the stream has an entry of
	ended  map[string]uint64 // the last entry read that ended a flow
	target uint64            // the entry to read up to
	since  time.Time
}

// arrive ends loading once it is time; pending is how many entries there are still to read, as far as the server says that hands them out.
// What the stream drops before it is read shows only by the entries that came for it. So all is read that has come by the time when what
// there was at first has been read. What is dropped of that in turn is a gap, as there is nothing else that was dropped before.
func (f *feeder) arrive(ctx context.Context, pending uint64) error {
	l := f.log
	for !l.loaded.Load() {
		if l.applied < f.load.target {
			if pending > 0 {
				return nil
			}
			_, err := l.stream.GetMsg(ctx, l.applied+1, jetstream.WithGetMsgSubject(l.cfg.Name+".log.*"))
			if !errors.Is(err, jetstream.ErrMsgNotFound) {
				return err // there is more, or it is not known: that server is behind
			}
		}
		if f.gapless {
			return f.finish(ctx)
		}
		info, err := l.stream.Info(ctx)
		if err != nil {
			return err
		}
		f.gapless, f.load.target = true, info.State.LastSeq
	}
	return nil
}

// meet prepares for the first entry of a flow that the stream has, which is number seq: the hub gets the oldest checkpoint of it after
// which the stream has everything.
func (f *feeder) meet(ctx context.Context, flowID string, seq uint64) error {
	l := f.log
	l.mu.Lock()
	known := l.flows[flowID]
	l.mu.Unlock()
	if known == nil {
		f.load.met[flowID] = true
		t := &tail{first: seq, begun: seq, last: max(f.load.heads[flowID].Ended, f.load.ended[flowID])}
		h, err := f.restore(ctx, flowID, f.load.heads[flowID], t, func(marks []mark) (mark, bool) {
			if flowID == "" || len(marks) == 0 || seq <= marks[len(marks)-1].First {
				return mark{}, false
			}
			// All that the stream has dropped is older than this entry, and in the newest checkpoint.
			for _, m := range marks {
				if m.Seq+1 >= seq {
					return m, true
				}
			}
			return marks[len(marks)-1], true
		})
		if err != nil {
			return err
		}
		t.cover(h)
		l.mu.Lock()
		l.flows[flowID] = t
		l.mu.Unlock()
	}
	if seq > f.upTo && flowID != "" {
		f.load.late[flowID] = true
	}
	return nil
}

// restore gives the hub the checkpoint that is chosen from those of a flow, if one is, and returns the head that it is listed in: between
// the listing and the reading it may have been replaced by newer ones, or dropped with its flow. In place of one that can't be read a newer
// one is taken: what came in between is in it.
func (f *feeder) restore(ctx context.Context, flowID string, h head, t *tail, choose func([]mark) (mark, bool)) (head, error) {
	var unreadable error
	from := f.load.ended[flowID] + 1 // older ones are of no use: of the flow before it was deleted, or unreadable
	for attempt := 0; ; attempt++ {
		marks := h.Marks
		for len(marks) > 0 && marks[0].Seq < from {
			marks = marks[1:]
		}
		m, ok := choose(marks)
		if !ok && unreadable != nil {
			return h, f.log.damaged("no checkpoint of flow %s can be read: %w", flowID, unreadable)
		}
		if !ok {
			return h, nil
		}
		c, err := f.log.keep.read(ctx, flowID, m)
		if err == nil {
			if unreadable != nil {
				f.log.cfg.Logger.Error("checkpoint unreadable, continuing from a newer one", "flow", flowID, "err", unreadable)
			}
			if have := f.hub.Incarnation(flowID); have != hub.NoIncarnation && have != c.Incarnation {
				f.hub.Apply(hub.Entry{Seq: int64(max(f.log.applied, f.before, 1)), Command: hub.Command{Kind: record.KindDelete, Post: hub.Post{FlowID: flowID}}})
			}
			f.hub.Replace(c)
			t.restored, t.last, t.first, t.messages, t.size = m.Seq, m.Last, m.First, m.Messages, m.Bytes
			if t.count = m.Entries; t.count == 0 {
				t.count = -1
			}
			return h, nil
		}
		gone := errors.Is(err, jetstream.ErrKeyNotFound)
		if !gone && !errors.Is(err, errUnreadable) {
			return h, err
		}
		if gone && attempt == 0 {
			ended, err := f.endedAfter(ctx, flowID, h.Marks[len(h.Marks)-1].Seq)
			if err != nil {
				return h, err
			}
			if ended {
				f.log.cfg.Logger.Warn("checkpoints of a deleted flow passed over", "flow", flowID)
				return head{Ended: h.Ended, revision: h.revision}, nil
			}
		}
		if !gone || attempt >= readAttempts {
			unreadable, from = cmp.Or(unreadable, err), m.Seq+1
			continue
		}
		if !sleep(ctx, retryWait/10) {
			return h, ctx.Err()
		}
		if h, err = f.log.keep.get(ctx, flowID); err != nil {
			return h, err
		}
	}
}

// readAttempts is how many times a checkpoint is looked for that is listed and not there.
const readAttempts = 200

// endedAfter reports whether the stream has an entry after seq that ended a flow: then no checkpoint up to seq is of use.
func (f *feeder) endedAfter(ctx context.Context, flowID string, seq uint64) (bool, error) {
	l := f.log
	for next := seq + 1; ; {
		m, err := l.stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(l.subjectOf(flowID)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		c, err := record.DecodeCommand(m.Data)
		if err != nil {
			return false, fatal("entry %d of the log: %w", m.Sequence, err)
		}
		if c.Kind == record.KindDelete {
			return true, nil
		}
		if c.Kind == record.KindIdle && next == seq+1 { // it may end nothing, unless what was before it was dropped with the flow
			first, err := l.stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(l.subjectOf(flowID)))
			if err != nil || first.Sequence == m.Sequence {
				return err == nil, err
			}
		}
		next = m.Sequence + 1
	}
}

func newest(marks []mark) (mark, bool) {
	if len(marks) == 0 {
		return mark{}, false
	}
	return marks[len(marks)-1], true
}

// finish ends loading: from here on the hub answers.
func (f *feeder) finish(ctx context.Context) error {
	l := f.log
	for flowID := range f.load.late {
		// Did the stream drop an entry before it was read?
		m, err := l.stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(l.subjectOf(flowID)))
		if err != nil {
			return err
		}
		if t := l.flows[flowID]; t != nil && m.Sequence > max(t.restored+1, t.begun) {
			if err := f.again(ctx, flowID); err != nil {
				return err
			}
		}
		delete(f.load.late, flowID)
	}
	for flowID, h := range f.load.heads { // the stream has nothing of them
		if !f.load.met[flowID] && l.flows[flowID] == nil && len(h.Marks) > 0 {
			t := &tail{}
			h, err := f.restore(ctx, flowID, h, t, newest)
			if err != nil {
				return err
			}
			t.cover(h)
			l.mu.Lock()
			l.flows[flowID] = t
			l.mu.Unlock()
		}
	}
	for flowID, h := range f.load.heads { // the stream has lost the newest entries of them
		m, ok := newest(h.Marks)
		t := l.flows[flowID]
		if !ok || f.load.ended[flowID] > m.Seq || t == nil || t.last >= m.Last {
			continue
		}
		if _, err := f.mend(ctx, flowID, m.Last); err != nil {
			return err
		}
	}
	f.hub.Restore(&hub.SavedState{Number: hub.FirstOf(int64(l.applied)+1) - 1})
	l.loaded.Store(true)
	heads := f.load.heads
	l.keep.idle.Go(func() { l.keep.sweep(ctx, heads) })
	l.cfg.Logger.Info("flows loaded", "flows", f.hub.Stats.Flows.Load(), "took", time.Since(f.load.since).Round(time.Millisecond))
	f.load = loading{}
	return nil
}

// again loads a flow from its newest checkpoint and all that the stream has after it, while nobody reads it yet.
func (f *feeder) again(ctx context.Context, flowID string) error {
	l := f.log
	l.reloaded.Add(1)
	heads, err := l.keep.list(ctx)
	if err != nil {
		return err
	}
	f.hub.Apply(hub.Entry{Seq: int64(l.applied), Command: hub.Command{Kind: record.KindDelete, Post: hub.Post{FlowID: flowID}}})
	t := &tail{}
	h, err := f.restore(ctx, flowID, heads[flowID], t, newest)
	if err != nil {
		return err
	}
	t.cover(h)
	l.mu.Lock()
	l.flows[flowID] = t
	l.mu.Unlock()
	upTo := l.applied
	for seq := t.restored + 1; seq <= upTo; {
		m, err := l.stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(l.subjectOf(flowID)))
		if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Sequence > upTo {
			break
		}
		if err != nil {
			return err
		}
		c, err := record.DecodeCommand(m.Data)
		if err != nil {
			return fatal("entry %d of the log: %w", m.Sequence, err)
		}
		f.hub.Apply(hub.Entry{Seq: int64(m.Sequence), At: m.Time.UnixMilli(), Birth: l.birth(m.Sequence), Command: c})
		seq = m.Sequence + 1
		l.mu.Lock()
		t.last = m.Sequence
		if !f.hub.Known(flowID) {
			t.count = 0
		} else if t.count >= 0 {
			t.count++
		}
		l.mu.Unlock()
	}
	return nil
}

// bridge is for a hub that was away so long that the stream has dropped entries which it had not seen: those up to the one before seq.
// All that was dropped is in a checkpoint that is newer than what the hub has.
func (f *feeder) bridge(ctx context.Context, seq uint64) error {
	l := f.log
	heads, err := l.keep.list(ctx)
	if err != nil {
		return err
	}
	restored := int64(0)
	f.before = seq - 1 // an entry that is not there: its number is free
	for flowID, h := range heads {
		t := &tail{}
		h, err := f.restore(ctx, flowID, h, t, func(marks []mark) (mark, bool) {
			m, ok := newest(marks)
			return m, ok && m.Seq > l.applied
		})
		if err != nil {
			return err
		}
		if t.restored == 0 {
			continue
		}
		t.cover(h)
		l.mu.Lock()
		l.flows[flowID] = t
		l.mu.Unlock()
		restored++
	}
	if restored > 0 {
		l.bridged.Add(restored)
		l.cfg.Logger.Warn("this server was behind what the log keeps, and goes on from checkpoints", "flows", restored)
	}
	return nil
}

// mend is for an entry of a flow that the stream does not have any more: it was dropped while this hub loaded, or is lost. The flow goes on from
// the oldest checkpoint that has it, which is current to the entry that is returned. What is dropped is in one before, or the flow was deleted
// after it: then nothing is missed, and 0 is returned.
func (f *feeder) mend(ctx context.Context, flowID string, missing uint64) (restored uint64, err error) {
	l := f.log
	heads, err := l.keep.list(ctx)
	if err != nil {
		return 0, err
	}
	l.reloaded.Add(1)
	t := &tail{}
	h, err := f.restore(ctx, flowID, heads[flowID], t, func(marks []mark) (mark, bool) {
		for _, m := range marks {
			if m.Seq >= missing {
				return m, true
			}
		}
		return mark{}, false
	})
	if err != nil {
		return 0, err
	}
	if t.restored == 0 {
		ended, err := f.endedAfter(ctx, flowID, missing)
		if err != nil {
			return 0, err
		}
		if !ended {
			return 0, l.damaged("entries of flow %s are missing in the stream, up to number %d, and no checkpoint has them", flowID, missing)
		}
		l.cfg.Logger.Warn("missing entries of a deleted flow passed over", "flow", flowID, "missing", missing)
		l.mu.Lock()
		defer l.mu.Unlock()
		if known := l.flows[flowID]; known != nil {
			known.last, known.count = max(known.last, missing), -1
		}
		return 0, nil
	}
	l.cfg.Logger.Warn("entries missing in the stream, continuing from a checkpoint", "flow", flowID, "missing", missing, "checkpoint", t.restored)
	t.cover(h)
	l.mu.Lock()
	l.flows[flowID] = t
	l.mu.Unlock()
	return t.restored, nil
}
