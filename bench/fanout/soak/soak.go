package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/openova-io/openova/bench/fanout/free"
)

// Config configures the load. There are no defaults.
type Config struct {
	Program      string        // path of the server
	Time         time.Duration // duration of the load
	Rate         int           // messages a second, over all flows
	Flows        int
	Subscribers  int           // the first of every fifty follows all flows
	Ring         int           // the server's ring capacity
	Pause        time.Duration // the longest stall or absence of a subscriber
	WriteTimeout time.Duration // the server's write timeout
	DeleteOneIn  int           // of this many requests, on average one deletes a flow and three delete a region
	Log          io.Writer     // progress
}

type run struct {
	Config
	addr, url, stateFile string
	client, subscribers  *http.Client
	server               *server
	publishers           []*publisher
	kills                atomic.Int64    // kills of the server; each may lose confirmed messages
	ended                <-chan struct{} // closed when the load has failed or is over
	live                 []sample
	stats                stats
}

type stats struct {
	messages, repeated, resynced, deleted, regionsDeleted, restarts   atomic.Int64
	delivered, connections, resumes, snapshots, stalls, left, settled atomic.Int64
}

// Run starts a server, puts load on it, restarts it, and prints figures. A fault of the server is an error.
func Run(ctx context.Context, cfg Config) (err error) {
	if cfg.Flows < 1 || cfg.Rate < cfg.Flows {
		return fmt.Errorf("rate %d is too low for %d flows: it must be at least one message a second for each", cfg.Rate, cfg.Flows)
	}
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := &run{Config: cfg, stateFile: filepath.Join(dir, "flows.state"), client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		subscribers: &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{Control: smallBuffer}).DialContext}}}
	if r.addr, err = free.Addr(); err != nil {
		return err
	}
	r.url = "http://" + r.addr
	defer func() {
		if err != nil && r.server != nil {
			_ = r.server.cmd.Process.Kill()
			<-r.server.done
			err = fmt.Errorf("%w\nlast lines of the server's log:\n%s", err, &r.server.tail)
		}
	}()
	if err := r.start(); err != nil {
		return err
	}
	goroutines, err := r.metric("go_goroutines")
	if err != nil {
		return err
	}
	began := time.Now()
	if err := r.load(ctx); err != nil {
		return err
	}
	r.client.CloseIdleConnections()
	if err := r.awaitIdle(goroutines); err != nil {
		return err
	}
	if err := r.stop(syscall.SIGTERM); err != nil {
		return err
	}
	r.report()
	return r.checkMemory(began)
}

// smallBuffer makes receive buffers small, so that a stalled subscriber blocks the server soon. Smaller ones would make loopback wait for timers.
func smallBuffer(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 128<<10)
	})
	return errors.Join(err, failed)
}

// load runs publishers, subscribers and restarts until the time is up, and compares all final states.
func (r *run) load(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	r.ended = ctx.Done()
	var reading, publishing sync.WaitGroup
	defer reading.Wait()
	defer fail(nil)
	check := func(err error) {
		if err != nil {
			fail(err)
		}
	}
	posting, stop := context.WithTimeout(ctx, r.Time)
	defer stop()
	for i := range r.Flows {
		p := newPublisher(r, i)
		r.publishers = append(r.publishers, p)
		publishing.Go(func() { check(p.publish(posting, r.Rate/r.Flows)) })
	}
	loadEnded := make(chan struct{})
	var subscribers []*subscriber
	for i := range r.Subscribers {
		sub := &subscriber{run: r, rand: rand.New(rand.NewPCG(uint64(i), 6)), flows: map[string]*seen{}}
		if i%50 != 0 {
			sub.flowID = r.publishers[i%r.Flows].flowID
		}
		subscribers = append(subscribers, sub)
		reading.Go(func() { check(sub.follow(ctx, loadEnded)) })
	}
	check(r.restarts(posting))
	done := r.server.done
	reading.Go(func() {
		select {
		case <-done:
			fail(errors.New("the server ended by itself"))
		case <-ctx.Done():
		}
	})
	publishing.Wait()
	close(loadEnded)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, p := range r.publishers {
		snapshot, err := p.check()
		if err != nil {
			return err
		}
		if err := r.settle(ctx, subscribers, p.flowID, snapshot); err != nil {
			return err
		}
	}
	return nil
}

// restarts restarts the server at fixed fractions of the time, outside of the two quarters whose memory is compared.
func (r *run) restarts(ctx context.Context) error {
	began := time.Now()
	for _, next := range []struct {
		part float64
		with syscall.Signal
	}{{0.08, syscall.SIGTERM}, {0.16, syscall.SIGKILL}, {0.22, syscall.SIGTERM}, {0.52, syscall.SIGTERM}, {0.6, syscall.SIGKILL}, {0.68, syscall.SIGTERM}} {
		for at := time.Duration(next.part * float64(r.Time)); time.Since(began) < at; {
			if pause(ctx, min(time.Minute, at-time.Since(began))); ctx.Err() != nil {
				return nil
			}
			fmt.Fprintf(r.Log, "%s: %d messages, %d delivered, %d MiB\n", time.Since(began).Round(time.Second), r.stats.messages.Load(), r.stats.delivered.Load(), r.resident())
		}
		if err := r.restart(next.with); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until every subscriber of a flow, and of all flows, has the flow's state.
func (r *run) settle(ctx context.Context, subscribers []*subscriber, flowID, snapshot string) error {
	deadline := time.Now().Add(time.Minute)
	for i, sub := range subscribers {
		if sub.flowID != "" && sub.flowID != flowID {
			continue
		}
		for !sub.has(flowID, snapshot) {
			if time.Now().After(deadline) {
				return fmt.Errorf("subscriber %d of %q lacks the state of %s after a minute", i, sub.flowID, flowID)
			}
			if pause(ctx, 20*time.Millisecond); ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
		r.stats.settled.Add(1)
	}
	return nil
}

// maxPermanent is how many permanent goroutines the first stream or garbage collection may start.
const maxPermanent = 4

// awaitIdle waits until the server has ended all streams and goroutines of the load.
func (r *run) awaitIdle(goroutines int64) error {
	deadline := time.Now().Add(time.Minute)
	for {
		now, err := r.metric("go_goroutines")
		if err != nil {
			return err
		}
		streams, err := r.metric("openova_flow_subscribers")
		if err != nil {
			return err
		}
		if now <= goroutines+maxPermanent && streams == 0 {
			fmt.Fprintf(r.Log, "goroutines: %d before, %d after\n", goroutines, now)
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("a minute after the last subscriber has left: %d streams and %d goroutines, %d before the load", streams, now, goroutines)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (r *run) report() {
	s := &r.stats
	fmt.Fprintf(r.Log, "posted: %d messages (%d requests repeated, %d resyncs after restarts); deleted: %d flows, %d regions; restarts: %d\n",
		s.messages.Load(), s.repeated.Load(), s.resynced.Load(), s.deleted.Load(), s.regionsDeleted.Load(), s.restarts.Load())
	fmt.Fprintf(r.Log, "subscribers: %d connections, %d stalls, %d left; %d frames folded; %d resumes without a snapshot, %d snapshots in place of messages or by resyncs; %d final states compared\n",
		s.connections.Load(), s.stalls.Load(), s.left.Load(), s.delivered.Load(), s.resumes.Load(), s.snapshots.Load(), s.settled.Load())
}

// minCollections is the least number of garbage collections in a quarter of the time for a meaningful median.
const minCollections = 10

// checkMemory compares the live heap after collections in the last quarter of the time with the second quarter. A load of less than a minute with few
// collections, but at least one, is not checked.
func (r *run) checkMemory(began time.Time) error {
	quarter := func(from, to float64) (live []int64) { // in MiB, sorted
		for _, s := range r.live {
			if part := s.at.Sub(began).Seconds() / r.Time.Seconds(); part >= from && part < to {
				live = append(live, s.mib)
			}
		}
		slices.Sort(live)
		return live
	}
	second, last := quarter(0.25, 0.5), quarter(0.75, 1)
	few := min(len(second), len(last)) < minCollections
	switch {
	case len(r.live) == 0:
		return errors.New("no garbage collection seen; cannot tell whether memory is flat")
	case few && r.Time < time.Minute:
		return nil
	case few:
		return fmt.Errorf("%d and %d garbage collections in the second and the last quarter; too few to tell whether memory is flat", len(second), len(last))
	}
	before, after := second[len(second)/2], last[len(last)/2]
	fmt.Fprintf(r.Log, "live after collections, median: %d MiB in the second quarter (of %d), %d MiB in the last (of %d)\n", before, len(second), after, len(last))
	if after > before+before/5+2 {
		return fmt.Errorf("memory is not flat: %d MiB live in the second quarter, %d MiB in the last", before, after)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
