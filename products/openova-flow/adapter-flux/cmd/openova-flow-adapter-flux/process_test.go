package main

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/recording"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch/apitest"
)

// cluster is clusterWithUID for tests in which the UID does not matter.
func cluster(t testing.TB) (*apitest.Server, string) {
	t.Helper()
	return clusterWithUID(t, "cluster-1")
}

func kubeconfigOf(t testing.TB, s *apitest.Server) string {
	t.Helper()
	return kubeconfigAt(t, s, s.URL())
}

// kubeconfigAt writes a kubeconfig for s, reached at url.
func kubeconfigAt(t testing.TB, s *apitest.Server, url string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c","clusters":[{"name":"k","cluster":{"server":%q,"certificate-authority-data":%q}}],`+
		`"contexts":[{"name":"c","context":{"cluster":"k","user":"u"}}],"users":[{"name":"u","user":{"token":"t"}}]}`, url, base64.StdEncoding.EncodeToString(s.CA()))
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t *testing.T, s *apitest.Server, file string) (events int) {
	t.Helper()
	f, err := os.Open(recordings + file + ".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	resource := map[string]watch.Kind{}
	for _, k := range watch.Kinds {
		resource[k.Name] = k
	}
	for r := recording.NewReader(f); ; {
		e, err := r.Next()
		if err != nil {
			return events // io.EOF: other tests read these files completely
		}
		events++
		gvr := resource[e.Object.GetKind()].Resource
		if e.Type == mapping.Deleted {
			s.Delete(gvr, e.Object.GetNamespace(), e.Object.GetName(), false)
		} else {
			s.Put(gvr, e.Object.Object)
		}
	}
}

// total returns the sum of a metric over all labels.
func total(metrics, name string) (sum int) {
	for line := range strings.Lines(metrics) {
		if labelled, value, _ := strings.Cut(line, "} "); strings.HasPrefix(labelled, name+"{") {
			n, _ := strconv.Atoi(strings.TrimSpace(value))
			sum += n
		}
	}
	return sum
}

// startAdapter starts the adapter's program. Variables in extra take precedence.
func startAdapter(t testing.TB, server, health, kubeconfig string, extra ...string) *process {
	t.Helper()
	env := append([]string{
		"FLOW_SERVER_URL=http://" + server, "FLOW_ID=env-1", "REGION_KEY=fsn1", "EMIT_INTERVAL=20ms", "HEALTH_LISTEN_ADDR=" + health, "KUBECONFIG=" + kubeconfig,
	}, extra...)
	return spawn(t, env, adapterBinary)
}

func ready(health string) func() bool {
	return func() bool { code, _ := get("http://" + health + "/readyz"); return code == http.StatusOK }
}

func TestRun_ServerGetsTheStateOfTheCluster(t *testing.T) {
	t.Parallel()
	k8s, kubeconfig := cluster(t)
	addr, health := freeAddr(t), freeAddr(t)
	server := flowServer(t, addr)
	adapter := startAdapter(t, addr, health, kubeconfig, "LEADER_ELECTION=true")
	eventually(t, "ready", adapter.out, ready(health))
	write(t, k8s, "kit-fsn1")
	want := truth(t, "fsn1", "kit-fsn1")
	hasFinalState := func() bool {
		m := snapshot(t, addr, "env-1")
		return m != nil && maps.Equal(statuses(m.Nodes), want)
	}
	eventually(t, "the server has the final state", adapter.out, hasFinalState)

	var metrics string
	eventually(t, "all events are mapped", adapter.out, func() bool {
		_, metrics = get("http://" + health + "/metrics")
		return strings.Contains(metrics, "\nflow_adapter_queue_length 0\n")
	})
	for _, name := range []string{`flow_adapter_events_total{kind="HelmRelease",type="MODIFIED"}`, "flow_adapter_leader 1",
		"flow_adapter_mapping_errors_total 0", "flow_adapter_posts_total", "flow_adapter_build_info"} {
		if !strings.Contains(metrics, name) {
			t.Errorf("no %s in the metrics", name)
		}
	}
	if code, _ := get("http://" + health + "/healthz"); code != http.StatusOK {
		t.Errorf("healthz is %d", code)
	}

	// An empty server gets everything again, although nothing changes in the cluster.
	server.kill()
	eventually(t, "not ready without a server", adapter.out, func() bool {
		code, why := get("http://" + health + "/readyz")
		return code == http.StatusServiceUnavailable && why != ""
	})
	flowServer(t, addr)
	eventually(t, "the restarted server has the final state", adapter.out, hasFinalState)
	eventually(t, "ready again", adapter.out, ready(health))

	if adapter.terminate(t); adapter.exitErr != nil {
		t.Errorf("after SIGTERM: %v\n%s", adapter.exitErr, adapter.out)
	}
}

// TestRun_EndsAfterSIGTERM: changes before SIGTERM are still sent. Without a server or cluster, the adapter ends after a limited time.
func TestRun_EndsAfterSIGTERM(t *testing.T) {
	t.Parallel()
	t.Run("sends the last changes", func(t *testing.T) {
		k8s, kubeconfig := cluster(t)
		addr, health := freeAddr(t), freeAddr(t)
		flowServer(t, addr)
		const before = 100 // so many changes that the whole interval follows their POST
		for i := range before {
			k8s.Put(watch.Kinds[0].Resource, object(i, "True", "at rest"))
		}
		adapter := startAdapter(t, addr, health, kubeconfig, "EMIT_INTERVAL=1m")
		eventually(t, "ready", adapter.out, ready(health))
		eventually(t, "the first POST is sent, and the interval begins", adapter.out, func() bool { return snapshot(t, addr, "env-1") != nil })
		written := write(t, k8s, "kit-hel1")
		eventually(t, "all events are mapped", adapter.out, func() bool {
			_, m := get("http://" + health + "/metrics")
			return total(m, "flow_adapter_events_total") == before+written && strings.Contains(m, "flow_adapter_queue_length 0")
		})
		if got := len(snapshot(t, addr, "env-1").Nodes); got > before+1 {
			t.Fatalf("the server already has %d nodes: the interval did not delay them", got)
		}
		if adapter.terminate(t); adapter.exitErr != nil {
			t.Errorf("the adapter ended with %v:\n%s", adapter.exitErr, adapter.out)
		}
		got, want := statuses(snapshot(t, addr, "env-1").Nodes), map[string]string{}
		maps.DeleteFunc(got, func(id, _ string) bool { return strings.HasPrefix(id, "fsn1/app-") })
		for id, status := range truth(t, "hel1", "kit-hel1") {
			want["fsn1"+strings.TrimPrefix(id, "hel1")] = status
		}
		if !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	t.Run("while the flow server is down", func(t *testing.T) {
		k8s, kubeconfig := cluster(t)
		write(t, k8s, "kit-hel1")
		health := freeAddr(t)
		adapter := startAdapter(t, freeAddr(t), health, kubeconfig)
		eventually(t, "/readyz has the cause", adapter.out, func() bool {
			code, why := get("http://" + health + "/readyz")
			return code == http.StatusServiceUnavailable && strings.Contains(why, "refused")
		})
		if adapter.terminate(t); adapter.exitErr != nil {
			t.Errorf("the adapter ended with %v:\n%s", adapter.exitErr, adapter.out)
		}
	})
	t.Run("while the cluster is down", func(t *testing.T) {
		k8s, kubeconfig := cluster(t)
		k8s.Close()
		health := freeAddr(t)
		adapter := startAdapter(t, freeAddr(t), health, kubeconfig)
		eventually(t, "/readyz has the cause", adapter.out, func() bool {
			code, why := get("http://" + health + "/readyz")
			return code == http.StatusServiceUnavailable && strings.Contains(why, k8s.URL()) && strings.Contains(why, "helmreleases.helm.toolkit.fluxcd.io")
		})
		if adapter.terminate(t); adapter.exitErr != nil {
			t.Errorf("the adapter ended with %v:\n%s", adapter.exitErr, adapter.out)
		}
	})
}

// TestRun_OtherPodTakesOver stops the leader of two pods: the other leads at once.
func TestRun_OtherPodTakesOver(t *testing.T) {
	t.Parallel()
	k8s, kubeconfig := cluster(t)
	addr, health1, health2 := freeAddr(t), freeAddr(t), freeAddr(t)
	flowServer(t, addr)
	leads := func(health string) bool {
		_, m := get("http://" + health + "/metrics")
		return strings.Contains(m, "\nflow_adapter_leader 1")
	}
	first := startAdapter(t, addr, health1, kubeconfig, "LEADER_ELECTION=true", "POD_NAME=one")
	eventually(t, "the first leads", first.out, func() bool { return leads(health1) })
	second := startAdapter(t, addr, health2, kubeconfig, "LEADER_ELECTION=true", "POD_NAME=two")
	eventually(t, "the second is ready to take over", second.out, ready(health2))
	if leads(health2) {
		t.Fatal("both lead")
	}
	first.terminate(t)
	stopped := time.Now()
	eventually(t, "the second leads", second.out, func() bool { return leads(health2) })
	if took := time.Since(stopped); took >= 15*time.Second {
		t.Errorf("took over after %v, so only when the Lease had expired", took)
	}
	write(t, k8s, "kit-fsn1")
	want := truth(t, "fsn1", "kit-fsn1")
	eventually(t, "the second reports", second.out, func() bool {
		m := snapshot(t, addr, "env-1")
		return m != nil && maps.Equal(statuses(m.Nodes), want)
	})
}

// TestRun_LeaderWithoutConnectionIsReplaced breaks the connection of the leader of two pods to the flow server.
func TestRun_LeaderWithoutConnectionIsReplaced(t *testing.T) {
	takeover(t, func(gateway *httptest.Server, _ *atomic.Bool) {
		gateway.CloseClientConnections()
		gateway.Close()
	})
}

// TestRun_LeaderWithoutPOSTsIsReplaced has a gateway between the leader of two pods and the flow server that forwards everything except POSTs.
func TestRun_LeaderWithoutPOSTsIsReplaced(t *testing.T) {
	takeover(t, func(_ *httptest.Server, refuse *atomic.Bool) { refuse.Store(true) })
}

func takeover(t *testing.T, interrupt func(gateway *httptest.Server, refuse *atomic.Bool)) {
	t.Parallel()
	k8s, kubeconfig := cluster(t)
	addr, health1, health2 := freeAddr(t), freeAddr(t), freeAddr(t)
	flowServer(t, addr)
	var refuse atomic.Bool
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse.Load() && r.Method == http.MethodPost {
			http.Error(w, "no upstream", http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer gateway.Close()
	leads := func(health string) bool {
		_, m := get("http://" + health + "/metrics")
		return strings.Contains(m, "\nflow_adapter_leader 1")
	}
	first := startAdapter(t, strings.TrimPrefix(gateway.URL, "http://"), health1, kubeconfig, "LEADER_ELECTION=true", "POD_NAME=one", "REGION_TTL=5s")
	eventually(t, "the first leads", first.out, func() bool { return leads(health1) })
	second := startAdapter(t, addr, health2, kubeconfig, "LEADER_ELECTION=true", "POD_NAME=two", "REGION_TTL=5s")
	eventually(t, "the second is ready to take over", second.out, ready(health2))
	at := time.Now()
	interrupt(gateway, &refuse)
	write(t, k8s, "kit-fsn1")
	eventually(t, "the second leads", second.out, func() bool { return leads(health2) })
	if took := time.Since(at); took < 4*time.Second {
		t.Errorf("taken over after %v, before three renewals of the claim failed", took)
	}
	want := truth(t, "fsn1", "kit-fsn1")
	eventually(t, "the second reports", second.out, func() bool {
		m := snapshot(t, addr, "env-1")
		return m != nil && maps.Equal(statuses(m.Nodes), want)
	})
	eventually(t, "the first no longer leads", first.out, func() bool { return !leads(health1) })
}

func TestRun_HealthCanBeOff(t *testing.T) {
	k8s, kubeconfig := cluster(t)
	addr := freeAddr(t)
	flowServer(t, addr)
	adapter := startAdapter(t, addr, "off", kubeconfig)
	write(t, k8s, "kit-fsn1")
	want := truth(t, "fsn1", "kit-fsn1")
	eventually(t, "the server has the final state", adapter.out, func() bool {
		m := snapshot(t, addr, "env-1")
		return m != nil && maps.Equal(statuses(m.Nodes), want)
	})
	if !strings.Contains(adapter.out.String(), `"health":"off"`) {
		t.Errorf("log:\n%s", adapter.out)
	}
	if adapter.terminate(t); adapter.exitErr != nil {
		t.Error(adapter.exitErr)
	}
}
