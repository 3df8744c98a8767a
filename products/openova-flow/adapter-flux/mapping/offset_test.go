package mapping_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/recording"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

const tenMinutes = 600_000

// clockBehind returns the events of a recording with the times of a clock that is ten minutes behind.
func clockBehind(t *testing.T, file string) []mapping.Event {
	var all []mapping.Event
	back := recording.Rebase{Recorded: tenMinutes}
	for _, ev := range events(t, file) {
		all = append(all, mapping.Event{At: flow.At(back.Time(ev.At.Ms())), Type: ev.Type, Object: back.Object(ev.Object)})
	}
	return all
}

// lastRenewal is the last renewal of a controller that is down, by the flow server's clock: 1970-01-01 01:00 UTC.
const lastRenewal = 3_600_000

// setOffset sets the clock offset, and a controller that is down since lastRenewal.
func setOffset(c *mapping.Cluster, ms int64) []mapping.Change {
	down := c.SetInfo(mapping.RegionInfo{Down: []mapping.Controller{{Lease: "source-controller-leader-election", Renewed: flow.At(lastRenewal - ms)}}})
	return append(down, c.SetClockOffset(ms)...)
}

// withoutOffset checks the offset in the nodes, and returns the nodes without it.
func withoutOffset(t *testing.T, nodes []flow.Node, want int64) []string {
	t.Helper()
	var all []string
	for _, n := range nodes {
		m := meta(t, n)
		if got, _ := m["clockOffset"].(float64); int64(got) != want {
			t.Errorf("%s: clockOffset is %v, want %d", n.ID, m["clockOffset"], want)
		}
		delete(m, "clockOffset")
		text, _ := json.Marshal(m)
		bare := flow.Node{ID: n.ID, FlowID: n.FlowID, Label: n.Label, Status: n.Status, Family: n.Family, Region: n.Region, StartedAt: n.StartedAt, EndedAt: n.EndedAt, Meta: flow.Object(text)}
		all = append(all, bare.JSON())
	}
	return all
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d nodes, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("got\n%s\nwant\n%s", got[i], want[i])
			return
		}
	}
}

// TestClockOffset_NodesDoNotDependOnTheClock compares the nodes of two clusters whose clocks differ.
func TestClockOffset_NodesDoNotDependOnTheClock(t *testing.T) {
	for _, rec := range recordings {
		t.Run(rec.file, func(t *testing.T) {
			right, wrong := newReplay(t, rec.region), newReplay(t, rec.region)
			right.take(0, setOffset(right.cluster, 0))
			behind := clockBehind(t, rec.file)
			for i, ev := range events(t, rec.file) {
				right.apply(ev)
				if i == len(behind)/2 {
					wrong.take(0, setOffset(wrong.cluster, tenMinutes))
				}
				wrong.apply(behind[i])
			}
			nodes, rels := right.cluster.State()
			want := withoutOffset(t, nodes, 0)
			nodes, gotRels := wrong.cluster.State()
			same(t, withoutOffset(t, nodes, tenMinutes), want)
			same(t, withoutOffset(t, wrong.held.Snapshot().Nodes, tenMinutes), want)
			if !slices.Equal(rels, gotRels) {
				t.Error("other relationships")
			}
		})
	}
}

func TestClockOffset_ChangeSendsEachNodeOnce(t *testing.T) {
	r := play(t, "kit-fsn1", "fsn1")
	changes := r.cluster.SetClockOffset(tenMinutes)
	sent := map[string]int{}
	for _, c := range changes {
		if c.Node == nil {
			t.Fatalf("unexpected change: %+v", c)
		}
		sent[c.Node.ID]++
	}
	nodes, _ := r.cluster.State()
	for _, n := range nodes {
		if sent[n.ID] != 1 {
			t.Errorf("%s is sent %d times", n.ID, sent[n.ID])
		}
	}
	if again := r.cluster.SetInfo(mapping.RegionInfo{ClusterUID: "c"}); len(again) != 1 || mapping.ClockOffset("fsn1", []flow.Node{*again[0].Node}) != tenMinutes {
		t.Errorf("another info of the region: %d changes", len(again))
	}
	if again := r.cluster.SetClockOffset(tenMinutes); len(again) > 0 {
		t.Errorf("the same offset again: %d changes", len(again))
	}
}

// TestClockOffset_SeedIsReadByItsOwnOffset continues from nodes that a process with another offset has written.
func TestClockOffset_SeedIsReadByItsOwnOffset(t *testing.T) {
	for _, rec := range recordings {
		t.Run(rec.file, func(t *testing.T) {
			all := clockBehind(t, rec.file)
			half := len(all) / 2
			restarted := func(before int64) []flow.Node {
				first, now := newReplay(t, rec.region), latest{}
				first.take(0, setOffset(first.cluster, before))
				for _, ev := range all[:half] {
					first.apply(ev)
					now.see(ev)
				}
				held, _ := first.cluster.State()
				if got := mapping.ClockOffset(rec.region, held); got != before {
					t.Errorf("the offset of the region is %d, want %d", got, before)
				}
				second := now.restart(t, rec.region, held)
				for _, ev := range all[half:] {
					second.apply(ev)
				}
				nodes, _ := second.cluster.State()
				return nodes
			}
			same(t, withoutOffset(t, restarted(tenMinutes), 0), withoutOffset(t, restarted(0), 0))
		})
	}
}

func TestClockOffset_IsZeroWithoutARegionNode(t *testing.T) {
	nodes := []flow.Node{{ID: "b", Meta: `{"clockOffset":7000}`}, {ID: "c", Meta: `{`}, {ID: "d", Meta: `{"clockOffset":"x"}`}}
	for region, want := range map[string]int64{"a": 0, "b": 7000, "c": 0, "d": 0} {
		if got := mapping.ClockOffset(region, nodes); got != want {
			t.Errorf("%s: %d, want %d", region, got, want)
		}
	}
}

func TestClockOffset_MovesTheTimeInASentence(t *testing.T) {
	for _, by := range []int64{0, tenMinutes, -tenMinutes} {
		w := newWorld(t)
		w.put(artifact(t, "GitRepository", "flux-system", "fleet", "True", "Succeeded"))
		w.take(setOffset(w.Cluster, 0))
		w.take(setOffset(w.Cluster, by))
		n := w.must("fsn1/Controller/flux-system/source-controller")
		wantMeta(t, n, map[string]any{"renewedAt": lastRenewal})
		if !strings.Contains(string(n.Meta), "1970-01-01 01:00 UTC") {
			t.Errorf("by %d: %s", by, n.Meta)
		}
	}
}
