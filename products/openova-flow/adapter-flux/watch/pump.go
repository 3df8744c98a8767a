package watch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// Fold is the state of a region, which takes one object version after the other. A *mapping.Cluster is one.
type Fold interface {
	Apply(mapping.Event) ([]mapping.Change, error)
	Seed(previous []flow.Node)
	State() ([]flow.Node, []flow.Relationship)
}

// Sink takes what changed, in order. It does not block.
type Sink interface {
	Put([]mapping.Change)
}

// Pump folds what its Queue holds and hands the changes to a sink. What watches pushes into the Queue.
type Pump struct {
	Queue Queue

	fold    Fold
	sink    Sink
	logger  *slog.Logger
	metrics *Metrics

	mu sync.Mutex // guards fold

	// The objects that were logged as skipped since then. Only Run uses them.
	skipped      map[objectKey]bool
	skippedSince time.Time
}

const (
	maxVersions = 16          // of one object that wait to be folded, once
	room        = 512         // items wait: about 50 ms of folding, so that a storm delays nothing and a busy machine loses no transition
	skipAgain   = time.Minute // after which an object that is skipped is logged again
)

// PumpConfig says between what a Pump stands.
type PumpConfig struct {
	Fold    Fold
	Sink    Sink
	Logger  *slog.Logger
	Metrics *Metrics // default: counted and shown nowhere
}

// NewPump returns a Pump that has not started.
func NewPump(cfg PumpConfig) *Pump {
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics()
	}
	return &Pump{Queue: Queue{MaxVersions: maxVersions, Room: room}, fold: cfg.Fold, sink: cfg.Sink, logger: cfg.Logger, metrics: cfg.Metrics}
}

// Run folds until ctx is done, and then what was queued by that time. Run once.
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

// skip counts a version that could not be read, and logs it, each object once a minute.
func (p *Pump) skip(object objectKey, err error) {
	p.metrics.mappingErrors.Inc()
	if now := time.Now(); p.skipped == nil || now.Sub(p.skippedSince) >= skipAgain {
		p.skipped, p.skippedSince = map[objectKey]bool{}, now
	}
	if !p.skipped[object] {
		p.skipped[object] = true
		p.logger.Warn("object skipped", "kind", object.kind, "namespace", object.namespace, "name", object.name, "err", err)
	}
}

// Do calls fn, which may change the fold, while nothing else uses it, and hands what it returns to the sink. Call it before Run starts or
// from a function given to Queue.Call, so that changes stay in order.
func (p *Pump) Do(fn func() []mapping.Change) {
	p.mu.Lock()
	changes := fn()
	p.mu.Unlock()
	// Not under the lock: the sink may be asking for State just now. It then gets changes that it has seen there already, which is no harm.
	if len(changes) > 0 {
		p.sink.Put(changes)
	}
}

// Seed gives the fold what was known of the region before this process. It may be called at any time, from anywhere.
func (p *Pump) Seed(previous []flow.Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fold.Seed(previous)
}

// State returns what the region is now. It may be called at any time, from anywhere.
func (p *Pump) State() ([]flow.Node, []flow.Relationship) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fold.State()
}
