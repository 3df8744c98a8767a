package durability

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/internal/natstest"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

var long = flag.Bool("long", false, "post more messages, and repeat failures more often")

// TestReplicas_AgreeAfterFailures posts at a steady rate to three replicas on a cluster of three NATS servers, each a process, while chaos causes failures.
// At the end the acknowledged messages, the state of every replica and the state of every subscriber are equal.
func TestReplicas_AgreeAfterFailures(t *testing.T) {
	const emitters, flows, subscribers = 8, 20, 200
	perSecond, batch, pause, rounds := 1000, 25, 1500*time.Millisecond, 1
	if *long {
		perSecond, batch, pause, rounds = 5000, 50, 4*time.Second, 2
	}
	cluster := natstest.Start(t, 3)
	var replicas []*process
	var wires []*natstest.Wire
	var urls []string
	for range 3 {
		w := natstest.NewWire(t, cluster.Addr(0), cluster.Addr(1), cluster.Addr(2))
		p := newProcess(t, []string{"NATS_URL=" + w.URL()}, "--stream-replicas=3", "--ring-capacity=1024")
		p.start()
		replicas, wires, urls = append(replicas, p), append(wires, w), append(urls, p.url(""))
	}
	for _, p := range replicas {
		p.ready()
	}
	var ids []string
	for i := range flows {
		ids = append(ids, fmt.Sprintf("prod.%02d:x", i))
	}
	l := startLoad(t, ids, urls, emitters, batch, time.Second*time.Duration(emitters*batch)/time.Duration(perSecond), subscribers)
	for round := range rounds {
		chaos(t, cluster, replicas, wires, pause, round)
	}
	time.Sleep(pause)
	l.stopEmitters()

	want := make(map[string]string) // the fold of the acknowledged messages, by flow
	for _, id := range ids {
		want[id] = acknowledged(id, l.emitters)
	}
	for i, p := range replicas {
		for _, id := range ids {
			eventually(t, fmt.Sprintf("replica %d has all acknowledged messages of %s", i, id), func() bool {
				return elementsOf(t, id, snapshotOf(p, id)) == want[id]
			})
			onceEach(t, p, id)
		}
	}
	snapshots := make(map[string]string)
	for _, id := range ids {
		snapshots[id] = snapshotOf(replicas[0], id)
		for i := range replicas {
			if got := snapshotOf(replicas[i], id); got != snapshots[id] {
				t.Errorf("snapshot of %s at replica %d:\n%s\nat replica 0:\n%s", id, i, got, snapshots[id])
			}
			if got, want := versionOf(replicas[i], id), versionOf(replicas[0], id); got != want {
				t.Errorf("version of %s at replica %d: %s, at replica 0: %s", id, i, got, want)
			}
			agreeOnHistory(t, id, replicas[i], replicas[0])
		}
	}
	l.checkSubscribers(snapshots)
	l.report()
}

// chaos causes each failure once.
func chaos(t *testing.T, cluster *natstest.Cluster, replicas []*process, wires []*natstest.Wire, pause time.Duration, round int) {
	t.Helper()
	conn := cluster.Connect()
	defer conn.Close()
	one := round % 3

	time.Sleep(pause)
	t.Log("kill a replica")
	replicas[one].kill()
	time.Sleep(pause)
	replicas[one].start()

	time.Sleep(pause)
	t.Log("kill a NATS server")
	cluster.Kill(one)
	time.Sleep(pause)
	cluster.StartNode(one)

	time.Sleep(pause)
	t.Log("move the stream's leader")
	eventually(t, "the leader has stepped down", func() bool {
		answer, err := conn.Request("$JS.API.STREAM.LEADER.STEPDOWN.OPENOVA_FLOW", nil, 2*time.Second)
		return err == nil && strings.Contains(string(answer.Data), `"success":true`)
	})

	time.Sleep(pause)
	t.Log("cut a replica off from NATS")
	cut := (one + 1) % 3
	wires[cut].Cut(true)
	eventually(t, "/readyz is 503", func() bool {
		resp, err := http.Get(replicas[cut].url("/readyz"))
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusServiceUnavailable
	})
	time.Sleep(pause)
	wires[cut].Cut(false)

	for i, p := range replicas {
		time.Sleep(pause / 2)
		t.Log("restart replica", i)
		p.stop()
		p.start()
		p.ready()
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(testTimeout); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("timeout waiting for: " + what)
		}
	}
}

func snapshotOf(p *process, id string) string {
	text, _ := get(p.t, p.url("/v1/flows/"+id+"/snapshot"))
	return text
}

// versionOf returns the incarnation and the ETag, which contains the sequence number.
func versionOf(p *process, id string) string {
	_, header := get(p.t, p.url("/v1/flows/"+id+"/snapshot"))
	return header.Get("Flow-Incarnation") + " " + header.Get("ETag")
}

// agreeOnHistory waits until two replicas answer with the same rollouts and revisions of a flow: some of their states depend on the time too.
func agreeOnHistory(t *testing.T, id string, a, b *process) {
	t.Helper()
	for _, key := range []string{"rollouts", "revisions"} {
		eventually(t, fmt.Sprintf("replicas have equal %s of %s", key, id), func() bool {
			got := listOf(t, a, id, key)
			return got != "[]" && got == listOf(t, b, id, key)
		})
	}
}

// listOf returns a flow's rollouts or revisions without the time of the answer.
func listOf(t *testing.T, p *process, id, key string) string {
	t.Helper()
	var answer map[string]json.RawMessage
	text, _ := get(t, p.url("/v1/flows/"+id+"/"+key))
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer[key] == nil {
		t.Fatalf("%s of %s: %v in %s", key, id, err, text)
	}
	return string(answer[key])
}

// elementsOf returns the nodes and relationships of a snapshot, without the flow instance, which the server derives.
func elementsOf(t testing.TB, id, text string) string {
	m, err := flow.Decode(id, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return elements(m)
}

func elements(m *flow.Message) string {
	m.Sort()
	var b strings.Builder
	for _, n := range m.Nodes {
		b.WriteString(n.JSON() + "\n")
	}
	for _, r := range m.Relationships {
		b.WriteString(r.JSON() + "\n")
	}
	return b.String()
}

// acknowledged folds the acknowledged POSTs of all emitters to a flow. Each emitter has its own nodes, so the order between emitters does not matter.
func acknowledged(id string, all []*emitter) string {
	sum := &flow.Message{Type: flow.TypeSnapshot}
	for _, e := range all {
		if s := e.folded[id]; s != nil {
			m := s.Collect()
			sum.Nodes = append(sum.Nodes, m.Nodes...)
			sum.Relationships = append(sum.Relationships, m.Relationships...)
		}
	}
	return elements(sum)
}

// has reports whether the subscriber's state equals a snapshot.
func (sub *subscriber) has(snapshot string) bool {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	return sub.state != nil && sub.state.Snapshot().JSON() == snapshot
}

// onceEach checks that sequence numbers rise and that no message is in the ring twice. Each message of an emitter contains a unique number.
func onceEach(t *testing.T, p *process, id string) {
	t.Helper()
	var held struct {
		Events []struct {
			Seq     int64
			Message json.RawMessage
		}
	}
	text, _ := get(t, p.url("/v1/flows/"+id+"/events"))
	if err := json.Unmarshal([]byte(text), &held); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	last := int64(0)
	for _, e := range held.Events {
		m := string(e.Message)
		if strings.Contains(m, `"nr":`) && seen[m] || e.Seq <= last {
			t.Errorf("%s: seq %d after %d, or applied twice: %s", id, e.Seq, last, m)
		}
		seen[m], last = true, e.Seq
	}
}

// load has the emitters and subscribers of some flows. Each request goes to a random replica.
type load struct {
	t           *testing.T
	emitters    []*emitter
	subscribers []*subscriber
	took        time.Duration // from the start until stopEmitters

	stopEmitters, stopSubscribers func() // they return when all have ended
}

// startLoad starts emitters, each of which posts a batch of messages at an interval, and subscribers. The end of the test stops them.
func startLoad(t *testing.T, flows, urls []string, emitters, batch int, interval time.Duration, subscribers int) *load {
	posts := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: emitters}, Timeout: 20 * time.Second}
	streams := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: subscribers}}
	t.Cleanup(posts.CloseIdleConnections)
	t.Cleanup(streams.CloseIdleConnections)
	posting, endPosting := context.WithCancel(t.Context())
	watching, endWatching := context.WithCancel(t.Context())
	var posted, watched sync.WaitGroup
	l := &load{t: t}
	began := time.Now()
	l.stopEmitters = sync.OnceFunc(func() { endPosting(); posted.Wait(); l.took = time.Since(began) })
	l.stopSubscribers = sync.OnceFunc(func() { endWatching(); watched.Wait() })
	t.Cleanup(l.stopEmitters)
	t.Cleanup(l.stopSubscribers)
	for i := range emitters {
		e := &emitter{number: i, flows: flows, urls: urls, client: posts, batch: batch, every: interval}
		l.emitters = append(l.emitters, e)
		posted.Go(func() {
			if err := e.run(posting, rand.New(rand.NewPCG(uint64(i), 3))); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range subscribers {
		sub := &subscriber{flowID: flows[i%len(flows)], urls: urls, client: streams}
		l.subscribers = append(l.subscribers, sub)
		watched.Go(func() { sub.run(watching, rand.New(rand.NewPCG(uint64(i), 7))) })
	}
	return l
}

// checkSubscribers waits until each subscriber has the snapshot of its flow, and stops them.
func (l *load) checkSubscribers(snapshots map[string]string) {
	l.t.Helper()
	for i, sub := range l.subscribers {
		eventually(l.t, fmt.Sprintf("subscriber %d has the state of %s", i, sub.flowID), func() bool { return sub.has(snapshots[sub.flowID]) })
	}
	l.stopSubscribers()
}

// report logs what the load has measured, and fails the test if a subscriber has found a fault, or none has resumed. The load must be stopped.
func (l *load) report() {
	t := l.t
	t.Helper()
	var messages int64
	var repeats, frames, snapshots, resumes int
	var latencies []time.Duration
	longest := time.Duration(0)
	for _, e := range l.emitters {
		messages += e.messages.Load()
		repeats += e.repeats
		longest = max(longest, e.longest)
		latencies = append(latencies, e.latencies...)
	}
	for _, sub := range l.subscribers {
		if sub.fault != nil {
			t.Error(sub.fault)
		}
		frames += sub.frames
		snapshots += sub.snapshots
		resumes += sub.resumes
	}
	slices.Sort(latencies)
	t.Logf("%d messages acknowledged in %s (%.0f a second), %d POSTs repeated; latency %s (p50), %s (p99), %s (max)",
		messages, l.took.Round(time.Second), float64(messages)/l.took.Seconds(), repeats, latencies[len(latencies)/2], latencies[len(latencies)*99/100], longest)
	t.Logf("%d subscribers: %d frames, %d resumes, %d snapshots instead of missed messages", len(l.subscribers), frames, resumes, snapshots)
	if resumes == 0 {
		t.Error("no subscriber resumed")
	}
}
