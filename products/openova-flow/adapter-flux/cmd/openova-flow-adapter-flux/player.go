package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/recording"
)

// tape is a recording that is being played.
type tape struct {
	region, path string
	file         io.Closer
	reader       *recording.Reader
	next         *recording.Event // the one to play next, nil before it is read
	at           int64            // when next was recorded; one that does not say follows the one before it at once
	ended        bool
}

func newTape(region, path string, r io.ReadCloser) *tape {
	return &tape{region: region, path: path, file: r, reader: recording.NewReader(r)}
}

func closeTapes(tapes []*tape) {
	for _, t := range tapes {
		_ = t.file.Close()
	}
}

// load reads the next event when it is not read yet.
func (t *tape) load() error {
	if t.next != nil || t.ended {
		return nil
	}
	e, err := t.reader.Next()
	if errors.Is(err, io.EOF) {
		t.ended = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", t.path, err)
	}
	if ms, ok := e.At.Get(); ok {
		t.at = ms
	}
	t.next = &e
	return nil
}

// player plays tapes in the order in which they were recorded, those of one instant in the order of the tapes.
type player struct {
	tapes  []*tape
	speed  float64 // how many times faster than recorded
	rebase bool
	play   func(context.Context, *tape, mapping.Event) error

	played  int
	started bool
	clock   recording.Rebase // from recorded time to that of now
}

func (p *player) run(ctx context.Context) error {
	for {
		t, err := p.first()
		if t == nil || err != nil {
			return err
		}
		e := t.next
		t.next = nil
		if err := p.wait(ctx, e); err != nil {
			return err
		}
		if p.rebase && p.started {
			e.Object = p.clock.Object(e.Object)
		}
		if err := p.play(ctx, t, e.Event); err != nil {
			return err
		}
		p.played++
	}
}

// first returns the tape whose next event is the earliest, nil when all have ended.
func (p *player) first() (*tape, error) {
	var first *tape
	for _, t := range p.tapes {
		if err := t.load(); err != nil {
			return nil, err
		}
		if !t.ended && (first == nil || t.at < first.at) {
			first = t
		}
	}
	return first, nil
}

// wait waits until it is time for e.
func (p *player) wait(ctx context.Context, e *recording.Event) error {
	at, ok := e.At.Get()
	if !ok {
		return ctx.Err()
	}
	if !p.started {
		p.clock = recording.Rebase{Recorded: at, Start: time.Now().UnixMilli(), Speed: p.speed}
		p.started = true
	}
	pause := time.Until(time.UnixMilli(p.clock.Time(at)))
	if pause <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dropped counts what an emitter's server refused for good.
type dropped struct{ registry *prometheus.Registry }

func newDropped() dropped { return dropped{prometheus.NewRegistry()} }

func (d dropped) count() float64 {
	families, err := d.registry.Gather()
	if err != nil {
		return 0
	}
	for _, f := range families {
		if f.GetName() == "flow_adapter_changes_dropped_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return 0
}
