package emit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// claims reports whether the region has to be claimed now, or that renewed. While the server does not take what it is sent, or the cluster
// cannot be seen, the claim is not renewed: what it shows of the region may not be true.
func (r *runner) claims(now time.Time, untrue bool) bool {
	return r.cfg.ClusterUID != "" && !now.Before(r.claimAt) && (r.lease == "" || !untrue)
}

// claim claims the region, or renews that.
func (r *runner) claim() {
	var lease string
	var a answer
	counts, err := r.request(func(ctx context.Context) (err error) {
		lease, a, err = r.client.claim(ctx, r.cfg.Region, r.cfg.ClusterUID, r.cfg.TTL)
		return err
	})
	if !counts {
		return
	}
	now := time.Now()
	switch {
	case err != nil:
		r.failed("claim unanswered", unanswered(err), 0)
	case a.status == http.StatusOK:
		r.claimed(lease, a, now)
	case a.isProblem && (a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed):
		if r.claimAt.IsZero() {
			r.log.Info("the flow server knows no claims of regions: it cannot tell for how long it has not heard of this one")
		}
		r.lease, r.claimAt = "", now.Add(comparePeriod)
		r.claimWorks()
	case a.isProblem && a.status == http.StatusConflict && a.problem.Field == "cluster":
		r.lease, r.claimAt = "", time.Time{}
		r.claimWorks()
		r.meetsRival(rivalOf(a))
		// Often enough that the server goes on saying that there are two.
		r.checkAt = now.Add(min(r.cfg.TTL/3<<min(r.refusals, 1), maxRetryAfter) + time.Duration(rand.Int64N(int64(time.Second))))
		r.refusals++
	default:
		r.lease, r.claimAt = "", time.Time{}
		r.failed("claim "+fmt.Sprint(a.status), claimRefused(a), a.retryAfter)
	}
}

// claimed takes the lease in. The answer also tells whether the server still has what it confirmed.
func (r *runner) claimed(lease string, a answer, now time.Time) {
	r.lease, r.claimAt, r.refusals = lease, now.Add(r.cfg.TTL/3), 0
	r.claimWorks()
	r.meetsRival("")
	if a.incarnation == "" || r.incarnation == "" {
		return
	}
	r.checkAt = now.Add(checkPeriod)
	if a.incarnation != r.incarnation {
		r.cause = "lost"
		r.with((*outbox).distrust)
	}
}

// claimWorks ends what a claim that failed has said is wrong. It says nothing of other requests.
func (r *runner) claimWorks() {
	r.mu.Lock()
	failed := strings.HasPrefix(r.trouble.kind, "claim ")
	r.mu.Unlock()
	if failed {
		r.succeeded()
	}
}

// rivalOf returns the cluster that the region is said to belong to.
func rivalOf(a answer) string {
	if a.problem.Holder == "" {
		return "unknown"
	}
	return a.problem.Holder
}

func claimRefused(a answer) error {
	if a.status == http.StatusForbidden {
		return errors.New("the flow server does not let the token claim this region; give it the right to write the flow and, where it is bound to regions, this one")
	}
	return refused(a)
}
