package e2e

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openova-io/openova/test/e2e/conductor"
	"github.com/openova-io/openova/test/e2e/plane"
)

var measure = flag.Bool("latency", false, "measure latency for longer and in Chromium too, and fail above the limits")

// named and changed match the name of a release and the message of a change in an event.
var named, changed = regexp.MustCompile(`"name":"(app-\d+)"`), regexp.MustCompile(`change \d+`)

// Limits for the delay of a subscriber behind a watch of the API server.
const (
	mostP50 = 15 * time.Millisecond
	mostP99 = 60 * time.Millisecond
)

// TestLatency_OfWatchSubscriberAndPixel measures the time from a change's request to a watch of the API server, to a subscriber of the server, and with -latency
// to the pixels of a canvas.
func TestLatency_OfWatchSubscriberAndPixel(t *testing.T) {
	scenario(t, "1,000 releases, 100 changes a second", func(t *testing.T) string {
		const releases, every = 1000, 10 * time.Millisecond
		changes := 500
		if *measure {
			changes = 3000
		}
		s := newStage(t)
		r := s.regions["fsn1"]
		s.regions["hel1"].startAdapter().ready()
		s.inParallel(releases, func(i int) error { return r.setRelease(i, "True", "at rest") })
		r.startAdapter().ready()
		s.converge()

		watched, viewed := newStopwatch(changes), newStopwatch(changes)
		s.subscriber.OnNode(viewed.seen)
		watching, stop := context.WithCancel(s.ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer stop()
		begun := make(chan struct{})
		wg.Go(func() {
			begins := sync.OnceFunc(func() { close(begun) })
			defer begins()
			err := r.api.Watch(watching, "HelmRelease", func(e []byte) {
				now := time.Now()
				begins()
				name, message := named.FindSubmatch(e), changed.Find(e)
				if name != nil && message != nil {
					watched.note(watched.shown, "fsn1/"+string(name[1])+" "+string(message), now)
				}
			})
			if watching.Err() == nil {
				t.Errorf("the watch ended: %v", err)
			}
		})
		<-begun
		pixels := s.pixels(r)

		var writing sync.WaitGroup
		tick := time.NewTicker(every)
		defer tick.Stop()
		failed := make(chan error, changes)
		for n := range changes {
			<-tick.C
			writing.Go(func() {
				i, message := n%(releases-1), fmt.Sprint("change ", n)
				at := time.Now()
				for _, w := range []*stopwatch{watched, viewed} {
					w.note(w.wrote, fmt.Sprintf("fsn1/app-%05d %s", i, message), at)
				}
				if err := r.setRelease(i, []string{"Unknown", "True"}[n/releases%2], message); err != nil {
					failed <- err
				}
			})
			if n%50 == 25 {
				pixels.turn()
			}
		}
		writing.Wait()
		close(failed)
		for err := range failed {
			s.must(err)
		}
		s.until("watch and subscriber have every change", time.Minute, func() bool { return watched.left() == 0 && viewed.left() == 0 })
		w50, w99 := watched.quantiles()
		v50, v99 := viewed.quantiles()
		if *measure && (v50-w50 > mostP50 || v99-w99 > mostP99) {
			t.Errorf("the median is %v above the watch's, want at most %v; the 99th percentile %v, want at most %v", v50-w50, mostP50, v99-w99, mostP99)
		}
		ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
		return fmt.Sprintf("watch p50 %s, p99 %s; subscriber p50 %s, p99 %s%s", ms(w50), ms(w99), ms(v50), ms(v99), pixels.end(ms))
	})
}

// setRelease sets the status of release i with one request, or first creates the release. The change is not recorded in the
// History.
func (r *region) setRelease(i int, ready, message string) error {
	rel := conductor.Release{Name: fmt.Sprintf("app-%05d", i), Ready: ready, Reason: "UpgradeSucceeded", Message: message}
	switch ready {
	case "Unknown":
		rel.Reason = "Progressing"
	case "False":
		rel.Reason = "UpgradeFailed"
	}
	path := plane.Path("HelmRelease", "flux-system", rel.Name) + "/status"
	status := []plane.Object{{"op": "add", "path": "/status", "value": rel.Object()["status"]}}
	_, err := r.api.Do(r.stage.ctx, http.MethodPatch, path, plane.JSONPatch, status)
	if plane.IsCode(err, http.StatusNotFound) {
		if _, err = r.api.Do(r.stage.ctx, http.MethodPost, plane.Path("HelmRelease", "flux-system", ""), plane.JSON, rel.Object()); err == nil {
			_, err = r.api.Do(r.stage.ctx, http.MethodPatch, path, plane.JSONPatch, status)
		}
	}
	return err
}

// pixels is a page in Chromium that shows the last release, which alternates between failed and ready. nil: no page.
type pixels struct {
	region *region

	mu    sync.Mutex
	made  []time.Time     // when each change was requested
	spans []time.Duration // from each change to the page
	fail  bool            // the last change made the release fail
}

func (s *stage) pixels(r *region) *pixels {
	s.t.Helper()
	if !*measure {
		return nil
	}
	p := &pixels{region: r}
	s.inBrowser(func(line string) {
		at, state, _ := strings.Cut(line, " ")
		ms, err := strconv.ParseFloat(at, 64)
		p.mu.Lock()
		defer p.mu.Unlock()
		if n := len(p.made); err == nil && n > len(p.spans) && (state == "failed") == p.fail {
			p.spans = append(p.spans, time.UnixMicro(int64(ms*1000)).Sub(p.made[n-1]))
		}
	}, "../../bench/latency/pixel.mjs", "fsn1/app-00999")
	return p
}

// turn changes the release from ready to failed or back, unless the page has not shown the last change yet.
func (p *pixels) turn() {
	if p == nil {
		return
	}
	p.mu.Lock()
	late := len(p.spans) < len(p.made)
	if !late {
		p.fail = !p.fail
		p.made = append(p.made, time.Now())
	}
	ready := map[bool]string{true: "False", false: "True"}[p.fail]
	p.mu.Unlock()
	if !late {
		p.region.stage.must(p.region.setRelease(999, ready, "turned"))
	}
}

func (p *pixels) end(ms func(time.Duration) string) string {
	if p == nil {
		return ""
	}
	p.region.stage.until("the page has shown the last turn", soon, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.spans) == len(p.made)
	})
	slices.Sort(p.spans)
	return fmt.Sprintf("; pixel p50 %s, max %s of %d turns", ms(p.spans[len(p.spans)/2]), ms(p.spans[len(p.spans)-1]), len(p.spans))
}
