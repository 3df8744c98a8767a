package notice_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/openova-io/openova/products/openova-flow/relay/notice"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// find returns the notices of a flow that has some nodes, and rollouts.
func find(nodes []flow.Node, rollouts ...rollout.Rollout) []notice.Notice {
	s := flow.NewState("f", 0)
	s.Apply(&flow.Message{Type: flow.TypeUpsertNodes, Nodes: nodes})
	return notice.Find(notice.Look{Flow: "f", Now: 1_000_000, State: s, View: insight.Read(s.Collect()).At(1_000_000, nil), Rollouts: rollouts})
}

func TestFind_LongNamesStayApart(t *testing.T) {
	long := "r/" + strings.Repeat("größe", 10_000)
	found := find([]flow.Node{
		{ID: long + "1", FlowID: "f", Label: long, Status: flow.StatusFailed, Region: "r"}, {ID: long + "2", FlowID: "f", Label: long, Status: flow.StatusFailed, Region: "r"},
	})
	if len(found) != 2 || found[0].Key == found[1].Key || found[0].Nodes[0] == found[1].Nodes[0] {
		t.Fatalf("%.2000v", found)
	}
	for _, n := range found {
		for _, text := range []string{n.Key, n.Label, n.Object, n.Nodes[0], n.Sentence} {
			if len(text) > 4096 || !utf8.ValidString(text) {
				t.Errorf("%d bytes: %.100q", len(text), text)
			}
		}
	}
}

func TestFind_RolloutIsBounded(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	r := rollout.Rollout{ID: "1", Outcome: rollout.Failed}
	var nodes []flow.Node
	for range 3 {
		r.Members = append(r.Members, rollout.Member{ID: long, Label: long, Region: long, VersionFrom: long, VersionTo: long, Status: flow.StatusFailed})
	}
	nodes = append(nodes, flow.Node{ID: long, FlowID: "f", Label: long, Status: flow.StatusFailed, Region: "r", Meta: flow.Object(`{"failure":{"since":1,"message":"` + long + `"},"revision":"` + long + `"}`)})
	for _, n := range find(nodes, r) {
		if n.Rollout == nil {
			continue
		}
		for _, m := range n.Rollout.Members {
			if size := len(m.ID + m.Label + m.Region + m.Object + m.VersionFrom + m.VersionTo + m.Failure + m.Revision); size > 6000 || m.Failure == "" || m.Revision == "" {
				t.Errorf("a member has %d bytes", size)
			}
		}
		return
	}
	t.Error("there is no rollout")
}

func TestFind_RevisionIsBounded(t *testing.T) {
	s := flow.NewState("f", 0)
	found := notice.Find(notice.Look{Flow: "f", State: s, View: insight.Read(s.Collect()).At(0, nil), Revisions: []notice.Notice{{
		Key: "k", Kind: notice.KindRevision, Revision: &notice.Revision{Commit: "c", Results: map[string]notice.Result{"r": {Result: insight.Failed, Sentence: strings.Repeat("größe", 10_000)}}},
	}}})
	if len(found) != 1 {
		t.Fatalf("%d notices", len(found))
	}
	if r := found[0].Revision.Results["r"]; len(r.Sentence) > 4096 || r.Result != insight.Failed {
		t.Errorf("the result is %s, with a sentence of %d bytes", r.Result, len(r.Sentence))
	}
}

func TestFind_CausesOfARegionAreBounded(t *testing.T) {
	var nodes []flow.Node
	for i := range 300 {
		id := "r/n" + string(rune('a'+i/26/26)) + string(rune('a'+i/26%26)) + string(rune('a'+i%26))
		nodes = append(nodes, flow.Node{ID: id, FlowID: "f", Label: id, Status: flow.StatusFailed, Region: "r", EndedAt: flow.At(int64(1000 - i))})
	}
	nodes = append(nodes, flow.Node{ID: "other/n", FlowID: "f", Label: "n", Status: flow.StatusFailed, Region: "other", EndedAt: flow.At(5000)})
	regions, newest := make(map[string]int), int64(0)
	for _, n := range find(nodes) {
		if regions[n.Regions[0]]++; n.Regions[0] == "r" {
			newest = max(newest, n.Since)
		}
	}
	if regions["r"] != 100 || regions["other"] != 1 || newest > 800 {
		t.Errorf("%v, the newest began at %d", regions, newest)
	}
}
