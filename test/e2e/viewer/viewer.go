// Package viewer follows a flow as a page does: it folds the stream, and resumes after every break. It records everything that it
// showed.
package viewer

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

// Viewer follows one flow.
type Viewer struct {
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

// New returns a Viewer of a flow at the server with this base URL.
func New(server, flowID string) *Viewer {
	return &Viewer{server: server, flow: flowID, state: flow.NewState(flowID, 0), series: map[string][]string{}, edges: map[truth.Edge]bool{}}
}

// Region returns the last state of a region; false if there is none.
func (v *Viewer) Region(name string) (claims.Region, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r, ok := v.regions[name]
	return r, ok
}

func (v *Viewer) takeRegions(data string) {
	var message claims.Regions
	if err := json.Unmarshal([]byte(data), &message); err != nil || message.Regions == nil {
		v.fault("regions: %v", err)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.regions = message.Regions
}

// OnNode makes the viewer call f for each node in a message other than a snapshot, with the time of arrival.
func (v *Viewer) OnNode(f func(n flow.Node, at time.Time)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.onNode = f
}

// Run follows the flow until ctx ends.
func (v *Viewer) Run(ctx context.Context) {
	pause := time.NewTicker(50 * time.Millisecond)
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

func (v *Viewer) connect(ctx context.Context) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.server+"/v1/flows/"+v.flow+"/stream", nil)
	if err != nil {
		v.fault("%v", err)
		return
	}
	v.mu.Lock()
	v.regions = nil // claims are valid only during a connection
	if v.lastID > 0 {
		req.Header.Set("Last-Event-ID", strconv.FormatInt(v.lastID, 10))
	}
	v.mu.Unlock()
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
				v.fault("id %q", value)
			}
		case "event":
			event = value
		case "data":
			data = value
		case "":
			switch event {
			case "heartbeat":
			case "regions":
				v.takeRegions(data)
			default:
				v.frame(id, event, data)
			}
			id, event, data = 0, "", ""
		}
	}
}

func (v *Viewer) frame(id int64, event, data string) {
	now := time.Now()
	m, err := flow.Decode(v.flow, []byte(data))
	if err != nil || string(m.Type) != event {
		v.fault("event %q: %v", event, err)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.onNode != nil && m.Type != flow.TypeSnapshot {
		for _, n := range m.Nodes {
			v.onNode(n, now)
		}
	}
	if id <= v.lastID {
		v.wrong = append(v.wrong, fmt.Sprintf("%d came after %d", id, v.lastID))
	}
	v.lastID = id
	if m.Type == flow.TypeSnapshot {
		v.snapshots++
	}
	v.remember(m)
	v.state.Apply(m)
}

// remember records what the viewer shows after a message.
func (v *Viewer) remember(m *flow.Message) {
	for _, n := range m.Nodes {
		v.append(n.ID, n.Status)
	}
	for _, r := range m.Relationships {
		v.edges[truth.Edge{From: r.FromID, Type: string(r.Type), To: r.ToID}] = true
	}
	for _, id := range m.IDs {
		v.append(id, truth.Gone)
	}
}

func (v *Viewer) append(id, status string) {
	if s := v.series[id]; len(s) == 0 || s[len(s)-1] != status {
		v.series[id] = append(s, status)
	}
}

func (v *Viewer) fault(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wrong = append(v.wrong, fmt.Sprintf(format, args...))
}

// View returns what the viewer shows now.
func (v *Viewer) View() truth.View {
	v.mu.Lock()
	defer v.mu.Unlock()
	return Fold(v.state.Snapshot())
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
func (v *Viewer) Snapshots() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.snapshots
}

// Shown returns the successive statuses of each node, and all edges that were ever shown.
func (v *Viewer) Shown() (series map[string][]string, edges map[truth.Edge]bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	series, edges = map[string][]string{}, map[truth.Edge]bool{}
	for id, s := range v.series {
		series[id] = slices.Clone(s)
	}
	for e := range v.edges {
		edges[e] = true
	}
	return series, edges
}

// Wrong returns the violations of the protocol.
func (v *Viewer) Wrong() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.wrong)
}
