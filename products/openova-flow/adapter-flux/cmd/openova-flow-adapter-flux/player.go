package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/recording"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// tape is a recording during its replay.
type tape struct {
	region, path string
	file         io.Closer
	reader       *recording.Reader
	next         *mapping.Event // next event; nil: not read yet
	at           int64          // when next was recorded, Unix ms; an undated event has the time of the one before it
	dated        bool           // at is set
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

// load reads the next event, unless it has been read.
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
		t.at, t.dated = ms, true
	}
	t.next = &e
	return nil
}

// player plays the events of all tapes in the order in which they were recorded; events with equal times in the order of the tapes. With rebase, times
// count from the start of each region's recordings, so all regions start together with the player, whenever they were recorded.
type player struct {
	tapes  []*tape
	speed  float64 // how many times faster than recorded
	rebase bool
	play   func(context.Context, *tape, mapping.Event) error

	played int
	start  int64            // start of the replay, Unix ms
	origin map[string]int64 // recorded time that corresponds to start: by region with rebase, else only for ""
}

func (p *player) run(ctx context.Context) error {
	p.start, p.origin = time.Now().UnixMilli(), map[string]int64{}
	for {
		t, err := p.first()
		if t == nil || err != nil {
			return err
		}
		if err := p.wait(ctx, t); err != nil {
			return err
		}
		e := t.next
		t.next = nil
		if p.rebase && t.dated {
			e.At, e.Object = flow.At(p.conversion(t).Time(t.at)), p.conversion(t).Object(e.Object)
		}
		if err := p.play(ctx, t, *e); err != nil {
			return err
		}
		p.played++
	}
}

// first returns the tape with the earliest next event, nil when all have ended.
func (p *player) first() (*tape, error) {
	origins := map[string]int64{}
	for _, t := range p.tapes {
		if err := t.load(); err != nil {
			return nil, err
		}
		if _, known := p.origin[p.group(t)]; known || t.ended || !t.dated {
			continue
		}
		if at, ok := origins[p.group(t)]; !ok || t.at < at {
			origins[p.group(t)] = t.at
		}
	}
	maps.Copy(p.origin, origins)
	var first *tape
	for _, t := range p.tapes {
		if !t.ended && (first == nil || p.elapsed(t) < p.elapsed(first)) {
			first = t
		}
	}
	return first, nil
}

// group returns the key in origin for t.
func (p *player) group(t *tape) string {
	if p.rebase {
		return t.region
	}
	return ""
}

// elapsed returns the recorded time from the origin to the next event of t; 0 without a time.
func (p *player) elapsed(t *tape) int64 {
	if !t.dated {
		return 0
	}
	return t.at - p.origin[p.group(t)]
}

func (p *player) conversion(t *tape) recording.Rebase {
	return recording.Rebase{Recorded: p.origin[p.group(t)], Start: p.start, Speed: p.speed}
}

// wait waits until it is time for the next event of t.
func (p *player) wait(ctx context.Context, t *tape) error {
	pause := time.Until(time.UnixMilli(p.start)) + time.Duration(min(float64(p.elapsed(t))/p.speed*float64(time.Millisecond), math.MaxInt64/2))
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

// dropped counts the changes that the server rejected for good.
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
