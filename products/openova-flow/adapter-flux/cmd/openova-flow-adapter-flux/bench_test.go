package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
)

// changeNumber matches the number of a change in the message of a condition.
var changeNumber = regexp.MustCompile(`change (\d+)`)

// arrivals has the time of the first arrival of each change.
type arrivals struct {
	mu sync.Mutex
	at map[int]time.Time
}

// record records the changes whose numbers are in text.
func (a *arrivals) record(text string) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range changeNumber.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1])
		if _, again := a.at[n]; !again {
			a.at[n] = now
		}
	}
}

func (a *arrivals) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.at)
}

func (a *arrivals) String() string { return fmt.Sprint(a.count(), " changes were seen") }

// since returns the durations from the changes to their arrivals, sorted.
func (a *arrivals) since(changedAt []time.Time) []time.Duration {
	var lags []time.Duration
	for n, at := range a.at {
		lags = append(lags, at.Sub(changedAt[n]))
	}
	slices.Sort(lags)
	return lags
}

// object returns release i with the status and the message of its Ready condition.
func object(i int, ready, message string) map[string]any {
	return map[string]any{
		"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
		"metadata": map[string]any{"namespace": "flux-system", "name": fmt.Sprintf("app-%04d", i), "uid": fmt.Sprint("uid-", i), "generation": 1},
		"spec":     map[string]any{"interval": "5m"},
		"status": map[string]any{"observedGeneration": 1, "conditions": []any{
			map[string]any{"type": "Ready", "status": ready, "reason": "Progressing", "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1},
		}},
	}
}

// BenchmarkRun_LagBesideAWatch changes 1,000 releases at a steady rate and measures how long a change takes to a subscriber of the flow server and, for
// comparison, to a watch of the API server. An operation is one change.
func BenchmarkRun_LagBesideAWatch(b *testing.B) {
	for _, rate := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("changes=%d/s", rate), func(b *testing.B) { lagBesideAWatch(b, time.Second/time.Duration(rate)) })
	}
}

func lagBesideAWatch(b *testing.B, every time.Duration) {
	const releases = 1000
	k8s, kubeconfig := cluster(b)
	resource := watch.Kinds[0].Resource
	for i := range releases {
		k8s.Put(resource, object(i, "True", "at rest"))
	}
	addr, health := freeAddr(b), freeAddr(b)
	flowServer(b, addr)
	adapter := startAdapter(b, addr, health, kubeconfig, "EMIT_INTERVAL=")
	eventually(b, "all releases are mapped", adapter.out, func() bool {
		m := snapshot(b, addr, "env-1")
		return m != nil && len(m.Nodes) == releases+1
	})
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()

	watched, received := &arrivals{at: map[int]time.Time{}}, &arrivals{at: map[int]time.Time{}}
	client, err := dynamic.NewForConfig(k8s.Config())
	if err != nil {
		b.Fatal(err)
	}
	directWatch, err := client.Resource(resource).Watch(ctx, metav1.ListOptions{ResourceVersion: k8s.Version()})
	if err != nil {
		b.Fatal(err)
	}
	wg.Go(func() {
		for e := range directWatch.ResultChan() {
			if u, ok := e.Object.(*unstructured.Unstructured); ok {
				conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
				watched.record(fmt.Sprint(conditions))
			}
		}
	})
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/v1/flows/env-1/stream", nil)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	subscribed := make(chan struct{})
	wg.Go(func() {
		defer res.Body.Close()
		in := bufio.NewReaderSize(res.Body, 1<<20)
		first := sync.OnceFunc(func() { close(subscribed) })
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if strings.HasPrefix(line, "data: ") {
				received.record(line)
			}
			if strings.HasPrefix(line, "event: snapshot") {
				first()
			}
		}
	})
	<-subscribed

	posts := func() int {
		_, m := get("http://" + health + "/metrics")
		return total(m, "flow_adapter_posts_total")
	}
	before := posts()
	changedAt := make([]time.Time, b.N)
	tick := time.NewTicker(every)
	defer tick.Stop()
	b.ResetTimer()
	for n := range b.N {
		<-tick.C
		changedAt[n] = time.Now()
		k8s.Put(resource, object(n%releases, []string{"Unknown", "True"}[n/releases%2], fmt.Sprint("change ", n)))
	}
	eventually(b, "the watch and the subscriber have seen every change", received, func() bool { return watched.count() == b.N && received.count() == b.N })
	b.StopTimer()
	b.ReportMetric(float64(posts()-before)/b.Elapsed().Seconds(), "POSTs/s")
	for _, client := range []struct {
		name string
		*arrivals
	}{{"watch", watched}, {"subscriber", received}} {
		lags := client.since(changedAt)
		for _, q := range []int{50, 99} {
			b.ReportMetric(float64(lags[(len(lags)-1)*q/100].Microseconds())/1000, fmt.Sprintf("%s-p%d-ms", client.name, q))
		}
	}
	b.ReportMetric(0, "ns/op") // would only show the fixed rate
}

// BenchmarkRun_MemoryBesideFleet measures the peak memory of the adapter's process, with its own releases and with many nodes of other regions in
// the same flow.
func BenchmarkRun_MemoryBesideFleet(b *testing.B) {
	for _, n := range []struct{ own, foreign int }{{1, 0}, {1, 20_000}, {1, 50_000}, {1000, 0}, {5000, 0}, {5000, 50_000}} {
		b.Run(fmt.Sprintf("own=%d,foreign=%d", n.own, n.foreign), func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(float64(memoryBesideFleet(b, n.own, n.foreign))/1024, "peak-MiB")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// memoryBesideFleet returns the peak of resident memory in KiB.
func memoryBesideFleet(b *testing.B, own, foreign int) int {
	k8s, kubeconfig := cluster(b)
	for i := range own {
		k8s.Put(watch.Kinds[0].Resource, object(i, "True", "at rest"))
	}
	addr, health := freeAddr(b), freeAddr(b)
	server := spawn(b, []string{"FLOW_SERVER_LISTEN_ADDR=" + addr, "FLOW_SERVER_MAX_NODES=100000"}, serverBinary)
	defer server.kill()
	eventually(b, "the flow server is ready", server.out, func() bool {
		code, _ := get("http://" + addr + "/readyz")
		return code == http.StatusOK
	})
	for from := 0; from < foreign; from += 1000 {
		var nodes []string
		for i := range 1000 {
			nodes = append(nodes, fmt.Sprintf(`{"id":"other/app-%d","flowId":"env-1","label":"app","status":"running","region":"other","meta":{"message":%q}}`, from+i, strings.Repeat("x", 800)))
		}
		res, err := http.Post("http://"+addr+"/v1/flows/env-1/events", "application/json", strings.NewReader(`{"type":"upsert-nodes","nodes":[`+strings.Join(nodes, ",")+`]}`))
		if err != nil {
			b.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			b.Fatalf("the server answers %s", res.Status)
		}
	}
	adapter := startAdapter(b, addr, health, kubeconfig)
	defer adapter.kill()
	eventually(b, "all releases are on the server", adapter.out, func() bool {
		code, body := get("http://" + addr + "/v1/flows/env-1/snapshot?region=fsn1")
		return code == http.StatusOK && strings.Count(body, `"kind":"HelmRelease"`) == own
	})
	eventually(b, "ready", adapter.out, ready(health))
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", adapter.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "VmHWM:")
	var kib int
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		b.Fatal(err)
	}
	return kib
}
