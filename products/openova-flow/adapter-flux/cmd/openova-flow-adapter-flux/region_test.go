package main

import (
	"bufio"
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch/apitest"
	"github.com/openova-io/openova/products/openova-flow/server/claims"
)

// regionStream has the regions as the server's stream last reported them. It reconnects after restarts.
type regionStream struct {
	mu   sync.Mutex
	last claims.Regions
}

func follow(t *testing.T, addr, flowID string) *regionStream {
	t.Helper()
	v, ctx := &regionStream{}, t.Context()
	go func() {
		for ctx.Err() == nil {
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/v1/flows/"+flowID+"/stream", nil)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				time.Sleep(20 * time.Millisecond) // the server is down
				continue
			}
			v.read(bufio.NewReader(res.Body))
			res.Body.Close()
		}
	}()
	return v
}

func (v *regionStream) read(in *bufio.Reader) {
	for event := ""; ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), ": "); {
		case name == "event":
			event = value
		case name == "data" && event == "regions":
			var r claims.Regions
			if json.Unmarshal([]byte(value), &r) == nil {
				v.mu.Lock()
				v.last = r
				v.mu.Unlock()
			}
		}
	}
}

// String returns the last report about region fsn1.
func (v *regionStream) String() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	r, ok := v.last.Regions["fsn1"]
	if !ok {
		return "unclaimed"
	}
	text := r.State + " " + r.Cluster
	if r.Refused != nil {
		text += ", refused " + r.Refused.Cluster
	}
	return text
}

// shows returns a condition for eventually.
func (v *regionStream) shows(text string) func() bool {
	return func() bool { return v.String() == text }
}

// clusterWithUID starts an API server with all kinds in watch.Kinds, and returns it with the path of a kubeconfig for it.
func clusterWithUID(t testing.TB, uid string) (*apitest.Server, string) {
	t.Helper()
	s := apitest.New(uid)
	t.Cleanup(s.Close)
	for _, k := range watch.Kinds {
		s.Serve(k.Resource, k.Name)
	}
	return s, kubeconfigOf(t, s)
}

// TestClaim_OneClusterHoldsARegion has two clusters claim one region. The first one is killed, and the server restarted.
func TestClaim_OneClusterHoldsARegion(t *testing.T) {
	t.Parallel()
	one, kubeconfig1 := clusterWithUID(t, "cluster-1")
	two, kubeconfig2 := clusterWithUID(t, "cluster-2")
	write(t, one, "kit-fsn1")
	write(t, two, "kit-hel1")
	addr, health1, health2 := freeAddr(t), freeAddr(t), freeAddr(t)
	serve := func() *process {
		p := spawn(t, []string{"FLOW_SERVER_LISTEN_ADDR=" + addr, "FLOW_SERVER_STATE_FILE=" + filepath.Join(filepath.Dir(kubeconfig1), "state"), "FLOW_SERVER_DRAIN_DELAY=0s"}, serverBinary)
		eventually(t, "the flow server is ready", p.out, func() bool {
			code, _ := get("http://" + addr + "/readyz")
			return code == http.StatusOK
		})
		return p
	}
	server := serve()
	stream := follow(t, addr, "env-1")
	eventually(t, "the region is unclaimed", stream, stream.shows("unclaimed"))

	first := startAdapter(t, addr, health1, kubeconfig1, "REGION_TTL=5s")
	eventually(t, "the first is ready", first.out, ready(health1))
	eventually(t, "the first holds the region", stream, stream.shows("fresh cluster-1"))
	want := truth(t, "fsn1", "kit-fsn1")
	eventually(t, "the first has sent its nodes", first.out, func() bool {
		m := snapshot(t, addr, "env-1")
		return m != nil && maps.Equal(statuses(m.Nodes), want)
	})

	second := startAdapter(t, addr, health2, kubeconfig2, "REGION_TTL=5s")
	eventually(t, "the stream shows the refused second", stream, stream.shows("fresh cluster-1, refused cluster-2"))
	eventually(t, "the second is not ready", second.out, func() bool {
		code, why := get("http://" + health2 + "/readyz")
		_, metrics := get("http://" + health2 + "/metrics")
		return code == http.StatusServiceUnavailable && strings.Contains(why, "cluster-1") && strings.Contains(why, "cluster-2") &&
			strings.Contains(metrics, "\nflow_adapter_cluster_conflict 1") && strings.Contains(second.out.String(), `"cluster":"cluster-1","own":"cluster-2"`)
	})
	if got := statuses(snapshot(t, addr, "env-1").Nodes); !maps.Equal(got, want) {
		t.Errorf("the second has changed the region: %v", got)
	}

	first.kill()
	eventually(t, "the first is stale", stream, stream.shows("stale cluster-1, refused cluster-2"))
	if n := strings.Count(second.out.String(), "another cluster reports this region"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, second.out)
	}
	server.terminate(t)
	server = serve()
	eventually(t, "after a restart the first still holds the region", stream, stream.shows("stale cluster-1, refused cluster-2"))
	first = startAdapter(t, addr, health1, kubeconfig1, "REGION_TTL=5s")
	eventually(t, "the first has renewed its claim", stream, stream.shows("fresh cluster-1, refused cluster-2"))
	second.terminate(t)
	eventually(t, "the second's attempt is no longer shown", stream, stream.shows("fresh cluster-1"))

	server.terminate(t)
	first.kill()
	server = serve()
	eventually(t, "after a restart the region is stale", stream, stream.shows("stale cluster-1"))
	first = startAdapter(t, addr, health1, kubeconfig1, "REGION_TTL=5s")
	eventually(t, "after a renewal the region is fresh", stream, stream.shows("fresh cluster-1"))
	if first.terminate(t); first.exitErr != nil {
		t.Errorf("%v\n%s", first.exitErr, first.out)
	}
	server.kill()
}

// lastSeen returns when the claim of a region was last renewed, in Unix milliseconds.
func lastSeen(t *testing.T, addr, flowID, region string) int64 {
	t.Helper()
	_, text := get("http://" + addr + "/v1/flows/" + flowID + "/regions")
	var r claims.Regions
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("regions of %s: %v", flowID, err)
	}
	return r.Regions[region].LastSeen
}

func TestReplay_StayRenewsTheClaims(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	flowServer(t, addr)
	stream := follow(t, addr, "demo")
	player := spawn(t, []string{"FLOW_SERVER_URL=http://" + addr, "FLOW_ID=demo", "REGION_TTL=5s", "LOG_LEVEL=warn"}, adapterBinary,
		"replay", "--stay", "--speed", "max", "fsn1="+recordings+"kit-fsn1.jsonl")
	eventually(t, "the replay is complete", player.out, func() bool { return player.out.String() == "replayed\n" })
	eventually(t, "its region is fresh", stream, stream.shows("fresh replay-fsn1"))
	before := lastSeen(t, addr, "demo", "fsn1")
	eventually(t, "its claim is renewed", player.out, func() bool { return lastSeen(t, addr, "demo", "fsn1") > before })
	if player.terminate(t); player.exitErr != nil {
		t.Errorf("%v\n%s", player.exitErr, player.out)
	}
	eventually(t, "its region is stale", stream, stream.shows("stale replay-fsn1"))
}

func TestRegion_IsStaleWhileItsAPIServerIsDown(t *testing.T) {
	t.Parallel()
	k8s, kubeconfig := clusterWithUID(t, "cluster-1")
	k8s.Put(watch.Kinds[0].Resource, object(1, "Unknown", "before"))
	addr, health := freeAddr(t), freeAddr(t)
	flowServer(t, addr)
	stream := follow(t, addr, "env-1")
	adapter := startAdapter(t, addr, health, kubeconfig, "REGION_TTL=5s")
	eventually(t, "its region is fresh", stream, stream.shows("fresh cluster-1"))
	eventually(t, "ready", adapter.out, ready(health))
	back := k8s.Fail(-1, apitest.Answer{Status: http.StatusServiceUnavailable, PlainText: true, Body: "no backend"}, func(*http.Request) bool { return true })
	k8s.Cut()
	eventually(t, "the region is stale", stream, stream.shows("stale cluster-1"))
	if code, why := get("http://" + health + "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(why, "watch helmreleases") {
		t.Errorf("readyz is %d: %s", code, why)
	}
	k8s.Put(watch.Kinds[0].Resource, object(1, "True", "after"))
	back()
	eventually(t, "the region is fresh again", stream, stream.shows("fresh cluster-1"))
	eventually(t, "changes from the meantime have arrived", adapter.out, func() bool {
		m := snapshot(t, addr, "env-1")
		return m != nil && statuses(m.Nodes)["fsn1/app-0001"] == "succeeded"
	})
}
