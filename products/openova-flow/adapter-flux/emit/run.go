package emit

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

const (
	firstBackoff = 200 * time.Millisecond
	lastBackoff  = 30 * time.Second
	never        = time.Duration(1<<63 - 1)
)

// Run sends changes until ctx ends. If this process then leads, it sends the rest for up to five seconds. Release the leadership only after
// Run has returned. The error, if any, has the number of unconfirmed changes.
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
			r.beginFlush()
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

// runner is the state of the goroutine of Run.
type runner struct {
	*Emitter
	client      *client
	log         *slog.Logger
	net         context.Context // of requests; ends when no more are allowed
	seeded      bool
	requestedAt time.Time     // start of the last request
	n           int64         // number of the newest POST
	posted      time.Time     // start of the last POST
	pause       time.Duration // minimum time from the last POST to the next
	ending      bool          // the rest is sent without waiting for the interval

	term        *term
	incarnation string // the flow's incarnation; none: it does not exist; empty: unknown
	etag        string // ETag of the region's snapshot at the last comparison or check
	comparedTag string // ETag of the region's snapshot at the last comparison; empty after a later confirmation
	cause       string // reason of the next comparison
	compareAt   time.Time
	checkAt     time.Time
	lease       string    // lease of the region; empty: no claim
	claimAt     time.Time // time of the next claim

	notBefore time.Time // time of the next request
	byServer  bool      // the server has set notBefore (Retry-After)
	attempt   int       // consecutive failed requests
	lim       limits

	// Since the last confirmed POST.
	lost       int // POSTs rejected for another incarnation
	unleased   int // POSTs rejected for their lease
	superseded int // POSTs rejected for a newer emitter

	refusals int // claims rejected for another cluster since the last accepted one
}

// begin starts a term, or a time without leadership.
func (r *runner) begin(t *term) {
	*r = runner{Emitter: r.Emitter, client: r.client, log: r.log, net: r.net, seeded: r.seeded, n: r.n, posted: r.posted, pause: r.pause, ending: r.ending,
		term: t, cause: "leading", lim: limits{message: r.cfg.MaxMessage, batch: r.cfg.MaxBatch}}
	if t != nil {
		r.log.Info("reporting the region", "epoch", t.epoch)
	}
}

// step sends at most one request, and returns the time until the next step.
func (r *runner) step() time.Duration {
	r.mu.Lock()
	t, loaded, compared, otherCluster := r.Emitter.term, r.loaded, r.box.compared, r.otherCluster != ""
	inFlight, outdated := r.box.sent != nil, r.trouble.err != nil || r.blind
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
	case otherCluster && now.Before(r.checkAt):
		return r.checkAt.Sub(now)
	case r.claimDue(now, outdated):
		r.claim()
		return 0
	case !compared || !inFlight && !now.Before(r.compareAt):
		r.compare()
		return 0
	case !inFlight && !now.Before(r.checkAt):
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

// pauseAfter returns the time from one POST to the next: the interval after a POST with 100 or more changes, a tenth of it after 10 or fewer. So up to a
// few hundred changes a second arrive with little delay, and under load each POST has the changes of a whole interval.
func pauseAfter(changes int, interval time.Duration) time.Duration {
	return interval * time.Duration(min(max(changes, 10), 100)) / 100
}

func (r *runner) waiting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.box.pending() > 0
}

// mayFlush reports whether there are, or a comparison may find, unconfirmed changes that can still be sent.
func (r *runner) mayFlush() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Emitter.term != nil && r.loaded && r.otherCluster == "" && (!r.box.compared || r.box.pending() > 0)
}

// sleep waits for d, a wake-up, or the end of r.net or of ctx, whichever comes first. If ctx has ended already, it is ignored.
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

// beginFlush ends the wait for the interval and the backoff, but not a Retry-After of the server.
func (r *runner) beginFlush() {
	r.ending, r.attempt = true, 0
	if !r.byServer {
		r.notBefore = time.Time{}
	}
}

// with calls f with the outbox and with r.mu held, and wakes the callers of Drained. If the term is over, it returns false instead.
func (r *runner) with(f func(*outbox)) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Emitter.term != r.term {
		return false
	}
	f(r.box)
	r.metrics.backlog.Set(float64(r.box.pending()))
	close(r.changed)
	r.changed = make(chan struct{})
	return true
}

// ask sends a request, with a context that ends with the term, and reports whether it was answered. It records a missing or unreadable answer, unless the
// context has ended.
func (r *runner) ask(what string, request func(context.Context) error) bool {
	ctx, cancel := context.WithCancel(r.net)
	defer cancel()
	if r.term != nil {
		defer context.AfterFunc(r.term.ctx, cancel)()
	}
	r.requestedAt = time.Now()
	switch err := request(ctx); {
	case err == nil:
		return true
	case ctx.Err() != nil:
	case unreadable(err):
		r.failed("snapshot ", http.StatusOK, err, 0)
	default:
		r.failed(what, 0, unanswered(err), 0)
	}
	return false
}

// emitterHeader returns the Flow-Emitter header of POST n; empty if this process does not lead.
func (r *runner) emitterHeader(n int64) string {
	if r.term == nil {
		return ""
	}
	return fmt.Sprintf("%s;epoch=%d;n=%d", r.cfg.Name, r.term.epoch, n)
}

func (r *runner) succeeded() {
	r.attempt, r.notBefore, r.byServer = 0, time.Time{}, false
	r.metrics.success.Set(float64(time.Now().UnixMilli()) / 1000)
	had := false
	r.with(func(*outbox) {
		had = r.trouble.err != nil
		r.trouble = trouble{}
	})
	if had {
		r.log.Info("flow server accepts changes again")
	}
}

// failed records why a request failed, and delays the next one. what distinguishes troubles with the same status; status 0 means no answer.
func (r *runner) failed(what string, status int, err error, retryAfter time.Duration) {
	kind := fmt.Sprint(what, status)
	r.attempt++
	wait := time.Duration(rand.Int64N(int64(min(lastBackoff, firstBackoff<<min(r.attempt, 10)))))
	if r.byServer = retryAfter > 0; r.byServer {
		wait = retryAfter + time.Duration(rand.Int64N(int64(retryAfter/4)+1))
	}
	r.notBefore = time.Now().Add(wait)
	changed := false
	r.with(func(*outbox) {
		changed = r.trouble.kind != kind
		since := r.trouble.undelivered
		switch {
		case status > 0 && status < http.StatusInternalServerError:
			since = time.Time{}
		case since.IsZero():
			since = r.requestedAt
		}
		r.trouble = trouble{kind: kind, err: err, undelivered: since}
	})
	if changed {
		r.log.Warn("flow server does not accept changes", "err", err)
	}
}
