package mapping_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/recording"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// latest keeps the newest version of every object, as an API server does.
type latest map[string]recording.Event

func (l latest) see(ev recording.Event) {
	k := ev.Object.GetKind() + "/" + ev.Object.GetNamespace() + "/" + ev.Object.GetName()
	if ev.Type == mapping.Deleted {
		delete(l, k)
		return
	}
	l[k] = recording.Event{At: ev.At, Event: mapping.Event{Type: mapping.Added, Object: ev.Object}}
}

// restart is an adapter that starts on what the API server has now, with the nodes that the server holds, or with none.
func (l latest) restart(t *testing.T, region string, held []flow.Node) *replay {
	r := newReplay(t, region)
	r.cluster.Seed(held)
	r.take(0, r.cluster.Start())
	keys := make([]string, 0, len(l))
	for k := range l {
		keys = append(keys, k)
	}
	slices.Sort(keys) // charts before releases
	for _, k := range keys {
		r.apply(l[k])
	}
	return r
}

// An adapter that starts again at any moment says what the one before it said. The one thing that it cannot know is the verdict on a chart
// that is being tried again at that very moment.
func TestRestartWithTheServersNodesChangesNothing(t *testing.T) {
	for _, rec := range recordings {
		t.Run(rec.file, func(t *testing.T) {
			live, now := newReplay(t, rec.region), latest{}
			live.take(0, live.cluster.Start())
			for i, ev := range events(t, rec.file) {
				live.apply(ev)
				now.see(ev)
				if i%10 != 0 {
					continue
				}
				held, _ := live.cluster.State()
				again := now.restart(t, rec.region, held)
				nodes, _ := again.cluster.State()
				for j, n := range nodes {
					if got, want := withoutChart(n), withoutChart(held[j]); got != want {
						t.Fatalf("after event %d a restart makes\n%s\nof\n%s", i, got, want)
					}
				}
			}
		})
	}
}

func withoutChart(n flow.Node) string {
	s := n.JSON()
	if i := strings.Index(s, `"chart":{`); i >= 0 {
		s = s[:i] + s[i+strings.Index(s[i:], "}"):]
	}
	return s
}

// Without the server's nodes, an object still shows when its last run ended, and when its last attempt began: status.history says so up to a second
// later than the condition that was there at the time.
func TestRestartWithoutTheServersNodes(t *testing.T) {
	for _, rec := range recordings[:2] {
		t.Run(rec.file, func(t *testing.T) {
			live, now := play(t, rec.file, rec.region), latest{}
			for _, ev := range events(t, rec.file) {
				now.see(ev)
			}
			want, _ := live.cluster.State()
			nodes, _ := now.restart(t, rec.region, nil).cluster.State()
			for i, n := range nodes {
				if late := n.StartedAt.Ms() - want[i].StartedAt.Ms(); late < 0 || late > 1000 || n.EndedAt != want[i].EndedAt {
					wantTimes(t, n, want[i].StartedAt, want[i].EndedAt)
				}
				if n.ID != rec.region {
					wantMeta(t, n, map[string]any{"startedAtIsLowerBound": true})
				}
			}
		})
	}
}

// A replay into a server that still holds the end of the one before ends there again.
func TestReplayOnTopOfItself(t *testing.T) {
	for _, rec := range recordings {
		t.Run(rec.file, func(t *testing.T) {
			first := play(t, rec.file, rec.region)
			held, _ := first.cluster.State()
			second := newReplay(t, rec.region)
			second.held = first.held
			second.cluster.Seed(held)
			want := first.held.Snapshot().JSON()
			second.take(0, second.cluster.Start())
			for _, ev := range events(t, rec.file) {
				second.apply(ev)
			}
			if got := second.held.Snapshot().JSON(); got != want {
				t.Errorf("it ended in\n%s\nand then in\n%s", want, got)
			}
		})
	}
}
