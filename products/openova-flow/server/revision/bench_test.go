package revision_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/internal/recorded"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// fold applies messages to a state, a tracker of rollouts and perhaps a tracker of revisions.
type fold struct {
	state     *flow.State
	rollouts  *rollout.Tracker
	revisions *revision.Tracker // may be nil
}

func newFold(with bool) *fold {
	f := &fold{state: flow.NewState("bootstrap", 0), rollouts: rollout.NewTracker()}
	if with {
		f.revisions = revision.NewTracker()
	}
	return f
}

func (f *fold) apply(b *testing.B, at int64, text []byte) {
	m, err := flow.Decode("bootstrap", text)
	if err != nil {
		b.Fatal(err)
	}
	f.state.Apply(m)
	f.rollouts.Observe(f.state, at, m.Nodes, m.IDs)
	if f.revisions != nil {
		f.revisions.Observe(at, m.Nodes, m.IDs)
	}
}

// BenchmarkIngest decodes and folds what the adapter sends while real controllers install a platform by Kustomizations.
func BenchmarkIngest(b *testing.B) {
	messages := recorded.Messages(b, "real-a-bootstrap.events.jsonl")
	for _, with := range []bool{false, true} {
		b.Run(fmt.Sprintf("revisions=%v", with), func(b *testing.B) {
			f := newFold(with)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				f.apply(b, int64(i), messages[i%len(messages)])
			}
		})
	}
}

// BenchmarkPushes pushes 1,000 revisions to 100 regions, each with a source, a Kustomization and ten releases, of which a push changes one: 600,000
// messages. It reports the live memory after all of them.
func BenchmarkPushes(b *testing.B) {
	const pushes, regions, releases = 1000, 100, 10
	message := func(n flow.Node) []byte {
		text, _ := json.Marshal(map[string]any{"type": "upsert-nodes", "nodes": []any{n}})
		return text
	}
	live := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for _, with := range []bool{false, true} {
		b.Run(fmt.Sprintf("revisions=%v", with), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				before, earlier := live(), b.Elapsed()
				f := newFold(with)
				for push := range int64(pushes) {
					at, old, text := 1000+push*600, fmt.Sprintf("main@sha1:%040x", push), fmt.Sprintf("main@sha1:%040x", push+1)
					var all [][]byte
					for r := range regions {
						region, name := fmt.Sprintf("r%d", r), fmt.Sprintf("web%d", push%releases)
						generation := push/releases + 1
						for _, n := range []flow.Node{source(region, text, at), kustomization(region, "apps", text, old, "running", at+1, 0), release(region, name, generation+1, generation, "succeeded", 1, 2),
							kustomization(region, "apps", text, text, "succeeded", at+1, at+3), release(region, name, generation+1, generation, "running", at+3, 0),
							release(region, name, generation+1, generation+1, "succeeded", at+3, at+60)} {
							n.FlowID = "bootstrap"
							all = append(all, message(n))
						}
					}
					b.StartTimer()
					for _, m := range all {
						f.apply(b, at*second, m)
					}
					b.StopTimer()
				}
				b.ReportMetric((live()-before)/(1<<20), "live-MiB")
				if with {
					b.ReportMetric(float64(f.revisions.Bytes())/(1<<20), "counted-MiB")
					b.ReportMetric(float64(len(f.revisions.Revisions(nil, revision.Keep))), "revisions")
				}
				b.ReportMetric(float64((b.Elapsed()-earlier).Nanoseconds())/(pushes*regions*6), "ns/message")
				runtime.KeepAlive(f)
				b.StartTimer()
			}
		})
	}
}
