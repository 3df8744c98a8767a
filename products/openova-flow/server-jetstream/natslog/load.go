package natslog

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// loading is what a log knows while it loads.
type loading struct {
	heads  map[string]head // the checkpoints that there were when it started
	late   map[string]bool // flows that have got an entry since
	met    map[string]bool // flows that the stream has an entry of
	target uint64          // the entry to read up to
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
		t := &tail{first: seq, begun: seq}
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
// the listing and the reading it may have been replaced by newer ones, or dropped with its flow.
func (f *feeder) restore(ctx context.Context, flowID string, h head, t *tail, choose func([]mark) (mark, bool)) (head, error) {
	for attempt := 0; ; attempt++ {
		m, ok := choose(h.Marks)
		if !ok {
			return h, nil
		}
		c, err := f.log.keep.read(ctx, flowID, m)
		if err == nil {
			if have := f.hub.Incarnation(flowID); have != hub.NoIncarnation && have != c.Incarnation {
				f.hub.Apply(hub.Entry{Seq: int64(max(f.log.applied, f.before, 1)), Command: hub.Command{Kind: hub.KindDelete, Post: hub.Post{FlowID: flowID}}})
			}
			f.hub.Replace(c)
			t.restored, t.last, t.first, t.messages, t.size = m.Seq, m.Last, m.First, m.Messages, m.Bytes
			return h, nil
		}
		if !errors.Is(err, jetstream.ErrKeyNotFound) || attempt == readAttempts {
			return h, err
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
	f.hub.Restore(&hub.SavedState{Number: hub.FirstOf(int64(l.applied)+1) - 1})
	l.loaded.Store(true)
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
	f.hub.Apply(hub.Entry{Seq: int64(l.applied), Command: hub.Command{Kind: hub.KindDelete, Post: hub.Post{FlowID: flowID}}})
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
		c, err := hub.DecodeCommand(m.Data)
		if err != nil {
			return fatal("entry %d of the log: %w", m.Sequence, err)
		}
		f.hub.Apply(hub.Entry{Seq: int64(m.Sequence), At: m.Time.UnixMilli(), Birth: l.birth(m.Sequence), Command: c})
		t.last, seq = m.Sequence, m.Sequence+1
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
