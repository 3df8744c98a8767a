package soak

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

const (
	nodesOfAFlow = 300
	tickID       = "tick" // the node with the count of the last message
	perRequest   = 5      // messages
)

// publisher is the only emitter of a flow. It knows the flow's expected state.
type publisher struct {
	run    *run
	flowID string
	rand   *rand.Rand

	state       *flow.State // fold of the confirmed messages
	incarnation string
	n           int64 // request number in Flow-Emitter
	count       int64 // number of messages, and field "k" of the last one
	resent      int64 // run.kills when the publisher last resent its state
}

func newPublisher(r *run, i int) *publisher {
	id := fmt.Sprint("flow", i)
	return &publisher{run: r, flowID: id, rand: rand.New(rand.NewPCG(uint64(i), 5)), state: flow.NewState(id, 0), incarnation: "none"}
}

// publish posts messages and deletes regions and flows until ctx ends. rate is messages a second; a deletion counts as perRequest messages.
func (p *publisher) publish(ctx context.Context, rate int) error {
	began, made := time.Now(), 0
	for ctx.Err() == nil {
		due := int(time.Since(began).Seconds() * float64(rate))
		if due-made < perRequest {
			pause(ctx, time.Duration(perRequest)*time.Second/time.Duration(rate))
			continue
		}
		made += perRequest
		var err error
		switch p.rand.IntN(p.run.DeleteOneIn) {
		case 0:
			err = p.deleteFlow()
		case 1, 2, 3:
			err = p.deleteRegion(fmt.Sprint("r", p.rand.IntN(3)))
		default:
			err = p.post(p.request())
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.flowID, err)
		}
	}
	if p.state.NodeCount() == 0 { // there must be a state to compare at the end
		if err := p.post(p.request()); err != nil {
			return fmt.Errorf("%s: %w", p.flowID, err)
		}
	}
	return nil
}

func (p *publisher) node() string {
	i := p.rand.IntN(nodesOfAFlow)
	status := []string{"pending", "running", "succeeded", "failed"}[p.rand.IntN(4)]
	return fmt.Sprintf(`{"id":"r%d/n%d","flowId":%q,"label":"n%[2]d","status":%[4]q,"region":"r%[1]d","startedAt":%[5]d,"meta":{"x":"%[6]s"}}`,
		i%3, i, p.flowID, status, time.Now().UnixMilli(), strings.Repeat("x", p.rand.IntN(200)))
}

func (p *publisher) id() string {
	i := p.rand.IntN(nodesOfAFlow)
	return fmt.Sprintf("r%d/n%d", i%3, i)
}

func (p *publisher) tick() string {
	return fmt.Sprintf(`{"id":%q,"flowId":%q,"label":"tick","status":"running","meta":{"k":%d}}`, tickID, p.flowID, p.count)
}

// request returns the next messages. Each has its count, and the last one stores it in the tick node.
func (p *publisher) request() []string {
	var lines []string
	if p.state.NodeCount() == 0 {
		p.count++
		lines = append(lines, fmt.Sprintf(`{"type":"upsert-flow","k":%d,"flow":{"id":%q,"status":"running","startedAt":1}}`, p.count, p.flowID))
	}
	for len(lines) < perRequest {
		p.count++
		switch k := p.rand.IntN(12); {
		case len(lines) == perRequest-1:
			lines = append(lines, fmt.Sprintf(`{"type":"upsert-nodes","k":%d,"nodes":[%s]}`, p.count, p.tick()))
		case k == 0:
			lines = append(lines, fmt.Sprintf(`{"type":"delete-nodes","k":%d,"ids":[%q]}`, p.count, p.id()))
		case k == 1:
			lines = append(lines, fmt.Sprintf(`{"type":"delete-rels","k":%d,"pairs":[{"fromId":%q,"toId":%q,"type":"finish-to-start"}]}`, p.count, p.id(), p.id()))
		case k < 4:
			lines = append(lines, fmt.Sprintf(`{"type":"upsert-rels","k":%d,"relationships":[{"fromId":%q,"toId":%q,"type":"finish-to-start"}]}`, p.count, p.id(), p.id()))
		default:
			lines = append(lines, fmt.Sprintf(`{"type":"upsert-nodes","k":%d,"nodes":[%s]}`, p.count, p.node()))
		}
	}
	return lines
}

// post sends a request until it is confirmed. If the server has restarted, it first resends the state.
func (p *publisher) post(lines []string) error {
	body := []byte(strings.Join(lines, "\n"))
	p.n++
	for {
		status, incarnation, text := p.send(http.MethodPost, "/events", body)
		switch status {
		case http.StatusOK:
			p.run.stats.messages.Add(int64(len(lines)))
			p.incarnation = incarnation
			return p.apply(lines)
		case http.StatusPreconditionFailed:
			if err := p.resync(incarnation); err != nil {
				return err
			}
			p.n++
		default:
			if !p.again(status) {
				return fmt.Errorf("POST: %d %s", status, text)
			}
		}
	}
}

// again reports whether a request may succeed later: it got no answer, or the server is starting, stopping or at a limit. If so, it waits. After the end
// of the load it reports false, since the server may not start again.
func (p *publisher) again(status int) bool {
	switch status {
	case 0, http.StatusServiceUnavailable, http.StatusTooManyRequests:
		select {
		case <-p.run.ended:
			return false
		case <-time.After(50 * time.Millisecond):
		}
		p.run.stats.repeated.Add(1)
		return true
	}
	return false
}

func (p *publisher) apply(lines []string) error {
	for _, line := range lines {
		m, err := flow.Decode(p.flowID, []byte(line))
		if err != nil {
			return err
		}
		p.state.Apply(m)
	}
	return nil
}

// resync checks the server's state after a restart, and resends the state. Unless the server was killed since the last resend, it must have everything that
// it confirmed.
func (p *publisher) resync(incarnation string) error {
	p.run.stats.resynced.Add(1)
	want, kills := p.state.Snapshot().JSON(), p.run.kills.Load()
	status, _, text := p.send(http.MethodGet, "/snapshot", nil)
	if p.again(status) { // no snapshot yet; if the next POST gets a 412 again, post repeats the resync
		return nil
	}
	if kills == p.resent && (status != http.StatusOK || text != want) && (status != http.StatusNotFound || p.state.NodeCount() > 0) {
		return fmt.Errorf("state after a planned restart: %d %.300s, want %.300s", status, text, want)
	}
	if p.state.NodeCount() == 0 { // the flow was deleted, and the server killed before that was saved
		if err := p.remove(""); err != nil {
			return err
		}
		p.incarnation, p.resent = "none", kills
		return nil
	}
	p.incarnation = incarnation
	for {
		p.n++
		status, incarnation, text := p.send(http.MethodPost, "/events", []byte(want))
		switch status {
		case http.StatusOK:
			p.incarnation, p.resent = incarnation, kills
			return nil
		case http.StatusPreconditionFailed: // the server has restarted again
			return p.resync(incarnation)
		default:
			if !p.again(status) {
				return fmt.Errorf("POST of the snapshot: %d %s", status, text)
			}
		}
	}
}

func (p *publisher) deleteFlow() error {
	if err := p.remove(""); err != nil {
		return err
	}
	p.run.stats.deleted.Add(1)
	p.state, p.incarnation = flow.NewState(p.flowID, 0), "none"
	return nil
}

func (p *publisher) deleteRegion(region string) error {
	if err := p.remove("/regions/" + region); err != nil {
		return err
	}
	p.run.stats.regionsDeleted.Add(1)
	var ids []string
	p.state.EachNode(func(n flow.Node) bool {
		if n.Region == region {
			ids = append(ids, n.ID)
		}
		return true
	})
	if len(ids) > 0 {
		p.state.Apply(flow.DeleteNodes(ids...))
	}
	return nil
}

func (p *publisher) remove(path string) error {
	for {
		status, _, text := p.send(http.MethodDelete, path, nil)
		if status == http.StatusNoContent {
			return nil
		}
		if !p.again(status) {
			return fmt.Errorf("DELETE of %q: %d %s", path, status, text)
		}
	}
}

// send sends a request. Status 0 means no answer.
func (p *publisher) send(method, path string, body []byte) (status int, incarnation, text string) {
	req, err := http.NewRequest(method, p.run.url+"/v1/flows/"+p.flowID+path, bytes.NewReader(body))
	if err != nil {
		return -1, "", err.Error()
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-ndjson")
		req.Header.Set("Flow-If-Incarnation", p.incarnation)
		req.Header.Set("Flow-Emitter", fmt.Sprintf("soak;epoch=1;n=%d", p.n))
	}
	resp, err := p.run.client.Do(req)
	if err != nil {
		return 0, "", err.Error()
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", err.Error()
	}
	return resp.StatusCode, resp.Header.Get("Flow-Incarnation"), string(answer)
}

// check compares the server's final state with the fold of the confirmed messages. It returns the snapshot.
func (p *publisher) check() (string, error) {
	status, _, text := p.send(http.MethodGet, "/snapshot", nil)
	if want := p.state.Snapshot().JSON(); status != http.StatusOK || text != want {
		return "", fmt.Errorf("%s: final state: %d %.300s, but confirmed was %.300s", p.flowID, status, text, want)
	}
	return text, nil
}
