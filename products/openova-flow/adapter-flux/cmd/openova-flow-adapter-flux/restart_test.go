package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// subscriber follows a stream like the page: it folds messages, and resumes from its last sequence number after every break.
type subscriber struct {
	url string

	mu        sync.Mutex
	state     *flow.State
	lastID    int64
	snapshots int      // frames that replaced the state
	resumed   int      // connections that resumed without a snapshot
	faults    []string // violations of the protocol
}

func (v *subscriber) follow(ctx context.Context) {
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		v.connect(ctx)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}

func (v *subscriber) connect(ctx context.Context) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.url, nil)
	if err != nil {
		v.fault("%v", err)
		return
	}
	v.mu.Lock()
	resuming := v.lastID > 0
	if resuming {
		req.Header.Set("Last-Event-ID", strconv.FormatInt(v.lastID, 10))
	}
	v.mu.Unlock()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return // the server is down
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 16<<20)
	var id int64
	var event, data string
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			if id, err = strconv.ParseInt(value, 10, 64); err != nil {
				v.fault("id %q", value)
			}
		case "event":
			event = value
		case "data":
			data = value
		case "":
			if event != "heartbeat" && event != "regions" {
				v.frame(id, event, data, resuming)
				resuming = false
			}
			id, event, data = 0, "", ""
		}
	}
}

func (v *subscriber) frame(id int64, event, data string, resuming bool) {
	m, err := flow.Decode("demo", []byte(data))
	if err != nil || string(m.Type) != event {
		v.fault("event %q: %v", event, err)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if id <= v.lastID {
		v.faults = append(v.faults, fmt.Sprintf("%d came after %d", id, v.lastID))
	}
	v.lastID = id
	switch {
	case m.Type == flow.TypeSnapshot:
		v.snapshots++
	case resuming:
		v.resumed++
	}
	v.state.Apply(m)
}

func (v *subscriber) fault(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.faults = append(v.faults, fmt.Sprintf(format, args...))
}

func (v *subscriber) statuses() map[string]string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return statuses(v.state.Snapshot().Nodes)
}

// cut ends the connections of a subscriber, but not the server.
type cut struct {
	mu     sync.Mutex
	cancel context.CancelFunc
}

func (c *cut) follow(ctx context.Context, v *subscriber) {
	for ctx.Err() == nil {
		own, cancel := context.WithCancel(ctx)
		c.mu.Lock()
		c.cancel = cancel
		c.mu.Unlock()
		v.follow(own)
		cancel()
	}
}

func (c *cut) now() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel()
}

// TestReplay_EndsTheSameAfterServerRestarts kills the server three times in the middle of a replay of two regions, and starts it again, empty.
func TestReplay_EndsTheSameAfterServerRestarts(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	server := flowServer(t, addr)
	v := &subscriber{url: "http://" + addr + "/v1/flows/demo/stream", state: flow.NewState("demo", 0)}
	var c cut
	ctx, stop := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() { c.follow(ctx, v) })
	defer following.Wait()
	defer stop()

	replay := spawn(t, []string{"FLOW_SERVER_URL=http://" + addr, "FLOW_ID=demo", "EMIT_INTERVAL=20ms", "LOG_LEVEL=warn"}, adapterBinary,
		"replay", "--speed", "25", "--rebase", "fsn1="+recordings+"kit-fsn1.jsonl", "hel1="+recordings+"kit-hel1.jsonl")
	sees := func(id, status string) {
		t.Helper()
		eventually(t, "the subscriber sees "+id+" "+status, replay.out, func() bool { return v.statuses()[id] == status })
	}
	for i, moment := range []struct{ id, status string }{
		{"fsn1/bp-cilium", "succeeded"}, {"hel1/bp-powerdns", "failed"}, {"fsn1/bp-openbao", "succeeded"}, // statuses early in the replay
	} {
		sees(moment.id, moment.status)
		c.now() // only the connection breaks, not the server
		eventually(t, "the stream resumes", replay.out, func() bool {
			v.mu.Lock()
			defer v.mu.Unlock()
			return v.resumed > i
		})
		server.kill()
		server = flowServer(t, addr)
		eventually(t, "the restarted server has the whole state", replay.out, func() bool {
			m := snapshot(t, addr, "demo")
			return m != nil && len(m.Nodes) >= 48
		})
	}
	select {
	case <-replay.ended:
		t.Fatal("the replay ended before the third restart, so the test proves nothing")
	default:
	}
	replay.wait(t)
	if replay.exitErr != nil {
		t.Fatalf("%v\n%s", replay.exitErr, replay.out)
	}

	want := truth(t, "fsn1", "kit-fsn1")
	maps.Copy(want, truth(t, "hel1", "kit-hel1"))
	m := snapshot(t, addr, "demo")
	if got := statuses(m.Nodes); !maps.Equal(got, want) {
		t.Errorf("the snapshot is %v, want %v", got, want)
	}
	once := fold(t, "demo", dryRun(t, map[string]string{"FLOW_ID": "demo"}, "", "fsn1="+recordings+"kit-fsn1.jsonl", "hel1="+recordings+"kit-hel1.jsonl")).Snapshot()
	key := func(r flow.Relationship) string { return fmt.Sprint(r.Key()) }
	if got, want := keys(m.Relationships, key), keys(once.Relationships, key); !slices.Equal(got, want) {
		t.Errorf("relationships: %q, want %q", got, want)
	}
	eventually(t, "the subscriber has the server's state", replay.out, func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return bytes.Equal([]byte(v.state.Snapshot().JSON()), []byte(m.JSON()))
	})
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.faults) > 0 {
		t.Errorf("the subscriber found %q", v.faults)
	}
	if v.snapshots < 4 {
		t.Errorf("%d snapshot frames, want one at the start and one after each restart", v.snapshots)
	}
}

func keys[T any](list []T, key func(T) string) []string {
	var out []string
	for _, x := range list {
		out = append(out, key(x))
	}
	slices.Sort(out)
	return out
}
