package mapping_test

import (
	"slices"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// TestRecordings_ScenariosEndAsDescribed has expectations that were written by hand from the recording.
func TestRecordings_ScenariosEndAsDescribed(t *testing.T) {
	r := play(t, "scenarios", "scenarios")
	type end struct {
		status string
		run    span
		meta   map[string]any
	}
	wants := map[string]end{
		"good":             {"succeeded", span{47, 48}, map[string]any{"versionApplied": "1.1.0", "helmRevision": 2, "action": "upgrade", "startedAtIsLowerBound": nil}},
		"range":            {"succeeded", span{14, 15}, map[string]any{"versionWanted": "1.x", "versionApplied": "1.1.0"}},
		"drift":            {"succeeded", span{60, 61}, map[string]any{"reason": "InstallSucceeded", "attempts": 1}},
		"to-suspend":       {"succeeded", span{5, 5}, map[string]any{"suspended": nil, "generation": 3, "runGeneration": 1}},
		"suspended":        {"pending", span{never, never}, map[string]any{"suspended": true, "ready": nil, "reason": nil}},
		"upfail":           {"succeeded", span{108, 108}, map[string]any{"versionApplied": "1.0.0", "helmRevision": 5, "failures": nil, "stalled": nil}},
		"tplfail":          {"succeeded", span{74, 74}, map[string]any{"versionApplied": "1.0.0", "attempts": 1, "failures": nil}},
		"tplfail-default":  {"failed", span{3, 111}, map[string]any{"reason": "InstallFailed", "attempts": 8, "stalled": nil, "versionApplied": nil}},
		"badobj":           {"failed", span{3, 16}, map[string]any{"attempts": 2, "installFailures": 2, "stalled": true, "stalledReason": "RetriesExceeded"}},
		"badobj-noretry":   {"failed", span{3, 4}, map[string]any{"attempts": 1, "failures": 1, "stalled": true}},
		"slow-timeout":     {"failed", span{4, 45}, map[string]any{"attempts": 2, "failures": 2, "stalled": true}},
		"retry-strategy":   {"failed", span{4, 19}, map[string]any{"attempts": 2, "installFailures": 1, "upgradeFailures": 1, "action": "upgrade"}},
		"retry-both":       {"failed", span{15, 150}, map[string]any{"reason": "UpgradeFailed", "stalled": nil}},
		"test-hook":        {"failed", span{6, 21}, map[string]any{"reason": "TestFailed", "stalled": true, "versionApplied": "1.0.0"}},
		"slowbase":         {"failed", span{99, 111}, map[string]any{"reason": "InstallFailed", "stalled": true, "generation": 3, "startedAtIsLowerBound": nil}},
		"dependent":        {"running", span{86, never}, map[string]any{"waitingFor": []string{"scenarios/demo2/slowbase"}, "waitingSince": flow.At(r.t0 + 107000), "versionApplied": "1.0.0"}},
		"dep-missing":      {"running", span{never, never}, map[string]any{"waitingFor": []string{"scenarios/demo2/nothere"}, "waitingSince": flow.At(r.t0 + 1000)}},
		"nochart":          {"running", span{never, never}, map[string]any{"reason": "SourceNotReady", "reasonSince": flow.At(r.t0 + 2000)}},
		"deadrepo":         {"running", span{never, never}, map[string]any{"reason": "SourceNotReady", "reasonSince": flow.At(r.t0 + 2000)}},
		"badvalues":        {"running", span{never, never}, map[string]any{"reason": "ValuesError", "reasonSince": flow.At(r.t0 + 6000)}},
		"chartref-missing": {"running", span{never, never}, map[string]any{"reason": "ArtifactFailed", "reasonSince": flow.At(r.t0 + 2000), "chart": nil}},
	}
	nodes := r.held.Snapshot().Nodes
	for name, want := range wants {
		i := slices.IndexFunc(nodes, func(n flow.Node) bool { return n.ID == "scenarios/demo2/"+name })
		if i < 0 {
			t.Errorf("no node %s", name)
			continue
		}
		n := nodes[i]
		if got := (span{r.second(n.StartedAt), r.second(n.EndedAt)}); n.Status != want.status || got != want.run {
			t.Errorf("%s is %s, and ran %v; want %s, %v", name, n.Status, got, want.status, want.run)
		}
		wantMeta(t, n, want.meta)
	}
	if len(nodes) != len(wants)+1 {
		t.Errorf("%d nodes, want the region and %d", len(nodes), len(wants))
	}
	edges := []string{}
	for _, e := range r.held.Snapshot().Relationships {
		if e.Type != flow.Contains {
			edges = append(edges, e.FromID+" "+e.ToID)
		}
	}
	want := []string{"scenarios/demo2/nothere scenarios/demo2/dep-missing", "scenarios/demo2/slowbase scenarios/demo2/dependent"}
	if !slices.Equal(edges, want) {
		t.Errorf("edges are %q, want %q", edges, want)
	}
}
