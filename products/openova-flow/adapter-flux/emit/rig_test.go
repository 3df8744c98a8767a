package emit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// region has the nodes and relationships of a region, like the mapping. It is a Source.
type region struct {
	key   string
	mu    sync.Mutex
	nodes map[string]flow.Node
	rels  map[flow.RelKey]flow.Relationship
}

func newRegion(key string) *region {
	return &region{key: key, nodes: map[string]flow.Node{}, rels: map[flow.RelKey]flow.Relationship{}}
}

func (r *region) State() ([]flow.Node, []flow.Relationship) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var nodes []flow.Node
	var rels []flow.Relationship
	for _, n := range r.nodes {
		nodes = append(nodes, n)
	}
	for _, e := range r.rels {
		rels = append(rels, e)
	}
	slices.SortFunc(nodes, func(a, b flow.Node) int { return cmp.Compare(a.ID, b.ID) })
	return nodes, rels
}

// node returns a node of this region; for an empty name, the region's own.
func (r *region) node(name, status string, meta map[string]any) flow.Node {
	n := flow.Node{ID: r.key, FlowID: "F", Label: cmp.Or(name, r.key), Status: status, Region: r.key}
	if name != "" {
		n.ID += "/" + name
	}
	if meta != nil {
		text, _ := json.Marshal(meta)
		n.Meta = flow.Object(text)
	}
	return n
}

func (r *region) fold(changes ...mapping.Change) []mapping.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range changes {
		switch {
		case c.Node != nil:
			r.nodes[c.Node.ID] = *c.Node
		case c.Edge != nil:
			r.rels[c.Edge.Key()] = *c.Edge
		case c.DeleteEdge != nil:
			delete(r.rels, *c.DeleteEdge)
		default:
			delete(r.nodes, c.DeleteNode)
			for k := range r.rels {
				if k.FromID == c.DeleteNode || k.ToID == c.DeleteNode {
					delete(r.rels, k)
				}
			}
		}
	}
	return changes
}

func (r *region) upsert(name, status string) mapping.Change {
	n := r.node(name, status, nil)
	return mapping.Change{Node: &n}
}

func (r *region) upsertWith(name, status string, meta map[string]any) mapping.Change {
	n := r.node(name, status, meta)
	return mapping.Change{Node: &n}
}

func (r *region) contains(name string) mapping.Change {
	return mapping.Change{Edge: &flow.Relationship{FromID: r.key + "/" + name, ToID: r.key, Type: flow.Contains}}
}

func (r *region) dependency(first, then string) mapping.Change {
	return mapping.Change{Edge: &flow.Relationship{FromID: r.key + "/" + first, ToID: r.key + "/" + then, Type: flow.FinishToStart, Condition: flow.OnSuccess}}
}

func (r *region) deletion(name string) mapping.Change {
	return mapping.Change{DeleteNode: r.key + "/" + name}
}

// rig is an emitter for region r1 with a wire to a backend.
type rig struct {
	*testing.T
	*wire
	region *region
	em     *Emitter
	log    *logLines
	end    context.CancelFunc
	done   chan error
}

type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(b))
	return len(b), nil
}

func (l *logLines) count(part string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.lines {
		if strings.Contains(s, part) {
			n++
		}
	}
	return n
}

// newRig returns a rig whose emitter is not running. options change its configuration.
func newRig(t *testing.T, b backend, options ...func(*Config)) *rig {
	w, ok := b.(*wire)
	if !ok {
		w = &wire{backend: b}
	}
	g := &rig{T: t, wire: w, region: newRegion("r1"), log: &logLines{}}
	cfg := Config{URL: "http://flow", FlowID: "F", Region: "r1", Source: g.region, Transport: w, ClusterUID: "uid-ours",
		Logger: slog.New(slog.NewTextHandler(g.log, nil))}
	for _, o := range options {
		o(&cfg)
	}
	var err error
	if g.em, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *rig) run() {
	ctx, end := context.WithCancel(context.Background())
	g.end, g.done = end, make(chan error, 1)
	go func() { g.done <- g.em.Run(ctx) }()
}

// lead starts the emitter as a loaded leader.
func (g *rig) lead() {
	g.em.Loaded()
	g.em.Lead(1)
	g.run()
}

func (g *rig) stop() error {
	g.end()
	return <-g.done
}

func (g *rig) change(changes ...mapping.Change) { g.em.Put(g.region.fold(changes...)) }

// settle waits for d of fake time, then until every goroutine of the test waits.
func (g *rig) settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// drain waits until every change is confirmed or finally rejected, and metrics and log show it.
func (g *rig) drain() {
	g.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := g.em.Drained(ctx); err != nil {
		g.Fatalf("not drained: %v", err)
	}
	synctest.Wait()
}

// wantSameState fails unless the server has exactly the state of the region without the nodes in except.
func (g *rig) wantSameState(except ...string) {
	g.Helper()
	want := map[string]string{}
	nodes, rels := g.region.State()
	for _, n := range nodes {
		if !slices.Contains(except, n.ID) {
			want[n.ID] = n.JSON()
		}
	}
	for _, r := range rels {
		want[key{rel: r.Key()}.String()] = r.JSON()
	}
	got := map[string]string{}
	if m := g.get(g.T); m != nil {
		for _, n := range ownNodes(g.region.key, m.Nodes) {
			got[n.ID] = n.JSON()
		}
		for _, r := range m.Relationships {
			if r.Type == flow.Contains && inRegion(g.region.key, r.FromID) || r.Type != flow.Contains && inRegion(g.region.key, r.ToID) {
				got[key{rel: r.Key()}.String()] = r.JSON()
			}
		}
	}
	for k, v := range want {
		if got[k] != v {
			g.Errorf("%s: the server has %s, the region %s", k, got[k], v)
		}
	}
	for k, v := range got {
		if _, ok := want[k]; !ok {
			g.Errorf("%s: the server has %s, but the region lacks it", k, v)
		}
	}
}

// wantReadyCause fails unless Ready returns an error with this cause.
func (g *rig) wantReadyCause(cause error) {
	g.Helper()
	if err := g.em.Ready(); !errors.Is(err, cause) {
		g.Errorf("Ready() = %v, want the cause %v", err, cause)
	}
}

// wantReadyError fails unless Ready returns an error that contains part, or, if part is empty, nil.
func (g *rig) wantReadyError(part string) {
	g.Helper()
	err := g.em.Ready()
	switch {
	case part == "" && err != nil:
		g.Errorf("not ready: %v", err)
	case part != "" && (err == nil || !strings.Contains(err.Error(), part)):
		g.Errorf("Ready() = %v, want an error with %q", err, part)
	}
}

// bubble runs f against each backend in fake time.
func bubble(t *testing.T, limits serverLimits, f func(t *testing.T, b backend)) {
	eachBackend(t, limits, func(t *testing.T, b backend) {
		synctest.Test(t, func(t *testing.T) { f(t, b) })
	})
}
