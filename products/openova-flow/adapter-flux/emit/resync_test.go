package emit

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestCompare_StartSendsOnlyTheDifference(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		first := newRig(t, b)
		first.lead()
		r := first.region
		first.change(r.upsert("", "running"), r.upsert("a", "succeeded"), r.contains("a"), r.upsert("b", "running"), r.contains("b"), r.upsert("c", "pending"), r.contains("c"),
			r.dependency("a", "b"), r.dependency("c", "b"))
		first.drain()
		_ = first.stop()
		first.direct(t, http.MethodPost, "/events", `{"type":"upsert-nodes","nodes":[{"id":"r2/a","flowId":"F","label":"a","status":"failed","region":"r2"},{"id":"r2","flowId":"F","label":"r2","status":"failed","region":"r2"}]}
{"type":"upsert-rels","relationships":[{"fromId":"r2/a","toId":"r2","type":"contains"},{"fromId":"r1/a","toId":"r2/a","type":"triggers"}]}`)

		// While no emitter runs, c is deleted, though b still names it, b changes, and d is created.
		second := newRig(t, b)
		r.fold(r.deletion("c"), r.dependency("c", "b"), r.upsert("b", "succeeded"), r.upsert("d", "pending"))
		second.region = r
		second.em.cfg.Source = r
		time.Sleep(time.Minute)
		second.lead()
		second.drain()
		second.wantSameState()
		posts := second.allPosts()
		if len(posts) != 1 {
			t.Fatalf("%d POSTs", len(posts))
		}
		want := `{"type":"delete-nodes","ids":["r1/c"]}
{"type":"upsert-nodes","nodes":[` + r.node("b", "succeeded", nil).JSON() + `,` + r.node("d", "pending", nil).JSON() + `]}
{"type":"upsert-rels","relationships":[` + r.dependency("c", "b").Edge.JSON() + `]}
`
		if posts[0].body != want {
			t.Errorf("sent\n%s, want\n%s", posts[0].body, want)
		}
		m := second.get(t)
		if len(ownNodes("r2", m.Nodes)) != 2 || !slices.ContainsFunc(m.Relationships, func(e flow.Relationship) bool { return e.Type == flow.Triggers }) {
			t.Error("another region's nodes or edges were changed")
		}
		_ = second.stop()
	})
}

func TestCompare_SendsTheDeletionOfARecreatedObject(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.direct(t, http.MethodPost, "/events", `{"type":"upsert-nodes","nodes":[`+g.region.node("a", "failed", map[string]any{"uid": "1"}).JSON()+`]}`)
		g.region.fold(g.region.upsertWith("a", "failed", map[string]any{"uid": "1"}))
		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{status: 503} })
		g.lead()
		g.change(g.region.deletion("a"))
		g.settle(time.Second)
		g.change(g.region.upsertWith("a", "pending", map[string]any{"uid": "2"}))
		g.settle(time.Second)
		g.injectFaults(nil)
		g.drain()
		if got := g.statuses(t, "r1/a"); !slices.Equal(got, []string{"deleted", "pending"}) {
			t.Errorf("the server got statuses %v", got)
		}
		g.wantSameState()
		_ = g.stop()
	})
}

func TestCheck_IdleClusterFindsADeletedFlowWithinTenSeconds(t *testing.T) {
	for name, lose := range map[string]func(*rig){
		"restart": func(g *rig) { g.backend.restart() },
		"deleted": func(g *rig) { g.direct(g.T, http.MethodDelete, "", "") },
		"created again by another emitter": func(g *rig) {
			g.direct(g.T, http.MethodDelete, "", "")
			g.direct(g.T, http.MethodPost, "/events", `{"type":"upsert-nodes","nodes":[{"id":"r2","flowId":"F","label":"r2","status":"failed","region":"r2"}]}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, serverLimits{}, func(t *testing.T, b backend) {
				g := newRig(t, b)
				g.lead()
				g.change(g.region.upsert("", "running"), g.region.upsert("a", "running"), g.region.contains("a"))
				g.drain()
				g.settle(7*time.Minute + 3*time.Second)
				lose(g)
				g.settle(10 * time.Second)
				g.wantSameState()
				if n := testutil.ToFloat64(g.em.metrics.resyncs.WithLabelValues("lost")); n != 1 {
					t.Errorf("%v resyncs", n)
				}
				_ = g.stop()
			})
		})
	}
}

func TestCheck_IdleClusterSendsOneCheapRequestInTenSeconds(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.change(g.region.upsert("", "running"))
		g.drain()
		g.settle(time.Second)
		unconditional := 0
		g.injectFaults(func(req *http.Request, _ []byte) *fault {
			if req.Method == http.MethodGet && req.Header.Get("If-None-Match") == "" {
				unconditional++
			}
			if req.Method == http.MethodGet && !strings.HasPrefix(req.Header.Get("Flow-Emitter"), "flux-r1;epoch=1;n=") {
				t.Errorf("Flow-Emitter: %q", req.Header.Get("Flow-Emitter"))
			}
			if !strings.HasPrefix(req.Header.Get("User-Agent"), "openova-flow-adapter-flux/") {
				t.Errorf("User-Agent: %q", req.Header.Get("User-Agent"))
			}
			return nil
		})
		gets := g.checkCount()
		g.settle(time.Hour)
		if n := g.checkCount() - gets; n < 350 || n > 375 { // GETs, or PUTs where the server knows claims
			t.Errorf("%d checks in an hour", n)
		}
		if n := testutil.ToFloat64(g.em.metrics.resyncs.WithLabelValues("periodic")); n != 12 || unconditional != 1 { // the first after the POST
			t.Errorf("%v comparisons in an hour, %d of them unconditional", n, unconditional)
		}
		if n := len(g.allPosts()); n != 1 {
			t.Errorf("%d POSTs without changes", n)
		}
		_ = g.stop()
	})
}

func TestCompare_RepairsForeignChanges(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.change(g.region.upsert("", "running"), g.region.upsert("a", "running"), g.region.contains("a"))
		g.drain()
		g.direct(t, http.MethodPost, "/events", `{"type":"delete-nodes","ids":["r1/a"]}
{"type":"upsert-nodes","nodes":[{"id":"r1/x","flowId":"F","label":"x","status":"failed","region":"r1"}]}`)
		g.settle(comparePeriod)
		g.wantSameState()
		_ = g.stop()
	})
}

func TestCompare_EquivalentJSONIsEqual(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.direct(t, http.MethodPost, "/events", `{"type":"upsert-nodes","nodes":[{"region":"r1", "status":"running","label":"a","flowId":"F","id":"r1/a","meta":{"b":1,"a":[1, 2]}}]}`)
		g.region.fold(g.region.upsertWith("a", "running", map[string]any{"a": []int{1, 2}, "b": 1}))
		g.lead()
		g.settle(time.Hour)
		if n := len(g.allPosts()); n != 0 {
			t.Errorf("%d POSTs", n)
		}
		_ = g.stop()
	})
}

// TestCompare_OtherClusterStopsPosting uses a server without claims: the UID in the region's node shows which cluster reports it.
func TestCompare_OtherClusterStopsPosting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, backends["fake server"](serverLimits{}))
		theirs := `{"type":"upsert-nodes","nodes":[{"id":"r1","flowId":"F","label":"r1","status":"running","region":"r1","meta":{"clusterUID":"uid-theirs"}},` +
			`{"id":"r1/x","flowId":"F","label":"x","status":"running","region":"r1"}]}`
		g.direct(t, http.MethodPost, "/events", theirs)
		g.region.fold(g.region.upsertWith("", "running", map[string]any{"clusterUID": "uid-ours"}), g.region.upsert("a", "running"))
		g.lead()
		g.settle(time.Hour)
		g.change(g.region.upsert("a", "succeeded"))
		g.settle(time.Hour)
		if n := len(g.allPosts()); n != 0 {
			t.Errorf("%d POSTs", n)
		}
		g.wantReadyError("uid-theirs")
		if g.log.count("another cluster") != 1 || testutil.ToFloat64(g.em.metrics.conflict) != 1 {
			t.Error("the conflict is not in the log once, or not in the metric")
		}
		g.direct(t, http.MethodDelete, "", "")
		g.settle(checkPeriod + time.Second)
		g.wantSameState()
		g.wantReadyError("")

		g.direct(t, http.MethodPost, "/events", theirs) // the other cluster takes the region over
		g.settle(comparePeriod)
		before := len(g.allPosts())
		g.wantReadyError("uid-theirs")
		g.change(g.region.upsert("a", "failed"))
		g.settle(time.Hour)
		if len(g.allPosts()) != before {
			t.Error("POSTs into another cluster's region")
		}
		if err := g.stop(); err == nil {
			t.Error("Run returned no error though changes are unconfirmed")
		}
	})
}

func TestSeed_IsCalledOnceBeforeTheComparison(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		var seeds [][]flow.Node
		g := newRig(t, b, func(c *Config) { c.Seed = func(p []flow.Node) { seeds = append(seeds, p) } })
		g.direct(t, http.MethodPost, "/events", `{"type":"upsert-nodes","nodes":[{"id":"r1/a","flowId":"F","label":"a","status":"running","region":"r1","startedAt":7},`+
			`{"id":"r2/a","flowId":"F","label":"a","status":"running","region":"r2"}]}`)
		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{status: 503} })
		g.run() // does not lead
		g.settle(time.Minute)
		g.injectFaults(nil)
		g.settle(time.Minute)
		if len(seeds) != 1 || len(seeds[0]) != 1 || seeds[0][0].StartedAt.Ms() != 7 {
			t.Fatalf("seeded with %v", seeds)
		}
		g.em.Lead(1)
		g.settle(time.Hour)
		if len(g.allPosts()) != 0 {
			t.Error("compared before everything was mapped")
		}
		g.region.fold(g.region.upsert("b", "running"))
		g.em.Loaded()
		g.drain()
		g.wantSameState()
		if len(seeds) != 1 {
			t.Errorf("seeded %d times", len(seeds))
		}
		_ = g.stop()
	})
}

func TestSeed_MissingFlowIsEmpty(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		seeded := 0
		g := newRig(t, b, func(c *Config) { c.Seed = func(p []flow.Node) { seeded += 1 + len(p) } })
		g.run()
		g.settle(time.Minute)
		if seeded != 1 {
			t.Errorf("seeded %d", seeded)
		}
		_ = g.stop()
	})
}

func TestSeed_LeavesOutNodesOfAnotherCluster(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		var seeds [][]flow.Node
		g := newRig(t, b, func(c *Config) { c.Seed = func(p []flow.Node) { seeds = append(seeds, p) } })
		g.direct(t, http.MethodPost, "/events", `{"type":"upsert-nodes","nodes":[{"id":"r1","flowId":"F","label":"r1","status":"running","region":"r1","meta":{"clusterUID":"uid-theirs"}},`+
			`{"id":"r1/a","flowId":"F","label":"a","status":"running","region":"r1","startedAt":7}]}`)
		g.run()
		g.settle(time.Minute)
		if len(seeds) != 1 || len(seeds[0]) != 0 {
			t.Errorf("seeded with %v", seeds)
		}
		_ = g.stop()
	})
}

func TestCompare_FindsAChangeThatWasRevertedOnTheServer(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.change(g.region.upsert("a", "pending"))
		g.drain()
		g.settle(2 * comparePeriod) // compared without a difference
		before := g.region.node("a", "pending", nil).JSON()
		g.change(g.region.upsert("a", "running"))
		g.drain()
		g.direct(t, http.MethodPost, "/events", `{"type":"upsert-nodes","nodes":[`+before+`]}`)
		g.settle(2 * comparePeriod)
		g.wantSameState()
		_ = g.stop()
	})
}
