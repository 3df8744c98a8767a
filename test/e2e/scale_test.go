package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/test/e2e/conductor"
	"github.com/openova-io/openova/test/e2e/plane"
)

const (
	writers   = 8   // goroutines that write to the API server
	rounds    = 3   // statuses of each release
	maxMemory = 200 // MiB of an adapter
)

// TestScale_EveryStatusArrivesWithinMemory writes several statuses of many releases in one region. The lag is the time from the API server's response until the
// subscriber has the status.
func TestScale_EveryStatusArrivesWithinMemory(t *testing.T) {
	for _, n := range []int{1000, 5000} {
		name := fmt.Sprintf("%d releases, %d statuses each, as fast as the API server accepts them", n, rounds)
		scenario(t, name, func(t *testing.T) string { return atScale(t, n) })
	}
}

func atScale(t *testing.T, n int) string {
	s := newStage(t)
	r := s.regions["fsn1"]
	s.regions["hel1"].startAdapter().ready()
	a := r.startAdapter().ready()
	lags := newStopwatch(n * rounds)
	s.subscriber.OnNode(lags.seen)

	created := s.inParallel(n, func(i int) error {
		_, err := r.api.Do(s.ctx, http.MethodPost, plane.Path("HelmRelease", "flux-system", ""), plane.JSON, many(i).Object())
		return err
	})
	began := time.Now()
	for round := range rounds {
		s.inParallel(n, func(i int) error { return r.patch(i, round, lags) })
	}
	patched := time.Since(began)
	s.until("the subscriber has seen every status", 2*time.Minute, func() bool { return lags.left() == 0 })
	s.converge()
	p50, p99 := lags.quantiles()
	memory := a.memory("VmHWM")
	if memory > maxMemory {
		t.Errorf("the adapter used %d MiB, want at most %d", memory, maxMemory)
	}
	return fmt.Sprintf("%.0f creates/s, %.0f patches/s; lag p50 %v, p99 %v; adapter %d MiB at most", float64(n)/created.Seconds(),
		float64(n*rounds)/patched.Seconds(), p50.Round(time.Millisecond), p99.Round(time.Millisecond), memory)
}

// many returns release number i: every tenth is independent, the others depend on earlier ones.
func many(i int) conductor.Release {
	r := conductor.Release{Name: fmt.Sprintf("app-%05d", i)}
	if i%10 != 0 {
		r.DependsOn = []string{fmt.Sprintf("app-%05d", i-1), fmt.Sprintf("app-%05d", i-i%10)}
	}
	return r
}

// patch sets the status of a release in a round. The message identifies the round.
func (r *region) patch(i, round int, lags *stopwatch) error {
	rel := many(i)
	rel.Message = fmt.Sprintf("round %d", round)
	switch {
	case round == 0:
		rel.Ready, rel.Reason = "Unknown", "Progressing"
	case (i+round)%7 == 0:
		rel.Ready, rel.Reason = "False", "UpgradeFailed"
	default:
		rel.Ready, rel.Reason = "True", "UpgradeSucceeded"
	}
	path := plane.Path("HelmRelease", "flux-system", rel.Name) + "/status"
	_, err := r.api.Do(r.stage.ctx, http.MethodPatch, path, plane.JSONPatch,
		[]plane.Object{{"op": "add", "path": "/status", "value": rel.Object()["status"]}})
	lags.written(r.name+"/"+rel.Name, rel.Message)
	return err
}

// inParallel calls f for 0 to n-1 from several goroutines and returns the duration.
func (s *stage) inParallel(n int, f func(i int) error) time.Duration {
	s.t.Helper()
	began := time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for range writers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		s.t.Fatal(err)
	}
	return time.Since(began)
}

// memory returns a value in MiB from the process's status in /proc.
func (a *adapter) memory(name string) (mib int) {
	a.t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.PID()))
	if err != nil {
		a.t.Fatal(err)
	}
	for l := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(l, name+":"); ok {
			var kib int
			_, _ = fmt.Sscan(rest, &kib)
			return kib >> 10
		}
	}
	a.t.Fatalf("/proc has no %s", name)
	return 0
}

// stopwatch measures the time from each write until it is first shown. The two instants may be recorded in either order.
type stopwatch struct {
	mu           sync.Mutex
	wrote, shown map[string]time.Time // by node and message: when it was written, and when it was first shown
	wait         int                  // expected writes that are not shown yet
	spans        []time.Duration
}

func newStopwatch(n int) *stopwatch {
	return &stopwatch{wrote: map[string]time.Time{}, shown: map[string]time.Time{}, wait: n}
}

func (s *stopwatch) written(id, message string) { s.note(s.wrote, id+" "+message, time.Now()) }

func (s *stopwatch) seen(n flow.Node, at time.Time) {
	var meta struct {
		Message string `json:"message"`
	}
	if json.Unmarshal([]byte(n.Meta), &meta) == nil && meta.Message != "" {
		s.note(s.shown, n.ID+" "+meta.Message, at)
	}
}

func (s *stopwatch) note(in map[string]time.Time, key string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, again := in[key]; again {
		return
	}
	in[key] = at
	written, ok := s.wrote[key]
	seen, both := s.shown[key]
	if ok && both {
		// The subscriber may show a write before its response is read: count 0.
		s.spans = append(s.spans, max(0, seen.Sub(written)))
		s.wait--
	}
}

func (s *stopwatch) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wait
}

func (s *stopwatch) quantiles() (p50, p99 time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.spans)
	return s.spans[len(s.spans)/2], s.spans[len(s.spans)*99/100]
}
