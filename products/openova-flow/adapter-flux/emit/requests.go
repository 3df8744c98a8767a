package emit

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// none is the incarnation of a flow that does not exist.
const none = "none"

// Durations of a hold for an element that exceeds a limit.
const (
	firstHold = 30 * time.Second
	lastHold  = 5 * time.Minute
)

func (r *runner) seed() {
	own, _, ok := r.snapshot("")
	if !ok {
		return
	}
	previous := own.nodes
	if r.otherClusterIn(previous) != "" {
		previous = nil
	}
	r.succeeded()
	r.seeded = true
	r.cfg.Seed(previous)
}

// snapshot gets the region's part of the server's state. The part is empty if etag is still current or the flow does not exist.
func (r *runner) snapshot(etag string) (own part, a answer, ok bool) {
	if !r.ask("", func(ctx context.Context) (err error) {
		own, a, err = r.client.snapshot(ctx, etag, r.emitterHeader(r.n))
		return err
	}) {
		return part{}, a, false
	}
	switch {
	case a.status == http.StatusNotFound && a.isProblem:
		a.incarnation = none
		return part{}, a, true
	case a.status == http.StatusOK, a.status == http.StatusNotModified && etag != "":
		return own, a, true
	}
	r.failed("", a.status, refused(a), a.retryAfter)
	return part{}, a, false
}

// otherClusterIn returns the UID in the region's node if that is another cluster's. It is empty if this cluster's is not known.
func (r *runner) otherClusterIn(own []flow.Node) string {
	uid := clusterUID(r.cfg.Region, own)
	if r.cfg.ClusterUID == "" || uid == r.cfg.ClusterUID {
		return ""
	}
	return uid
}

// compare gets the server's state of the region. It puts the differences from the Source into the outbox, unless another cluster has the region.
func (r *runner) compare() {
	etag := ""
	if !r.with(func(o *outbox) {
		if o.compared {
			etag = r.comparedTag
		}
	}) {
		return
	}
	part, a, ok := r.snapshot(etag)
	if !ok {
		return
	}
	same := a.status == http.StatusNotModified
	now := time.Now()
	r.checkAt, r.compareAt = now.Add(checkPeriod), now.Add(comparePeriod)
	if r.lease == "" && !same && r.setOtherCluster(r.otherClusterIn(part.nodes)) { // a server without claims
		return
	}
	r.etag, r.comparedTag, r.incarnation = a.etag, a.etag, a.incarnation
	r.lim.batch = r.cfg.MaxBatch
	if !r.with((*outbox).beginCompare) {
		return
	}
	nodes, rels := r.cfg.Source.State()
	own := part.state()
	differs, pending := 0, 0
	if !r.with(func(o *outbox) {
		if same {
			own = o.confirmed.clone()
		}
		differs = o.compare(own, nodes, rels, now)
		pending = o.pending()
	}) {
		return
	}
	r.metrics.resyncs.WithLabelValues(r.cause).Inc()
	if differs > 0 || r.cause != "periodic" {
		r.log.Info("compared with the flow server", "cause", r.cause, "differences", differs)
	}
	r.cause = "periodic"
	// A successful GET does not end the trouble of POSTs that the server rejects.
	if r.superseded+r.lost == 0 || pending == 0 {
		r.succeeded()
	}
}

// setOtherCluster records the UID of the other cluster that holds the region, empty for none, and reports whether there is one.
func (r *runner) setOtherCluster(uid string) bool {
	before := ""
	r.with(func(o *outbox) {
		before, r.otherCluster = r.otherCluster, uid
		r.metrics.conflict.Set(0)
		if uid != "" {
			r.metrics.conflict.Set(1)
			o.distrust()
		}
	})
	if uid == "" {
		return false
	}
	if before != uid {
		r.log.Error("another cluster reports this region, sending nothing", "cluster", uid, "own", r.cfg.ClusterUID)
	}
	return true
}

// check checks whether the server still has the same incarnation. The request also counts as activity, so that the flow is not deleted as idle.
func (r *runner) check() {
	etag := r.etag
	if etag == "" {
		etag = `"` + none + `"`
	}
	var a answer
	if !r.ask("", func(ctx context.Context) (err error) {
		a, err = r.client.check(ctx, etag, r.emitterHeader(r.n))
		return err
	}) {
		return
	}
	now := time.Now()
	switch {
	case a.status == http.StatusNotFound && a.isProblem:
		a.incarnation = none
	case a.status == http.StatusOK:
		r.etag = a.etag
	case a.status != http.StatusNotModified:
		r.failed("", a.status, refused(a), a.retryAfter)
		return
	}
	r.succeeded()
	r.checkAt = now.Add(checkPeriod)
	if a.incarnation != "" && a.incarnation != r.incarnation {
		r.distrust("lost")
	}
}

// distrust returns the sent batch to the log, and causes a comparison before the next POST.
func (r *runner) distrust(cause string) {
	r.cause = cause
	if cause == "lost" { // the claim is lost too
		r.lease, r.claimAt = "", time.Time{}
	}
	r.with((*outbox).distrust)
}

func (r *runner) post(b *batch) {
	if b.n != 0 {
		r.metrics.retries.Inc()
	} else {
		r.n = max(r.n+1, time.Now().UnixMilli())
		b.n, b.condition = r.n, r.incarnation
	}
	r.posted, r.pause = time.Now(), pauseAfter(len(b.changes), r.cfg.Interval)
	var a answer
	outcome := "unanswered"
	if r.ask("", func(ctx context.Context) (err error) {
		a, err = r.client.post(ctx, b, r.emitterHeader(b.n), r.lease)
		return err
	}) {
		outcome = r.answered(b, a)
	}
	r.metrics.posts.WithLabelValues(outcome).Inc()
}

// answered processes the answer to a POST, and returns its outcome for the metrics.
func (r *runner) answered(b *batch, a answer) string {
	named := a.isProblem && a.problem.Line >= 1 && a.problem.Line <= len(b.lines)
	switch {
	case a.status == http.StatusOK:
		r.confirmed(b, a)
		return "ok"
	case named && (a.status == http.StatusBadRequest || a.status == http.StatusUnprocessableEntity):
		r.drop(b, a)
		return "refused"
	case a.status == http.StatusRequestEntityTooLarge:
		r.split(b, a)
		return "too_large"
	case named && a.status == http.StatusTooManyRequests:
		r.hold(b, a)
		return "limited"
	case a.status == http.StatusPreconditionFailed:
		r.distrust("lost")
		if r.lost++; r.lost > 1 {
			r.failed("lost ", a.status, errors.New("the flow gets a new incarnation on the server again and again; check that all emitters of the flow use the same server"), 0)
		}
		return "lost"
	case a.status == http.StatusConflict && a.isProblem && a.problem.Field == "Flow-Lease":
		r.lease, r.claimAt = "", time.Time{} // after a new claim, the same POST is sent again
		if r.unleased++; r.unleased > 1 {
			r.failed("lease ", a.status, errors.New("the server loses the claim of the region again and again; check that all requests reach the same server"), 0)
		}
		return "unleased"
	case a.status == http.StatusConflict:
		// If this machine's clock was set back, the numbers of this process are too small until the clock has caught up, so the number
		// is increased, by more each time. Against a greater epoch this has no effect, as intended.
		r.n += int64(time.Second/time.Millisecond) << min(r.superseded, 24)
		r.superseded++
		r.distrust("conflict")
		r.failed("", a.status, refused(a), a.retryAfter)
		return "conflict"
	}
	r.failed("", a.status, refused(a), a.retryAfter)
	switch a.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "denied"
	case http.StatusTooManyRequests:
		return "limited"
	}
	return "error"
}

func (r *runner) confirmed(b *batch, a answer) {
	now := time.Now()
	r.lost, r.superseded, r.unleased, r.lim.single = 0, 0, 0, false
	r.comparedTag = ""
	r.checkAt = now.Add(checkPeriod)
	if r.lease != "" {
		r.claimAt = now.Add(r.cfg.TTL / 3)
	}
	if a.incarnation != "" {
		r.incarnation = a.incarnation
	}
	r.succeeded()
	if r.with((*outbox).confirm) {
		r.metrics.confirmed(b, now)
	}
}

// drop sets the change that the answer names aside until its element changes. If the answer names only a message, the next batch has one
// element in each message, so that the answer will name it.
func (r *runner) drop(b *batch, a answer) {
	c, ok := b.named(a.problem)
	if !ok {
		r.lim.single = true
		r.with((*outbox).putBack)
		return
	}
	r.with(func(o *outbox) { o.setAside([]change{c}, time.Time{}, 0) })
	r.metrics.dropped.Inc()
	r.log.Error("flow server rejected an element, dropped until it changes",
		"status", a.status, "element", c.key.String(), "field", a.problem.Field, "why", a.reason())
}

// split halves the size of the batch. If it has only one element, that is dropped.
func (r *runner) split(b *batch, a answer) {
	if len(b.changes) == 1 {
		a.problem.Line = 1
		r.drop(b, a)
		r.lim.batch = r.cfg.MaxBatch
		return
	}
	r.lim.batch = max(1, min(len(b.body), r.lim.batch)/2)
	r.with((*outbox).putBack)
}

// hold delays the element that the answer names. If the answer names only a message, the server may still accept a part of it: then hold delays
// the second half of the elements that are new to the server, or of all if none is new.
func (r *runner) hold(b *batch, a answer) {
	var first bool
	var aside []change
	var delay time.Duration
	if !r.with(func(o *outbox) {
		if c, ok := b.named(a.problem); ok {
			aside = []change{c}
		} else {
			aside = o.unknown(b.lines[a.problem.Line-1].changes)
			aside = aside[len(aside)/2:]
		}
		before, again := o.held[aside[0].key]
		first = !again
		delay = min(max(firstHold, 2*before.delay, a.retryAfter), lastHold)
		o.setAside(aside, time.Now().Add(delay), delay)
	}) {
		return
	}
	r.metrics.held.Add(float64(len(aside)))
	if first {
		r.log.Warn("flow server reached a limit, holding elements back",
			"elements", len(aside), "first", aside[0].key.String(), "field", a.problem.Field, "for", delay, "why", a.reason())
	}
}
