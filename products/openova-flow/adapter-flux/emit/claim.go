package emit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// claimTrouble is the prefix of trouble.kind for a failed claim.
const claimTrouble = "claim "

// claimDue reports whether the claim must be made or renewed now. It is not renewed while the server does not accept changes or the API server does not
// answer, since the server's state of the region may then be outdated.
func (r *runner) claimDue(now time.Time, outdated bool) bool {
	return r.cfg.ClusterUID != "" && !now.Before(r.claimAt) && (r.lease == "" || !outdated)
}

func (r *runner) claim() {
	var lease string
	var a answer
	if !r.ask(claimTrouble, func(ctx context.Context) (err error) {
		lease, a, err = r.client.claim(ctx, r.cfg.Region, r.cfg.ClusterUID, r.cfg.TTL)
		return err
	}) {
		return
	}
	now := time.Now()
	switch {
	case a.status == http.StatusOK:
		r.claimed(lease, a, now)
	case a.isProblem && (a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed):
		if r.claimAt.IsZero() {
			r.log.Info("flow server does not support claims, region is never shown as stale")
		}
		r.lease, r.claimAt = "", now.Add(comparePeriod)
		r.endClaimTrouble()
	case a.isProblem && a.status == http.StatusConflict && a.problem.Field == "cluster":
		r.lease, r.claimAt = "", time.Time{}
		r.endClaimTrouble()
		r.setOtherCluster(holderOf(a))
		// Repeated within the TTL, so that the server keeps showing the conflict.
		r.checkAt = now.Add(min(r.cfg.TTL/3<<min(r.refusals, 1), maxRetryAfter) + time.Duration(rand.Int64N(int64(time.Second))))
		r.refusals++
	default:
		r.lease, r.claimAt = "", time.Time{}
		r.failed(claimTrouble, a.status, claimRefused(a), a.retryAfter)
	}
}

// claimed records the lease. The answer also shows whether the server still has the same incarnation, so a renewal replaces a check.
func (r *runner) claimed(lease string, a answer, now time.Time) {
	r.lease, r.claimAt, r.refusals = lease, now.Add(r.cfg.TTL/3), 0
	if r.endClaimTrouble(); !r.troubled() {
		r.succeeded()
	}
	r.setOtherCluster("")
	if a.incarnation == "" || r.incarnation == "" {
		return
	}
	r.checkAt = now.Add(checkPeriod)
	if a.incarnation != r.incarnation {
		r.cause = "lost"
		r.with((*outbox).distrust)
	}
}

func (r *runner) endClaimTrouble() {
	r.mu.Lock()
	failed := strings.HasPrefix(r.trouble.kind, claimTrouble)
	r.mu.Unlock()
	if failed {
		r.succeeded()
	}
}

func holderOf(a answer) string {
	if a.problem.Holder == "" {
		return "unknown"
	}
	return a.problem.Holder
}

func (r *runner) troubled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.trouble.err != nil
}

func claimRefused(a answer) error {
	if a.status == http.StatusForbidden {
		return fmt.Errorf("the flow server does not allow the token of FLOW_TOKEN_FILE to claim this region (403)%s; give the token's entry in the server's tokens file "+
			"the scope ingest, the flow and, if it has regions, this region", a.detail())
	}
	return refused(a)
}
