package emit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

type flakyNetwork struct {
	mu  sync.Mutex
	rng *rand.Rand
	bad float64 // probability of a fault other than a short delay
}

func (w *flakyNetwork) faultOf(*http.Request, []byte) *fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rng.Float64() >= w.bad {
		return &fault{delay: time.Duration(w.rng.IntN(300)) * time.Millisecond}
	}
	switch w.rng.IntN(8) {
	case 0:
		return &fault{err: errors.New("connection reset")}
	case 1, 2:
		return &fault{err: errors.New("connection reset"), after: true}
	case 3:
		return &fault{delay: time.Duration(w.rng.IntN(15)) * time.Second}
	case 4:
		return &fault{status: 429, header: map[string]string{"Retry-After": strconv.Itoa(w.rng.IntN(3))}}
	case 5:
		return &fault{status: 401 + w.rng.IntN(4)}
	case 6:
		return &fault{status: 200, body: "not the server"}
	}
	return &fault{status: 500 + w.rng.IntN(5)}
}

// anyChanges returns random changes of a region with few releases.
func anyChanges(rng *rand.Rand, r *region) []mapping.Change {
	name := func() string { return string(rune('a' + rng.IntN(6))) }
	a, b := name(), name()
	status := fmt.Sprint("s", rng.IntN(5))
	switch rng.IntN(10) {
	case 0:
		return []mapping.Change{r.deletion(a)}
	case 1:
		return []mapping.Change{r.deletion(a), r.dependency(a, b)}
	case 2:
		k := r.dependency(a, b).Edge.Key()
		return []mapping.Change{{DeleteEdge: &k}}
	case 3:
		return []mapping.Change{r.deletion(a), r.upsertWith(a, status, map[string]any{"uid": fmt.Sprint(rng.IntN(3))}), r.contains(a)}
	case 4:
		return []mapping.Change{r.dependency(a, b)}
	}
	return []mapping.Change{r.upsert(a, status), r.contains(a), r.upsert("", status)}
}

func TestModel_ServerEndsWithTheRegionsState(t *testing.T) {
	for seed := range uint64(10) {
		bubble(t, serverLimits{}, func(t *testing.T, b backend) { scenario(t, b, rand.New(rand.NewPCG(seed, 4))) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// scenario runs two processes of one region with one Source, and an emitter of another region.
func scenario(t *testing.T, b backend, rng *rand.Rand) {
	backlog := func(c *Config) { c.Backlog = 5 + rng.IntN(100) }
	pods := []*rig{newRig(t, b, backlog), newRig(t, b, backlog)}
	truth := pods[0].region
	network := &flakyNetwork{rng: rng, bad: 0.4}
	for _, p := range pods {
		p.region, p.em.cfg.Source = truth, truth
		p.injectFaults(network.faultOf)
		p.em.Loaded()
		p.run()
	}
	others := `{"type":"upsert-nodes","nodes":[{"id":"r2/a","flowId":"F","label":"a","status":"running","region":"r2"}]}
{"type":"upsert-rels","relationships":[{"fromId":"r2/a","toId":"r2","type":"contains"}]}`
	epoch := int64(0)
	leader := pods[0]
	for range 400 {
		chance := func(p float64) bool { network.mu.Lock(); defer network.mu.Unlock(); return rng.Float64() < p }
		switch {
		case chance(0.02):
			if chance(0.7) { // otherwise the old leader has not noticed yet
				leader.em.Resign()
			}
			epoch++
			leader = pods[int(epoch)%len(pods)]
			leader.em.Lead(epoch)
		case chance(0.02):
			b.restart()
			pods[0].direct(t, http.MethodPost, "/events", others)
		case chance(0.01):
			pods[0].direct(t, http.MethodDelete, "", "")
			pods[0].direct(t, http.MethodPost, "/events", others)
		default:
			network.mu.Lock()
			changes := anyChanges(rng, truth)
			network.mu.Unlock()
			truth.fold(changes...)
			for _, p := range pods {
				p.em.Put(changes)
			}
		}
		network.mu.Lock()
		pause := time.Duration(rng.IntN(2000)) * time.Millisecond
		network.mu.Unlock()
		time.Sleep(pause)
	}
	for _, p := range pods {
		p.injectFaults(nil)
		p.em.Resign()
	}
	leader.em.Lead(epoch + 1)
	leader.drain()
	leader.wantSameState()
	if m := leader.get(t); m != nil && epoch > 0 {
		theirs := ownNodes("r2", m.Nodes)
		edges := slices.DeleteFunc(m.Relationships, func(r flow.Relationship) bool { return r.FromID != "r2/a" })
		if len(theirs) != len(edges) {
			t.Errorf("the other region was changed: %v %v", theirs, edges)
		}
	}
	for _, p := range pods {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	}
}

func TestLead_NoTransitionIsLostOrRepeated(t *testing.T) {
	for seed := range uint64(25) {
		bubble(t, serverLimits{}, func(t *testing.T, b backend) {
			rng := rand.New(rand.NewPCG(seed, 5))
			g := newRig(t, b)
			g.lead()
			g.settle(time.Second)
			network := &flakyNetwork{rng: rand.New(rand.NewPCG(seed, 6)), bad: 0.5}
			g.injectFaults(network.faultOf)
			seen := map[string][]string{}
			for i := range 200 {
				name := string(rune('a' + rng.IntN(3)))
				status := fmt.Sprint("s", rng.IntN(3))
				if rng.IntN(10) == 0 && i > 0 {
					status = "deleted"
					g.change(g.region.deletion(name))
				} else {
					g.change(g.region.upsert(name, status))
				}
				if s := seen[name]; len(s) == 0 && status != "deleted" || len(s) > 0 && s[len(s)-1] != status {
					seen[name] = append(s, status)
				}
				g.settle(time.Duration(rng.IntN(1500)) * time.Millisecond)
			}
			g.injectFaults(nil)
			g.drain()
			g.wantSameState()
			for name, want := range seen {
				if got := withoutRepeats(g, "r1/"+name); !slices.Equal(got, want) {
					t.Errorf("seed %d: the server got statuses of %s\n%v, want\n%v", seed, name, got, want)
				}
			}
			_ = g.stop()
		})
	}
}

// withoutRepeats removes failed POSTs and exact repeats, which the server recognizes, from g.posts. It returns the successive statuses of a node in the others.
func withoutRepeats(g *rig, id string) []string {
	g.mu.Lock()
	g.posts = slices.CompactFunc(slices.DeleteFunc(g.posts, func(p posted) bool { return p.status != http.StatusOK }), func(a, b posted) bool {
		return a.header.Get("Flow-Emitter") == b.header.Get("Flow-Emitter")
	})
	g.mu.Unlock()
	return g.statuses(g.T, id)
}

func TestDeliver_PendingTransitionsSurviveARestartOfTheServer(t *testing.T) {
	for seed := range uint64(15) {
		bubble(t, serverLimits{}, func(t *testing.T, b backend) {
			rng := rand.New(rand.NewPCG(seed, 7))
			g := newRig(t, b)
			g.lead()
			network := &flakyNetwork{rng: rand.New(rand.NewPCG(seed, 8)), bad: 0.5}
			g.injectFaults(network.faultOf)
			var want []string
			for i := range 100 {
				want = append(want, fmt.Sprint("s", i))
				g.change(g.region.upsert("a", want[i]))
				if rng.IntN(20) == 0 {
					b.restart()
				}
				g.settle(time.Duration(rng.IntN(1500)) * time.Millisecond)
			}
			g.injectFaults(nil)
			g.drain()
			g.wantSameState()
			got := g.statuses(t, "r1/a")
			for _, s := range want {
				if !slices.Contains(got, s) {
					t.Errorf("seed %d: the server never got %s", seed, s)
				}
			}
			_ = g.stop()
		})
	}
}

// TestEmitter_ConcurrentCalls is for the race detector: it calls Put, Lead, Resign and Ready from several goroutines.
func TestEmitter_ConcurrentCalls(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.em.Loaded()
		g.run()
		var wg sync.WaitGroup
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, 9))
			for range 500 {
				g.change(anyChanges(rng, g.region)...)
				time.Sleep(20 * time.Millisecond)
			}
		})
		wg.Go(func() {
			for i := range int64(20) {
				g.em.Lead(i)
				time.Sleep(400 * time.Millisecond)
				g.em.Resign()
				time.Sleep(100 * time.Millisecond)
			}
			g.em.Lead(100)
		})
		wg.Go(func() {
			for range 500 {
				_ = g.em.Ready()
				time.Sleep(20 * time.Millisecond)
			}
		})
		wg.Wait()
		g.drain()
		synctest.Wait()
		g.wantSameState()
		_ = g.stop()
	})
}
