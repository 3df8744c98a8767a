package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openova-io/openova/test/e2e/conductor"
	"github.com/openova-io/openova/test/e2e/plane"
)

func app(name, ready, reason string, dependsOn ...string) conductor.Release {
	return conductor.Release{Name: name, Ready: ready, Reason: reason, DependsOn: dependsOn}
}

// small creates a few releases of every status in each region.
func (s *stage) small() {
	s.t.Helper()
	for _, r := range s.both() {
		for _, rel := range []conductor.Release{
			app("cni", "True", "InstallSucceeded"), app("db", "Unknown", "Progressing", "cni"), app("api", "False", "DependencyNotReady", "db"),
			app("mail", "False", "InstallFailed", "cni"), app("jobs", "", "", "api"), {Namespace: "team-a", Name: "db", Ready: "True", Reason: "UpgradeSucceeded"},
		} {
			s.must(r.conductor.Put(s.ctx, rel))
		}
	}
}

// change changes releases of small: a status, an edge, a deletion, a creation.
func (r *region) change(c *conductor.Conductor) {
	r.stage.t.Helper()
	ctx := r.stage.ctx
	r.stage.must(c.Put(ctx, app("db", "True", "InstallSucceeded", "cni")))
	r.stage.must(c.Put(ctx, app("api", "Unknown", "Progressing", "db", "cni")))
	r.stage.must(c.Delete(ctx, app("mail", "", "")))
	r.stage.must(c.Put(ctx, app("dns", "True", "InstallSucceeded", "cni")))
}

// wholeRegions reads the snapshot repeatedly until stop is called. stop reports each way in which a region was partial: with fewer nodes than least, but not
// none, or with a "contains" edge missing or left over.
func (s *stage) wholeRegions(least map[string]int) (stop func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	var wg sync.WaitGroup
	wrong := map[string]bool{}
	wg.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			nodes, edges := map[string]int{}, map[string]int{}
			m := s.snapshot()
			for _, n := range m.Nodes {
				if n.ID != n.Region {
					nodes[n.Region]++
				}
			}
			for _, e := range m.Relationships {
				if e.Type == "contains" {
					edges[e.ToID]++
				}
			}
			for region, least := range least {
				if n := nodes[region]; n != edges[region] || n > 0 && n < least {
					wrong[fmt.Sprintf("%s with %d of at least %d nodes and %d edges", region, n, least, edges[region])] = true
				}
			}
			<-tick.C
		}
	})
	return func() {
		s.t.Helper()
		cancel()
		wg.Wait()
		for what := range wrong {
			s.t.Errorf("a snapshot showed %s", what)
		}
	}
}

// nodesIn returns the number of nodes that the flow server has in a region.
func (s *stage) nodesIn(region string) (n int) {
	s.t.Helper()
	for _, node := range s.snapshot().Nodes {
		if node.Region == region && node.ID != region {
			n++
		}
	}
	return n
}

// counts returns the number of releases in each region.
func (s *stage) counts() map[string]int {
	s.t.Helper()
	n := map[string]int{}
	for _, r := range s.both() {
		list, err := r.api.List(s.ctx, "HelmRelease")
		s.must(err)
		n[r.name] = len(list)
	}
	return n
}

func TestServerRestart_RegionsAreWholeAgain(t *testing.T) {
	scenario(t, "the flow server killed and restarted empty, during changes and when nothing changes", func(t *testing.T) string {
		s := newStage(t)
		for _, r := range s.both() {
			r.startAdapter().ready()
		}
		over := s.play(15, kits)
		s.until("bp-cilium is installed", soon, func() bool {
			n, _ := s.node("fsn1/bp-cilium")
			return n.Status == "succeeded"
		})
		least := s.counts()
		s.server.Kill()
		stop := s.wholeRegions(least)
		s.startServer()
		s.until("both regions are back", soon, func() bool { return len(s.snapshot().Nodes) >= least["fsn1"]+least["hel1"] })
		stop()
		over()
		s.converge()
		if s.subscriber.Snapshots() < 2 {
			t.Error("the subscriber did not notice the new server")
		}

		least = s.counts()
		s.server.Kill()
		s.startServer()
		stop = s.wholeRegions(least)
		took := s.converge()
		stop()
		s.checkShown()
		return "converged " + took.Round(time.Millisecond).String() + " after a restart when nothing changed"
	})
}

func TestAdapterKilled_StandbyTakesOver(t *testing.T) {
	scenario(t, "the leading adapter killed with -9 while another stands by", func(t *testing.T) string {
		s := newStage(t)
		r := s.regions["fsn1"]
		s.regions["hel1"].startAdapter().ready()
		first := r.startAdapter().ready()
		s.until("the first leads", soon, first.leads)
		second := r.startAdapter().ready()
		over := s.play(10, kits)
		s.until("bp-cilium is installed", soon, func() bool {
			n, _ := s.node("fsn1/bp-cilium")
			return n.Status == "succeeded"
		})
		if second.leads() {
			t.Fatal("both adapters lead")
		}
		first.Kill()
		began := time.Now()
		s.until("the second leads", soon, second.leads)
		took := time.Since(began)
		over()
		s.converge()
		s.checkShown()
		return "taken over after " + took.Round(100*time.Millisecond).String()
	})
}

func TestAPIServerRestart_ShowsChangesMeanwhile(t *testing.T) {
	scenario(t, "an API server killed and restarted, the cluster changed and etcd compacted meanwhile", func(t *testing.T) string {
		s := newStage(t)
		for _, r := range s.both() {
			r.startAdapter().ready()
		}
		s.small()
		s.converge()
		r := s.regions["fsn1"]
		r.plane.KillAPI()
		api, closed, err := r.plane.BackDoor(s.ctx)
		s.must(err)
		t.Cleanup(closed)
		r.change(r.conductor.WithClient(api))
		s.must(r.plane.Compact(s.ctx))
		closed()
		if n, ok := s.node("fsn1/mail"); !ok || n.Status != "failed" {
			t.Errorf("the region lost a node while its API server was unreachable: %+v", n)
		}
		s.must(r.plane.StartAPI(s.ctx))
		took := s.converge()
		s.checkShown()
		return fmt.Sprintf("converged %v after it was ready, 429 received %d times", took.Round(100*time.Millisecond), r.tooManyRequests())
	})
}

func TestNetworkCut_LosesNoStatus(t *testing.T) {
	scenario(t, "the network to the flow server cut for a minute", func(t *testing.T) string {
		s := newStage(t)
		for _, r := range s.both() {
			r.startAdapter().ready()
		}
		over := s.play(6, kits)
		s.until("bp-cilium is installed", soon, func() bool {
			n, _ := s.node("fsn1/bp-cilium")
			return n.Status == "succeeded"
		})
		r := s.regions["fsn1"]
		r.toServer.Cut()
		minute := time.NewTimer(time.Minute)
		defer minute.Stop()
		over()
		<-minute.C
		if n, least := s.nodesIn("hel1"), s.counts()["hel1"]; n < least {
			t.Errorf("the cut network affected the other region: it has %d of at least %d nodes", n, least)
		}
		stop := s.wholeRegions(map[string]int{"fsn1": 1, "hel1": 1})
		r.toServer.Mend()
		took := s.converge()
		stop()
		s.checkShown()
		s.complete() // no change during the cut is lost
		return "converged " + took.Round(100*time.Millisecond).String() + " after the network was restored, no status lost"
	})
}

func TestAdapterRestart_ShowsChangesMeanwhile(t *testing.T) {
	scenario(t, "a release deleted, others changed, while no adapter runs", func(t *testing.T) string {
		s := newStage(t)
		r := s.regions["hel1"]
		s.regions["fsn1"].startAdapter().ready()
		a := r.startAdapter().ready()
		s.small()
		s.converge()
		a.Kill()
		r.change(r.conductor)
		r.startAdapter()
		took := s.converge()
		s.checkShown()
		return "converged " + took.Round(100*time.Millisecond).String() + " after the next adapter was started"
	})
}

func TestTokenRevoked_DeletesNoNodeAndRecovers(t *testing.T) {
	scenario(t, "the token revoked and replaced", func(t *testing.T) string {
		s := newStage(t)
		adapters := map[string]*adapter{}
		for _, r := range s.both() {
			adapters[r.name] = r.startAdapter()
		}
		s.small()
		s.converge()
		r, a := s.regions["fsn1"], adapters["fsn1"]
		revoked := r.revoke()
		s.until("the API server refuses the token", soon, func() bool {
			_, err := r.plane.As(revoked).List(s.ctx, "HelmRelease")
			return plane.IsCode(err, http.StatusUnauthorized)
		})
		r.toAPI.Drop()
		r.change(r.conductor)
		s.until("the adapter reports the 401", soon, func() bool {
			body, _ := get(a.health + "/readyz")
			return strings.Contains(body, "(401)")
		})
		if n, ok := s.node("fsn1/mail"); !ok || n.Status != "failed" {
			t.Errorf("an object that the adapter cannot read was deleted: %+v", n)
		}
		r.newToken()
		took := s.converge()
		s.checkShown()
		return "converged " + took.Round(100*time.Millisecond).String() + " after the new token was written"
	})
}

// revoke invalidates the adapters' token and returns it.
func (r *region) revoke() string {
	r.stage.t.Helper()
	token, err := os.ReadFile(r.path("token"))
	r.stage.must(err)
	_, err = r.api.Do(r.stage.ctx, http.MethodDelete, plane.Path("Secret", "flux-system", r.secret), "", nil)
	r.stage.must(err)
	return string(token)
}

func TestPermissionRevoked_AdapterNamesItAndRecovers(t *testing.T) {
	scenario(t, "permissions removed and restored, with the missing one named by the adapter", func(t *testing.T) string {
		s := newStage(t)
		adapters := map[string]*adapter{}
		for _, r := range s.both() {
			adapters[r.name] = r.startAdapter().ready()
		}
		s.small()
		s.converge()
		r, a := s.regions["fsn1"], adapters["fsn1"]
		_, err := r.api.Do(s.ctx, http.MethodDelete, plane.Path("ClusterRoleBinding", "", "openova-flow-emitter"), "", nil)
		s.must(err)
		t.Cleanup(func() {
			if err := grant(context.Background(), r.name, r.plane); err != nil {
				t.Error(err)
			}
		})
		r.toAPI.Drop()
		r.change(r.conductor)
		s.until("the adapter names the verb and the resource", soon, func() bool {
			body, _ := get(a.health + "/readyz")
			return strings.Contains(body, "list helmreleases") || strings.Contains(body, "watch helmreleases")
		})
		if n, ok := s.node("fsn1/mail"); !ok || n.Status != "failed" {
			t.Errorf("an object that the adapter may not read was deleted: %+v", n)
		}
		s.must(grant(s.ctx, r.name, r.plane))
		took := s.converge()
		a.ready()
		s.checkShown()
		return "converged " + took.Round(100*time.Millisecond).String() + " after they were restored"
	})
}
