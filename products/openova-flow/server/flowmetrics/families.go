package flowmetrics

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/internal/prom"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// Families returns the metrics for one scrape. It reads the flows when the first family is collected.
func (c *Collector) Families() []prom.Family {
	var out leftOut
	flows := sync.OnceValue(func() (list []*measures) {
		list, out = c.collect()
		return list
	})
	all := append(ofRegions(flows), ofNodes(flows)...)
	all = append(all, ofRollouts(flows)...)
	return append(all, prom.Family{Name: "openova_flow_flow_metrics_left_out", Type: "gauge", Help: "Flows, regions, problems and suspended nodes that the metrics of flows leave out because of their limits, by kind.",
		Collect: func(s *prom.Samples) {
			flows()
			s.Add(float64(out.flows), "kind", "flow")
			s.Add(float64(out.regions), "kind", "region")
			s.Add(float64(out.problems), "kind", "problem")
			s.Add(float64(out.suspended), "kind", "suspended_node")
		}})
}

func seconds(ms int64) float64 { return float64(ms) / 1000 }

func ofRegions(flows func() []*measures) []prom.Family {
	each := func(f func(s *prom.Samples, flow string, r *region)) func(*prom.Samples) {
		return func(s *prom.Samples) {
			for _, m := range flows() {
				for _, r := range m.regions {
					f(s, m.id, r)
				}
			}
		}
	}
	return []prom.Family{
		{Name: "openova_flow_flow_nodes", Type: "gauge", Help: "Nodes by flow, region and state, without nodes that contain others.", Collect: each(func(s *prom.Samples, flow string, r *region) {
			for _, state := range insight.States() {
				s.Add(float64(r.states[state]), "flow", flow, "region", r.name, "state", string(state))
			}
		})},
		{Name: "openova_flow_flow_marked_nodes", Type: "gauge", Help: "Nodes by flow, region and mark: drift, not-observed, old-revision, overdue, ready-expr, retrying, source-stale or suspended. Marks that no node has are left out.",
			Collect: each(func(s *prom.Samples, flow string, r *region) {
				for _, mark := range slices.Sorted(maps.Keys(r.marks)) {
					s.Add(float64(r.marks[mark]), "flow", flow, "region", r.name, "mark", mark)
				}
			})},
		{Name: "openova_flow_flow_blocked_nodes", Type: "gauge", Help: "Nodes that wait because of an open problem, by flow and region.", Collect: each(func(s *prom.Samples, flow string, r *region) {
			s.Add(float64(r.blocked), "flow", flow, "region", r.name)
		})},
		{Name: "openova_flow_flow_problems", Type: "gauge", Help: "Open problems (root causes), by flow, region, class of the cause and severity: critical if it does not change without a person, else warning. The region is empty for a problem of several regions.",
			Collect: each(func(s *prom.Samples, flow string, r *region) {
				compare := func(a, b kind) int { return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.severity, b.severity)) }
				for _, k := range slices.SortedFunc(maps.Keys(r.problems), compare) {
					s.Add(float64(r.problems[k]), "flow", flow, "region", r.name, "class", k.class, "severity", k.severity)
				}
			})},
		{Name: "openova_flow_flow_oldest_problem_timestamp_seconds", Type: "gauge", Help: "Since when the oldest open problem exists, Unix time, by flow, region and severity.", Collect: each(func(s *prom.Samples, flow string, r *region) {
			for _, severity := range slices.Sorted(maps.Keys(r.oldest)) {
				s.Add(seconds(r.oldest[severity]), "flow", flow, "region", r.name, "severity", severity)
			}
		})},
		{Name: "openova_flow_stale_region_last_seen_timestamp_seconds", Type: "gauge", Help: "When a stale region was last seen, Unix time. Regions that are not stale are left out.", Collect: each(func(s *prom.Samples, flow string, r *region) {
			if r.lastSeen != 0 {
				s.Add(seconds(r.lastSeen), "flow", flow, "region", r.name)
			}
		})},
		{Name: "openova_flow_unapplied_revision_timestamp_seconds", Type: "gauge", Help: "When a source of a region fetched its current revision, Unix time, while a Kustomization has not applied it; of several sources the earliest. No sample if all are applied.",
			Collect: each(func(s *prom.Samples, flow string, r *region) {
				if r.unapplied != 0 {
					s.Add(seconds(r.unapplied), "flow", flow, "region", r.name)
				}
			})},
	}
}

func ofNodes(flows func() []*measures) []prom.Family {
	return []prom.Family{
		{Name: "openova_flow_problem_timestamp_seconds", Type: "gauge", Help: "Since when an open problem exists, Unix time, by flow, region, node of the root cause, class and severity; 0: unknown.", Collect: func(s *prom.Samples) {
			for _, m := range flows() {
				for _, p := range m.problems {
					s.Add(seconds(p.since), "flow", m.id, "region", p.region, "node", p.id, "class", p.class, "severity", p.severity)
				}
			}
		}},
		{Name: "openova_flow_problem_blocked_nodes", Type: "gauge", Help: "Nodes that wait because of an open problem, with the labels of openova_flow_problem_timestamp_seconds.", Collect: func(s *prom.Samples) {
			for _, m := range flows() {
				for _, p := range m.problems {
					s.Add(float64(p.blocked), "flow", m.id, "region", p.region, "node", p.id, "class", p.class, "severity", p.severity)
				}
			}
		}},
		{Name: "openova_flow_suspended_node_timestamp_seconds", Type: "gauge", Help: "Since when a node is suspended, Unix time, by flow, region and node; 0: unknown.", Collect: func(s *prom.Samples) {
			for _, m := range flows() {
				for _, n := range m.suspended {
					s.Add(seconds(n.since), "flow", m.id, "region", n.region, "node", n.id)
				}
			}
		}},
	}
}

// outcomes of rollouts that have ended.
var outcomes = []string{rollout.Succeeded, rollout.Failed, rollout.Incomplete}

func ofRollouts(flows func() []*measures) []prom.Family {
	ended := func(f func(s *prom.Samples, flow string, r *rollout.Rollout)) func(*prom.Samples) {
		return func(s *prom.Samples) {
			for _, m := range flows() {
				if m.last != nil {
					f(s, m.id, m.last)
				}
			}
		}
	}
	return []prom.Family{
		{Name: "openova_flow_rollout_in_progress", Type: "gauge", Help: "1 while a rollout of the flow is in progress, else 0.", Collect: func(s *prom.Samples) {
			for _, m := range flows() {
				n := 0.0
				if m.open != nil {
					n = 1
				}
				s.Add(n, "flow", m.id)
			}
		}},
		{Name: "openova_flow_rollout_start_timestamp_seconds", Type: "gauge", Help: "When the rollout in progress began, Unix time. No sample if none is in progress.", Collect: func(s *prom.Samples) {
			for _, m := range flows() {
				if m.open != nil {
					s.Add(seconds(m.open.StartedAt), "flow", m.id)
				}
			}
		}},
		{Name: "openova_flow_rollout_last_outcome", Type: "gauge", Help: "1 for the outcome of the last rollout that has ended, 0 for the others: succeeded, failed or incomplete.", Collect: ended(func(s *prom.Samples, flow string, r *rollout.Rollout) {
			for _, outcome := range outcomes {
				n := 0.0
				if r.Outcome == outcome {
					n = 1
				}
				s.Add(n, "flow", flow, "outcome", outcome)
			}
		})},
		{Name: "openova_flow_rollout_last_end_timestamp_seconds", Type: "gauge", Help: "End of the last rollout that has ended, Unix time.", Collect: ended(func(s *prom.Samples, flow string, r *rollout.Rollout) {
			s.Add(seconds(r.EndedAt.Ms()), "flow", flow)
		})},
		{Name: "openova_flow_rollout_last_duration_seconds", Type: "gauge", Help: "Duration of the last rollout that has ended.", Collect: ended(func(s *prom.Samples, flow string, r *rollout.Rollout) {
			s.Add(seconds(r.EndedAt.Ms()-r.StartedAt), "flow", flow)
		})},
	}
}
