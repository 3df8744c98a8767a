package watch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/recording"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch/apitest"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

const flowID = "F"

var releases, charts = watch.Kinds[0], watch.Kinds[1]

type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// lines returns the number of lines with all parts.
func (l *logged) lines(parts ...string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for line := range strings.Lines(l.b.String()) {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
			n++
		}
	}
	return n
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// sink is a Sink that folds changes.
type sink struct {
	mu    sync.Mutex
	state *flow.State
	seen  []mapping.Change
}

func (s *sink) Put(changes []mapping.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		s.seen = append(s.seen, c)
		switch {
		case c.Node != nil:
			s.state.Apply(flow.UpsertNodes(*c.Node))
		case c.Edge != nil:
			s.state.Apply(flow.UpsertRels(*c.Edge))
		case c.DeleteEdge != nil:
			s.state.Apply(flow.DeleteRels(*c.DeleteEdge))
		default:
			s.state.Apply(flow.DeleteNodes(c.DeleteNode))
		}
	}
}

func (s *sink) statuses() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]string{}
	for _, n := range s.state.Snapshot().Nodes {
		out[n.ID] = n.Status
	}
	return out
}

func (s *sink) node(id string) (flow.Node, map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.state.Snapshot().Nodes {
		if n.ID == id {
			var m map[string]any
			_ = json.Unmarshal([]byte(n.Meta), &m)
			return n, m
		}
	}
	return flow.Node{}, nil
}

// rig is a watcher with its pump, mapping and sink.
type rig struct {
	*sink
	watcher *watch.Watcher
	pump    *watch.Pump
	log     *logged
	stop    func() // stops all and waits for the end

	infoMu sync.Mutex
	info   watch.Info // the last one
}

// gaps returns kind, namespace and class of each Gap of the last Info.
func (r *rig) gaps() []string {
	r.infoMu.Lock()
	defer r.infoMu.Unlock()
	var all []string
	for _, g := range r.info.Gaps {
		all = append(all, strings.Join([]string{g.Kind, g.Namespace, string(g.Class)}, " "))
	}
	return all
}

// hasGaps returns a condition for eventually.
func (r *rig) hasGaps(want ...string) func() bool {
	return func() bool { return slices.Equal(r.gaps(), want) }
}

func start(t *testing.T, client dynamic.Interface, discovery watch.Discovery, change func(*watch.Config)) *rig {
	t.Helper()
	r := &rig{sink: &sink{state: flow.NewState(flowID, 0)}, log: &logged{}}
	cfg := watch.Config{
		Client: client, Discovery: discovery, Namespaces: []string{"flux-system"}, Kinds: watch.Kinds[:2],
		Logger:     slog.New(slog.NewTextHandler(r.log, nil)),
		FirstRetry: 5 * time.Millisecond, MaxRetry: 20 * time.Millisecond, Recheck: 30 * time.Millisecond, SettleAfter: 50 * time.Millisecond,
	}
	var cluster *mapping.Cluster
	cfg.OnInfo = func(i watch.Info) {
		info := mapping.RegionInfo{ClusterUID: i.ClusterUID, Down: i.Down}
		for _, g := range i.Gaps {
			info.NotWatched = append(info.NotWatched, mapping.NotWatched{Kind: g.Kind, Namespace: g.Namespace, Why: g.Why})
		}
		r.pump.Do(func() []mapping.Change { return cluster.SetInfo(info) })
	}
	if change != nil {
		change(&cfg)
	}
	onInfo := cfg.OnInfo
	cfg.OnInfo = func(i watch.Info) {
		r.infoMu.Lock()
		r.info = i
		r.infoMu.Unlock()
		onInfo(i)
	}
	cluster = mapping.NewCluster(mapping.Config{FlowID: flowID, Region: "r", Namespaces: cfg.Namespaces})
	r.pump = watch.NewPump(watch.PumpConfig{Fold: cluster, Sink: r, Logger: cfg.Logger})
	r.watcher = watch.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.watcher.Run(ctx, &r.pump.Queue) })
	wg.Go(func() { r.pump.Run(ctx) })
	r.stop = func() {
		cancel()
		wg.Wait()
	}
	t.Cleanup(r.stop)
	return r
}

// onServer starts a rig on an API server, through HTTP.
func onServer(t *testing.T, config *rest.Config, change func(*watch.Config)) *rig {
	t.Helper()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	discovery, err := watch.NewAPIDiscovery(config)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, client, discovery, change)
}

func server(t *testing.T, kinds ...watch.Kind) *apitest.Server {
	t.Helper()
	s := apitest.New("cluster-1")
	t.Cleanup(s.Close)
	for _, k := range kinds {
		s.Serve(k.Resource, k.Name)
	}
	return s
}

// eventually waits until ok returns true. On a timeout it fails the test with the result of describe.
func eventually(t *testing.T, ok func() bool, describe func() any) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("timed out; last: %v", describe())
		}
	}
}

func done(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s: not in 30 s", what)
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func isStatus(r *rig, id, status string) func() bool {
	return func() bool { return r.statuses()[id] == status }
}

func recorded(t testing.TB, file string) []mapping.Event {
	t.Helper()
	f, err := os.Open("../testdata/recordings/" + file + ".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []mapping.Event
	for r := recording.NewReader(f); ; {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
}

// truths returns the status of each release, and of region r, at the end of a recording, by node id. They come from its .truth.json file.
func truths(t testing.TB, file string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile("../testdata/recordings/" + file + ".truth.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Name, Ready, Reason string
		Stalled             bool
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	worst := "succeeded"
	for _, x := range list {
		status := "running"
		switch {
		case x.Ready == "True":
			status = "succeeded"
		case x.Stalled || x.Ready == "False" && slices.Contains([]string{"InstallFailed", "UpgradeFailed", "RetriesExhausted"}, x.Reason):
			status = "failed"
		case x.Ready == "":
			status = "pending"
		}
		want["r/"+x.Name] = status
		order := []string{"succeeded", "pending", "running", "failed"}
		if slices.Index(order, status) > slices.Index(order, worst) {
			worst = status
		}
	}
	want["r"] = worst
	return want
}

func resource(kind string) schema.GroupVersionResource {
	for _, k := range watch.Kinds {
		if k.Name == kind {
			return k.Resource
		}
	}
	panic(kind)
}

// release returns a HelmRelease that its controller has reconciled or, if ready is empty, not observed.
func release(namespace, name, uid, ready string) map[string]any {
	o := map[string]any{
		"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
		"metadata": map[string]any{"name": name, "namespace": namespace, "uid": uid, "generation": int64(1), "creationTimestamp": "2026-11-23T12:00:00Z"},
		"spec": map[string]any{
			"interval": "1m", "values": map[string]any{"password": "hunter2"},
			"chart": map[string]any{"spec": map[string]any{"chart": name, "version": "1.0.0", "sourceRef": map[string]any{"kind": "HelmRepository", "name": "repo"}}},
		},
	}
	if ready != "" {
		o["status"] = map[string]any{"observedGeneration": int64(1), "conditions": []any{map[string]any{
			"type": "Ready", "status": ready, "reason": "InstallFailed", "message": "m", "lastTransitionTime": "2026-11-23T12:01:00Z",
		}}}
	}
	return o
}
