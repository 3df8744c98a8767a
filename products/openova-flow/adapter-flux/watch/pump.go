package watch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// Fold is the state of a region, to which versions of objects are applied. *mapping.Cluster implements it.
type Fold interface {
	Apply(mapping.Event) ([]mapping.Change, error)
	Seed(previous []flow.Node)
	State() ([]flow.Node, []flow.Relationship)
}

// Sink receives changes, in order. It does not block.
type Sink interface {
	Put([]mapping.Change)
}

// Pump applies the events of its Queue to a Fold and passes the changes to a Sink.
type Pump struct {
	Queue Queue

	fold    Fold
	sink    Sink
	logger  *slog.Logger
	metrics *Metrics

	mu sync.Mutex // guards fold

	// Objects that were logged as skipped since skippedSince. Used only by Run.
	skipped      map[objectKey]bool
	skippedSince time.Time
}

const (
	maxVersions     = 16  // waiting versions of one object
	room            = 512 // waiting items up to which no version is dropped: a machine that is busy for a moment loses none
	logSkippedAgain = time.Minute
)

// PumpConfig configures a Pump.
type PumpConfig struct {
	Fold    Fold
	Sink    Sink
	Logger  *slog.Logger
	Metrics *Metrics // default: not exported
}

// NewPump returns a Pump that has not started.
func NewPump(cfg PumpConfig) *Pump {
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics()
	}
	return &Pump{Queue: Queue{MaxVersions: maxVersions, Room: room}, fold: cfg.Fold, sink: cfg.Sink, logger: cfg.Logger, metrics: cfg.Metrics}
}

// Run processes events until ctx ends, and then those in the queue. Call it once.
func (p *Pump) Run(ctx context.Context) {
	p.Queue.Run(ctx, func(e mapping.Event) {
		p.Do(func() []mapping.Change {
			changes, err := p.fold.Apply(e)
			if err != nil {
				p.skip(keyOf(e), err)
			}
			return changes
		})
	})
}

// skip counts an invalid version. It logs each object at most once in a period of logSkippedAgain.
func (p *Pump) skip(object objectKey, err error) {
	p.metrics.mappingErrors.Inc()
	if now := time.Now(); p.skipped == nil || now.Sub(p.skippedSince) >= logSkippedAgain {
		p.skipped, p.skippedSince = map[objectKey]bool{}, now
	}
	if !p.skipped[object] {
		p.skipped[object] = true
		p.logger.Warn("object skipped", "kind", object.kind, "namespace", object.namespace, "name", object.name, "err", err)
	}
}

// Do calls fn with the fold locked and passes its result to the sink. fn may change the fold. To keep changes in order, call Do
// before Run starts, or from a function given to Queue.Call.
func (p *Pump) Do(fn func() []mapping.Change) {
	p.mu.Lock()
	changes := fn()
	p.mu.Unlock()
	// Without the lock, since the sink may call State. It may then get changes that State already has, which is harmless.
	if len(changes) > 0 {
		p.sink.Put(changes)
	}
}

// Seed passes the region's earlier nodes to the fold. It is safe for concurrent use.
func (p *Pump) Seed(previous []flow.Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fold.Seed(previous)
}

// State returns the current state of the region. It is safe for concurrent use.
func (p *Pump) State() ([]flow.Node, []flow.Relationship) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fold.State()
}
