// Package truth computes the expected nodes and edges of a cluster from the objects in its API server alone. It shares no code with the
// tested programs.
package truth

import (
	"cmp"
	"slices"
	"strings"
	"sync"
)

// Gone is the status of a missing node.
const Gone = "gone"

// Edge is the key of a relationship.
type Edge struct{ From, Type, To string }

// View has the nodes and edges of a flow.
type View struct {
	Status map[string]string // by node id
	Edges  map[Edge]bool
}

// NewView returns an empty View.
func NewView() View { return View{map[string]string{}, map[Edge]bool{}} }

// Kinds are the kinds with nodes.
var Kinds = []string{"HelmRelease", "Kustomization", "GitRepository", "HelmRepository", "OCIRepository", "Bucket"}

// member reports whether objects of a kind count in the status of their region.
func member(kind any) bool { return kind == "HelmRelease" || kind == "Kustomization" }

// failures has, by kind, the reasons with which Ready=False means failed. For a source, every reason means failed.
var failures = map[any][]string{
	"HelmRelease":   {"InstallFailed", "UpgradeFailed", "RetriesExhausted"},
	"Kustomization": {"BuildFailed", "ReconciliationFailed", "PruneFailed", "HealthCheckFailed"},
}

// Status returns the status of an object from its conditions.
func Status(o map[string]any) string {
	ready, reason := condition(o, "Ready")
	stalled, _ := condition(o, "Stalled")
	switch {
	case ready == "True":
		return "succeeded"
	case stalled == "True", ready == "False" && (!member(o["kind"]) || slices.Contains(failures[o["kind"]], reason)):
		return "failed"
	case ready == "" && member(o["kind"]):
		return "pending"
	}
	return "running"
}

func condition(o map[string]any, name string) (status, reason string) {
	conditions, _ := at(o, "status", "conditions").([]any)
	for _, c := range conditions {
		if at(c, "type") == name {
			return text(c, "status"), text(c, "reason")
		}
	}
	return "", ""
}

// rechecks reports whether an object that has succeeded keeps this status although Ready is Unknown: its controller repeats a finished reconciliation. For a
// source it does not check that the specification is the same.
func rechecks(o map[string]any) bool {
	ready, _ := condition(o, "Ready")
	if ready != "Unknown" || o["kind"] == "HelmRelease" {
		return false
	}
	if !member(o["kind"]) {
		return true
	}
	return at(o, "status", "observedGeneration") == at(o, "metadata", "generation") &&
		at(o, "status", "lastAppliedRevision") == at(o, "status", "lastAttemptedRevision")
}

func at(v any, path ...string) any {
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return v
}

func text(v any, path ...string) string {
	s, _ := at(v, path...).(string)
	return s
}

// ID returns the id of an object's node.
func ID(region, kind, namespace, name string) string {
	switch {
	case kind != "HelmRelease":
		return region + "/" + kind + "/" + namespace + "/" + name
	case namespace == "flux-system":
		return region + "/" + name
	}
	return region + "/" + namespace + "/" + name
}

// Of returns the id of an object's node.
func Of(region string, o map[string]any) string {
	return ID(region, text(o, "kind"), text(o, "metadata", "namespace"), text(o, "metadata", "name"))
}

// Edges returns the edges that an object can have: to its region; from its dependencies, its source, and the releases and Kustomizations in its health checks;
// to the Kustomization that applies it. View.Add leaves out edges from a missing source, and edges to a Kustomization that is missing or does not wait.
func Edges(region string, o map[string]any) []Edge {
	own, id := text(o, "metadata", "namespace"), Of(region, o)
	edges := []Edge{{id, "contains", region}}
	to := func(kind string, ref any, typ string) {
		if name := text(ref, "name"); name != "" {
			edges = append(edges, Edge{ID(region, cmp.Or(text(ref, "kind"), kind), cmp.Or(text(ref, "namespace"), own), name), typ, id})
		}
	}
	deps, _ := at(o, "spec", "dependsOn").([]any)
	for _, d := range deps {
		to(text(o, "kind"), d, "finish-to-start")
	}
	for _, path := range [][]string{{"spec", "sourceRef"}, {"spec", "chartRef"}, {"spec", "chart", "spec", "sourceRef"}} {
		to("", at(o, path...), "finish-to-start")
	}
	checks, _ := at(o, "spec", "healthChecks").([]any)
	for _, c := range checks {
		if kind := text(c, "kind"); member(kind) {
			to(kind, c, "finish-to-finish")
		}
	}
	const label = "kustomize.toolkit.fluxcd.io/"
	by := ID(region, "Kustomization", text(o, "metadata", "labels", label+"namespace"), text(o, "metadata", "labels", label+"name"))
	if member(o["kind"]) && at(o, "metadata", "labels", label+"name") != nil && by != id {
		edges = append(edges, Edge{id, "finish-to-finish", by})
	}
	return edges
}

// worst lists statuses by precedence: the first that any member has is the status of the region.
var worst = []string{"failed", "running", "pending", "succeeded"}

func region(counts map[string]int) string {
	for _, s := range worst {
		if counts[s] > 0 {
			return s
		}
	}
	return "pending"
}

// Add adds a region and its objects.
func (v View) Add(name string, objects []map[string]any) {
	counts := map[string]int{}
	exists, waits := map[string]bool{}, map[string]bool{}
	for _, o := range objects {
		id, s := Of(name, o), Status(o)
		if member(o["kind"]) {
			counts[s]++
		}
		v.Status[id] = s
		exists[id] = true
		waits[id] = at(o, "spec", "wait") == true
	}
	for _, o := range objects {
		for _, e := range Edges(name, o) {
			switch source := strings.Count(e.From, "/") == 3 && !strings.Contains(e.From, "/Kustomization/"); {
			case source && e.Type != "contains" && !exists[e.From]:
			case e.Type == "finish-to-finish" && e.From == Of(name, o) && !waits[e.To]:
			default:
				v.Edges[e] = true
			}
		}
	}
	v.Status[name] = region(counts)
}

// History has every status of a cluster's nodes, and every edge that they could have. It is safe for concurrent use.
type History struct {
	name string

	mu     sync.Mutex
	now    map[string]string
	counts map[string]int
	series map[string][]string
	edges  map[Edge]bool
}

// NewHistory returns the History of a region that has no objects yet.
func NewHistory(region string) *History {
	return &History{name: region, now: map[string]string{}, counts: map[string]int{}, edges: map[Edge]bool{},
		series: map[string][]string{region: {"pending"}}}
}

// Saw records the current state of an object.
func (h *History) Saw(o map[string]any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range Edges(h.name, o) {
		h.edges[e] = true
	}
	id, status := Of(h.name, o), Status(o)
	if h.now[id] == "succeeded" && rechecks(o) {
		status = "succeeded"
	}
	h.setStatus(id, status, member(o["kind"]))
}

// Lost records that an object no longer exists.
func (h *History) Lost(o map[string]any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.setStatus(Of(h.name, o), Gone, member(o["kind"]))
}

func (h *History) setStatus(id, status string, counts bool) {
	before, existed := h.now[id]
	h.now[id] = status
	if status == Gone {
		delete(h.now, id)
	}
	h.append(id, status)
	if !counts {
		return
	}
	if existed {
		h.counts[before]--
	}
	if status != Gone {
		h.counts[status]++
	}
	h.append(h.name, region(h.counts))
}

func (h *History) append(id, status string) {
	if s := h.series[id]; len(s) == 0 || s[len(s)-1] != status {
		h.series[id] = append(s, status)
	}
}

// Had reports whether the region or object ever had the status.
func (h *History) Had(id, status string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.series[id], status)
}

// HadEdge reports whether an object could ever have the edge, see Edges.
func (h *History) HadEdge(e Edge) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.edges[e]
}

// Series returns the successive statuses of each node.
func (h *History) Series() map[string][]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make(map[string][]string, len(h.series))
	for id, s := range h.series {
		out[id] = slices.Clone(s)
	}
	return out
}
