package natslog

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestThrottle_ReplacedProgressEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, wait := throttled(t)
		l.setProgress("F", new(flowProgress)) // as after a restored checkpoint
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestThrottle_FullQueueIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, wait := throttled(t)
		<-l.checkpoints.queue
		time.Sleep(retryInterval)
		synctest.Wait()
		if n := len(l.checkpoints.queue); n != 1 {
			t.Errorf("%d flows queued, want 1", n)
		}
		l.setProgress("F", nil)
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
}

// throttled returns a log with a full queue that throttles flow F, and a function that waits until throttle returns.
func throttled(t *testing.T) (l *Log, wait func() error) {
	cfg := Config{RingCapacity: 1}.withDefaults()
	pending := make([]uint64, cfg.RingCapacity+spareEntries/2)
	for i := range pending {
		pending[i] = 1
	}
	l = &Log{cfg: cfg, flows: map[string]*flowProgress{"F": {pending: pending}}}
	l.checkpoints = checkpointer{log: l, queue: make(chan string, 1)}
	l.checkpoints.queue <- "other"
	ctx, cancel := context.WithTimeout(t.Context(), cfg.Timeout)
	t.Cleanup(cancel)
	done := make(chan error, 1)
	go func() { done <- l.checkpoints.throttle(ctx, "F") }()
	synctest.Wait()
	return l, func() error { return <-done }
}
