package emit

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func TestDeliver_EveryTransitionInOrder(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.change(g.region.upsert("", "running"), g.region.upsert("a", "pending"), g.region.contains("a"))
		g.drain()
		g.change(g.region.upsert("a", "running"))
		g.change(g.region.upsert("a", "succeeded"))
		g.change(g.region.upsert("a", "running"))
		g.change(g.region.upsert("a", "succeeded"), g.region.upsert("", "succeeded"))
		g.drain()
		if got := g.statuses(t, "r1/a"); !slices.Equal(got, []string{"pending", "running", "succeeded", "running", "succeeded"}) {
			t.Errorf("the server got statuses %v", got)
		}
		g.wantSameState()
		g.wantReadyError("")
		if err := g.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestDeliver_ConfirmedChangesAreNotRepeated(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		for range 3 {
			g.change(g.region.upsert("a", "succeeded"), g.region.contains("a"))
			g.settle(time.Second)
		}
		g.settle(time.Hour)
		if n := len(g.allPosts()); n != 1 {
			t.Errorf("%d POSTs for one state", n)
		}
		_ = g.stop()
	})
}

// steady puts n changes at a steady rate and returns how long each took to reach the server, sorted.
func steady(g *rig, n int, every time.Duration) (lags []time.Duration) {
	begun := len(g.allPosts())
	start := time.Now()
	for i := range n {
		g.change(g.region.upsert(fmt.Sprint("n", i%1000), fmt.Sprint(every, i)))
		g.settle(every)
	}
	g.drain()
	put := start
	for _, p := range g.allPosts()[begun:] {
		for range strings.Count(p.body, `"status"`) {
			lags = append(lags, p.at.Sub(put))
			put = put.Add(every)
		}
	}
	slices.Sort(lags)
	return lags
}

func TestRun_SteadyChangesArriveWithinATenthOfTheInterval(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		defer g.stop()
		g.settle(time.Second)
		for _, every := range []time.Duration{10 * time.Millisecond, 3 * time.Millisecond, time.Second} {
			lags := steady(g, 600, every)
			if len(lags) != 600 {
				t.Fatalf("%d of 600 changes arrived, one every %v", len(lags), every)
			}
			if p50, most := lags[300], lags[599]; p50 > DefaultInterval*3/40 || most > DefaultInterval/10 {
				t.Errorf("one change every %v: median %v, at most %v", every, p50, most)
			}
		}
	})
}

func TestRun_StormIsSentOnceAnInterval(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		defer g.stop()
		g.settle(time.Second)
		before := len(g.allPosts())
		if got := len(steady(g, 4000, time.Millisecond)); got != 4000 {
			t.Errorf("%d of 4000 changes arrived", got)
		}
		// The pause after a POST depends on its size, so the first POSTs of a storm come faster.
		if n := len(g.allPosts()) - before; n > 20+8 {
			t.Errorf("%d POSTs in four seconds", n)
		}
		g.settle(time.Second)
		at := time.Now()
		g.change(g.region.upsert("a", "calm"))
		g.settle(0)
		if last := g.allPosts()[len(g.allPosts())-1]; last.at != at {
			t.Errorf("after the storm a single change took %v", last.at.Sub(at))
		}
	})
}

func TestRun_PostsAreATenthOfTheIntervalApart(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		defer g.stop()
		g.settle(time.Second)
		for i := range 500 {
			g.change(g.region.upsert("a", "s"+strings.Repeat("x", i)))
			g.settle(time.Millisecond)
		}
		g.drain()
		posts := g.allPosts()
		for i := range posts[1:] {
			if d := posts[i+1].at.Sub(posts[i].at); d < DefaultInterval/10 {
				t.Errorf("POST %d came %v after the previous one", i+1, d)
			}
		}
		if got := g.statuses(t, "r1/a"); len(got) != 500 {
			t.Errorf("%d of 500 transitions arrived", len(got))
		}
	})
}

func TestRun_ChangesDuringAPostGoWithTheNext(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		defer g.stop()
		g.change(g.region.upsert("a", "0"))
		g.drain()
		g.settle(time.Second)
		before, at := len(g.allPosts()), time.Now()
		g.injectFaults(func(req *http.Request, _ []byte) *fault {
			if req.Method == http.MethodPost {
				time.Sleep(time.Second)
			}
			return nil
		})
		for i := range 10 {
			g.change(g.region.upsert("a", fmt.Sprint(1+i)))
			g.settle(time.Millisecond)
		}
		g.drain()
		posts := g.allPosts()[before:]
		if len(posts) != 2 || strings.Count(posts[1].body, `"status"`) != 9 {
			t.Fatalf("%d POSTs, want one and the rest together: %v", len(posts), posts)
		}
		if d := time.Since(at); d != 2*time.Second {
			t.Errorf("two POSTs of a second each took %v", d)
		}
	})
}

func TestRun_PauseOutlastsAChangeOfLeader(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		defer g.stop()
		var many []mapping.Change
		for i := range 100 {
			many = append(many, g.region.upsert(fmt.Sprint("n", i), "running"))
		}
		g.change(many...)
		g.drain()
		g.em.Resign()
		g.em.Lead(2)
		g.change(g.region.upsert("a", "running"))
		g.drain()
		if p := g.allPosts(); len(p) != 2 || p[1].at.Sub(p[0].at) != DefaultInterval {
			t.Errorf("%d POSTs, the last %v after the first", len(p), p[len(p)-1].at.Sub(p[0].at))
		}
	})
}

func TestDeliver_TransitionsSurviveAnOutageOfMinutes(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{err: syscall.ECONNREFUSED} })
		g.lead()
		g.change(g.region.upsert("a", "pending"), g.region.contains("a"))
		g.settle(time.Minute)
		g.change(g.region.upsert("a", "running"))
		g.settle(time.Minute)
		g.wantReadyCause(syscall.ECONNREFUSED)
		if n := g.log.count("does not accept changes"); n != 1 {
			t.Errorf("one trouble was logged %d times", n)
		}
		g.change(g.region.upsert("a", "failed"))
		g.injectFaults(nil)
		g.settle(31 * time.Second)
		g.change(g.region.upsert("a", "succeeded"))
		g.drain()
		if got := g.statuses(t, "r1/a"); !slices.Equal(got, []string{"pending", "running", "failed", "succeeded"}) {
			t.Errorf("the server got statuses %v", got)
		}
		g.wantSameState()
		g.wantReadyError("")

		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{err: syscall.ECONNREFUSED} })
		g.change(g.region.upsert("a", "running"))
		g.settle(5 * time.Minute)
		g.change(g.region.deletion("a"))
		g.change(g.region.upsert("a", "pending"))
		g.injectFaults(nil)
		g.drain()
		if got := g.statuses(t, "r1/a")[4:]; !slices.Equal(got, []string{"running", "deleted", "pending"}) {
			t.Errorf("the server got statuses %v", got)
		}
		g.wantSameState()
		_ = g.stop()
	})
}

func TestCompare_RestartedServerGetsTheRegionInOneBatch(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.change(g.region.upsert("", "running"), g.region.upsert("a", "succeeded"), g.region.contains("a"), g.region.upsert("b", "running"), g.region.contains("b"), g.region.dependency("a", "b"))
		g.drain()
		g.settle(time.Hour)
		before := len(g.allPosts())
		b.restart()
		g.settle(checkPeriod)
		g.wantSameState()
		posts := g.allPosts()[before:]
		if len(posts) != 1 {
			t.Fatalf("%d POSTs", len(posts))
		}
		var types []flow.Type
		messages, _ := flow.DecodeBatch("F", []byte(posts[0].body), 0)
		for _, m := range messages {
			types = append(types, m.Type)
		}
		if !slices.Equal(types, []flow.Type{flow.TypeUpsertNodes, flow.TypeUpsertRels}) {
			t.Errorf("the batch has %v", types)
		}
		_ = g.stop()
	})
}

func TestDeliver_UnconfirmedTransitionsSurviveARestartOfTheServer(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.change(g.region.upsert("a", "running"), g.region.upsert("b", "succeeded"))
		g.drain()
		b.restart() // so the next POST gets 412
		g.change(g.region.upsert("a", "failed"))
		g.change(g.region.upsert("a", "running"))
		g.drain()
		if got := g.statuses(t, "r1/a"); !slices.Equal(got, []string{"running", "failed", "running"}) {
			t.Errorf("the server got statuses %v", got)
		}
		if !slices.ContainsFunc(g.allPosts(), func(p posted) bool { return p.status == http.StatusPreconditionFailed }) {
			t.Error("no POST got 412")
		}
		g.wantSameState()
		_ = g.stop()
	})
}

func TestDeliver_RepeatsAPostWithoutAnswerUnchanged(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.change(g.region.upsert("a", "pending"))
		g.drain()
		g.injectFaults(func(req *http.Request, _ []byte) *fault {
			if req.Method == http.MethodPost {
				return &fault{err: errors.New("connection reset"), after: true}
			}
			return nil
		})
		g.change(g.region.upsert("a", "running"))
		g.settle(10 * time.Second)
		g.change(g.region.upsert("a", "succeeded"))
		g.injectFaults(nil)
		g.drain()
		posts := g.allPosts()[1:]
		last := len(posts) - 1
		for _, p := range posts[:last] {
			if p.body != posts[0].body || p.header.Get("Flow-Emitter") != posts[0].header.Get("Flow-Emitter") {
				t.Errorf("a repeat differs: %q %q", p.header.Get("Flow-Emitter"), p.body)
			}
			if p.status != http.StatusOK {
				t.Errorf("a repeat got status %d", p.status)
			}
		}
		if posts[last].header.Get("Flow-Emitter") == posts[0].header.Get("Flow-Emitter") {
			t.Error("another batch was sent with the number of the previous one")
		}
		g.wantSameState()
		_ = g.stop()
	})
}

func TestDeliver_LostAnswerBeforeARestartLosesNothing(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.change(g.region.upsert("a", "pending"), g.region.upsert("b", "succeeded"))
		g.drain()
		g.injectFaults(func(req *http.Request, _ []byte) *fault {
			return &fault{err: errors.New("connection reset"), after: true}
		})
		g.change(g.region.upsert("a", "running"))
		g.settle(time.Second)
		b.restart()
		g.injectFaults(nil)
		g.drain()
		g.wantSameState()
		_ = g.stop()
	})
}

func TestDeliver_ForeignAnswerConfirmsNothing(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.settle(time.Second)
		g.injectFaults(func(req *http.Request, _ []byte) *fault {
			return &fault{status: 200, body: "<html>please log in</html>"}
		})
		g.change(g.region.upsert("a", "pending"))
		g.settle(time.Minute)
		g.wantReadyCause(errNotAServer)
		g.injectFaults(func(req *http.Request, _ []byte) *fault {
			return &fault{status: 302, header: map[string]string{"Location": "https://login"}}
		})
		g.settle(time.Minute)
		g.wantReadyError("302")
		g.injectFaults(func(req *http.Request, _ []byte) *fault {
			return &fault{status: 302, header: map[string]string{"Location": "https://me:hidden@login/in?hidden#hidden"}}
		})
		g.settle(time.Minute)
		g.wantReadyError(` "https://login/in"; `)
		g.injectFaults(nil)
		g.drain()
		g.wantSameState()
		_ = g.stop()
	})
}
