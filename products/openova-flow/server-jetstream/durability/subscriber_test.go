package durability

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// subscriber subscribes to a flow at any replica, and folds the messages.
type subscriber struct {
	flowID string
	urls   []string
	client *http.Client

	mu        sync.Mutex
	state     *flow.State
	last      atomic.Int64
	snapshots int // snapshot frames after the first
	resumes   int
	frames    int
	fault     error
}

// run follows the flow until ctx ends or a fault, and chooses a replica at random every few seconds.
func (sub *subscriber) run(ctx context.Context, r *rand.Rand) {
	for ctx.Err() == nil {
		one, cancel := context.WithTimeout(ctx, time.Duration(2000+r.IntN(6000))*time.Millisecond)
		err := sub.follow(one, sub.urls[r.IntN(len(sub.urls))])
		cancel()
		if err != nil {
			sub.mu.Lock()
			sub.fault = err
			sub.mu.Unlock()
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(r.IntN(200)) * time.Millisecond):
		}
	}
}

// follow reads one stream until it ends. It returns an error only for content that no stream may have.
func (sub *subscriber) follow(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/flows/"+sub.flowID+"/stream", nil)
	if err != nil {
		return err
	}
	resuming := sub.last.Load() > 0
	if resuming {
		req.Header.Set("Last-Event-ID", strconv.FormatInt(sub.last.Load(), 10))
	}
	resp, err := sub.client.Do(req)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil
	}
	in := bufio.NewReader(resp.Body)
	first := true
	for {
		id, event, data, err := frame(in)
		if err != nil {
			return nil
		}
		if event == "heartbeat" || event == "regions" {
			continue
		}
		if err := sub.take(id, event, data, first && resuming); err != nil {
			return fmt.Errorf("%s at %s: %w", sub.flowID, url, err)
		}
		first = false
	}
}

func frame(in *bufio.Reader) (id int64, event, data string, err error) {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return 0, "", "", err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "":
			return id, event, data, nil
		case "id":
			id, _ = strconv.ParseInt(value, 10, 64)
		case "event":
			event = value
		case "data":
			data = value
		}
	}
}

func (sub *subscriber) take(id int64, event, data string, resumed bool) error {
	m, err := flow.Decode(sub.flowID, []byte(data))
	if err != nil {
		return fmt.Errorf("%s %d: %w", event, id, err)
	}
	sub.mu.Lock()
	defer sub.mu.Unlock()
	last := sub.last.Load()
	snapshot := m.Type == flow.TypeSnapshot
	if id < last || id == last && !snapshot {
		return fmt.Errorf("%s: seq %d after %d", event, id, last)
	}
	switch {
	case snapshot && sub.state != nil:
		sub.snapshots++
	case resumed:
		sub.resumes++
	}
	if snapshot {
		sub.state = flow.NewState(sub.flowID, 0)
	}
	sub.state.Apply(m)
	sub.frames++
	sub.last.Store(id)
	return nil
}
