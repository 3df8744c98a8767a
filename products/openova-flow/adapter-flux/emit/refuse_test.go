package emit

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

func TestDrop_OneInvalidNodeDelaysNoOther(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.settle(time.Second)
		bad := g.region.node("bad", "running", nil)
		bad.Label = ""
		g.change(g.region.upsert("a", "running"), g.region.contains("a"), mappingNode(bad), g.region.upsert("z", "pending"), g.region.contains("z"),
			g.region.upsert("a", "succeeded"))
		g.drain()
		g.wantSameState("r1/bad")
		if got := g.statuses(t, "r1/a"); !slices.Equal(got, []string{"running", "succeeded"}) {
			t.Errorf("the server got statuses %v", got)
		}
		if n := len(g.allPosts()); n != 2 {
			t.Errorf("%d POSTs, want the rejected one and the rest", n)
		}
		if g.log.count("rejected an element") != 1 || g.log.count("r1/bad") != 1 || g.log.count(" why=") != 1 {
			t.Errorf("logged %v", g.log.lines)
		}
		if n := testutil.ToFloat64(g.em.metrics.dropped); n != 1 {
			t.Errorf("%v dropped", n)
		}
		g.wantReadyError("")

		g.change(mappingNode(bad)) // the same again, and comparisons
		g.settle(time.Hour)
		if n := len(g.allPosts()); n != 2 {
			t.Errorf("%d POSTs without a change", n)
		}
		g.change(g.region.upsert("bad", "succeeded"))
		g.drain()
		g.wantSameState()
		_ = g.stop()
	})
}

func TestDrop_NewerValueIsSent(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.settle(time.Second)
		bad := g.region.node("a", "running", nil)
		bad.Label = ""
		g.change(g.region.upsert("a", "pending"), mappingNode(bad), g.region.upsert("a", "succeeded"))
		g.drain()
		g.wantSameState()
		if got := g.statuses(t, "r1/a"); !slices.Equal(got, []string{"pending", "succeeded"}) {
			t.Errorf("the server got statuses %v", got)
		}
		g.change(mappingNode(bad)) // a change, since another value was sent meanwhile
		g.drain()
		if n := testutil.ToFloat64(g.em.metrics.dropped); n != 2 {
			t.Errorf("%v dropped", n)
		}
		_ = g.stop()
	})
}

func TestDrop_FindsTheElementByLine(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		for _, status := range []string{"400", "422"} {
			g := newRig(t, b)
			g.injectFaults(func(req *http.Request, body []byte) *fault {
				for i, line := range strings.Split(string(body), "\n") {
					if strings.Contains(line, `"poison"`) {
						code := map[string]int{"400": 400, "422": 422}[status]
						return &fault{status: code, header: map[string]string{"Content-Type": "application/problem+json"},
							body: `{"title":"no","status":` + status + `,"line":` + string(rune('1'+i)) + `}`}
					}
				}
				return nil
			})
			g.em.Loaded()
			g.em.Lead(map[string]int64{"400": 1, "422": 2}[status])
			g.run()
			g.settle(time.Second)
			g.change(g.region.upsert("a", "pending"), g.region.upsert("b", "poison"), g.region.upsert("c", "pending"))
			g.drain()
			g.wantSameState("r1/b")
			if n := testutil.ToFloat64(g.em.metrics.dropped); n != 1 {
				t.Errorf("%s: %v dropped", status, n)
			}
			_ = g.stop()
		}
	})
}

func TestReady_BeforeTheListsAreCompleteReportsTheServerToo(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b, func(c *Config) { c.Seed = func([]flow.Node) {} })
		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{status: http.StatusUnauthorized} })
		g.run()
		g.em.Lead(1)
		g.settle(time.Minute)
		g.wantReadyCause(errNotLoaded)
		g.wantReadyError("401")
		if err := g.em.Ready(); strings.Contains(err.Error(), "\n") {
			t.Errorf("%q, want one line", err)
		}
		_ = g.stop()
	})
}

func TestDeliver_OtherRejectionsKeepChangesAndReadinessFails(t *testing.T) {
	for name, c := range map[string]struct {
		status   int
		typ      string
		body     string
		wantPart string
	}{
		"400 without a line":              {400, "application/problem+json", `{"title":"Bad Request","field":"Flow-Emitter"}`, "400"},
		"400 of a proxy":                  {400, "text/plain", "Client sent an HTTP request to an HTTPS server.", "https"},
		"401":                             {401, "application/problem+json", `{"title":"Unauthorized"}`, "FLOW_TOKEN_FILE"},
		"403":                             {403, "", "", "may not write"},
		"404":                             {404, "text/plain", "404 page not found", "no flow server at this URL"},
		"429 without a line":              {429, "application/problem+json", `{"detail":"the flow knows 1024 emitters"}`, "1024 emitters"},
		"500":                             {500, "", "", "500"},
		"503":                             {503, "application/problem+json", `{"detail":"draining"}`, "draining"},
		"415":                             {415, "", "", "415"},
		"404 of the server's own":         {404, "application/problem+json", `{}`, "no flow server at this URL"},
		"400 with a line beyond the last": {400, "application/problem+json", `{"line":99,"field":"nodes[0].id"}`, "400"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, serverLimits{}, func(t *testing.T, b backend) {
				g := newRig(t, b)
				g.lead()
				g.settle(time.Second)
				g.injectFaults(func(req *http.Request, _ []byte) *fault {
					if req.Method == http.MethodPost {
						return &fault{status: c.status, body: c.body, header: map[string]string{"Content-Type": c.typ}}
					}
					return nil
				})
				g.change(g.region.upsert("a", "running"))
				g.settle(5 * time.Minute)
				g.change(g.region.upsert("a", "succeeded"))
				g.settle(5 * time.Minute)
				g.wantReadyError(c.wantPart)
				if n := len(g.allPosts()); n > 80 || n < 10 {
					t.Errorf("%d POSTs in ten minutes", n)
				}
				g.injectFaults(nil)
				g.drain()
				g.wantReadyError("")
				if got := g.statuses(t, "r1/a"); !slices.Equal(got, []string{"running", "succeeded"}) {
					t.Errorf("the server got statuses %v", got)
				}
				if n := testutil.ToFloat64(g.em.metrics.dropped); n != 0 {
					t.Errorf("%v dropped", n)
				}
				_ = g.stop()
			})
		})
	}
}

func TestToken_RotatedFileIsUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		write(t, file, "token-1\n")
		g := newRig(t, b, func(c *Config) { c.TokenFile = file })
		accepted := "Bearer token-1"
		g.injectFaults(func(req *http.Request, _ []byte) *fault {
			if req.Header.Get("Authorization") != accepted {
				return &fault{status: 401}
			}
			return nil
		})
		g.lead()
		g.change(g.region.upsert("a", "pending"))
		g.drain()
		g.injectFaults(func(req *http.Request, _ []byte) *fault {
			if req.Header.Get("Authorization") != "Bearer token-2" {
				return &fault{status: 401}
			}
			return nil
		})
		g.change(g.region.upsert("a", "running"))
		g.settle(time.Minute)
		g.wantReadyError("401")
		g.change(g.region.upsert("a", "succeeded"))
		write(t, file, "")
		g.settle(time.Minute)
		g.wantReadyError(file)
		write(t, file, "token-2")
		g.drain()
		if got := g.statuses(t, "r1/a"); !slices.Equal(got, []string{"pending", "running", "succeeded"}) {
			t.Errorf("the server got statuses %v", got)
		}
		if n := g.log.count("token-") + g.log.count("Bearer"); n != 0 {
			t.Error("a token is in the log")
		}
		_ = g.stop()
	})
}

func write(t *testing.T, file, text string) {
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRetryAfter_IsHonoured(t *testing.T) {
	for name, header := range map[string]func() string{
		"in seconds": func() string { return "90" },
		"as a date":  func() string { return time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, serverLimits{}, func(t *testing.T, b backend) {
				g := newRig(t, b)
				g.lead()
				g.settle(time.Second)
				g.injectFaults(func(req *http.Request, _ []byte) *fault {
					return &fault{status: 429, header: map[string]string{"Retry-After": header()}}
				})
				g.change(g.region.upsert("a", "running"))
				g.settle(time.Second)
				g.injectFaults(nil)
				g.drain()
				posts := g.allPosts()
				if len(posts) != 2 {
					t.Fatalf("%d POSTs", len(posts))
				}
				if d := posts[1].at.Sub(posts[0].at); d < 89*time.Second || d > 120*time.Second {
					t.Errorf("tried again after %v", d)
				}
				g.wantSameState()
				_ = g.stop()
			})
		})
	}
}

func TestBatch_OverTheServersLimitIsSplit(t *testing.T) {
	bubble(t, serverLimits{batch: 3000, message: 2000}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.settle(time.Second)
		for i := range 40 {
			name := "n" + strings.Repeat("x", i)
			g.change(g.region.upsert(name, "running"), g.region.contains(name))
		}
		g.change(g.region.upsertWith("fat", "running", map[string]any{"message": strings.Repeat("y", 4000)}))
		g.drain()
		g.wantSameState("r1/fat")
		if n := testutil.ToFloat64(g.em.metrics.dropped); n != 1 {
			t.Errorf("%v dropped, want only the one over the limit", n)
		}
		if g.log.count("rejected an element") != 1 {
			t.Errorf("logged %v", g.log.lines)
		}
		g.wantReadyError("")
		_ = g.stop()
	})
}

func TestBatch_StaysWithinItsLimits(t *testing.T) {
	bubble(t, serverLimits{batch: 20_000, message: 5_000}, func(t *testing.T, b backend) {
		g := newRig(t, b, func(c *Config) { c.MaxBatch, c.MaxMessage = 20_000, 5_000 })
		for i := range 300 {
			g.region.fold(g.region.upsert("n"+strings.Repeat("x", i), "running"))
		}
		g.lead()
		g.drain()
		g.wantSameState()
		for _, p := range g.allPosts() {
			if p.status != http.StatusOK {
				t.Errorf("a POST of %d bytes was answered %d", len(p.body), p.status)
			}
		}
		_ = g.stop()
	})
}

func TestHold_ElementAtALimitWaitsAlone(t *testing.T) {
	bubble(t, serverLimits{nodes: 6}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.settle(time.Second)
		for _, n := range []string{"a", "b", "c", "d"} {
			g.change(g.region.upsert(n, "pending"))
		}
		g.drain()
		for _, n := range []string{"e", "f", "g", "h", "i"} {
			g.change(g.region.upsert(n, "pending"))
		}
		g.change(g.region.upsert("a", "running"))
		g.settle(5 * time.Second)
		if got := g.statuses(t, "r1/a"); !slices.Equal(got, []string{"pending", "running"}) {
			t.Errorf("the server got statuses %v while it was full", got)
		}
		g.wantReadyError("")
		g.settle(3 * time.Hour)
		if n := len(g.get(t).Nodes); n != 6 {
			t.Errorf("the server has %d nodes of 6", n)
		}
		if n := len(g.allPosts()); n > 400 {
			t.Errorf("%d POSTs in three hours", n)
		}
		g.change(g.region.deletion("b"), g.region.deletion("c"), g.region.deletion("d"))
		g.drain()
		g.wantSameState()
		_ = g.stop()
	})
}

func TestHold_ElementAtALimitIsRetriedSoon(t *testing.T) {
	bubble(t, serverLimits{nodes: 2}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.settle(time.Second)
		g.change(g.region.upsert("a", "pending"), g.region.upsert("b", "pending"))
		g.drain()
		g.change(g.region.upsert("c", "pending"))
		g.settle(time.Second)
		g.wantSameState("r1/c")
		g.change(g.region.deletion("a"))
		g.settle(firstHold)
		g.wantSameState()

		g.change(g.region.upsert("d", "pending"))
		g.settle(time.Second)
		g.em.Resign()
		g.change(g.region.upsert("d", "running"))
		g.em.Lead(2)
		g.settle(time.Minute)
		g.wantSameState("r1/d")
		g.change(g.region.deletion("b"))
		g.drain()
		g.wantSameState()
		_ = g.stop()
	})
}

func TestHold_ElementWithTooMuchMetaWaitsAlone(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		if _, real := b.(*realServer); !real {
			return // this limit is not in the contract
		}
		g := newRig(t, b)
		g.lead()
		g.settle(time.Second)
		g.change(g.region.upsert("a", "pending"), g.region.upsertWith("fat", "pending", map[string]any{"x": strings.Repeat("y", 70<<10)}), g.region.upsert("b", "pending"))
		g.settle(10 * time.Minute)
		g.wantSameState("r1/fat")
		if n := testutil.ToFloat64(g.em.metrics.held); n < 2 || n > 10 {
			t.Errorf("tried %v times in ten minutes", n)
		}
		g.change(g.region.upsert("fat", "running"))
		g.drain()
		g.wantSameState()
		_ = g.stop()
	})
}

func TestHostileAnswer_IsLoggedCutAndEscaped(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		hostile := "x\n::error::FAKE\x1b[2J\u009b2J\u202e ##[error]x" + strings.Repeat("d", 50_000)
		document, err := json.Marshal(map[string]any{"title": hostile, "detail": hostile, "field": hostile, "holder": hostile, "line": 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, answer := range []*fault{
			{status: 503, header: map[string]string{"Content-Type": "application/problem+json"}, body: string(document)},
			{status: 302, header: map[string]string{"Location": "http://x/" + strings.Repeat("\u009b\u202e", 5000)}},
			{status: 400, header: map[string]string{"Content-Type": "application/problem+json"}, body: string(document)},
		} {
			g := newRig(t, b)
			g.injectFaults(func(*http.Request, []byte) *fault { return answer })
			g.lead()
			g.change(g.region.upsert("a", "running"))
			g.settle(time.Minute)
			texts := append([]string{}, g.log.lines...)
			if err := g.em.Ready(); err != nil {
				texts = append(texts, err.Error())
			}
			_ = g.stop()
			if len(texts) == 0 {
				t.Errorf("%d: nothing is logged", answer.status)
			}
			for _, text := range texts {
				if text = strings.TrimSuffix(text, "\n"); len(text) > 1000 || terminal.Text(text, len(text)) != text {
					t.Errorf("%d: %d bytes: %.300q", answer.status, len(text), text)
				}
			}
			g.injectFaults(nil)
		}
	})
}

func TestBatch_IsAsLargeAsConfiguredAgainAfterAComparison(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.settle(time.Second)
		many := func(status string) (changes []mapping.Change) {
			for i := range 40 {
				changes = append(changes, g.region.upsert(fmt.Sprint("n", i), status))
			}
			return changes
		}
		g.injectFaults(func(req *http.Request, body []byte) *fault {
			if req.Method == http.MethodPost && len(body) > 1000 {
				return &fault{status: http.StatusRequestEntityTooLarge}
			}
			return nil
		})
		g.change(many("pending")...)
		g.drain()
		g.injectFaults(nil)
		g.settle(comparePeriod + time.Minute)
		before := len(g.allPosts())
		g.change(many("running")...)
		g.drain()
		if n := len(g.allPosts()) - before; n != 1 {
			t.Errorf("%d POSTs for changes that fit in one", n)
		}
		_ = g.stop()
	})
}

func TestBackoff_HasJitter(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		var at []time.Time
		g.injectFaults(func(*http.Request, []byte) *fault {
			at = append(at, time.Now())
			return &fault{err: syscall.ECONNREFUSED}
		})
		g.change(g.region.upsert("a", "pending"))
		g.settle(time.Hour)
		short, long := 0, 0 // pauses below and above half of lastBackoff, once the backoff has reached it
		for i := 20; i < len(at); i++ {
			switch pause := at[i].Sub(at[i-1]); {
			case pause > lastBackoff:
				t.Fatalf("a pause of %v", pause)
			case pause < lastBackoff/2:
				short++
			default:
				long++
			}
		}
		if short < 10 || long < 10 {
			t.Errorf("%d pauses are below half of the longest, %d above", short, long)
		}
		_ = g.stop()
	})
}

func TestRetryAfter_HasJitterAndAppliesToTheFlush(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		g.settle(time.Second)
		requests := make(chan time.Time, 100)
		g.injectFaults(func(*http.Request, []byte) *fault {
			requests <- time.Now()
			return &fault{status: 503, header: map[string]string{"Retry-After": "60"}}
		})
		g.change(g.region.upsert("a", "running"))
		pauses := map[time.Duration]bool{}
		for last, i := <-requests, 0; i < 15; i++ {
			next := <-requests
			pauses[next.Sub(last).Truncate(time.Second)] = true
			last = next
		}
		if len(pauses) < 3 {
			t.Errorf("pauses of %v", pauses)
		}
		synctest.Wait() // for the answer to the last request, which starts another minute
		if err := g.stop(); err == nil || len(requests) > 0 {
			t.Errorf("%d requests at the end, though the server asked for a minute: %v", len(requests), err)
		}
	})
}
