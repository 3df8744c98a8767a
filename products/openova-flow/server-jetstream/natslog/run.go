package natslog

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

const (
	retryInterval = 250 * time.Millisecond // between attempts of a failed operation
	flushTimeout  = 3 * time.Second        // limit for the last checkpoints
)

// Run applies the log's entries to a hub until ctx ends, then writes the missing checkpoints, for at most 3 s. It returns an error only if a retry cannot help:
// the log is damaged, its stream or bucket was deleted or created again, the stream belongs to another program, a later version has written to it, or
// Config.OnRejected returned an error.
func (l *Log) Run(ctx context.Context, h *hub.Hub) error {
	if err := l.open(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	close(l.started)
	writing, stopWriters := context.WithCancel(context.WithoutCancel(ctx))
	var writers, workers sync.WaitGroup
	for range checkpointWriters {
		writers.Go(func() { l.checkpoints.run(writing, h) })
	}
	work, stop := context.WithCancelCause(ctx)
	for _, f := range []func() error{
		func() error { return l.monitor(work) },
		func() error { return l.checkpoints.watch(work) },
		func() error { return l.consume(work, h) },
		func() error { return l.awaitBroken(work) },
	} {
		workers.Go(func() {
			if err := f(); err != nil {
				stop(err)
			}
		})
	}
	workers.Wait()
	stop(nil)
	var err error
	if ctx.Err() == nil {
		err = context.Cause(work)
	} else if l.loaded.Load() {
		l.checkpoints.flush(flushTimeout)
	}
	stopWriters()
	writers.Wait()
	return err
}

// sleep waits for d. It returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// fatalError is an error that a retry cannot fix.
type fatalError struct{ error }

func (e *fatalError) Unwrap() error { return e.error }

func fatal(format string, args ...any) error { return &fatalError{fmt.Errorf(format, args...)} }
