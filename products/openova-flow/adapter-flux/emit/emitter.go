package emit

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
)

// Emitter sends changes to a flow server. New creates one; Run does the work. It is safe for concurrent use, except that Put must be
// called from one goroutine at a time, and Run once.
//
// It posts changes only between Lead and Resign, and only after Loaded.
type Emitter struct {
	cfg     Config
	metrics *metrics
	wake    chan struct{} // holds one wake-up for Run

	mu           sync.Mutex
	box          *outbox
	standby      standby // while this process does not lead
	loaded       bool
	term         *term
	trouble      trouble
	otherCluster string        // UID of another cluster that has claimed the region on the server
	blind        bool          // the Source may be outdated
	changed      chan struct{} // closed and replaced at each change that Drained may wait for
}

// term is one leadership of this process.
type term struct {
	epoch  int64
	ctx    context.Context // ends with it
	cancel context.CancelFunc
}

// trouble is the reason why the server does not accept changes.
type trouble struct {
	kind string // a trouble is logged when its kind changes
	err  error

	undelivered time.Time // start of the first of consecutive requests that did not reach the server; zero: the last one did
}

// New returns an Emitter, which is idle until Run. It fails if cfg is invalid or the metrics cannot be registered.
func New(cfg Config) (*Emitter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	return &Emitter{cfg: cfg, metrics: m, wake: make(chan struct{}, 1), changed: make(chan struct{}), box: newOutbox(cfg.Backlog), standby: newStandby(newRegionState())}, nil
}

// Put queues changes, in order. It does not block. Without the leadership it keeps those of the minute before the newest one, at most Backlog. With it, but
// before Loaded, it drops them, since the Source has them.
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
	e.notifyLocked()
}

// Loaded reports that the Source has the whole region. Before that nothing is compared or sent, so that objects that were not
// listed yet are not deleted on the server.
func (e *Emitter) Loaded() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.loaded = true
	e.notifyLocked()
}

// Lead makes this process the one that reports the region. epoch must be greater than the previous leader's; with the epoch of the current
// term, Lead does nothing. First the server's region is compared with the Source. Of the changes that Put has kept, those that follow the
// server's state of their element are sent too.
func (e *Emitter) Lead(epoch int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.term != nil && e.term.epoch == epoch {
		return
	}
	e.resignLocked()
	ctx, cancel := context.WithCancel(context.Background())
	e.term = &term{epoch: epoch, ctx: ctx, cancel: cancel}
	e.box.startFrom(e.standby)
	e.standby = newStandby(nil)
	e.notifyLocked()
}

// Resign ends the leadership. It cancels a running POST, and no other starts before Lead.
func (e *Emitter) Resign() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.resignLocked()
	e.notifyLocked()
}

func (e *Emitter) resignLocked() {
	if e.term == nil {
		return
	}
	e.term.cancel()
	e.term, e.trouble, e.otherCluster = nil, trouble{}, ""
	e.metrics.conflict.Set(0)
	base := newRegionState() // unknown
	if e.box.compared {
		base = e.box.want
	}
	e.standby = newStandby(base)
	e.box.reset()
}

// SetBlind sets whether the Source may be outdated because the API server does not answer. While blind is true, only changes renew the claim, so
// that without any the server shows the region as stale.
func (e *Emitter) SetBlind(blind bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.blind == blind {
		return
	}
	e.blind = blind
	if blind {
		e.cfg.Logger.Warn("API server does not answer, not renewing the claim")
	} else {
		e.cfg.Logger.Info("API server answers again, renewing the claim")
	}
	e.notifyLocked()
}

// Undelivered returns since when no request of this process has reached the server: there was no answer, or a 5xx, which may be a gateway's. It is zero if
// the last request did, and after Resign.
func (e *Emitter) Undelivered() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.trouble.undelivered
}

// Reaches returns nil if the server accepts POSTs of this process. It changes nothing on the server.
func (e *Emitter) Reaches(ctx context.Context) error {
	c := newClient(e.cfg)
	defer c.close()
	a, err := c.probe(ctx)
	if err == nil && !(a.isProblem && a.status == http.StatusBadRequest) {
		err = refused(a)
	}
	return err
}

// Ready returns nil, or an error with the cause and, if a person must act, what to change. A process that does not lead needs no comparison to be ready,
// since it could take over.
func (e *Emitter) Ready() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !e.loaded:
		if e.trouble.err != nil { // the lists may wait for the server
			return fmt.Errorf("%w: %w", errNotLoaded, e.trouble.err)
		}
		return errNotLoaded
	case e.otherCluster != "":
		return fmt.Errorf("another cluster, with UID %s, reports region %q of this flow, so this cluster, with UID %s, sends nothing; give each cluster its own "+
			"REGION_KEY, or delete the region on the server if the other cluster no longer exists", e.otherCluster, e.cfg.Region, e.cfg.ClusterUID)
	case e.trouble.err != nil:
		return e.trouble.err
	case e.term != nil && !e.box.compared:
		return errNotCompared
	}
	return nil
}

// Drained waits until this process leads and the server has confirmed or finally rejected every change, including changes that wait because the server is
// full. If ctx ends first, the error has the reason, if one is known.
func (e *Emitter) Drained(ctx context.Context) error {
	for {
		e.mu.Lock()
		done, changed, why := e.term != nil && e.box.settled(), e.changed, e.trouble.err
		e.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if why != nil {
				return fmt.Errorf("%w: %w", ctx.Err(), why)
			}
			return ctx.Err()
		}
	}
}

// notifyLocked wakes Run and the callers of Drained. e.mu is held.
func (e *Emitter) notifyLocked() {
	e.metrics.backlog.Set(float64(e.box.pending()))
	close(e.changed)
	e.changed = make(chan struct{})
	select {
	case e.wake <- struct{}{}:
	default:
	}
}
