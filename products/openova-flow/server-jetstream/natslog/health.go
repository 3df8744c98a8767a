package natslog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	checkInterval = time.Second     // between two checks of JetStream
	checkTimeout  = 2 * time.Second // limit for one
	failureLimit  = 2               // consecutive failures that make an outage
	missingLimit  = 5               // checks that find no stream or bucket, without a successful one between, before that is believed
	stallLimit    = 5               // consecutive checks without progress that make a stall
	rejectedLimit = 5               // consecutive rejected changes after which Config.OnRejected is called

	peerTimeout = 4 * time.Second // a server whose last contact with the stream's leader is older is unreachable
)

// monitor checks every second whether JetStream accepts changes, until ctx ends. A single failed check is no outage: a NATS server that is starting or
// busy may not answer in time, or may answer that the stream does not exist.
func (l *Log) monitor(ctx context.Context) error {
	failures, missing, rejected, withoutQuorum := 0, 0, 0, 0
	var stall stallDetector
	for sleep(ctx, checkInterval) {
		info, err := l.inspect(ctx)
		var outage error
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failures, missing = 0, 0
			stall.check(ctx, l, info.State.LastSeq)
			if err := quorum(info.Cluster); err == nil {
				withoutQuorum = 0
			} else if withoutQuorum++; withoutQuorum >= failureLimit || l.outage.Load() != nil { // an outage continues without a quorum
				outage = err
			}
		case errors.Is(err, errForeignStream):
			missing = missingLimit
		case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrBucketNotFound):
			missing++
		}
		if missing >= missingLimit {
			return fmt.Errorf("stream %s or bucket %s was deleted or created again while the server was running; restart the server", l.streamName(), l.bucketName())
		}
		if err != nil {
			if failures++; failures < failureLimit {
				continue
			}
			outage = fmt.Errorf("check of JetStream failed: %s", reason(err))
		}
		if outage == nil && (l.unacknowledged.Load() >= failureLimit || l.outage.Load() != nil) { // a server that rejects changes may still answer STREAM.INFO
			if err := l.tryChange(ctx); err != nil {
				outage = fmt.Errorf("JetStream rejects changes: %s", reason(err))
				if rejected++; rejected >= rejectedLimit && l.cfg.OnRejected != nil {
					if err := l.cfg.OnRejected(); err != nil {
						return err
					}
				}
			} else {
				rejected = 0
			}
		}
		l.setOutage(outage)
	}
	return nil
}

func (l *Log) tryChange(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	_, err := l.sendNoop(ctx)
	return err
}

// quorum returns an error if the stream has no leader, or one that has not reached a majority lately. A leader that has been cut off answers read
// requests for 10 s and longer, but accepts no entries.
func quorum(c *jetstream.ClusterInfo) error {
	if c != nil && c.Leader == "" {
		return errors.New("the stream has no leader")
	}
	if c == nil || len(c.Replicas) == 0 {
		return nil
	}
	reachable := 1
	for _, p := range c.Replicas {
		if !p.Offline && p.Active < peerTimeout {
			reachable++
		}
	}
	if all := len(c.Replicas) + 1; reachable <= all/2 {
		return fmt.Errorf("the stream's leader reaches %d of %d servers", reachable, all)
	}
	return nil
}

var errForeignStream = errors.New("the stream has another identity")

// inspect reads the state of the stream, checks that the bucket exists, and removes limits that lose entries.
func (l *Log) inspect(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	s, err := l.js.Stream(ctx, l.streamName())
	if err != nil {
		return nil, err
	}
	info := s.CachedInfo()
	if info.Config.Metadata[identityKey] != l.identity {
		return nil, errForeignStream
	}
	if _, err := l.js.KeyValue(ctx, l.bucketName()); errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, err
	}
	if cfg, changed := l.lossless(info.Config); changed {
		if _, err := l.js.UpdateStream(ctx, cfg); err != nil {
			l.cfg.Logger.Warn("unsafe JetStream limits not replaced", "stream", cfg.Name, "err", err)
		}
	}
	return info, nil
}

// setOutage records why changes are rejected, nil if they are accepted, and logs transitions.
func (l *Log) setOutage(outage error) {
	if outage == nil {
		if l.outage.Swap(nil) != nil {
			l.cfg.Logger.Info("log available again")
		}
	} else if l.outage.Swap(&outage) == nil {
		l.cfg.Logger.Warn("log unavailable, rejecting changes", "err", outage)
	}
}

// stallDetector finds out whether the consumer makes progress. A server that does not follow the log must not answer as if it did.
type stallDetector struct {
	applied uint64
	checks  int // consecutive checks with this applied, and with newer entries in the stream
}

// check sets Log.stalledAt after stallLimit checks without progress; last is the stream's last entry.
func (d *stallDetector) check(ctx context.Context, l *Log, last uint64) {
	applied := l.lastApplied()
	if d.checks++; applied != d.applied || applied >= last || !l.loaded.Load() {
		d.applied, d.checks = applied, 0
	}
	if d.checks != stallLimit {
		return
	}
	d.checks = 0
	_, err := l.stream.GetMsg(ctx, applied+1, jetstream.WithGetMsgSubject(l.allSubjects()))
	if errors.Is(err, jetstream.ErrMsgNotFound) { // the last entries have been deleted by hand
		return
	}
	if l.stalledAt.Swap(applied) != applied {
		l.cfg.Logger.Warn("log consumer stalled", "applied", applied, "last", last)
	}
}
