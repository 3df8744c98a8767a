package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/test/e2e/plane"
)

// region returns a function that reports whether the subscriber has received these values for a region: its state, its cluster, and the cluster whose claim was
// rejected, empty for none.
func (s *stage) region(name, state, cluster, refused string) func() bool {
	return func() bool {
		r, ok := s.subscriber.Region(name)
		if !ok || r.State != state || r.Cluster != cluster {
			return false
		}
		return r.Refused == nil && refused == "" || r.Refused != nil && r.Refused.Cluster == refused
	}
}

func (r *region) uid() string {
	r.stage.t.Helper()
	ns, err := r.api.Do(r.stage.ctx, http.MethodGet, "/api/v1/namespaces/kube-system", "", nil)
	r.stage.must(err)
	return ns["metadata"].(plane.Object)["uid"].(string)
}

func TestRegionClaim_RejectsSecondClusterAndExpires(t *testing.T) {
	scenario(t, "two clusters that claim one region, the adapter killed with -9, the server restarted empty", func(t *testing.T) string {
		s := newStage(t)
		s.small()
		fsn, hel := s.regions["fsn1"], s.regions["hel1"]
		one, two := fsn.uid(), hel.uid()
		first := fsn.startAdapter("REGION_TTL=5s").ready()
		s.until("fsn1 is claimed", soon, s.region("fsn1", claims.Fresh, one, ""))
		second := hel.startAdapter("REGION_KEY=fsn1", "REGION_TTL=5s", "LEADER_ELECTION=false") // its role does not include a Lease with that name
		s.until("the second claim is rejected", soon, s.region("fsn1", claims.Fresh, one, two))
		s.until("the second reports the conflict", soon, func() bool {
			why, err := get(second.health + "/readyz")
			return err != nil && strings.Contains(why, one) && strings.Contains(why, two) && second.metric("flow_adapter_cluster_conflict") == 1
		})
		for _, n := range s.snapshot().Nodes {
			if n.ID == "fsn1" && !strings.Contains(string(n.Meta), one) {
				t.Errorf("the region's node is %s", n.JSON())
			}
		}
		second.Kill()
		other := hel.startAdapter("REGION_TTL=5s").ready()
		s.until("the second adapter claims hel1", soon, s.region("hel1", claims.Fresh, two, ""))
		s.converge()

		began := time.Now()
		first.Kill()
		s.until("fsn1 is stale", soon, s.region("fsn1", claims.Stale, one, ""))
		took := time.Since(began)
		if took > 5*time.Second+soon/10 {
			t.Errorf("with a TTL of 5 s it took %s", took)
		}
		if r, _ := s.subscriber.Region("hel1"); r.State != claims.Fresh {
			t.Errorf("hel1 is %+v", r)
		}

		s.server.Kill()
		s.startServer()
		s.until("hel1 is claimed again", soon, s.region("hel1", claims.Fresh, two, ""))
		if r, ok := s.subscriber.Region("fsn1"); ok {
			t.Errorf("fsn1 is not claimed, but its state is %+v", r)
		}
		fsn.startAdapter("REGION_TTL=5s").ready()
		s.until("fsn1 is claimed again", soon, s.region("fsn1", claims.Fresh, one, ""))
		s.converge()
		s.checkShown()
		other.ready()
		return "stale " + took.Round(100*time.Millisecond).String() + " after the kill"
	})
}
