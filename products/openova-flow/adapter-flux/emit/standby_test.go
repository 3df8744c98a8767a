package emit

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Between two terms the standby sees what becomes of a node while the server has it in some state.
func TestLead_SendsWhatTheServerHasNotSeen(t *testing.T) {
	for _, c := range []struct {
		name   string
		seen   []string // by the standby; "gone" deletes the node
		server string   // what another leader has sent meanwhile; empty: nothing
		want   []string // what is sent of the node after the term before
	}{
		{"nothing was sent meanwhile", []string{"1", "2", "3"}, "", []string{"1", "2", "3"}},
		{"the server is in the middle", []string{"1", "2", "3"}, "2", []string{"3"}},
		{"the server has all of it", []string{"1", "2"}, "2", nil},
		{"the server has what nobody here saw", []string{"1", "2"}, "x", []string{"2"}},
		{"it came back to what the server has", []string{"1", "0"}, "", nil},
		{"it was made again", []string{"gone", "1"}, "", []string{"deleted", "1"}},
		{"it went", []string{"1", "gone"}, "", []string{"1", "deleted"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, serverLimits{}, func(t *testing.T, b backend) {
				g := newRig(t, b)
				g.lead()
				defer g.stop()
				g.change(g.region.is("a", "0"), g.region.is("b", "0"))
				g.drain()
				g.em.Resign()
				for _, status := range c.seen {
					if status == "gone" {
						g.change(g.region.gone("a"))
					} else {
						g.change(g.region.is("a", status))
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
					t.Errorf("what did not change was sent %d times", len(got))
				}
				g.same()
			})
		})
	}
}

func TestLead_KnowsTheLastMinuteOnly(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b, func(c *Config) { c.Backlog = 3 })
		g.lead()
		defer g.stop()
		g.change(g.region.is("a", "0"))
		g.drain()
		g.em.Resign()
		g.change(g.region.is("a", "1"))
		g.settle(standbyTime + time.Second)
		g.change(g.region.is("a", "2"))
		g.em.Lead(2)
		g.drain()
		g.em.Resign()
		for i := range 5 {
			g.change(g.region.is("b", fmt.Sprint(i)))
		}
		g.em.Lead(3)
		g.drain()
		if got := g.statuses(t, "r1/a"); !slices.Equal(got, []string{"0", "2"}) {
			t.Errorf("sent %q", got)
		}
		if got := g.statuses(t, "r1/b"); !slices.Equal(got, []string{"4"}) {
			t.Errorf("sent %q of more changes than the backlog holds", got)
		}
		g.same()
	})
}

// What is put after the term began counts, whatever the server has.
func TestLead_SendsWhatCameBeforeTheComparison(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.lead()
		defer g.stop()
		g.change(g.region.is("a", "0"))
		g.drain()
		g.em.Resign()
		g.change(g.region.is("a", "1"))
		g.direct(t, http.MethodPost, "/events", fmt.Sprintf(`{"type":"upsert-nodes","nodes":[%s]}`, g.region.node("a", "x", nil).JSON()))
		g.breaks(func(*http.Request, []byte) *fault { return &fault{status: http.StatusServiceUnavailable} })
		g.em.Lead(2)
		g.settle(time.Second)
		g.change(g.region.is("a", "2"))
		g.change(g.region.is("a", "3"))
		g.breaks(nil)
		g.drain()
		if got := g.statuses(t, "r1/a"); !slices.Equal(got, []string{"0", "2", "3"}) {
			t.Errorf("sent %q", got)
		}
	})
}

// A process that has just started has seen no transition of what the server has.
func TestLead_FirstTermSendsTheDifference(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		g := newRig(t, b)
		g.direct(t, http.MethodPost, "/events", fmt.Sprintf(`{"type":"upsert-nodes","nodes":[%s]}`, g.region.node("a", "old", nil).JSON()))
		g.change(g.region.is("a", "listed"), g.region.is("new", "listed"))
		g.change(g.region.is("a", "now"), g.region.is("new", "now"))
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
		g.same()
	})
}
