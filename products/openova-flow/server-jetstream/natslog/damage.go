package natslog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// A damaged stream is found in three ways: it ends before an entry that was acknowledged (checkEnd), it gives a number twice (endDamaged), or an entry's
// header (missing), a checkpoint or the entries read before (finish) show that entries of a flow are in neither the stream nor a readable checkpoint.

// DamagedError reports that the stream or its checkpoints have lost acknowledged entries.
type DamagedError struct{ Err error }

func (e *DamagedError) Error() string {
	return "the log has lost acknowledged messages: " + e.Err.Error()
}

func (e *DamagedError) Unwrap() error { return e.Err }

func (l *Log) damaged(format string, args ...any) error {
	return &fatalError{&DamagedError{fmt.Errorf("%w; restore stream %s and bucket %s from one backup, or delete both, and emitters resend their state",
		fmt.Errorf(format, args...), l.streamName(), l.bucketName())}}
}

// awaitBroken waits for the error of endDamaged. It returns nil if ctx ends first.
func (l *Log) awaitBroken(ctx context.Context) error {
	select {
	case err := <-l.broken:
		return err
	case <-ctx.Done():
		return nil
	}
}

// endDamaged ends Run because the stream gave a new entry a number that it had given before: the earlier entries from that number on are lost.
// It notes the damage in the bucket, so that no server starts with this stream again.
func (l *Log) endDamaged(seq, applied uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Timeout)
	defer cancel()
	what := fmt.Sprintf("a new entry got number %d, but entry %d was applied before", seq, applied)
	if _, err := l.bucket.PutString(ctx, l.keys(damageKind)+"lost", what); err != nil {
		l.cfg.Logger.Error("damage not noted in the bucket", "err", err)
	}
	select {
	case l.broken <- l.damaged("%s", what):
	default: // Run ends already
	}
}

// shortTimeout is how long a clustered stream may end too early before it counts as damaged: a leader that has been cut off may report less.
const shortTimeout = 30 * time.Second

// checkEnd returns an error if the stream has lost its last entries, or if endDamaged has noted in the bucket that it has lost some.
func (c *consumer) checkEnd(ctx context.Context, lists map[string]checkpointList, info *jetstream.StreamInfo) error {
	l := c.log
	note, err := l.bucket.Get(ctx, l.keys(damageKind)+"lost")
	if err == nil {
		return l.damaged("%s", note.Value())
	}
	if !errors.Is(err, jetstream.ErrKeyNotFound) {
		return err
	}
	known := l.cfg.Acknowledged
	for _, list := range lists {
		known = max(known, list.Ended, list.newest())
	}
	if info.State.LastSeq >= known {
		return nil
	}
	if c.shortSince.IsZero() {
		c.shortSince = time.Now()
	}
	if clustered := info.Cluster != nil && len(info.Cluster.Replicas) > 0; clustered && time.Since(c.shortSince) < shortTimeout {
		return fmt.Errorf("the stream ends with entry %d, but entry %d was acknowledged", info.State.LastSeq, known)
	}
	return l.damaged("the stream ends with entry %d, but entry %d was acknowledged", info.State.LastSeq, known)
}

// after is the value of afterHeader: the last entry of the flow that the publisher has applied, and how many entries the flow had up to it.
func (p *flowProgress) after() string {
	if p == nil || p.last == 0 {
		return ""
	}
	return strconv.FormatUint(p.last, 10) + " " + strconv.FormatInt(p.count, 10)
}

// missing compares an entry's afterHeader with this hub's progress of the flow. It returns the entry up to which some are missing here, 0 for none. A count
// that is unknown here is taken from the header.
func (c *consumer) missing(header, flowID string) uint64 {
	first, rest, ok := strings.Cut(header, " ")
	if !ok {
		return 0
	}
	after, err1 := strconv.ParseUint(first, 10, 64)
	count, err2 := strconv.ParseInt(rest, 10, 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.flows[flowID]
	if p == nil {
		if !l.loaded.Load() && after > c.load.ended[flowID] {
			return after
		}
		return 0
	}
	if after > p.last {
		return after
	}
	if after == p.last && count >= 0 {
		if p.count >= 0 && p.count != count {
			return after
		}
		p.count = count
	}
	return 0
}

// acceptMissing returns an error if entries of a flow up to entry upTo are lost, unless the flow was deleted afterwards: then they are not needed.
func (c *consumer) acceptMissing(ctx context.Context, flowID string, upTo uint64) error {
	l := c.log
	ended, err := c.endedAfter(ctx, flowID, upTo)
	if err != nil {
		return err
	}
	if !ended {
		return l.damaged("entries of flow %s up to number %d are in neither the stream nor a checkpoint", flowID, upTo)
	}
	l.cfg.Logger.Warn("ignored missing entries of a deleted flow", "flow", flowID, "upTo", upTo)
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.flows[flowID]; p != nil {
		p.last, p.count = max(p.last, upTo), -1
	}
	return nil
}

// endedAfter reports whether the stream has an entry after seq that deleted the flow. Checkpoints up to seq are then of no use.
func (c *consumer) endedAfter(ctx context.Context, flowID string, seq uint64) (bool, error) {
	l := c.log
	for next := seq + 1; ; {
		m, err := l.stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(l.subjectOf(flowID)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		cmd, err := record.DecodeCommand(m.Data)
		if err != nil {
			return false, fatal("decode entry %d of the log: %w", m.Sequence, err)
		}
		if cmd.Kind == record.KindDelete {
			return true, nil
		}
		if cmd.Kind == record.KindIdle && next == seq+1 { // deletes only an idle flow; it did if the entries before it are gone
			first, err := l.stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(l.subjectOf(flowID)))
			if err != nil || first.Sequence == m.Sequence {
				return err == nil, err
			}
		}
		next = m.Sequence + 1
	}
}
