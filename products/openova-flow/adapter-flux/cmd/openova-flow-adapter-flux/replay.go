package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/emit"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

type replayConfig struct {
	config
	speed  float64 // +Inf: without waiting
	dryRun bool
	rebase bool
	stay   bool
}

func replayCommand(ctx context.Context, args []string, getenv func(string) (string, bool), s std) error {
	r := newReader("replay", getenv)
	speed := r.String("speed", "1", "how many times faster than recorded, or max")
	dryRun := r.Bool("dry-run", false, "print the messages instead of sending them")
	stay := r.Bool("stay", false, "after the end, keep renewing the claims of the regions until interrupted")
	rebase := r.Bool("rebase", false, "move all times to the time of the replay")
	// Which settings are required is known only after the flags are parsed.
	if err := r.Parse(args); err == nil && *dryRun && *r.values["flow-id"] == "" {
		*r.values["flow-id"] = "replay"
	}
	var optional []string
	if *dryRun {
		optional = []string{"FLOW_SERVER_URL"}
	}
	c, err := r.read(args, optional...)
	if errors.Is(err, errHelp) {
		return err
	}
	rc := replayConfig{config: c, dryRun: *dryRun, rebase: *rebase, stay: *stay}
	var wrong error
	if rc.speed, wrong = parseSpeed(*speed); wrong == nil && rc.rebase && math.IsInf(rc.speed, 1) {
		wrong = errors.New(`--rebase does not work with --speed max: all times would be the same`)
	}
	if *stay && *dryRun {
		wrong = errors.Join(wrong, errors.New(`--stay needs a flow server: a dry run claims no region`))
	}
	tapes, noTapes := openTapes(r.Args(), s.in)
	defer closeTapes(tapes)
	if err := errors.Join(err, wrong, noTapes); err != nil {
		return err
	}
	return replay(ctx, rc, tapes, s.out, c.logger(s.err))
}

func parseSpeed(v string) (float64, error) {
	if v == "max" {
		return math.Inf(1), nil
	}
	speed, err := strconv.ParseFloat(v, 64)
	if err != nil || !(speed > 0) || math.IsInf(speed, 1) {
		return 0, fmt.Errorf("invalid --speed %q: it must be a number greater than 0, or max", v)
	}
	return speed, nil
}

func openTapes(args []string, stdin io.Reader) (tapes []*tape, err error) {
	if len(args) == 0 {
		return nil, errors.New("replay needs at least one recording: REGION=FILE")
	}
	var errs []error
	stdinUsed := false
	for _, arg := range args {
		region, path, ok := strings.Cut(arg, "=")
		switch {
		case !ok || path == "":
			errs = append(errs, fmt.Errorf("invalid argument %s: it must be REGION=FILE", terminal.Argument(arg)))
		case !validRegion.MatchString(region):
			errs = append(errs, fmt.Errorf("the region in %s must be lower-case letters, digits and -, beginning and ending with a letter or digit", terminal.Argument(arg)))
		case path == "-" && stdinUsed:
			errs = append(errs, fmt.Errorf("%q: only one recording can be stdin", arg))
		case path == "-":
			stdinUsed = true
			tapes = append(tapes, newTape(region, "stdin", io.NopCloser(stdin)))
		default:
			f, err := os.Open(path)
			if err != nil {
				errs = append(errs, fmt.Errorf("the recording in %q: %w", arg, err))
				continue
			}
			tapes = append(tapes, newTape(region, path, f))
		}
	}
	if err := errors.Join(errs...); err != nil {
		closeTapes(tapes)
		return nil, err
	}
	return tapes, nil
}

// pipeline maps the recordings of a region, and sends or prints the messages.
type pipeline struct {
	cluster  *mapping.Cluster
	pump     *watch.Pump
	emitter  *emit.Emitter // nil in a dry run
	folding  part
	sending  part
	rejected func() float64 // how many changes the server has rejected for good
}

// replay plays the tapes and returns when everything is confirmed, or, in a dry run, printed. With stay it renews the claims afterwards, until ctx ends.
func replay(ctx context.Context, c replayConfig, tapes []*tape, stdout io.Writer, logger *slog.Logger) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	printer := &printer{out: stdout, failed: cancel}
	pipelines := map[string]*pipeline{}
	var order []*pipeline
	for _, t := range tapes {
		if pipelines[t.region] != nil {
			continue
		}
		pl, err := newPipeline(c, t.region, printer, logger)
		if err != nil {
			return err
		}
		pipelines[t.region] = pl
		order = append(order, pl)
	}
	for _, pl := range order {
		pl.start()
		defer pl.stop()
		if pl.pump.Queue.Flush(ctx) != nil {
			return context.Cause(ctx)
		}
	}
	filter, leftOut := mapping.Config{Namespaces: c.namespaces}, map[string]int{}
	p := player{
		tapes: tapes, speed: c.speed, rebase: c.rebase,
		play: func(ctx context.Context, t *tape, e mapping.Event) error {
			if ns := e.Object.GetNamespace(); !filter.Watches(ns) {
				leftOut[ns]++
				return nil
			}
			queue := &pipelines[t.region].pump.Queue
			queue.Push(e)
			// One event after the other over all regions, so that the output is the same each time.
			return queue.Flush(ctx)
		},
	}
	err = p.run(ctx)
	if ctx.Err() != nil {
		return fmt.Errorf("stopped after %d events: %w", p.played, context.Cause(ctx))
	}
	if err != nil {
		return err
	}
	for _, pl := range order {
		if err := pl.drained(ctx); err != nil {
			return err
		}
	}
	for _, ns := range slices.Sorted(maps.Keys(leftOut)) {
		logger.Warn("namespace is not watched, its events were left out", "namespace", ns, "events", leftOut[ns])
		p.played -= leftOut[ns]
	}
	logger.Info("replayed", "events", p.played, "regions", len(order))
	if c.stay {
		fmt.Fprintln(stdout, "replayed")
		<-ctx.Done()
	}
	return nil
}

func newPipeline(c replayConfig, region string, printer *printer, logger *slog.Logger) (*pipeline, error) {
	pl := &pipeline{}
	mc := mapping.Config{FlowID: c.flowID, Region: region, Namespaces: c.namespaces}
	pl.cluster = mapping.NewCluster(mc)
	to := &sink{}
	pc := watch.PumpConfig{Fold: pl.cluster, Sink: to, Logger: logger.With("region", region)}
	if c.dryRun {
		pc.Sink = printer
	}
	pl.pump = watch.NewPump(pc)
	if c.dryRun {
		return pl, nil
	}
	dropped := newDropped()
	emitter, err := emit.New(emit.Config{
		URL: c.server, FlowID: c.flowID, Region: region, Source: pl.pump, Name: "replay-" + region,
		ClusterUID: "replay-" + region, // a recording has no identity of its cluster, and must not claim regions of a real one
		TTL:        c.ttl,
		TokenFile:  c.tokenFile, CAFile: c.caFile, Interval: c.interval, PostTimeout: c.postTimeout,
		Version: buildVersion(), Logger: logger, Registerer: dropped.registry,
	})
	if err != nil {
		return nil, err
	}
	pl.emitter, to.emitter, pl.rejected = emitter, emitter, dropped.count
	return pl, nil
}

func (pl *pipeline) start() {
	pl.folding.start(pl.pump.Run)
	if pl.emitter != nil {
		pl.emitter.Lead(watch.Epoch(time.Now()))
		pl.emitter.Loaded()
		pl.sending.start(func(ctx context.Context) { _ = pl.emitter.Run(ctx) })
	}
	pl.pump.Queue.Call(func() { pl.pump.Do(pl.cluster.Start) })
}

func (pl *pipeline) stop() {
	pl.folding.stop()
	pl.sending.stop()
}

// drained waits until all events are mapped and, except in a dry run, the server has confirmed all changes. A change that it rejected for good is an error.
func (pl *pipeline) drained(ctx context.Context) error {
	if err := pl.pump.Queue.Flush(ctx); err != nil {
		return fmt.Errorf("stopped before every event was mapped: %w", err)
	}
	if pl.emitter == nil {
		return nil
	}
	if err := pl.emitter.Drained(ctx); err != nil {
		return fmt.Errorf("stopped before the flow server had confirmed everything: %w", err)
	}
	if n := pl.rejected(); n > 0 {
		return fmt.Errorf("the flow server rejected %v changes for good; see the log", n)
	}
	return nil
}

// printer is a watch.Sink that prints changes as messages, one on each line.
type printer struct {
	out    io.Writer
	failed func(error)
}

func (p *printer) Put(changes []mapping.Change) {
	for line := range strings.Lines(string(emit.Encode(changes))) {
		if _, err := io.WriteString(p.out, terminal.JSON(line)); err != nil {
			p.failed(fmt.Errorf("printing: %w", err))
			return
		}
	}
}
