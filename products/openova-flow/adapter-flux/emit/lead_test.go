package emit

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func mappingNode(n flow.Node) mapping.Change { return mapping.Change{Node: &n} }

func TestLead_OnlyTheLoadedLeaderPosts(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.run()
		g.change(g.region.upsert("a", "pending"))
		g.settle(time.Hour)
		g.wantReadyCause(errNotLoaded)
		g.em.Loaded()
		g.settle(time.Hour)
		g.wantReadyError("")
		if len(g.allPosts())+g.checkCount() != 0 {
			t.Error("a process that does not lead sent a request")
		}
		g.em.Lead(1)
		g.drain()
		g.wantSameState()
		g.em.Resign()
		g.change(g.region.upsert("a", "running"))
		g.settle(time.Hour)
		if n := len(g.allPosts()); n != 1 {
			t.Errorf("%d POSTs", n)
		}
		g.em.Lead(2)
		g.drain()
		g.wantSameState()
		_ = g.stop()
	})
}

func TestResign_CancelsARunningPost(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.settle(time.Second)
		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{delay: 5 * time.Second} })
		g.change(g.region.upsert("a", "pending"))
		g.settle(time.Second)
		g.em.Resign()
		g.settle(time.Hour)
		if n := len(g.allPosts()); n != 0 {
			t.Errorf("%d POSTs reached the server after the leadership was lost", n)
		}
		g.wantReadyError("")
		_ = g.stop()
	})
}

func TestResign_IgnoresLaterAnswers(t *testing.T) {
	for name, f := range map[string]*fault{"confirmed": nil, "refused": {status: 409}, "failed": {status: 500}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, serverLimits{}, func(t *testing.T, b backend) {
				g := newRig(t, b)
				g.lead()
				g.settle(time.Second)
				g.injectFaults(func(*http.Request, []byte) *fault {
					time.Sleep(5 * time.Second) // a cancelled request may still be answered
					return f
				})
				g.change(g.region.upsert("a", "pending"))
				g.settle(time.Second)
				g.em.Resign()
				g.injectFaults(nil)
				g.settle(time.Minute)
				g.wantReadyError("")
				g.em.Lead(2)
				g.change(g.region.upsert("a", "running"))
				g.drain()
				g.wantSameState()
				_ = g.stop()
			})
		})
	}
}

func TestPut_NeverWaitsForTheServer(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.settle(time.Second)
		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{delay: time.Hour} })
		g.change(g.region.upsert("a", "pending"))
		g.settle(time.Second)
		before := time.Now()
		g.change(g.region.upsert("a", "running"))
		if d := time.Since(before); d != 0 {
			t.Errorf("Put took %v", d)
		}
		g.settle(DefaultPostTimeout)
		g.wantReadyCause(context.DeadlineExceeded)
		g.injectFaults(nil)
		g.drain()
		g.wantSameState()
		_ = g.stop()
	})
}

func TestLead_LatePostOfAnOldLeaderChangesNothing(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		old := newRig(t, b)
		old.lead()
		old.change(old.region.upsert("a", "pending"))
		old.drain()
		old.injectFaults(func(req *http.Request, _ []byte) *fault {
			if req.Method == http.MethodPost {
				return &fault{delay: 5 * time.Second}
			}
			return nil
		})
		old.change(old.region.upsert("a", "running")) // takes 5 s to arrive

		successor := newRig(t, b)
		successor.region.fold(successor.region.upsert("a", "succeeded"))
		successor.em.Loaded()
		successor.em.Lead(2)
		successor.run()
		successor.drain()
		old.settle(6 * time.Second)
		successor.wantSameState()
		old.wantReadyError("409")
		if !slices.ContainsFunc(old.allPosts(), func(p posted) bool { return p.status == http.StatusConflict }) {
			t.Error("the late POST was not rejected")
		}
		old.em.Resign()
		_ = old.stop()
		successor.change(successor.region.upsert("b", "pending"))
		successor.drain()
		successor.wantSameState()
		_ = successor.stop()
	})
}

func TestLead_RestartedProcessOfOneEpochIsNewer(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		first := newRig(t, b)
		first.lead()
		first.change(first.region.upsert("a", "pending"))
		first.drain()
		_ = first.stop()
		time.Sleep(time.Second)
		second := newRig(t, b)
		second.region.fold(second.region.upsert("a", "running"))
		second.lead()
		second.drain()
		second.wantSameState()
		if len(second.allPosts()) != 1 || second.allPosts()[0].status != http.StatusOK {
			t.Errorf("POSTs: %v", second.allPosts())
		}
		_ = second.stop()
	})
}

func TestDeliver_IncreasesTheNumberAfterAClockSetBack(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		future := time.Now().Add(30 * 24 * time.Hour).UnixMilli()
		req, _ := http.NewRequest(http.MethodPost, "http://flow/v1/flows/F/events", strings.NewReader(`{"type":"upsert-nodes","nodes":[`+g.region.node("a", "old", nil).JSON()+`]}`))
		req.Header.Set("Content-Type", "application/x-ndjson")
		req.Header.Set("Flow-Emitter", (&runner{Emitter: g.em, term: &term{epoch: 1}}).emitterHeader(future))
		if res, _ := b.RoundTrip(req); res.StatusCode != http.StatusOK {
			t.Fatal(res.StatusCode)
		}
		g.region.fold(g.region.upsert("a", "running"))
		g.lead()
		g.drain()
		g.wantSameState()
		g.wantReadyError("")
		_ = g.stop()
	})
}

func TestRun_FlushesAtTheEnd(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b, func(c *Config) { c.Interval = 3 * time.Second })
		g.lead()
		g.settle(time.Second)
		g.change(g.region.upsert("a", "pending"))
		g.settle(time.Second)
		g.change(g.region.upsert("a", "succeeded")) // has to wait for the interval
		if err := g.stop(); err != nil {
			t.Error(err)
		}
		g.wantSameState()
		if got := g.statuses(t, "r1/a"); !slices.Equal(got, []string{"pending", "succeeded"}) {
			t.Errorf("the server got statuses %v", got)
		}
	})
}

func TestFlush_WaitsForARunningPostAndRetries(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.settle(time.Second)
		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{status: 500} })
		g.change(g.region.upsert("a", "pending"))
		g.settle(5 * time.Minute) // the next retry may be 30 s away
		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{delay: 2 * time.Second} })
		if err := g.stop(); err != nil {
			t.Error(err)
		}
		g.wantSameState()
	})
}

func TestFlush_ShortensTheBackoff(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.settle(time.Second)
		g.injectFaults(func(*http.Request, []byte) *fault {
			return &fault{delay: time.Second, err: errors.New("connection reset")}
		})
		g.change(g.region.upsert("a", "pending"))
		for g.settle(10 * time.Minute); ; g.settle(100 * time.Millisecond) {
			if g.inFlight() {
				break
			}
		}
		g.end() // while a POST is in flight, which will fail
		g.settle(100 * time.Millisecond)
		g.injectFaults(nil)
		if err := <-g.done; err != nil {
			t.Error(err)
		}
		g.wantSameState()
	})
}

func TestFlush_EndsAfterFiveSeconds(t *testing.T) {
	for _, f := range []*fault{{status: 500}, {delay: time.Hour}} {
		bubble(t, serverLimits{}, func(t *testing.T, b backend) {
			g := newRig(t, b)
			g.lead()
			g.settle(time.Second)
			g.injectFaults(func(*http.Request, []byte) *fault { return f })
			g.change(g.region.upsert("a", "pending"))
			g.settle(time.Second)
			before := time.Now()
			err := g.stop()
			if d := time.Since(before); d != flushTime {
				t.Errorf("%+v: Run ended after %v", f, d)
			}
			if err == nil || !strings.Contains(err.Error(), "1 changes") {
				t.Errorf("%+v: Run returned %v", f, err)
			}
		})
	}
}

func TestDrained_ErrorHasTheReason(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.settle(time.Second)
		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{status: 403} })
		g.change(g.region.upsert("a", "pending"))
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := g.em.Drained(ctx); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("Drained returned %v", err)
		}
		g.injectFaults(nil)
		g.drain()
		_ = g.stop()
		synctest.Wait()
	})
}

func TestUndelivered_IsTheStartOfTheFirstFailedRequest(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		defer g.stop()
		g.change(g.region.upsert("a", "pending"))
		g.drain()
		if !g.em.Undelivered().IsZero() || g.em.Reaches(t.Context()) != nil {
			t.Errorf("undelivered since %v, %v", g.em.Undelivered(), g.em.Reaches(t.Context()))
		}
		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{err: syscall.ECONNREFUSED} })
		at := time.Now()
		g.change(g.region.upsert("a", "running"))
		g.settle(time.Hour)
		if since := g.em.Undelivered(); since.Before(at) || since.After(at.Add(DefaultInterval)) || g.em.Reaches(t.Context()) == nil {
			t.Errorf("undelivered since %v, want %v", since, at)
		}
		g.injectFaults(nil)
		g.drain()
		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{delay: time.Hour} }) // the connection is accepted, but there is no answer
		at = time.Now()
		g.change(g.region.upsert("a", "pending"))
		g.settle(time.Minute)
		if since := g.em.Undelivered(); since.Before(at) || since.After(at.Add(DefaultInterval)) {
			t.Errorf("undelivered since %v, want %v", since, at)
		}
		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{status: http.StatusForbidden} })
		g.settle(time.Minute)
		if !g.em.Undelivered().IsZero() {
			t.Error("a rejected request counts as undelivered")
		}
		if g.em.Reaches(t.Context()) == nil {
			t.Error("Reaches returned nil though requests are rejected")
		}
		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{err: syscall.ECONNREFUSED} })
		g.settle(time.Minute)
		g.em.Resign()
		if !g.em.Undelivered().IsZero() {
			t.Error("Undelivered is not zero without the leadership")
		}
	})
}

// TestUndelivered_CountsA5xxOfAGateway has a gateway that forwards everything except POSTs.
func TestUndelivered_CountsA5xxOfAGateway(t *testing.T) {
	for _, status := range []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout} {
		bubble(t, serverLimits{}, func(t *testing.T, b backend) {
			g := newRig(t, b)
			g.lead()
			defer g.stop()
			g.change(g.region.upsert("a", "pending"))
			g.drain()
			g.injectFaults(func(req *http.Request, _ []byte) *fault {
				if req.Method != http.MethodPost {
					return nil
				}
				return &fault{status: status, header: map[string]string{"Retry-After": "7"}}
			})
			at := time.Now()
			g.change(g.region.upsert("a", "running"))
			g.settle(20 * time.Minute)
			if since := g.em.Undelivered(); since.Before(at) || since.After(at.Add(DefaultInterval)) {
				t.Errorf("%d: undelivered since %v, want %v", status, since, at)
			}
			if g.em.Reaches(t.Context()) == nil {
				t.Errorf("%d: Reaches returned nil behind the same gateway", status)
			}
			g.injectFaults(nil)
			before := len(g.applied())
			if err := g.em.Reaches(t.Context()); err != nil {
				t.Errorf("%d: %v", status, err)
			}
			if n := len(g.applied()); n != before {
				t.Errorf("%d: Reaches has changed something", status)
			}
			g.drain()
			if !g.em.Undelivered().IsZero() {
				t.Errorf("%d: Undelivered is not zero after a delivery", status)
			}
		})
	}
}

func TestReaches_FailsForAnythingButAFlowServer(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		for _, f := range []fault{
			{status: 200, body: "<html>"}, {status: 302}, {status: 400, body: "the plain HTTP request was sent to HTTPS port"}, {status: 404}, {status: 502}, {err: syscall.ECONNREFUSED},
			{status: 403, header: map[string]string{"Content-Type": "application/problem+json"}, body: "{}"},
		} {
			g.injectFaults(func(*http.Request, []byte) *fault { return &f })
			if g.em.Reaches(t.Context()) == nil {
				t.Errorf("Reaches returned nil for %+v", f)
			}
		}
		g.injectFaults(nil)
		if err := g.em.Reaches(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestRun_EndOfTheFlushIsNotReportedAsTrouble: the end of the flush cancels a POST in flight, which is no failure of the server.
func TestRun_EndOfTheFlushIsNotReportedAsTrouble(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.change(g.region.upsert("a", "pending"))
		g.drain()
		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{delay: time.Hour} })
		g.change(g.region.upsert("a", "running"))
		g.settle(time.Second)
		if err := g.stop(); err == nil {
			t.Error("the cancelled POST counts as confirmed")
		}
		if n := g.log.count("does not accept changes"); n != 0 || !g.em.Undelivered().IsZero() {
			t.Errorf("%d log lines, undelivered since %v", n, g.em.Undelivered())
		}
	})
}

// TestCheck_SendsTheNewestETag: on a server that only the emitter's own POSTs have changed, checks cost one whole snapshot, and no more.
func TestCheck_SendsTheNewestETag(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b, func(c *Config) { c.ClusterUID = "" }) // else renewals of the claim replace the checks
		g.lead()
		g.change(g.region.upsert("a", "pending"))
		g.drain()
		g.change(g.region.upsert("a", "running"))
		g.drain()
		var asked []string
		var mu sync.Mutex
		g.injectFaults(func(req *http.Request, _ []byte) *fault {
			mu.Lock()
			defer mu.Unlock()
			if req.Method == http.MethodGet {
				asked = append(asked, req.Header.Get("If-None-Match"))
			}
			return nil
		})
		g.settle(35 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if want := g.direct(t, http.MethodGet, "/snapshot?region=r1", "").Header.Get("ETag"); want == "" || len(asked) < 3 || asked[0] == want || asked[1] != want || asked[2] != want {
			t.Errorf("asked by %q, the server's is %q", asked, want)
		}
		_ = g.stop()
	})
}

func TestAnswered_GetsEachAnswerAndTheTimeOfItsRequest(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		var mu sync.Mutex
		var heads []int
		var took time.Duration
		g := newRig(t, b, func(c *Config) {
			c.Answered = func(sent time.Time, head *http.Response) {
				mu.Lock()
				defer mu.Unlock()
				heads, took = append(heads, head.StatusCode), time.Since(sent)
			}
		})
		g.lead()
		g.change(g.region.upsert("a", "pending"))
		g.drain()
		mu.Lock()
		before := len(heads)
		mu.Unlock()
		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{err: syscall.ECONNREFUSED} })
		if before != len(g.allPosts())+g.checkCount() || g.em.Reaches(t.Context()) == nil {
			t.Errorf("%d answers of %d requests", before, len(g.allPosts())+g.checkCount())
		}
		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{status: http.StatusTeapot, delay: 3 * time.Second} })
		_ = g.em.Reaches(t.Context())
		mu.Lock()
		defer mu.Unlock()
		if len(heads) != before+1 || heads[before] != http.StatusTeapot || took != 3*time.Second {
			t.Errorf("answers %v, the last took %v", heads, took)
		}
		_ = g.stop()
	})
}
