package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"k8s.io/klog/v2"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/emit"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// seedWait is how long the mapping waits at the start for the server's state of the region, from which it continues.
const seedWait = 10 * time.Second

func runCommand(ctx context.Context, args []string, getenv func(string) (string, bool), s std) error {
	r := newReader("run", getenv)
	c, err := r.read(args, "FLOW_SERVER_URL", "FLOW_ID")
	local := c.local()
	if !local && !errors.Is(err, errHelp) { // only a local run may lack FLOW_SERVER_URL and FLOW_ID: read again, with both required
		r = newReader("run", getenv)
		c, err = r.read(args)
	}
	if err != nil {
		return err
	}
	if r.NArg() > 0 {
		return fmt.Errorf("run takes no arguments, only flags; unexpected %s", terminal.Argument(r.Arg(0)))
	}
	if local {
		return runLocal(ctx, c, r, s)
	}
	k8s, err := connect(c)
	if err != nil {
		return err
	}
	var listener net.Listener
	health := "off"
	if c.healthAddr != "" {
		if listener, err = net.Listen("tcp", c.healthAddr); err != nil {
			return fmt.Errorf("HEALTH_LISTEN_ADDR is %q: %w; set another address, or off", c.healthAddr, err)
		}
		health = listener.Addr().String()
	}
	if _, set := getenv("GOGC"); !set {
		debug.SetGCPercent(50) // the initial lists are most of what is ever allocated, and soon garbage
	}
	logger := c.logger(s.err)
	klog.SetSlogLogger(logger)
	logger.Info("started", "version", buildVersion(), "flow", c.flowID, "region", c.region, "server", c.server, "health", health)
	err = newAdapter(c, k8s, logger).run(ctx, listener)
	logger.Info("stopped")
	return err
}

// adapter has the parts of a running adapter.
type adapter struct {
	config   config
	clients  clients
	logger   *slog.Logger
	registry *prometheus.Registry
	metrics  *watch.Metrics
	cluster  *mapping.Cluster
	pump     *watch.Pump
	watcher  *watch.Watcher
	health   *health
	sink     sink
	missing  func([]string) // called with the result of describeGaps after each change of watch.Info
}

// sink passes changes to the emitter, which is created after the pump.
type sink struct{ emitter *emit.Emitter }

func (s *sink) Put(changes []mapping.Change) { s.emitter.Put(changes) }

func newAdapter(c config, k8s clients, logger *slog.Logger) *adapter {
	a := &adapter{config: c, clients: k8s, logger: logger, registry: prometheus.NewRegistry(), metrics: watch.NewMetrics(), missing: func([]string) {}}
	a.cluster = mapping.NewCluster(mapping.Config{FlowID: c.flowID, Region: c.region, Namespaces: c.namespaces})
	a.pump = watch.NewPump(watch.PumpConfig{Fold: a.cluster, Sink: &a.sink, Logger: logger, Metrics: a.metrics})
	a.watcher = watch.New(watch.Config{
		Client: k8s.dynamic, Discovery: k8s.discovery, Namespaces: c.namespaces, Logger: logger, Metrics: a.metrics, Now: k8s.clock.Now,
		OnInfo: func(i watch.Info) {
			a.pump.Do(func() []mapping.Change { return a.cluster.SetInfo(regionInfo(i)) })
			a.missing(describeGaps(i))
			a.sink.emitter.SetBlind(i.Blind)
		},
	})
	k8s.clock.Changed = func(offset time.Duration) {
		if offset == 0 {
			logger.Info("clocks of cluster and flow server agree")
		} else {
			logger.Warn("clocks of cluster and flow server differ, correcting the times of the region", "offset", offset.String())
		}
		a.pump.Queue.Call(func() {
			a.pump.Do(func() []mapping.Change { return a.cluster.SetClockOffset(offset.Milliseconds()) })
		})
	}
	a.registry.MustRegister(watch.QueueMetrics(&a.pump.Queue)...)
	a.registry.MustRegister(a.metrics, k8s.clock.Metric(), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo())
	a.health = newHealth(a.registry, a.watcher.Problems)
	return a
}

func regionInfo(i watch.Info) mapping.RegionInfo {
	info := mapping.RegionInfo{ClusterUID: i.ClusterUID, Down: i.Down}
	for _, g := range i.Gaps {
		info.NotWatched = append(info.NotWatched, mapping.NotWatched{Kind: g.Kind, Namespace: g.Namespace, Why: g.Why})
	}
	return info
}

// describeGaps returns a sentence for each gap; if Flux is not installed, one for all its kinds.
func describeGaps(i watch.Info) []string {
	var lines, identity []string
	absent := map[string]bool{}
	for _, g := range i.Gaps {
		absent[g.Kind] = g.Class == watch.NotServed
		if g.Kind == "Namespace" {
			identity = append(identity, "the cluster is not identified: "+g.Why)
		} else {
			lines = append(lines, g.Kind+" is not shown: "+g.Why)
		}
	}
	for _, k := range watch.Kinds {
		if !absent[k.Name] && !k.Uncommon {
			return append(identity, lines...)
		}
	}
	return append(identity, "Flux is not installed: the cluster serves none of its kinds. Once it is installed, its objects are shown")
}

func buildInfo() prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "flow_adapter_build_info", Help: "1, with the version of the program.", ConstLabels: prometheus.Labels{"version": buildVersion()},
	})
	g.Set(1)
	return g
}

// run runs until ctx ends. It serves health on the listener unless that is nil. It stops in the order of the data: delivered events are mapped, then changes
// are sent, for at most five seconds, and then the Lease is released.
func (a *adapter) run(ctx context.Context, listener net.Listener) error {
	var health, watching part
	defer health.stop()
	if listener != nil {
		health.start(func(ctx context.Context) { a.health.serve(ctx, listener, a.logger) })
	}
	watching.start(func(ctx context.Context) { a.watcher.Run(ctx, &a.pump.Queue) })
	defer watching.stop()

	select {
	case <-a.watcher.Identified():
	case <-ctx.Done():
		return nil
	}
	seeded := make(chan time.Duration, 1) // gets the clock offset of the region on the server
	emitter, err := emit.New(emit.Config{
		URL: a.config.server, FlowID: a.config.flowID, Region: a.config.region, Source: a.pump, ClusterUID: a.watcher.ClusterUID(), TTL: a.config.ttl,
		Seed: func(previous []flow.Node) {
			a.pump.Seed(previous)
			seeded <- time.Duration(mapping.ClockOffset(a.config.region, previous)) * time.Millisecond
		},
		TokenFile: a.config.tokenFile, CAFile: a.config.caFile, Interval: a.config.interval, PostTimeout: a.config.postTimeout,
		Version: buildVersion(), Logger: a.logger, Registerer: a.registry, Answered: a.clients.clock.Server,
	})
	if err != nil {
		return err
	}
	a.sink.emitter = emitter
	a.health.add(func() []string { return sentence(emitter.Ready()) })

	var leading, emitting, folding part
	leading.start(func(ctx context.Context) { a.lead(ctx, emitter) })
	defer leading.stop()
	emitting.start(func(ctx context.Context) {
		if err := emitter.Run(ctx); err != nil {
			a.logger.Warn("stopped before everything was sent", "err", err)
		}
	})
	defer emitting.stop()

	wait := time.NewTimer(seedWait)
	defer wait.Stop()
	select {
	case offset := <-seeded:
		a.clients.clock.Resume(offset)
	case <-wait.C:
		a.logger.Warn("flow server does not answer, starting without the previous state of the region")
		a.clients.clock.Resume(0)
	case <-ctx.Done():
		return nil
	}
	a.pump.Do(a.cluster.Start)
	folding.start(a.pump.Run)
	defer folding.stop()

	select {
	case <-a.watcher.Complete():
		emitter.Loaded()
		a.logger.Info("initial lists complete")
		<-ctx.Done()
	case <-ctx.Done():
	}
	a.health.stopping()
	a.logger.Info("stopping")
	watching.stop()
	return nil
}

// lead takes part in the election until ctx ends. Without an election this process always leads.
func (a *adapter) lead(ctx context.Context, emitter *emit.Emitter) {
	if !a.config.leaderElection {
		a.metrics.Leading(true)
		emitter.Lead(watch.Epoch(time.Now()))
		<-ctx.Done()
		return
	}
	leader := watch.NewLeader(watch.LeaderConfig{
		Client: a.clients.leases, Namespace: a.config.podNamespace, Name: watch.LeaseName(a.config.flowID, a.config.region),
		Identity: a.config.identity(), Logger: a.logger, Metrics: a.metrics,
		Undelivered: func(by time.Time) bool {
			since := emitter.Undelivered()
			return !since.IsZero() && by.Sub(since) >= a.config.ttl // three renewals of the claim
		},
		Reaches: func(ctx context.Context) bool { return emitter.Reaches(ctx) == nil },
		Changed: func(epoch int64, leading bool) {
			if leading {
				emitter.Lead(epoch)
			} else {
				emitter.Resign()
			}
		},
	})
	a.health.add(leader.Problems)
	if err := leader.Run(ctx); err != nil {
		a.logger.Error("leader election failed", "err", err)
	}
}

func (c config) identity() string {
	if c.podName != "" {
		return c.podName
	}
	if host, err := os.Hostname(); err == nil {
		return host
	}
	return "unknown"
}

// part is a goroutine that can be stopped.
type part struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func (p *part) start(run func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.wg.Go(func() { run(ctx) })
}

// stop stops the goroutine and waits for its end. It may be called again.
func (p *part) stop() {
	if p.cancel != nil {
		p.cancel()
		p.wg.Wait()
	}
}
