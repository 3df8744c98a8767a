package durability

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// emitter posts batches of its own region to all flows, and folds the acknowledged ones. It repeats a POST without an answer, or with a 503,
// unchanged at any replica.
type emitter struct {
	number    int
	flows     []string
	urls      []string
	client    *http.Client
	batch     int
	every     time.Duration // between POSTs
	folded    map[string]*flow.State
	last      map[string]int64
	messages  atomic.Int64
	repeats   int
	longest   time.Duration // from the first attempt to the acknowledgement
	latencies []time.Duration
}

func (e *emitter) run(ctx context.Context, r *rand.Rand) error {
	e.folded, e.last = map[string]*flow.State{}, map[string]int64{}
	next := time.Now()
	for n := 1; ; n++ {
		next = next.Add(e.every) // delayed POSTs are made up for
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(next)):
		}
		id := e.flows[n%len(e.flows)]
		body := e.body(r, id, n)
		began := time.Now()
		seq, err := e.post(r, id, body, n)
		if err != nil {
			return err
		}
		took := time.Since(began)
		e.longest = max(e.longest, took)
		e.latencies = append(e.latencies, took)
		if seq <= e.last[id] {
			return fmt.Errorf("%s: seq %d after %d", id, seq, e.last[id])
		}
		e.last[id] = seq
		messages, err := flow.DecodeBatch(id, []byte(body), 0)
		if err != nil {
			return err
		}
		if e.folded[id] == nil {
			e.folded[id] = flow.NewState(id, 0)
		}
		for _, m := range messages {
			e.folded[id].Apply(m)
		}
		e.messages.Add(int64(len(messages)))
	}
}

func (e *emitter) body(r *rand.Rand, id string, n int) string {
	node := func() string { return fmt.Sprintf("r%d/n%d", e.number, r.IntN(25)) }
	lines := make([]string, e.batch)
	for i := range lines {
		if i == 0 { // a node that no later message overwrites: it shows a lost message
			lines[i] = fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"r%d/p%d","flowId":%q,"label":"post","status":"succeeded","region":"r%d","meta":{"nr":"%d-%d-%d"}}]}`, e.number, n, id, e.number, e.number, n, i)
			continue
		}
		switch r.IntN(15) {
		case 0:
			lines[i] = fmt.Sprintf(`{"type":"delete-nodes","ids":[%q],"nr":"%d-%d-%d"}`, node(), e.number, n, i)
		case 1:
			lines[i] = fmt.Sprintf(`{"type":"upsert-rels","relationships":[{"fromId":%q,"toId":%q,"type":"finish-to-start"}],"nr":"%d-%d-%d"}`, node(), node(), e.number, n, i)
		case 2:
			lines[i] = fmt.Sprintf(`{"type":"delete-rels","pairs":[{"fromId":%q,"toId":%q,"type":"finish-to-start"}],"nr":"%d-%d-%d"}`, node(), node(), e.number, n, i)
		case 3:
			lines[i] = fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"r%d/GitRepository/n/s","flowId":%q,"label":"source","status":"succeeded","region":"r%d","meta":{"kind":"GitRepository","namespace":"n","url":"https://h/p","ref":"branch main","revision":"main@sha1:%040d","ready":"True","nr":"%d-%d-%d"}}]}`, e.number, id, e.number, r.IntN(50), e.number, n, i)
		case 4:
			lines[i] = fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"r%d/Kustomization/n/k","flowId":%q,"label":"k","status":"succeeded","region":"r%d","meta":{"kind":"Kustomization","revision":"main@sha1:%040d","source":{"kind":"GitRepository","namespace":"n","name":"s"},"nr":"%d-%d-%d"}}]}`, e.number, id, e.number, r.IntN(50), e.number, n, i)
		case 5:
			lines[i] = fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":%q,"flowId":%q,"label":"node","status":"running","region":"r%d","startedAt":%d,"meta":{"kind":"HelmRelease","generation":%d,"appliedBy":"r%d/Kustomization/n/k","nr":"%d-%d-%d"}}]}`, node(), id, e.number, 1790000000000+int64(n), n, e.number, e.number, n, i)
		default:
			status := []string{"pending", "running", "succeeded", "failed"}[r.IntN(4)]
			lines[i] = fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":%q,"flowId":%q,"label":"node","status":%q,"region":"r%d","startedAt":1790000000000,"meta":{"kind":"HelmRelease","nr":"%d-%d-%d"}}]}`, node(), id, status, e.number, e.number, n, i)
		}
	}
	return strings.Join(lines, "\n")
}

func (e *emitter) post(r *rand.Rand, id, body string, n int) (int64, error) {
	for end := time.Now().Add(testTimeout); ; e.repeats++ {
		if time.Now().After(end) {
			return 0, fmt.Errorf("%s: timeout of POST %d", id, n)
		}
		// No context: the test's end must not cancel a request, whose outcome would be unknown.
		req, err := http.NewRequest(http.MethodPost, e.urls[r.IntN(len(e.urls))]+"/v1/flows/"+id+"/events", strings.NewReader(body))
		if err != nil {
			return 0, err
		}
		req.Header.Set("Content-Type", "application/x-ndjson")
		req.Header.Set("Flow-Emitter", fmt.Sprintf("emitter-%d;epoch=1;n=%d", e.number, n))
		resp, err := e.client.Do(req)
		if err == nil {
			answer, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			var seq int64
			if err == nil && resp.StatusCode == http.StatusOK {
				if _, err := fmt.Sscanf(string(answer), `{"seq":%d}`, &seq); err == nil {
					return seq, nil
				}
			}
			if err == nil && resp.StatusCode != http.StatusServiceUnavailable {
				return 0, fmt.Errorf("%s: POST %d: %s %s", id, n, resp.Status, answer)
			}
		}
		time.Sleep(time.Duration(20+r.IntN(100)) * time.Millisecond)
	}
}
