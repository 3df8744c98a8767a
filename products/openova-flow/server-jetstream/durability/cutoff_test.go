package durability

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/internal/natstest"
)

// routed starts three NATS servers whose routes can be cut, and a replica at each that connects to no other.
func routed(t *testing.T) (*natstest.Cluster, []*process) {
	t.Helper()
	c := natstest.StartRouted(t, 3)
	var replicas []*process
	for i := range 3 {
		p := newProcess(t, []string{"NATS_URL=nats://" + c.Addr(i)}, "--stream-replicas=3", "--ring-capacity=1024")
		p.start()
		replicas = append(replicas, p)
	}
	for _, p := range replicas {
		p.ready()
	}
	return c, replicas
}

// statusOf returns the status of the answer to a request, 0 without an answer, and whether the answer has a Retry-After.
func statusOf(t *testing.T, method, url string, header ...string) (code int, retry bool) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, false
	}
	resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Retry-After") != ""
}

// TestReplica_CutOffWithTheLeaderServesNoStaleAnswer cuts the stream's leader off together with its replica. For 10 s or longer the leader answers
// with its old state. A read with a newer cursor, and a deletion, must get 503.
func TestReplica_CutOffWithTheLeaderServesNoStaleAnswer(t *testing.T) {
	t.Parallel() // mostly waits
	c, replicas := routed(t)
	node := func(id, n string) string {
		return fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":%q,"flowId":%q,"label":"l","status":"s"}]}`, n, id)
	}
	mustPost(t, replicas[0], "F", node("F", "a"), "e;epoch=1;n=1")
	conn := c.Connect()
	defer conn.Close()
	leader := -1
	eventually(t, "the stream has a leader", func() bool { leader = c.Leader(conn, "OPENOVA_FLOW"); return leader >= 0 })
	cut, other := replicas[leader], replicas[(leader+1)%3]
	eventually(t, "the replica has the first message", func() bool {
		resp, err := http.Get(cut.url("/v1/flows/F/snapshot"))
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	for i := range 3 {
		if i != leader {
			c.Cut(leader, i, true)
		}
	}
	seq := mustPost(t, other, "F", node("F", "b"), "e;epoch=1;n=2")
	mustPost(t, other, "G", node("G", "a"), "e;epoch=1;n=1")
	last := fmt.Sprint(seq)
	for range 2 {
		for _, request := range [][]string{
			{http.MethodGet, "/v1/flows/F/stream", "Last-Event-ID", last},
			{http.MethodGet, "/v1/stream", "Last-Event-ID", last},
			{http.MethodGet, "/v1/flows/F/events?after=" + last},
			{http.MethodGet, "/v1/flows/F/snapshot", "If-None-Match", `"x-` + last + `-0"`},
			{http.MethodDelete, "/v1/flows/G"},
			{http.MethodDelete, "/v1/flows/G/regions/r"},
		} {
			if code, retry := statusOf(t, request[0], cut.url(request[1]), request[2:]...); code != http.StatusServiceUnavailable || !retry {
				t.Errorf("%v: %d, Retry-After %v; want 503 with it", request, code, retry)
			}
		}
	}
	eventually(t, "/readyz of the replica is 503", func() bool {
		code, _ := statusOf(t, http.MethodGet, cut.url("/readyz"))
		return code == http.StatusServiceUnavailable
	})
	if code, _ := statusOf(t, http.MethodGet, other.url("/readyz")); code != http.StatusOK {
		t.Errorf("/readyz of a replica with a majority: %d", code)
	}
	for i := range 3 {
		if i != leader {
			c.Cut(leader, i, false)
		}
	}
	eventually(t, "the replica has caught up", func() bool {
		code, _ := statusOf(t, http.MethodGet, cut.url("/v1/flows/G/snapshot"))
		return code == http.StatusOK
	})
	req, err := http.NewRequest(http.MethodGet, cut.url("/v1/flows/F/stream"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Last-Event-ID", "1")
	var resp *http.Response
	eventually(t, "a subscriber is accepted", func() bool {
		resp, err = http.DefaultClient.Do(req)
		return err == nil && resp.StatusCode == http.StatusOK
	})
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	for {
		_, event, data, err := frame(in)
		if err != nil {
			t.Fatal(err)
		}
		if event == "snapshot" {
			if !strings.Contains(data, `"b"`) {
				t.Errorf("the snapshot lacks acknowledged node b: %s", data)
			}
			return
		}
	}
}

// TestReplicas_WithoutAMajorityAreNotReady cuts all routes, so that the leader reaches nobody.
func TestReplicas_WithoutAMajorityAreNotReady(t *testing.T) {
	t.Parallel() // mostly waits
	c, replicas := routed(t)
	for i := range 3 {
		c.Cut(i, (i+1)%3, true)
	}
	for i, p := range replicas {
		eventually(t, fmt.Sprintf("/readyz of replica %d is 503", i), func() bool {
			code, _ := statusOf(t, http.MethodGet, p.url("/readyz"))
			return code == http.StatusServiceUnavailable
		})
	}
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		for i, p := range replicas {
			if code, _ := statusOf(t, http.MethodGet, p.url("/readyz")); code != http.StatusServiceUnavailable {
				t.Fatalf("replica %d is ready again without a majority", i)
			}
		}
	}
	for i := range 3 {
		c.Cut(i, (i+1)%3, false)
	}
	for _, p := range replicas {
		p.ready()
	}
}
