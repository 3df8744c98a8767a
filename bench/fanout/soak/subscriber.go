package soak

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

type seen struct {
	state *flow.State
	count int64 // field "k" of the last message
}

// subscriber subscribes to one flow, or all of them, and folds the messages.
type subscriber struct {
	run    *run
	flowID string // empty: all flows
	rand   *rand.Rand

	mu    sync.Mutex
	flows map[string]*seen
	last  int64 // id of the last frame with one
}

// follow connects, stalls, disconnects and reconnects until ctx ends or a response or frame is wrong. Once loadEnded is closed it no longer stalls
// or disconnects.
func (sub *subscriber) follow(ctx context.Context, loadEnded <-chan struct{}) error {
	for ctx.Err() == nil {
		wait, err := sub.connect(ctx, loadEnded)
		if err != nil {
			return fmt.Errorf("a subscriber of %q: %w", sub.flowID, err)
		}
		if sub.rand.IntN(10) == 0 { // a new subscriber without state
			sub.mu.Lock()
			sub.flows, sub.last = map[string]*seen{}, 0
			sub.mu.Unlock()
		}
		select {
		case <-loadEnded:
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	return nil
}

// connect reads from one connection until it ends or is to be left, and returns the wait before the next one.
func (sub *subscriber) connect(ctx context.Context, loadEnded <-chan struct{}) (wait time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	path := "/v1/stream"
	if sub.flowID != "" {
		path = "/v1/flows/" + sub.flowID + "/stream"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, sub.run.url+path, nil)
	if err != nil {
		return 0, err
	}
	if sub.last != 0 {
		req.Header.Set("Last-Event-ID", strconv.FormatInt(sub.last, 10))
	}
	resp, err := sub.run.subscribers.Do(req)
	if err != nil {
		return 100 * time.Millisecond, nil // the server is restarting
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("GET stream: %s", resp.Status)
	}
	sub.run.stats.connections.Add(1)
	in := bufio.NewReaderSize(resp.Body, 4<<10)
	next := time.Now().Add(sub.randomWait(sub.run.Pause))
	resumed := sub.last != 0
	for {
		f, err := readFrame(in)
		if err != nil {
			return sub.randomWait(time.Second), nil
		}
		if err := sub.take(f, &resumed); err != nil {
			return 0, err
		}
		if time.Now().Before(next) {
			continue
		}
		select {
		case <-loadEnded:
			continue
		default:
		}
		next = time.Now().Add(sub.randomWait(sub.run.Pause))
		if sub.rand.IntN(2) == 0 {
			sub.run.stats.left.Add(1)
			return sub.randomWait(sub.run.Pause), nil
		}
		sub.run.stats.stalls.Add(1)
		select {
		case <-loadEnded:
		case <-time.After(sub.randomWait(sub.run.Pause)):
		case <-ctx.Done():
		}
	}
}

// randomWait returns a random time below longest, with short times more likely.
func (sub *subscriber) randomWait(longest time.Duration) time.Duration {
	part := sub.rand.Float64()
	return time.Duration(part * part * float64(longest))
}

type frame struct{ id, event, data string }

func readFrame(in *bufio.Reader) (f frame, err error) {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return f, err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "":
			return f, nil
		case "id":
			f.id = value
		case "event":
			f.event = value
		case "data":
			f.data = value
		}
	}
}

// take folds a frame, and returns an error if it is wrong.
func (sub *subscriber) take(f frame, resumed *bool) error {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	flowID, kind := sub.flowID, f.event
	if flowID == "" {
		if f.event == "flows" {
			return sub.dropDeleted(f.data)
		}
		if id, rest, ok := strings.Cut(f.event, "/"); ok {
			flowID, kind = id, rest
		}
	}
	if f.id != "" {
		id, err := strconv.ParseInt(f.id, 10, 64)
		if err != nil || id <= sub.last {
			return fmt.Errorf("id %q after %d", f.id, sub.last)
		}
		sub.last = id
	}
	switch kind {
	case "heartbeat", "regions":
		return nil
	case "deleted":
		delete(sub.flows, flowID)
		return nil
	}
	m, err := flow.Decode(flowID, []byte(f.data))
	if err != nil {
		return fmt.Errorf("%s: %w", f.event, err)
	}
	sub.run.stats.delivered.Add(1)
	s := sub.flows[flowID]
	if m.Type == flow.TypeSnapshot {
		if s != nil {
			sub.run.stats.snapshots.Add(1)
		}
		*resumed = false
		s = &seen{state: flow.NewState(flowID, 0)}
		sub.flows[flowID] = s
		s.state.Apply(m)
		s.count, err = tickOf(s.state)
		return err
	}
	if s == nil {
		return fmt.Errorf("%s before a snapshot of the flow", f.event)
	}
	if *resumed {
		sub.run.stats.resumes.Add(1)
		*resumed = false
	}
	s.state.Apply(m)
	return s.follows(f.data, sub.flowID == "")
}

// follows checks that the count of a message is the next one. Derived messages have no count. At the start of a stream of all flows messages may
// come again.
func (s *seen) follows(data string, again bool) error {
	var m struct{ K int64 }
	if !strings.Contains(data[:min(len(data), 40)], `"k":`) {
		return nil
	}
	if err := json.Unmarshal([]byte(data), &m); err != nil {
		return err
	}
	if m.K != s.count+1 && (!again || m.K > s.count) {
		return fmt.Errorf("message %d after message %d", m.K, s.count)
	}
	s.count = m.K
	return nil
}

// dropDeleted drops the flows that a frame of type "flows" does not list.
func (sub *subscriber) dropDeleted(data string) error {
	var list struct{ Flows map[string]string }
	if err := json.Unmarshal([]byte(data), &list); err != nil {
		return err
	}
	for id := range sub.flows {
		if _, ok := list.Flows[id]; !ok {
			delete(sub.flows, id)
		}
	}
	return nil
}

func tickOf(s *flow.State) (int64, error) {
	n, ok := s.Node(tickID)
	if !ok {
		return 0, nil
	}
	var meta struct{ K int64 }
	err := json.Unmarshal([]byte(n.Meta), &meta)
	return meta.K, err
}

// has reports whether the subscriber's state of a flow equals a snapshot.
func (sub *subscriber) has(flowID, snapshot string) bool {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	s := sub.flows[flowID]
	return s != nil && s.state.Snapshot().JSON() == snapshot
}
