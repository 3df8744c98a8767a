package truth

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// TestAKilledServerHasEveryAcknowledgedMessage ends the server with SIGKILL at random moments, 50 times, while four writers post, each
// to flows of its own, small rings so that checkpoints are written all the time. A writer whose POST got no answer repeats it, as its
// emitter would.
func TestAKilledServerHasEveryAcknowledgedMessage(t *testing.T) {
	const kills, writers = 50, 4
	p := newProcess(t, nil, "--data-dir="+t.TempDir(), "--sync=1m", "--ring-capacity=64")
	p.start()
	p.ready()
	var wg sync.WaitGroup
	end := make(chan struct{})
	states := make([]*flow.State, writers)
	for w := range writers {
		id := fmt.Sprint("flow-", w)
		states[w] = flow.NewState(id, 0)
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			var last int64
			for n := 1; ; n++ {
				select {
				case <-end:
					return
				default:
				}
				// The first message leaves a trace that 500 later ones do not cover: what is lost is seen though all else is said anew.
				lines := []string{fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"p%d","flowId":%q,"label":"l","status":"n%d"}]}`, n%500, id, n)}
				for range 1 + r.IntN(3) {
					lines = append(lines, fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"n%d","flowId":%q,"label":"l","status":"s%d-%d"}]}`, r.IntN(40), id, n, r.IntN(1000)))
				}
				if r.IntN(4) == 0 {
					lines = append(lines, fmt.Sprintf(`{"type":"delete-nodes","ids":["n%d"]}`, r.IntN(40)))
				}
				body := strings.Join(lines, "\n")
				seq := postUntilTaken(t, p, id, body, fmt.Sprintf("writer-%d;epoch=1;n=%d", w, n))
				if seq <= last {
					t.Errorf("%s: number %d after %d", id, seq, last)
				}
				last = seq
				messages, err := flow.DecodeBatch(id, []byte(body), 0)
				if err != nil {
					t.Error(err)
					return
				}
				for _, m := range messages {
					states[w].Apply(m)
				}
			}
		})
	}
	for range kills {
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		p.kill()
		p.start()
		p.ready()
	}
	close(end)
	wg.Wait()
	for w := range writers {
		id := fmt.Sprint("flow-", w)
		text, _ := get(t, p.url("/v1/flows/"+id+"/snapshot"))
		same(t, id, text, states[w])
		var held struct {
			Events []struct{ Message json.RawMessage }
		}
		text, _ = get(t, p.url("/v1/flows/"+id+"/events"))
		if err := json.Unmarshal([]byte(text), &held); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, e := range held.Events {
			if m := string(e.Message); seen[m] && strings.Contains(m, "upsert-nodes") {
				t.Errorf("%s: applied twice: %s", id, m)
			} else {
				seen[m] = true
			}
		}
		if len(held.Events) != 64 {
			t.Errorf("%s: the ring has %d messages", id, len(held.Events))
		}
	}
}

// same compares a snapshot with an independent fold, but for what the server says of the flow itself.
func same(t testing.TB, id, text string, want *flow.State) {
	t.Helper()
	m, err := flow.Decode(id, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	expect := want.Snapshot()
	expect.Flow = m.Flow
	m.Sort()
	m = &flow.Message{Type: m.Type, Flow: m.Flow, Nodes: m.Nodes, Relationships: m.Relationships} // without the bytes that it came in
	if got, want := m.JSON(), expect.JSON(); got != want {
		t.Errorf("%s is\n%s\nwant\n%s", id, got, want)
	}
}

// postUntilTaken posts until that is answered with 200, and returns the number.
func postUntilTaken(t testing.TB, p *process, flowID, body, emitter string) int64 {
	for deadline := time.Now().Add(within); ; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("a POST is never taken")
			return 1 << 60
		}
		req, err := http.NewRequest(http.MethodPost, p.url("/v1/flows/"+flowID+"/events"), strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return 1 << 60
		}
		req.Header.Set("Content-Type", "application/x-ndjson")
		req.Header.Set("Flow-Emitter", emitter)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			continue
		}
		answer, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		var seq int64
		if err == nil && resp.StatusCode == http.StatusOK {
			if _, err := fmt.Sscanf(string(answer), `{"seq":%d}`, &seq); err == nil {
				return seq
			}
		}
		if err == nil && resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: %s %s", emitter, resp.Status, answer)
			return 1 << 60
		}
	}
}
