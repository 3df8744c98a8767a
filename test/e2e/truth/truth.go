// Package truth says what a flow must show of a cluster, from the objects that the API server has and from nothing else. It shares no
// code with what it judges.
package truth

import (
	"slices"
	"sync"
)

// Gone is the status of what is not there.
const Gone = "gone"

// Edge is a relationship, without what it says besides.
type Edge struct{ From, Type, To string }

// View is the nodes and edges of a flow.
type View struct {
	Status map[string]string // by node id
	Edges  map[Edge]bool
}

// NewView returns an empty View.
func NewView() View { return View{map[string]string{}, map[Edge]bool{}} }

// Status is what a HelmRelease shows: Ready True is success whatever else, Stalled or one of three reasons is failure, no Ready yet is
// pending, and everything else is work.
func Status(release map[string]any) string {
	var ready, stalled, reason string
	status, _ := release["status"].(map[string]any)
	conditions, _ := status["conditions"].([]any)
	for _, c := range conditions {
		condition, _ := c.(map[string]any)
		value, _ := condition["status"].(string)
		switch condition["type"] {
		case "Ready":
			ready = value
			reason, _ = condition["reason"].(string)
		case "Stalled":
			stalled = value
		}
	}
	failed := ready == "False" && (reason == "InstallFailed" || reason == "UpgradeFailed" || reason == "RetriesExhausted")
	switch {
	case ready == "True":
		return "succeeded"
	case stalled == "True" || failed:
		return "failed"
	case ready == "":
		return "pending"
	}
	return "running"
}

// ID is the id of a release's node.
func ID(region, namespace, name string) string {
	if namespace == "flux-system" {
		return region + "/" + name
	}
	return region + "/" + namespace + "/" + name
}

// Of is the id of a release's own node.
func Of(region string, release map[string]any) string {
	meta, _ := release["metadata"].(map[string]any)
	namespace, _ := meta["namespace"].(string)
	name, _ := meta["name"].(string)
	return ID(region, namespace, name)
}

// Edges are what a release is in, and what it depends on.
func Edges(region string, release map[string]any) []Edge {
	meta, _ := release["metadata"].(map[string]any)
	own, _ := meta["namespace"].(string)
	id := Of(region, release)
	edges := []Edge{{id, "contains", region}}
	spec, _ := release["spec"].(map[string]any)
	deps, _ := spec["dependsOn"].([]any)
	for _, d := range deps {
		dep, _ := d.(map[string]any)
		namespace, ok := dep["namespace"].(string)
		if !ok || namespace == "" {
			namespace = own
		}
		name, _ := dep["name"].(string)
		edges = append(edges, Edge{ID(region, namespace, name), "finish-to-start", id})
	}
	return edges
}

// worst is the order in which one release decides the status of its region.
var worst = []string{"failed", "running", "pending", "succeeded"}

// region is the status of a region with so many releases of each status.
func region(counts map[string]int) string {
	for _, s := range worst {
		if counts[s] > 0 {
			return s
		}
	}
	return "pending"
}

// Add puts a region and its releases into the View.
func (v View) Add(name string, releases []map[string]any) {
	counts := map[string]int{}
	for _, r := range releases {
		s := Status(r)
		counts[s]++
		v.Status[Of(name, r)] = s
		for _, e := range Edges(name, r) {
			v.Edges[e] = true
		}
	}
	v.Status[name] = region(counts)
}

// History is everything that a cluster ever had. It may be used from several goroutines.
type History struct {
	name string

	mu     sync.Mutex
	now    map[string]string
	counts map[string]int
	series map[string][]string
	edges  map[Edge]bool
}

// NewHistory returns the History of a region that has no releases yet.
func NewHistory(region string) *History {
	return &History{name: region, now: map[string]string{}, counts: map[string]int{}, edges: map[Edge]bool{},
		series: map[string][]string{region: {"pending"}}}
}

// Saw notes a release as the API server has it now.
func (h *History) Saw(release map[string]any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range Edges(h.name, release) {
		h.edges[e] = true
	}
	h.turn(Of(h.name, release), Status(release))
}

// Lost notes that a release is not there any more.
func (h *History) Lost(release map[string]any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.turn(Of(h.name, release), Gone)
}

func (h *History) turn(id, status string) {
	if before, ok := h.now[id]; ok {
		h.counts[before]--
	}
	h.now[id] = status
	if status == Gone {
		delete(h.now, id)
	} else {
		h.counts[status]++
	}
	h.append(id, status)
	h.append(h.name, region(h.counts))
}

func (h *History) append(id, status string) {
	if s := h.series[id]; len(s) == 0 || s[len(s)-1] != status {
		h.series[id] = append(s, status)
	}
}

// Had reports whether the region or a release ever had the status.
func (h *History) Had(id, status string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.series[id], status)
}

// HadEdge reports whether an edge was ever there.
func (h *History) HadEdge(e Edge) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.edges[e]
}

// Series returns the statuses that each node had one after the other.
func (h *History) Series() map[string][]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make(map[string][]string, len(h.series))
	for id, s := range h.series {
		out[id] = slices.Clone(s)
	}
	return out
}
