package emit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
)

// Emitter sends what is put to a flow server. New makes one; Run does the work. Its methods may be called from any goroutine, Put
// from one at a time.
//
// It speaks only between Lead and Resign, and only after Loaded.
type Emitter struct {
	cfg     Config
	metrics *metrics
	wake    chan struct{} // holds one wake-up for Run

	mu      sync.Mutex
	box     *outbox
	standby standby // while this process does not lead
	loaded  bool
	term    *term
	trouble trouble
	rival   string        // the cluster that has our region on the server
	blind   bool          // what the Source knows may be old
	moved   chan struct{} // closed when something that Drained waits for may have come
}

// term is the time of one leadership.
type term struct {
	epoch  int64
	ctx    context.Context // ends with it
	cancel context.CancelFunc
}

// trouble is why the server does not take what we have.
type trouble struct {
	kind string // changes when it is worth another line in the log
	err  error

	unanswered time.Time // since when no request was answered; zero: the last one was
}

// New returns an Emitter that does nothing until Run. It fails when cfg is not valid or its metrics are registered already.
func New(cfg Config) (*Emitter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	return &Emitter{cfg: cfg, metrics: m, wake: make(chan struct{}, 1), moved: make(chan struct{}), box: newOutbox(cfg.Backlog), standby: newStandby(newImage())}, nil
}

// Put takes what changed, in order. It waits for nothing but other calls. What is put while this process does not lead is kept for a minute, what
// is put before Loaded by one that leads is not: the Source knows it.
func (e *Emitter) Put(changes []mapping.Change) {
	now := time.Now()
	steps := make([]change, len(changes))
	for i, c := range changes {
		steps[i] = fromMapping(c, now)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.term == nil {
		for _, c := range steps {
			e.standby.put(c, e.cfg.Backlog)
		}
		return
	}
	if !e.loaded {
		return
	}
	collapsed := e.box.collapsed
	for _, c := range steps {
		e.box.put(c)
	}
	e.metrics.collapsed.Add(float64(e.box.collapsed - collapsed))
	e.moveLocked()
}

// Loaded says that the Source knows the whole region: all that was there at the start has been mapped. Until then nothing is
// compared and nothing is sent, so that what was not listed yet is not taken for deleted.
func (e *Emitter) Loaded() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.loaded = true
	e.moveLocked()
}

// Lead says that this process speaks for the region from now on. The epoch must be greater than that of whoever led before. The
// server is compared with the Source first; of what was put in the last minute, the transitions that it has not seen are sent.
func (e *Emitter) Lead(epoch int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.term != nil && e.term.epoch == epoch {
		return
	}
	e.resignLocked()
	ctx, cancel := context.WithCancel(context.Background())
	e.term = &term{epoch: epoch, ctx: ctx, cancel: cancel}
	e.box.follow(e.standby)
	e.standby = newStandby(nil)
	e.moveLocked()
}

// Resign says that this process does not speak for the region any more. A POST under way is cancelled, and none begins after it.
func (e *Emitter) Resign() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.resignLocked()
	e.moveLocked()
}

func (e *Emitter) resignLocked() {
	if e.term == nil {
		return
	}
	e.term.cancel()
	e.term, e.trouble, e.rival = nil, trouble{}, ""
	e.metrics.conflict.Set(0)
	base := newImage() // not known, so that nothing is taken for seen
	if e.box.compared {
		base = e.box.want
	}
	e.standby = newStandby(base)
	e.box.reset()
}

// SetBlind says whether what the Source knows may be old, as its cluster cannot be seen. While it may, the claim of the region is not renewed, so
// that the server shows the region as stale; what was put is sent.
func (e *Emitter) SetBlind(blind bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.blind == blind {
		return
	}
	e.blind = blind
	if blind {
		e.cfg.Logger.Warn("cluster cannot be seen, claim of the region is not renewed")
	} else {
		e.cfg.Logger.Info("cluster can be seen again, claim of the region is renewed")
	}
	e.moveLocked()
}

// Unanswered returns since when the server has answered no request of this process, which leads; zero when it answers, or this process does not lead.
func (e *Emitter) Unanswered() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.trouble.unanswered
}

// Reaches asks the server for an answer, and returns nil when there is one, whatever it says.
func (e *Emitter) Reaches(ctx context.Context) error {
	c := newClient(e.cfg)
	defer c.close()
	a, err := c.look(ctx, `"`+none+`"`, "")
	if err == nil && a.status >= http.StatusInternalServerError {
		err = refused(a)
	}
	return err
}

// Ready returns nil when all is well, else what is wrong and what to change. A process that does not lead is ready once it is
// loaded: it could take over.
func (e *Emitter) Ready() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !e.loaded:
		return errors.New("what is in the cluster has not been listed and mapped yet")
	case e.rival != "":
		return fmt.Errorf("another cluster, with UID %s, reports as region %q to this flow, so nothing is sent of this one, with UID %s; give each cluster its own "+
			"region key, or delete the region on the server when that cluster is gone", e.rival, e.cfg.Region, e.cfg.ClusterUID)
	case e.trouble.err != nil:
		return e.trouble.err
	case e.term != nil && !e.box.compared:
		return errors.New("the flow server has not been compared with the cluster yet")
	}
	return nil
}

// Drained waits until the server has confirmed everything that was put, or refused it for good; what a server puts off because it
// is full is waited for. When ctx ends first the error says what stood in the way.
func (e *Emitter) Drained(ctx context.Context) error {
	for {
		e.mu.Lock()
		done, moved, why := e.term != nil && e.box.settled(), e.moved, e.trouble.err
		e.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			if why != nil {
				return fmt.Errorf("%w: %w", ctx.Err(), why)
			}
			return ctx.Err()
		}
	}
}

// moveLocked wakes Run and whoever waits in Drained.
func (e *Emitter) moveLocked() {
	e.metrics.backlog.Set(float64(e.box.pending()))
	close(e.moved)
	e.moved = make(chan struct{})
	select {
	case e.wake <- struct{}{}:
	default:
	}
}
