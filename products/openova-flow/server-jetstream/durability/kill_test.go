package durability

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

// TestServer_KilledAtRandomLosesNothing sends SIGKILL to the server at random moments while writers post to flows of their own, and delete and create
// them. With small rings checkpoints are written all the time. With the default ring they are rare, but a regular stop writes them, so some rounds stop
// regularly. A writer repeats a request without an answer, as an emitter would.
func TestServer_KilledAtRandomLosesNothing(t *testing.T) {
	t.Parallel() // mostly waits
	for ring, ends := range map[int]int{4: 20, 64: 20, 4096: 12} {
		t.Run(fmt.Sprint("ring of ", ring), func(t *testing.T) {
			p := newProcess(t, nil, "--data-dir="+t.TempDir(), "--sync=1m", fmt.Sprint("--ring-capacity=", ring))
			churn(t, p, ring, ends, func() {
				if ring == 4096 && rand.IntN(3) == 0 {
					p.stop()
				} else {
					p.kill()
				}
			})
		})
	}
}

// churn starts a server, ends it repeatedly at random moments while writers change flows, and compares its flows with the acknowledged changes.
func churn(t *testing.T, p *process, ring, ends int, end func()) {
	if *long {
		ends *= 5
	}
	p.start()
	p.ready()
	used := usedSeqs{}
	var wg sync.WaitGroup
	done := make(chan struct{})
	stopWriters := sync.OnceFunc(func() { close(done); wg.Wait() })
	defer stopWriters()
	writers := make([]*writer, 4)
	for i := range writers {
		w := newWriter(i, p, &used)
		writers[i] = w
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := w.step(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range ends {
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		end()
		p.start()
		p.ready()
	}
	stopWriters()
	before := make([]string, len(writers))
	for i, w := range writers {
		before[i] = w.verify(t, ring)
	}
	end()
	p.start()
	p.ready()
	for i, w := range writers {
		if got := w.verify(t, ring); got != before[i] {
			t.Errorf("%s: rollouts and revisions after a restart:\n%s\nbefore\n%s", w.id, got, before[i])
		}
	}
}

// usedSeqs records which request got which sequence number.
type usedSeqs struct{ all sync.Map }

// add fails if another request has got the number.
func (n *usedSeqs) add(seq int64, to string) error {
	if other, used := n.all.LoadOrStore(seq, to); used {
		return fmt.Errorf("%s: seq %d was given to %s", to, seq, other)
	}
	return nil
}

// writer posts to a flow, deletes it and creates it again, and folds the acknowledged messages. It also creates flows that it deletes for good.
type writer struct {
	p        *process
	r        *rand.Rand
	id       string
	n        int
	state    *flow.State
	messages int // since the flow was last created
	last     int64
	used     *usedSeqs
	gone     []string // flows deleted for good
}

func newWriter(i int, p *process, used *usedSeqs) *writer {
	id := fmt.Sprint("flow-", i)
	return &writer{p: p, r: rand.New(rand.NewPCG(uint64(i), 1)), id: id, state: flow.NewState(id, 0), used: used}
}

// step changes or deletes a flow and waits for the acknowledgements.
func (w *writer) step() error {
	w.n++
	switch w.r.IntN(12) {
	case 0:
		w.state, w.messages = flow.NewState(w.id, 0), 0
		return deleteUntil204(w.p, w.id)
	case 1:
		id := fmt.Sprintf("%s-gone-%d", w.id, w.n)
		w.gone = append(w.gone, id)
		for n := range 1 + w.r.IntN(8) {
			if _, err := w.post(id, fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"n","flowId":%q,"label":"l","status":"s%d"}]}`, id, n)); err != nil {
				return err
			}
		}
		return deleteUntil204(w.p, id)
	}
	// The first message writes a node that is not written again before n has grown by 500: it shows a lost message.
	lines := []string{fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"p%d","flowId":%q,"label":"l","status":"n%d","startedAt":%d}]}`, w.n%500, w.id, w.n, 1790000000000+w.n)}
	if w.r.IntN(3) == 0 {
		lines = append(lines, fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"source","flowId":%q,"label":"l","region":"r","status":"s","meta":{"kind":"GitRepository","namespace":"n","url":"https://h/p","revision":"main@sha1:%040d","ready":"True"}}]}`, w.id, w.n))
	}
	for i := range 1 + w.r.IntN(3) { // no two upserts are equal: verify takes a second one for a message that was applied twice
		lines = append(lines, fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"n%d","flowId":%q,"label":"l","status":"s%d-%d"}]}`, w.r.IntN(40), w.id, w.n, i))
	}
	if w.r.IntN(4) == 0 {
		lines = append(lines, fmt.Sprintf(`{"type":"delete-nodes","ids":["n%d"]}`, w.r.IntN(40)))
	}
	body := strings.Join(lines, "\n")
	seq, err := w.post(w.id, body)
	if err != nil {
		return err
	}
	if seq <= w.last {
		return fmt.Errorf("%s: seq %d after %d", w.id, seq, w.last)
	}
	w.last = seq
	messages, err := flow.DecodeBatch(w.id, []byte(body), 0)
	if err != nil {
		return err
	}
	for _, m := range messages {
		w.state.Apply(m)
	}
	w.messages += len(messages)
	return nil
}

func (w *writer) post(id, body string) (int64, error) {
	w.n++
	emitter := fmt.Sprintf("writer-of-%s;epoch=1;n=%d", w.id, w.n)
	seq, err := postUntil200(w.p, id, body, emitter)
	if err != nil {
		return 0, err
	}
	return seq, w.used.add(seq, emitter)
}

// verify compares the writer's flows on the server with the acknowledged changes. It returns the flow's rollouts and revisions.
func (w *writer) verify(t *testing.T, ring int) string {
	t.Helper()
	for _, id := range w.gone {
		if code, _ := statusOf(t, http.MethodGet, w.p.url("/v1/flows/"+id+"/snapshot")); code != http.StatusNotFound {
			t.Errorf("snapshot of deleted flow %s: %d, want 404", id, code)
		}
	}
	if w.messages == 0 {
		if code, _ := statusOf(t, http.MethodGet, w.p.url("/v1/flows/"+w.id+"/snapshot")); code != http.StatusNotFound {
			t.Errorf("snapshot of deleted flow %s: %d, want 404", w.id, code)
		}
		return ""
	}
	text, _ := get(t, w.p.url("/v1/flows/"+w.id+"/snapshot"))
	same(t, w.id, text, w.state)
	var held struct {
		Events []struct{ Message json.RawMessage }
	}
	text, _ = get(t, w.p.url("/v1/flows/"+w.id+"/events"))
	if err := json.Unmarshal([]byte(text), &held); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range held.Events {
		if m := string(e.Message); seen[m] && strings.Contains(m, "upsert-nodes") {
			t.Errorf("%s: applied twice: %s", w.id, m)
		} else {
			seen[m] = true
		}
	}
	if want := min(ring, 1+w.messages); len(held.Events) != want { // the first message of a flow is the server's own
		t.Errorf("%s: the ring has %d messages, want %d", w.id, len(held.Events), want)
	}
	return listOf(t, w.p, w.id, "rollouts") + listOf(t, w.p, w.id, "revisions")
}

// same compares a snapshot with an independent fold, except for the flow instance, which the server derives.
func same(t testing.TB, id, text string, want *flow.State) {
	t.Helper()
	m, err := flow.Decode(id, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	expect := want.Snapshot()
	expect.Flow = m.Flow
	m.Sort()
	m = &flow.Message{Type: m.Type, Flow: m.Flow, Nodes: m.Nodes, Relationships: m.Relationships} // without the received bytes
	if got, want := m.JSON(), expect.JSON(); got != want {
		t.Errorf("%s:\n%s\nwant\n%s", id, got, want)
	}
}

// mustPost is postUntil200. An error fails the test.
func mustPost(t testing.TB, p *process, flowID, body, emitter string) int64 {
	seq, err := postUntil200(p, flowID, body, emitter)
	if err != nil {
		t.Error(err)
		return 1 << 60
	}
	return seq
}

// postUntil200 repeats a POST until the answer is 200, and returns the sequence number.
func postUntil200(p *process, flowID, body, emitter string) (seq int64, err error) {
	err = until(http.StatusOK, func() (*http.Request, error) {
		req, err := http.NewRequest(http.MethodPost, p.url("/v1/flows/"+flowID+"/events"), strings.NewReader(body))
		if err == nil {
			req.Header.Set("Content-Type", "application/x-ndjson")
			req.Header.Set("Flow-Emitter", emitter)
		}
		return req, err
	}, func(answer []byte) error {
		_, err := fmt.Sscanf(string(answer), `{"seq":%d}`, &seq)
		return err
	})
	return seq, err
}

// deleteUntil204 repeats a DELETE of a flow until the answer is 204.
func deleteUntil204(p *process, flowID string) error {
	return until(http.StatusNoContent, func() (*http.Request, error) {
		return http.NewRequest(http.MethodDelete, p.url("/v1/flows/"+flowID), nil)
	}, func([]byte) error { return nil })
}

// until repeats a request until the answer has the code. It repeats after a 503 and after an incomplete or missing answer; other answers are errors.
func until(code int, request func() (*http.Request, error), read func(answer []byte) error) error {
	var req *http.Request
	var last error
	for deadline := time.Now().Add(testTimeout); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var err error
		if req, err = request(); err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			last = err
			continue
		}
		answer, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		switch {
		case err != nil:
			last = err
		case resp.StatusCode == code:
			return read(answer)
		case resp.StatusCode != http.StatusServiceUnavailable:
			return fmt.Errorf("%s %s: %s %s", req.Method, req.URL.Path, resp.Status, answer)
		default:
			last = fmt.Errorf("%s %s", resp.Status, answer)
		}
	}
	return fmt.Errorf("%s %s: no answer %d within %s, the last attempt got: %w", req.Method, req.URL.Path, code, testTimeout, last)
}
