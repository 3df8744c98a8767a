package mapping_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/recording"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

var update = flag.Bool("update", false, "update the golden files")

// recordings are the files in testdata/recordings, with the region of their nodes.
var recordings = []struct{ file, region string }{
	{"kit-fsn1", "fsn1"},
	{"kit-hel1", "hel1"},
	{"scenarios", "scenarios"},
	{"real-a-bootstrap", "real"},
	{"real-b-scenarios", "real"},
	{"real-d-kustomizations", "real"},
}

// read caches the events of recordings, by file.
var read = map[string][]mapping.Event{}

// events returns the events of a recording, which is read only once. They must not be modified; TestApply_DoesNotModifyTheObject checks that the
// mapping does not.
func events(t testing.TB, file string) []mapping.Event {
	t.Helper()
	if all, ok := read[file]; ok {
		return all
	}
	f, err := os.Open("../testdata/recordings/" + file + ".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []mapping.Event
	for r := recording.NewReader(f); ; {
		ev, err := r.Next()
		if errors.Is(err, io.EOF) {
			read[file] = all
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ev)
	}
}

// replay is a recording, mapped and folded.
type replay struct {
	t       testing.TB
	cluster *mapping.Cluster
	held    *flow.State
	region  string
	t0      int64                  // second in which the recording begins, Unix milliseconds
	sent    []sent                 // every message
	nodes   map[string][]flow.Node // every version of a node that was sent
}

type sent struct {
	at      int64
	message *flow.Message
}

func newReplay(t testing.TB, region string, namespaces ...string) *replay {
	c := mapping.NewCluster(mapping.Config{FlowID: "bootstrap", Region: region, Namespaces: namespaces})
	return &replay{t: t, cluster: c, held: flow.NewState("bootstrap", 0), region: region, nodes: map[string][]flow.Node{}}
}

func (r *replay) take(at int64, changes []mapping.Change) {
	for _, m := range messages(r.t, "bootstrap", changes) {
		r.held.Apply(m)
		r.sent = append(r.sent, sent{at, m})
		for _, n := range m.Nodes {
			r.nodes[n.ID] = append(r.nodes[n.ID], n)
		}
	}
}

func (r *replay) apply(ev mapping.Event) []mapping.Change {
	r.t.Helper()
	changes, err := r.cluster.Apply(ev)
	if err != nil {
		r.t.Fatal(err)
	}
	r.take(ev.At.Ms(), changes)
	return changes
}

func play(t testing.TB, file, region string) *replay {
	t.Helper()
	all := events(t, file)
	r := newReplay(t, region)
	r.t0 = all[0].At.Ms() / 1000 * 1000
	r.take(all[0].At.Ms(), r.cluster.Start())
	for _, ev := range all {
		r.apply(ev)
	}
	return r
}

// truth is the final state of a release on the API server.
type truth struct {
	Name, Namespace, Ready, Reason, ChartVersion, SpecChartVersion, HistoryStatus string
	Stalled, Suspend                                                              bool
	Generation                                                                    int64
}

func (tr truth) status() string {
	failed := tr.Reason == "InstallFailed" || tr.Reason == "UpgradeFailed" || tr.Reason == "RetriesExhausted"
	switch {
	case tr.Ready == "True":
		return "succeeded"
	case tr.Stalled, tr.Ready == "False" && failed:
		return "failed"
	case tr.Ready == "":
		return "pending"
	}
	return "running"
}

func TestRecordings_EndWithTheStateOfTheAPIServer(t *testing.T) {
	for _, rec := range recordings[:2] {
		t.Run(rec.file, func(t *testing.T) {
			raw, err := os.ReadFile("../testdata/recordings/" + rec.file + ".truth.json")
			if err != nil {
				t.Fatal(err)
			}
			var want []truth
			if err := json.Unmarshal(raw, &want); err != nil {
				t.Fatal(err)
			}
			r := play(t, rec.file, rec.region)
			snapshot := r.held.Snapshot()
			if len(snapshot.Nodes) != len(want)+1 {
				t.Errorf("%d nodes, want the region and %d releases", len(snapshot.Nodes), len(want))
			}
			byID := map[string]flow.Node{}
			for _, n := range snapshot.Nodes {
				byID[n.ID] = n
			}
			worst := 0
			order := []string{"succeeded", "pending", "running", "failed"}
			for _, tr := range want {
				n := byID[rec.region+"/"+tr.Name]
				if n.Status != tr.status() {
					t.Errorf("%s is %q, want %q", tr.Name, n.Status, tr.status())
				}
				worst = max(worst, slices.Index(order, tr.status()))
				m := map[string]any{
					"kind": "HelmRelease", "namespace": tr.Namespace, "ready": tr.Ready, "reason": tr.Reason, "generation": tr.Generation,
					"versionWanted": tr.SpecChartVersion, "suspended": nil, "stalled": nil,
				}
				if tr.Suspend {
					m["suspended"] = true
				}
				if tr.Stalled {
					m["stalled"] = true
				}
				if tr.HistoryStatus == "deployed" {
					m["versionApplied"] = tr.ChartVersion
				}
				wantMeta(t, n, m)
			}
			if got := byID[rec.region].Status; got != order[worst] {
				t.Errorf("the region is %q, want %q", got, order[worst])
			}
			wantDependencies(t, rec.file, rec.region, snapshot.Relationships)
		})
	}
}

// wantDependencies compares the relationships with spec.dependsOn of each release's last version, read without the mapping.
func wantDependencies(t *testing.T, file, region string, got []flow.Relationship) {
	t.Helper()
	live := map[string][]string{}
	for _, ev := range events(t, file) {
		if ev.Object.GetKind() != "HelmRelease" {
			continue
		}
		name := ev.Object.GetName()
		delete(live, name)
		if ev.Type == mapping.Deleted {
			continue
		}
		spec, _ := ev.Object.Object["spec"].(map[string]any)
		deps, _ := spec["dependsOn"].([]any)
		live[name] = []string{fmt.Sprintf("%s/%s contains %s", region, name, region)}
		for _, d := range deps {
			dep := d.(map[string]any)["name"].(string)
			live[name] = append(live[name], fmt.Sprintf("%s/%s finish-to-start %s/%s", region, dep, region, name))
		}
	}
	want := []string{}
	for _, edges := range live {
		want = append(want, edges...)
	}
	have := []string{}
	for _, r := range got {
		have = append(have, fmt.Sprintf("%s %s %s", r.FromID, r.Type, r.ToID))
	}
	slices.Sort(want)
	slices.Sort(have)
	if !slices.Equal(have, want) {
		t.Errorf("edges are\n%q\nwant\n%q", have, want)
	}
}

func TestRecordings_RepeatedEventChangesNothing(t *testing.T) {
	for _, rec := range recordings {
		t.Run(rec.file, func(t *testing.T) {
			once, twice := play(t, rec.file, rec.region), newReplay(t, rec.region)
			twice.take(0, twice.cluster.Start())
			for i, ev := range events(t, rec.file) {
				twice.apply(ev)
				if extra := twice.apply(ev); len(extra) > 0 {
					t.Fatalf("event %d (%s %s) applied again makes %d changes", i, ev.Type, ev.Object.GetName(), len(extra))
				}
			}
			sameState(t, twice.held, once.held)
		})
	}
}

// TestRecordings_SameEventsSameMessages: messages depend only on the events, not on the order of maps.
func TestRecordings_SameEventsSameMessages(t *testing.T) {
	for _, rec := range recordings {
		t.Run(rec.file, func(t *testing.T) {
			var first []byte
			for i := range 3 {
				var b bytes.Buffer
				for _, s := range play(t, rec.file, rec.region).sent {
					fmt.Fprintln(&b, s.message.JSON())
				}
				if i == 0 {
					first = b.Bytes()
				} else if !bytes.Equal(first, b.Bytes()) {
					t.Error("the same events resulted in other messages")
				}
			}
		})
	}
}

func TestRecordings_StateEqualsFoldedMessages(t *testing.T) {
	for _, rec := range recordings {
		t.Run(rec.file, func(t *testing.T) {
			r := newReplay(t, rec.region)
			r.take(0, r.cluster.Start())
			for i, ev := range events(t, rec.file) {
				r.apply(ev)
				if i%50 != 0 {
					continue
				}
				nodes, edges := r.cluster.State()
				whole := flow.NewState("bootstrap", 0)
				whole.Apply(flow.UpsertNodes(nodes...))
				if len(edges) > 0 {
					whole.Apply(flow.UpsertRels(edges...))
				}
				sameState(t, r.held, whole)
			}
		})
	}
}

// TestRecordings_StateDoesNotDependOnTheOrderOfLists lists the last versions in random orders, since each kind is listed by itself.
func TestRecordings_StateDoesNotDependOnTheOrderOfLists(t *testing.T) {
	for _, rec := range recordings {
		t.Run(rec.file, func(t *testing.T) {
			all, now := events(t, rec.file), latest{}
			for _, ev := range all {
				now.see(ev)
			}
			var want []string
			for seed := range uint64(6) {
				keys := slices.Sorted(maps.Keys(now))
				rand.New(rand.NewPCG(seed, 10)).Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
				r := newReplay(t, rec.region)
				for _, k := range keys {
					r.apply(mapping.Event{At: all[len(all)-1].At, Type: mapping.Added, Object: now[k].Object})
				}
				var got []string
				nodes, rels := r.cluster.State()
				for _, n := range nodes {
					got = append(got, n.JSON())
				}
				for _, e := range rels {
					got = append(got, e.JSON())
				}
				if want == nil {
					want = got
				}
				same(t, got, want)
			}
		})
	}
}

func sameState(t *testing.T, got, want *flow.State) {
	t.Helper()
	if g, w := got.Snapshot().JSON(), want.Snapshot().JSON(); g != w {
		t.Fatalf("state is\n%s\nwant\n%s", g, w)
	}
}

// TestGolden: the golden files have every message for a recording, with the time of its event.
func TestGolden(t *testing.T) {
	for _, rec := range recordings {
		t.Run(rec.file, func(t *testing.T) {
			golden(t, play(t, rec.file, rec.region), rec.file+".events.jsonl")
		})
	}
}

// golden compares the messages of a replay with a golden file, which -update writes before.
func golden(t *testing.T, r *replay, file string) {
	t.Helper()
	var b bytes.Buffer
	for _, s := range r.sent {
		fmt.Fprintf(&b, "{\"at\":%d,\"message\":%s}\n", s.at, s.message.JSON())
	}
	path := "../testdata/golden/" + file
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	compareLines(t, b.Bytes(), want)
}

func compareLines(t *testing.T, got, want []byte) {
	t.Helper()
	g, w := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range min(len(g), len(w)) {
		if !bytes.Equal(g[i], w[i]) {
			at := 0 // the first difference
			for at < min(len(g[i]), len(w[i])) && g[i][at] == w[i][at] {
				at++
			}
			around := func(line []byte) []byte { return line[max(0, min(at, len(line))-100):min(at+100, len(line))] }
			t.Fatalf("line %d differs at byte %d:\n…%s…\nwant\n…%s…\ngo test ./mapping -run TestGolden -update accepts the new output", i+1, at, around(g[i]), around(w[i]))
		}
	}
	if len(g) != len(w) {
		t.Fatalf("%d lines, want %d", len(g), len(w))
	}
}
