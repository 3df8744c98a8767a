package notice_test

import (
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

func TestNotice_Facts(t *testing.T) {
	n := notice.Notice{Kind: notice.KindCause, Phase: notice.Resolved, Since: 60_000, Until: 150_000, Blocked: 12, Blocks: []string{"r/a", "r/b"}, Command: []string{"kubectl", "get", "pods"}}
	facts := func() string {
		var all []string
		for _, f := range n.Facts() {
			all = append(all, f.Name+": "+f.Value)
		}
		return strings.Join(all, "; ")
	}
	if got, want := facts(), "Since: 1970-01-01 00:01:00 UTC; Took: 1m30s"; got != want {
		t.Errorf("resolved: %q, want %q", got, want)
	}
	n.Until = 60_000
	if got, want := facts(), "Since: 1970-01-01 00:01:00 UTC"; got != want {
		t.Errorf("resolved at once: %q, want %q", got, want)
	}
	n.Phase, n.Until = notice.Opened, 0
	if got, want := facts(), "Since: 1970-01-01 00:01:00 UTC; Blocks 12: r/a, r/b and 10 more; Run: kubectl get pods"; got != want {
		t.Errorf("opened: %q, want %q", got, want)
	}
	n.Command = []string{"kubectl", "get\x1b", "pods"}
	if got := facts(); strings.Contains(got, "Run") {
		t.Errorf("it shows a command that is not safe to paste: %q", got)
	}
}

func TestDesk_Links(t *testing.T) {
	for want, n := range map[string]notice.Notice{
		"https://p/?flow=f&node=r/a%26b&at=1970-01-01T00:00:01.060Z": {Key: "a", Kind: notice.KindCause, Flows: []string{"f"}, Nodes: []string{"r/a&b", "r/c"}},
		"https://p/?flow=f&rollout=x&at=1970-01-01T00:00:01.060Z":    {Key: "a", Kind: notice.KindRollout, Flows: []string{"f"}, Rollout: &notice.Rollout{ID: "x"}},
		"https://p/?flow=f&at=1970-01-01T00:00:01.060Z":              {Key: "a", Kind: notice.KindRegion, Flows: []string{"f"}},
	} {
		b := newBench(t)
		b.limits.Severity, b.limits.Page = "", "https://p/"
		b.look(1000, n)
		if b.look(1060, n); len(b.last.Notices) != 1 || b.last.Notices[0].Link != want {
			t.Errorf("%+v, want %s", b.last.Notices, want)
		}
	}
}

// TestDesk_LinkOfARootCauseInTwoFlows merges a root cause of two flows, whose node ids differ. The linked node is in the linked flow.
func TestDesk_LinkOfARootCauseInTwoFlows(t *testing.T) {
	b := newBench(t)
	b.limits.Page = "https://p/"
	first, second := cause("db", "x"), cause("db", "x")
	first.Flows, first.Nodes = []string{"a"}, []string{"fsn1/db"}
	second.Flows, second.Nodes, second.Severity = []string{"b"}, []string{"hel1/db"}, notice.Critical
	b.look(1000, first, second)
	b.look(1060, first, second)
	if n := b.last.Notices; len(n) != 1 || n[0].Link != "https://p/?flow=a&node=fsn1/db&at=1970-01-01T00:00:01.060Z" {
		t.Errorf("%+v", n)
	}
}
