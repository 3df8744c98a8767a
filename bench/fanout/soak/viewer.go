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

// seen is a viewer's state of one flow.
type seen struct {
	state *flow.State
	count int64 // field "k" of the last message
}

// viewer subscribes to one flow, or all of them, and folds the messages.
type viewer struct {
	run    *run
	flowID string // empty: all flows
	rand   *rand.Rand

	mu    sync.Mutex
	flows map[string]*seen
	last  int64 // id of the last frame
}

// view runs until ctx ends: it connects, stalls, disconnects and reconnects, or is cut off by the server. After calm ends it only follows.
func (v *viewer) view(ctx context.Context, calm <-chan struct{}) error {
	for ctx.Err() == nil {
		again, err := v.connection(ctx, calm)
		if err != nil {
			return fmt.Errorf("a viewer of %q: %w", v.flowID, err)
		}
		if v.rand.IntN(10) == 0 { // a new viewer without state
			v.mu.Lock()
			v.flows, v.last = map[string]*seen{}, 0
			v.mu.Unlock()
		}
		select {
		case <-calm:
		case <-time.After(again):
		case <-ctx.Done():
		}
	}
	return nil
}

// connection follows over one connection, and returns the pause before the next one.
func (v *viewer) connection(ctx context.Context, calm <-chan struct{}) (again time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	path := "/v1/stream"
	if v.flowID != "" {
		path = "/v1/flows/" + v.flowID + "/stream"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.run.url+path, nil)
	if err != nil {
		return 0, err
	}
	if v.last != 0 {
		req.Header.Set("Last-Event-ID", strconv.FormatInt(v.last, 10))
	}
	resp, err := v.run.viewers.Do(req)
	if err != nil {
		return 100 * time.Millisecond, nil // the server is restarting
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("GET stream: %s", resp.Status)
	}
	v.run.stats.connections.Add(1)
	in := bufio.NewReaderSize(resp.Body, 4<<10)
	next := time.Now().Add(v.some(v.run.Pause))
	resumed := v.last != 0
	for {
		f, err := readFrame(in)
		if err != nil {
			return v.some(time.Second), nil
		}
		if err := v.take(f, &resumed); err != nil {
			return 0, err
		}
		if time.Now().Before(next) {
			continue
		}
		select {
		case <-calm:
			continue
		default:
		}
		next = time.Now().Add(v.some(v.run.Pause))
		if v.rand.IntN(2) == 0 {
			v.run.stats.left.Add(1)
			return v.some(v.run.Pause), nil
		}
		v.run.stats.stalls.Add(1)
		select {
		case <-calm:
		case <-time.After(v.some(v.run.Pause)):
		case <-ctx.Done():
		}
	}
}

// some returns a random time: mostly short, sometimes longer than the ring covers and than the server's write timeout.
func (v *viewer) some(most time.Duration) time.Duration {
	part := v.rand.Float64()
	return time.Duration(part * part * float64(most))
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
func (v *viewer) take(f frame, resumed *bool) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	flowID, kind := v.flowID, f.event
	if flowID == "" {
		if f.event == "flows" {
			return v.start(f.data)
		}
		if id, rest, ok := strings.Cut(f.event, "/"); ok {
			flowID, kind = id, rest
		}
	}
	if f.id != "" {
		id, err := strconv.ParseInt(f.id, 10, 64)
		if err != nil || id <= v.last {
			return fmt.Errorf("id %q after %d", f.id, v.last)
		}
		v.last = id
	}
	switch kind {
	case "heartbeat", "regions":
		return nil
	case "deleted":
		delete(v.flows, flowID)
		return nil
	}
	m, err := flow.Decode(flowID, []byte(f.data))
	if err != nil {
		return fmt.Errorf("%s: %w", f.event, err)
	}
	v.run.stats.delivered.Add(1)
	s := v.flows[flowID]
	if m.Type == flow.TypeSnapshot {
		if s != nil {
			v.run.stats.snapshots.Add(1)
		}
		*resumed = false
		s = &seen{state: flow.NewState(flowID, 0)}
		v.flows[flowID] = s
		s.state.Apply(m)
		s.count, err = tickOf(s.state)
		return err
	}
	if s == nil {
		return fmt.Errorf("%s before a snapshot of the flow", f.event)
	}
	if *resumed {
		v.run.stats.resumes.Add(1)
		*resumed = false
	}
	s.state.Apply(m)
	return s.follows(f.data, v.flowID == "")
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

// start drops the flows that do not exist any more.
func (v *viewer) start(data string) error {
	var there struct{ Flows map[string]string }
	if err := json.Unmarshal([]byte(data), &there); err != nil {
		return err
	}
	for id := range v.flows {
		if _, ok := there.Flows[id]; !ok {
			delete(v.flows, id)
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

// has reports whether the viewer's state of a flow equals a snapshot.
func (v *viewer) has(flowID, snapshot string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.flows[flowID]
	return s != nil && s.state.Snapshot().JSON() == snapshot
}
