package rollout_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// randomStep applies the same random change to all benches.
func randomStep(r *rand.Rand, at int64, benches ...*bench) {
	const ids = 8
	pick := func() string { return fmt.Sprint("n", r.IntN(ids)) }
	switch r.IntN(8) {
	case 0:
		id := pick()
		for _, b := range benches {
			b.remove(at, id)
		}
		return
	case 1:
		from, to := pick(), pick()
		typ := []flow.RelType{flow.FinishToStart, flow.FinishToStart, flow.Contains}[r.IntN(3)]
		for _, b := range benches {
			b.state.Apply(flow.UpsertRels(flow.Relationship{FromID: from, ToID: to, Type: typ}))
		}
		return
	}
	var nodes []flow.Node
	for range 1 + r.IntN(3) {
		status := []string{"pending", "running", "running", "succeeded", "failed"}[r.IntN(5)]
		var started, ended int64
		if r.IntN(3) > 0 {
			started = max(1, at-r.Int64N(3*minute))
		}
		if status == "succeeded" || status == "failed" {
			ended = started + r.Int64N(minute)
		}
		meta := []string{`"kind":"HelmRelease"`, `"kind":"Kustomization"`, waits, version("1", "2"), `"suspended":true`,
			fmt.Sprintf(`"judgement":{"state":"working","then":[{"at":%d,"state":"broken"}]}`, max(1, at+r.Int64N(2*minute)-minute)),
			`"judgement":{"state":"broken","gate":"wait"}`, `"judgement":{"state":"terminating"}`, `"auxiliary":true`}
		nodes = append(nodes, node(pick(), status, started, ended, meta[r.IntN(len(meta))]))
	}
	for _, b := range benches {
		b.put(at, nodes...)
	}
}

func TestRollouts_ChangesNothing(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 11))
		queried, unqueried := newBench(t), newBench(t)
		at := second
		for range 60 {
			at += r.Int64N(2 * minute)
			randomStep(r, at, queried, unqueried)
			if r.IntN(2) == 0 {
				queried.track.Rollouts(at + r.Int64N(5*minute))
			}
		}
		if got, want := queried.track.Rollouts(at), unqueried.track.Rollouts(at); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: with calls of Rollouts\n%+v\nwithout\n%+v", seed, got, want)
		}
	}
}

func TestRollouts_ResultIsNotChangedLater(t *testing.T) {
	b := newBench(t)
	b.put(2*second, node("x", "failed", second, 2*second), node("y", "failed", second, 2*second))
	b.put(2*day, node("a", "succeeded", 2*day, 2*day+second))
	ended := b.track.Rollouts(2*day + 10*minute)[0]
	b.put(2*day+11*minute, node("x", "succeeded", 2*day+2*second, 2*day+3*second)) // late, and in the same rollout
	if want := []string{"x", "y"}; ended.EndedAt.IsZero() || !slices.Equal(ended.AlreadyBroken, want) {
		t.Errorf("ended at %v, broken before: %q, want %q", ended.EndedAt, ended.AlreadyBroken, want)
	}
}

// TestResume_BehavesAsTheOriginal gives two trackers the same history, and now and then replaces one by a copy
// restored from its encoded Memory.
func TestResume_BehavesAsTheOriginal(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 12))
		plain, again := newBench(t), newBench(t)
		at := second
		for step := range 80 {
			at += r.Int64N(2 * minute)
			randomStep(r, at, plain, again)
			if r.IntN(4) == 0 {
				text, err := json.Marshal(again.track.Memory())
				if err != nil {
					t.Fatal(err)
				}
				var m rollout.Memory
				if err := json.Unmarshal(text, &m); err != nil {
					t.Fatal(err)
				}
				state := flow.NewState("F", 0)
				state.Apply(again.state.Snapshot())
				again.state, again.track = state, rollout.Resume(m, state)
			}
			if got, want := again.track.Rollouts(at), plain.track.Rollouts(at); !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, step %d: resumed\n%+v\nwant\n%+v", seed, step, got, want)
			}
		}
	}
}

func TestObserve_UnchangedNodeChangesNothing(t *testing.T) {
	again := 0
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 13))
		b := newBench(t)
		at := second
		for step := range 60 {
			at += r.Int64N(2 * minute)
			randomStep(r, at, b)
			nodes := b.state.Snapshot().Nodes
			if len(nodes) == 0 {
				continue
			}
			n := nodes[r.IntN(len(nodes))]
			if n.Status == flow.StatusRunning || n.Status == flow.StatusPending { // only these can wait
				continue
			}
			b.put(at, n)
			before := b.track.Memory()
			b.put(at, n)
			if after := b.track.Memory(); !reflect.DeepEqual(before, after) {
				t.Fatalf("seed %d, step %d: %s again\n%+v\nbefore\n%+v", seed, step, n.ID, after, before)
			}
			again++
		}
	}
	if again == 0 {
		t.Error("no node was put twice")
	}
}

func TestResume_IgnoresUnknownNodes(t *testing.T) {
	b := newBench(t)
	b.put(second, node("a", "running", second, 0))
	m := rollout.Memory{Containers: []string{"gone"}, Active: []string{"gone", "a"},
		Open: &rollout.Open{Rollout: rollout.Rollout{ID: "x", StartedAt: 5, Members: []rollout.Member{{ID: "gone"}, {ID: "gone"}}}}}
	b.track = rollout.Resume(m, b.state)
	b.put(2*second, node("gone", "succeeded", second, 2*second))
	b.put(3*second, node("a", "succeeded", second, 3*second))
	if got := b.track.Rollouts(3*second + minute); len(got) != 1 || got[0].EndedAt.IsZero() {
		t.Errorf("%+v", got)
	}
}

func TestTracker_WaitingNodesJoinInOneOrder(t *testing.T) {
	for _, order := range [][]string{{"w1", "w2", "w3"}, {"w3", "w1", "w2"}} {
		b := newBench(t)
		for _, id := range order {
			b.depends("a", id)
		}
		b.put(second, node("w2", "running", 0, 0, waits), node("w3", "running", 0, 0, waits), node("w1", "running", 0, 0, waits))
		b.put(2*second, node("a", "running", 2*second, 0))
		var got []string
		for _, m := range b.track.Rollouts(2 * second)[0].Members {
			got = append(got, m.ID)
		}
		if want := []string{"a", "w1", "w2", "w3"}; !slices.Equal(got, want) {
			t.Errorf("edges made to %v: joined %v", order, got)
		}
	}
}
