package emit

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

const (
	firstBackoff = 200 * time.Millisecond
	lastBackoff  = 30 * time.Second
	never        = time.Duration(1<<63 - 1)
)

// Run sends until ctx ends, and then, while this process leads, for at most five seconds more what is left. Let go of the
// leadership only after it has returned. Its error is nil, or says how much could not be sent.
func (e *Emitter) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	net, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	wg.Go(func() {
		select {
		case <-net.Done():
			return
		case <-ctx.Done():
		}
		flush := time.NewTimer(flushTime)
		defer flush.Stop()
		select {
		case <-net.Done():
		case <-flush.C:
			stop()
		}
	})
	r := &runner{Emitter: e, client: newClient(e.cfg), log: e.cfg.Logger, net: net, seeded: e.cfg.Seed == nil, n: time.Now().UnixMilli()}
	defer r.client.close()
	r.begin(nil)
	for net.Err() == nil {
		if ctx.Err() != nil && !r.ending {
			r.hurry()
		}
		if r.ending && !r.mayFlush() {
			break
		}
		r.sleep(ctx, r.step())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if left := e.box.pending(); left > 0 {
		return fmt.Errorf("%d changes were not confirmed by the flow server before the end", left)
	}
	return nil
}

// runner is what only the goroutine of Run knows.
type runner struct {
	*Emitter
	client *client
	log    *slog.Logger
	net    context.Context // ends when nothing may be sent any more
	seeded bool
	n      int64         // of the newest POST
	posted time.Time     // when the last POST began
	pause  time.Duration // from then to the next
	ending bool          // what is left goes out, whatever the interval

	term        *term
	incarnation string // of the flow; none: there is none; empty: not known
	etag        string // of the region's snapshot, when the server was last looked at
	comparedTag string // the same, when it was last compared; empty once something was confirmed since
	cause       string // of the next comparison
	compareAt   time.Time
	checkAt     time.Time
	lease       string    // of the region; empty: none
	claimAt     time.Time // of the next claim

	notBefore time.Time // of the next request
	told      bool      // notBefore is what the server asked for
	attempt   int       // requests that failed in a row
	lost      int       // POSTs in a row that met another incarnation
	stale     int       // POSTs in a row that met a newer emitter
	unleased  int       // POSTs in a row whose lease was not the flow's
	refusals  int       // claims in a row that another cluster stood against
	lim       limits
}

// begin starts a term, or the time without one.
func (r *runner) begin(t *term) {
	*r = runner{Emitter: r.Emitter, client: r.client, log: r.log, net: r.net, seeded: r.seeded, n: r.n, posted: r.posted, pause: r.pause, ending: r.ending,
		term: t, cause: "leading", lim: limits{message: r.cfg.MaxMessage, batch: r.cfg.MaxBatch}}
	if t != nil {
		r.log.Info("this process speaks for the region", "epoch", t.epoch)
	}
}

// step makes at most one request, and returns how long there is nothing to do.
func (r *runner) step() time.Duration {
	r.mu.Lock()
	t, loaded, compared, rival := r.Emitter.term, r.loaded, r.box.compared, r.rival != ""
	under, untrue := r.box.sent != nil, r.trouble.err != nil || r.blind
	r.mu.Unlock()
	if t != r.term {
		r.begin(t)
	}
	now := time.Now()
	switch {
	case r.notBefore.After(now):
		return r.notBefore.Sub(now)
	case !r.seeded:
		r.seed()
		return 0
	case t == nil || !loaded:
		return never
	case rival && now.Before(r.checkAt):
		return r.checkAt.Sub(now)
	case r.claims(now, untrue):
		r.claim()
		return 0
	case !compared || !under && !now.Before(r.compareAt):
		r.compare()
		return 0
	case !under && !now.Before(r.checkAt):
		r.check()
		return 0
	}
	return r.send(now)
}

func (r *runner) send(now time.Time) time.Duration {
	var b *batch
	var due time.Time
	wait := r.posted.Add(r.pause).Sub(now)
	if r.ending {
		wait = 0
	}
	r.with(func(o *outbox) {
		due = o.release(now)
		if wait <= 0 {
			b = o.take(r.lim)
		}
	})
	switch {
	case b != nil:
		r.post(b)
		return 0
	case r.waiting():
		return wait
	}
	next := r.checkAt
	for _, at := range []time.Time{r.compareAt, due} {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	if r.cfg.ClusterUID != "" && r.claimAt.After(now) && r.claimAt.Before(next) {
		next = r.claimAt
	}
	return next.Sub(now)
}

// pauseAfter is the time from one POST to the next: the interval after one with a hundred changes, a tenth of it after one with ten or fewer. So
// a few hundred changes a second arrive at once, and of a storm each POST takes along a whole interval.
func pauseAfter(changes int, interval time.Duration) time.Duration {
	return interval * time.Duration(min(max(changes, 10), 100)) / 100
}

func (r *runner) waiting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.box.pending() > 0
}

// mayFlush reports whether something is left that could still be sent.
func (r *runner) mayFlush() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Emitter.term != nil && r.loaded && r.rival == "" && (!r.box.compared || r.box.pending() > 0)
}

// sleep waits for d, for news, or for the end of ctx or of net, whatever comes first.
func (r *runner) sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	ended := ctx.Done()
	if ctx.Err() != nil {
		ended = nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.wake:
	case <-r.net.Done():
	case <-ended:
	}
}

// hurry begins the end: it forgets how long to wait, unless the server asked for it.
func (r *runner) hurry() {
	r.ending, r.attempt = true, 0
	if !r.told {
		r.notBefore = time.Time{}
	}
}

// with calls f with the outbox, unless the term is over: then what was learned in it does not count any more.
func (r *runner) with(f func(*outbox)) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Emitter.term != r.term {
		return false
	}
	f(r.box)
	r.metrics.backlog.Set(float64(r.box.pending()))
	close(r.moved)
	r.moved = make(chan struct{})
	return true
}

// request calls f with a context that ends with the term, and reports whether what f learned counts.
func (r *runner) request(f func(context.Context) error) (counts bool, err error) {
	ctx, cancel := context.WithCancel(r.net)
	defer cancel()
	if r.term != nil {
		defer context.AfterFunc(r.term.ctx, cancel)()
	}
	err = f(ctx)
	return err == nil || ctx.Err() == nil, err
}

// name is the Flow-Emitter header; empty while this process does not lead.
func (r *runner) name(n int64) string {
	if r.term == nil {
		return ""
	}
	return fmt.Sprintf("%s;epoch=%d;n=%d", r.cfg.Name, r.term.epoch, n)
}

// succeeded says that the server answered as it should.
func (r *runner) succeeded() {
	r.attempt, r.notBefore, r.told = 0, time.Time{}, false
	r.metrics.success.Set(float64(time.Now().UnixMilli()) / 1000)
	had := false
	r.with(func(*outbox) {
		had = r.trouble.err != nil
		r.trouble = trouble{}
	})
	if had {
		r.log.Info("the flow server takes what it is sent again")
	}
}

// failed says why the server did not answer as it should, and puts off the next request.
func (r *runner) failed(kind string, err error, retryAfter time.Duration) {
	r.attempt++
	wait := time.Duration(rand.Int64N(int64(min(lastBackoff, firstBackoff<<min(r.attempt, 10)))))
	if r.told = retryAfter > 0; r.told {
		wait = retryAfter + time.Duration(rand.Int64N(int64(retryAfter/4)+1))
	}
	r.notBefore = time.Now().Add(wait)
	news := false
	r.with(func(*outbox) {
		news = r.trouble.kind != kind
		since := r.trouble.unanswered
		switch unanswered := strings.HasSuffix(kind, "unanswered"); {
		case !unanswered:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		}
		r.trouble = trouble{kind: kind, err: err, unanswered: since}
	})
	if news {
		r.log.Warn("the flow server does not take what it is sent", "err", err)
	}
}
