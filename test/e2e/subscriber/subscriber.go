// Package subscriber follows a flow as a page does: it folds the stream, and resumes after every lost connection. It records the statuses and
// edges that a page would have shown.
package subscriber

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/test/e2e/truth"
)

// Subscriber follows one flow.
type Subscriber struct {
	server, flow string

	mu        sync.Mutex
	onNode    func(flow.Node, time.Time)
	state     *flow.State
	lastID    int64
	snapshots int
	series    map[string][]string
	edges     map[truth.Edge]bool
	regions   map[string]claims.Region
	wrong     []string
}

// New returns a Subscriber of a flow at the server with this base URL.
func New(server, flowID string) *Subscriber {
	return &Subscriber{server: server, flow: flowID, state: flow.NewState(flowID, 0), series: map[string][]string{}, edges: map[truth.Edge]bool{}}
}

// Region returns the state of a region that the last connection brought; false if it brought none.
func (sub *Subscriber) Region(name string) (claims.Region, bool) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	r, ok := sub.regions[name]
	return r, ok
}

func (sub *Subscriber) takeRegions(data string) {
	var message claims.Regions
	if err := json.Unmarshal([]byte(data), &message); err != nil || message.Regions == nil {
		sub.fault("regions: %v", err)
		return
	}
	sub.mu.Lock()
	defer sub.mu.Unlock()
	sub.regions = message.Regions
}

// OnNode makes the subscriber call f for each node in a message other than a snapshot, with the time of arrival. f must not call
// methods of the subscriber.
func (sub *Subscriber) OnNode(f func(n flow.Node, at time.Time)) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	sub.onNode = f
}

// Run follows the flow until ctx ends.
func (sub *Subscriber) Run(ctx context.Context) {
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for {
		sub.connect(ctx)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}

func (sub *Subscriber) connect(ctx context.Context) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, sub.server+"/v1/flows/"+sub.flow+"/stream", nil)
	if err != nil {
		sub.fault("%v", err)
		return
	}
	sub.mu.Lock()
	sub.regions = nil // claims are valid only during a connection
	if sub.lastID > 0 {
		req.Header.Set("Last-Event-ID", strconv.FormatInt(sub.lastID, 10))
	}
	sub.mu.Unlock()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return // the server is unreachable
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 64<<20)
	var id int64
	var event, data string
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			if id, err = strconv.ParseInt(value, 10, 64); err != nil {
				sub.fault("id %q", value)
			}
		case "event":
			event = value
		case "data":
			data = value
		case "":
			switch event {
			case "heartbeat":
			case "regions":
				sub.takeRegions(data)
			default:
				sub.frame(id, event, data)
			}
			id, event, data = 0, "", ""
		}
	}
}

func (sub *Subscriber) frame(id int64, event, data string) {
	now := time.Now()
	m, err := flow.Decode(sub.flow, []byte(data))
	if err != nil || string(m.Type) != event {
		sub.fault("event %q: %v", event, err)
		return
	}
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if sub.onNode != nil && m.Type != flow.TypeSnapshot {
		for _, n := range m.Nodes {
			sub.onNode(n, now)
		}
	}
	if id <= sub.lastID {
		sub.wrong = append(sub.wrong, fmt.Sprintf("%d came after %d", id, sub.lastID))
	}
	sub.lastID = id
	if m.Type == flow.TypeSnapshot {
		sub.snapshots++
	}
	sub.remember(m)
	sub.state.Apply(m)
}

// remember records the statuses and edges in a message.
func (sub *Subscriber) remember(m *flow.Message) {
	for _, n := range m.Nodes {
		sub.append(n.ID, n.Status)
	}
	for _, r := range m.Relationships {
		sub.edges[truth.Edge{From: r.FromID, Type: string(r.Type), To: r.ToID}] = true
	}
	for _, id := range m.IDs {
		sub.append(id, truth.Gone)
	}
}

func (sub *Subscriber) append(id, status string) {
	if s := sub.series[id]; len(s) == 0 || s[len(s)-1] != status {
		sub.series[id] = append(s, status)
	}
}

func (sub *Subscriber) fault(format string, args ...any) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	sub.wrong = append(sub.wrong, fmt.Sprintf(format, args...))
}

// View returns what the subscriber shows now.
func (sub *Subscriber) View() truth.View {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	return Fold(sub.state.Snapshot())
}

// Fold returns the view of a snapshot.
func Fold(m *flow.Message) truth.View {
	view := truth.NewView()
	for _, n := range m.Nodes {
		view.Status[n.ID] = n.Status
	}
	for _, r := range m.Relationships {
		view.Edges[truth.Edge{From: r.FromID, Type: string(r.Type), To: r.ToID}] = true
	}
	return view
}

// Snapshots returns the number of snapshot frames.
func (sub *Subscriber) Snapshots() int {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	return sub.snapshots
}

// Shown returns the successive statuses of each node, and all edges that were ever shown.
func (sub *Subscriber) Shown() (series map[string][]string, edges map[truth.Edge]bool) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	series, edges = map[string][]string{}, map[truth.Edge]bool{}
	for id, s := range sub.series {
		series[id] = slices.Clone(s)
	}
	for e := range sub.edges {
		edges[e] = true
	}
	return series, edges
}

// Wrong returns the violations of the protocol.
func (sub *Subscriber) Wrong() []string {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	return slices.Clone(sub.wrong)
}
