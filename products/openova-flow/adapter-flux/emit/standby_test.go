package emit

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestLead_SendsChangesThatTheServerLacks has changes of a node between two terms, and different states of it on the server at the start of the second.
func TestLead_SendsChangesThatTheServerLacks(t *testing.T) {
	for _, c := range []struct {
		name   string
		seen   []string // statuses that the standby has seen; "gone": the node was deleted
		server string   // status that another leader has sent meanwhile; empty: none
		want   []string // statuses that are sent in the second term
	}{
		{"nothing was sent meanwhile", []string{"1", "2", "3"}, "", []string{"1", "2", "3"}},
		{"the server has a status in between", []string{"1", "2", "3"}, "2", []string{"3"}},
		{"the server has all of it", []string{"1", "2"}, "2", nil},
		{"the server has a status that the standby has not seen", []string{"1", "2"}, "x", []string{"2"}},
		{"the node is back in the server's status", []string{"1", "0"}, "", nil},
		{"the node was made again", []string{"gone", "1"}, "", []string{"deleted", "1"}},
		{"the node was deleted", []string{"1", "gone"}, "", []string{"1", "deleted"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, serverLimits{}, func(t *testing.T, b backend) {
				g := newRig(t, b)
				g.lead()
				defer g.stop()
				g.change(g.region.upsert("a", "0"), g.region.upsert("b", "0"))
				g.drain()
				g.em.Resign()
				for _, status := range c.seen {
					if status == "gone" {
						g.change(g.region.deletion("a"))
					} else {
						g.change(g.region.upsert("a", status))
					}
				}
				if c.server != "" {
					g.direct(t, http.MethodPost, "/events", fmt.Sprintf(`{"type":"upsert-nodes","nodes":[%s]}`, g.region.node("a", c.server, nil).JSON()))
				}
				g.em.Lead(2)
				g.drain()
				if got := g.statuses(t, "r1/a")[1:]; !slices.Equal(got, c.want) {
					t.Errorf("sent %q, want %q", got, c.want)
				}
				if got := g.statuses(t, "r1/b"); len(got) != 1 {
					t.Errorf("an unchanged node was sent %d times", len(got))
				}
				g.wantSameState()
			})
		})
	}
}

func TestLead_SendsOnlyChangesOfTheLastMinute(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b, func(c *Config) { c.Backlog = 3 })
		g.lead()
		defer g.stop()
		g.change(g.region.upsert("a", "0"))
		g.drain()
		g.em.Resign()
		g.change(g.region.upsert("a", "1"))
		g.settle(standbyTime + time.Second)
		g.change(g.region.upsert("a", "2"))
		g.em.Lead(2)
		g.drain()
		g.em.Resign()
		for i := range 5 {
			g.change(g.region.upsert("b", fmt.Sprint(i)))
		}
		g.em.Lead(3)
		g.drain()
		if got := g.statuses(t, "r1/a"); !slices.Equal(got, []string{"0", "2"}) {
			t.Errorf("sent %q", got)
		}
		if got := g.statuses(t, "r1/b"); !slices.Equal(got, []string{"4"}) {
			t.Errorf("sent %q of more changes than the backlog", got)
		}
		g.wantSameState()
	})
}

// TestLead_SendsChangesFromBeforeTheComparison: changes after the start of the term are sent even if they do not follow the server's state.
func TestLead_SendsChangesFromBeforeTheComparison(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		defer g.stop()
		g.change(g.region.upsert("a", "0"))
		g.drain()
		g.em.Resign()
		g.change(g.region.upsert("a", "1"))
		g.direct(t, http.MethodPost, "/events", fmt.Sprintf(`{"type":"upsert-nodes","nodes":[%s]}`, g.region.node("a", "x", nil).JSON()))
		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{status: http.StatusServiceUnavailable} })
		g.em.Lead(2)
		g.settle(time.Second)
		g.change(g.region.upsert("a", "2"))
		g.change(g.region.upsert("a", "3"))
		g.injectFaults(nil)
		g.drain()
		if got := g.statuses(t, "r1/a"); !slices.Equal(got, []string{"0", "2", "3"}) {
			t.Errorf("sent %q", got)
		}
	})
}

// TestLead_FirstTermSendsTheDifference: if a process has not seen the server's state of a node, it sends only the newest one.
func TestLead_FirstTermSendsTheDifference(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.direct(t, http.MethodPost, "/events", fmt.Sprintf(`{"type":"upsert-nodes","nodes":[%s]}`, g.region.node("a", "old", nil).JSON()))
		g.change(g.region.upsert("a", "listed"), g.region.upsert("new", "listed"))
		g.change(g.region.upsert("a", "now"), g.region.upsert("new", "now"))
		g.lead()
		defer g.stop()
		g.drain()
		synctest.Wait()
		if got := g.statuses(t, "r1/a"); !slices.Equal(got, []string{"now"}) {
			t.Errorf("sent %q", got)
		}
		if got := g.statuses(t, "r1/new"); !slices.Equal(got, []string{"listed", "now"}) {
			t.Errorf("sent %q of a node that the server does not have", got)
		}
		g.wantSameState()
	})
}

// TestLead_CollapseKeepsChangesOfTheTerm: if the log collapses before the comparison, the newest change of an element in the term is still sent.
func TestLead_CollapseKeepsChangesOfTheTerm(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b, func(c *Config) { c.Backlog = 3 })
		g.lead()
		defer g.stop()
		g.change(g.region.upsert("a", "0"))
		g.drain()
		g.em.Resign()
		for i := range 3 {
			g.change(g.region.upsert("b", fmt.Sprint(i)))
		}
		g.direct(t, http.MethodPost, "/events", fmt.Sprintf(`{"type":"upsert-nodes","nodes":[%s]}`, g.region.node("a", "x", nil).JSON()))
		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{status: http.StatusServiceUnavailable} })
		g.em.Lead(2)
		g.settle(time.Second)
		g.change(g.region.upsert("a", "1"))
		for i := range 3 {
			g.change(g.region.upsert("c", fmt.Sprint(i)))
		}
		g.change(g.region.upsert("a", "2"))
		g.injectFaults(nil)
		g.drain()
		collapsed := testutil.ToFloat64(g.em.metrics.collapsed)
		if got := g.statuses(t, "r1/a"); !slices.Equal(got, []string{"0", "1", "2"}) || collapsed == 0 {
			t.Errorf("sent %q, %v changes collapsed", got, collapsed)
		}
	})
}
