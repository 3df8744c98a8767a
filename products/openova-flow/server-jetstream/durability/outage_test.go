package durability

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/internal/natstest"
)

// TestServer_WithoutNATSServesReadsAndIsNotReady stops NATS and starts it again.
func TestServer_WithoutNATSServesReadsAndIsNotReady(t *testing.T) {
	cluster := natstest.Start(t, 1)
	p := newProcess(t, []string{"NATS_URL=" + cluster.URL()})
	cluster.Kill(0)
	p.start()
	status := func(path string) int {
		resp, err := http.Get(p.url(path))
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	eventually(t, "/healthz is 200 before NATS runs", func() bool { return status("/healthz") == 200 })
	if a, b := status("/readyz"), status("/v1/flows"); a != 503 || b != 503 {
		t.Errorf("before anything is loaded: /readyz %d, /v1/flows %d", a, b)
	}
	cluster.StartNode(0)
	p.ready()
	closed := false // whether the answer closed the connection
	post := func(id string) (int, http.Header, string) {
		body := `{"type":"upsert-nodes","nodes":[{"id":"` + id + `","flowId":"F","label":"l","status":"running"}]}`
		req, err := http.NewRequest(http.MethodPost, p.url("/v1/flows/F/events"), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Flow-Emitter", "e;epoch=1;n="+id)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, _ := io.ReadAll(resp.Body)
		closed = resp.Close
		return resp.StatusCode, resp.Header, string(answer)
	}
	if code, _, answer := post("1"); code != 200 {
		t.Fatal(code, answer)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url("/v1/flows/F/stream"), nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	in := bufio.NewReader(stream.Body)
	next := func() (event, data string) {
		t.Helper()
		for {
			_, event, data, err := frame(in)
			if err != nil {
				t.Fatal("the stream ended: ", err)
			}
			if event != "heartbeat" && event != "regions" {
				return event, data
			}
		}
	}
	if event, _ := next(); event != "snapshot" {
		t.Errorf("first event = %s, want snapshot", event)
	}

	cluster.Kill(0)
	eventually(t, "/readyz is 503", func() bool { return status("/readyz") == 503 })
	code, header, answer := post("2")
	if code != 503 || header.Get("Retry-After") == "" || header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("POST without NATS: %d %v %s", code, header, answer)
	}
	if !closed {
		t.Error("the 503 leaves the connection open, so a retry reaches the same replica")
	}
	if snapshot, _ := get(t, p.url("/v1/flows/F/snapshot")); !strings.Contains(snapshot, `"id":"1"`) {
		t.Errorf("%s", snapshot)
	}
	req, err = http.NewRequest(http.MethodDelete, p.url("/v1/flows/F"), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 503 {
		t.Errorf("DELETE without NATS: %s", resp.Status)
	}

	cluster.StartNode(0)
	p.ready()
	eventually(t, "the rejected POST succeeds", func() bool { code, _, _ := post("2"); return code == 200 })
	if event, data := next(); event != "upsert-nodes" || !strings.Contains(data, `"id":"2"`) {
		t.Errorf("next event = %s %s, want the upsert of node 2", event, data)
	}
	if text, _ := get(t, p.url("/v1/flows/F/events")); strings.Count(text, `"type":"upsert-nodes"`) != 2 {
		t.Errorf("%s", text)
	}
	p.stop()
}
