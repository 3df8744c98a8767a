package watch

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetryLimiter_AnswerEndsEveryWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newRetryLimiter(time.Second)
		var waits sync.WaitGroup
		for range 5 {
			answered := l.next()
			waits.Go(func() {
				if !l.wait(t.Context(), answered) {
					t.Error("a wait was cancelled")
				}
			})
		}
		synctest.Wait()
		at := time.Now()
		l.answer()
		waits.Wait()
		if took := time.Since(at); took != 0 {
			t.Errorf("the last wait returned after %v", took)
		}
	})
}

func TestRetryLimiter_OneRequestAPauseIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newRetryLimiter(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		var repeated atomic.Int64
		var requests sync.WaitGroup
		for range 50 {
			requests.Go(func() {
				for l.wait(ctx, l.next()) {
					repeated.Add(1)
				}
			})
		}
		time.Sleep(time.Minute)
		cancel()
		requests.Wait()
		if n := repeated.Load(); n < 60 || n > 120 { // every half to one second
			t.Errorf("%d requests were repeated in a minute", n)
		}
	})
}
