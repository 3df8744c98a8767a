package watch

import (
	"context"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

var leases = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}

// controllers finds Flux controllers that are down, by their Leases. A controller is down if its Lease was not renewed for the
// Lease's duration and grace, by this process's clock: clocks of two machines are not compared.
type controllers struct {
	grace time.Duration // time for the replacement of a pod
	seen  map[string]renewal
}

// renewal is when a Lease was first seen with its current spec.renewTime.
type renewal struct {
	text string
	at   time.Time
}

// observe returns the controllers that are down, sorted by Lease.
func (c *controllers) observe(now time.Time, list []unstructured.Unstructured) []mapping.Controller {
	var down []mapping.Controller
	seen := map[string]renewal{}
	for _, lease := range list {
		name := lease.GetName()
		holder, _, _ := unstructured.NestedString(lease.Object, "spec", "holderIdentity")
		if !mapping.IsControllerLease(name) || holder == "" && strings.Contains(name, "-leader-election-") {
			continue // not of a Flux controller, or of a shard that was removed and released its Lease
		}
		text, _, _ := unstructured.NestedString(lease.Object, "spec", "renewTime")
		seconds, _, _ := unstructured.NestedInt64(lease.Object, "spec", "leaseDurationSeconds")
		r := renewal{text, now}
		if before, ok := c.seen[name]; ok && before.text == text {
			r = before
		}
		seen[name] = r
		if now.Sub(r.at) > time.Duration(seconds)*time.Second+c.grace {
			d := mapping.Controller{Lease: name}
			if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
				d.Renewed = flow.At(at.UnixMilli())
			}
			down = append(down, d)
		}
	}
	c.seen = seen
	slices.SortFunc(down, func(a, b mapping.Controller) int { return strings.Compare(a.Lease, b.Lease) })
	return down
}

// watchControllers reads the Leases of Flux's controllers until ctx ends. The permission for it is optional.
func (w *Watcher) watchControllers(ctx context.Context) {
	c := controllers{grace: w.cfg.LeaseGrace}
	for pause := w.cfg.LeasePace; ; {
		asking, cancel := context.WithTimeout(ctx, w.cfg.AskTimeout)
		list, err := w.cfg.Client.Resource(leases).Namespace(mapping.FluxNamespace).List(asking, metav1.ListOptions{Limit: 500})
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			pause = w.cfg.LeasePace
			w.board.setDown(c.observe(time.Now(), list.Items))
		default: // without the API server, controllers cannot renew either
			c.seen = nil
			if classOf(err) == Forbidden {
				w.board.setDown(nil)
				pause = 10 * w.cfg.LeasePace
			}
			w.cfg.Logger.Debug("cannot list the Leases of Flux's controllers", "namespace", mapping.FluxNamespace, "err", err)
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}
