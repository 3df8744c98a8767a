package emit

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetrics_CountOutcomes(t *testing.T) {
	bubble(t, serverLimits{}, func(t *testing.T, b backend) {
		reg := prometheus.NewRegistry()
		g := newRig(t, b, func(c *Config) { c.Registerer, c.Backlog = reg, 3 })
		g.lead()
		g.change(g.region.upsert("a", "s0"), g.region.upsert("b", "s0"))
		g.drain()
		g.injectFaults(func(*http.Request, []byte) *fault { return &fault{status: 403} })
		g.change(g.region.upsert("a", "s1"))
		g.settle(time.Second)
		for _, s := range []string{"s2", "s3", "s4", "s5"} { // over the backlog
			g.change(g.region.upsert("b", s))
		}
		if n := testutil.ToFloat64(g.em.metrics.backlog); n != 2 {
			t.Errorf("backlog_changes is %v", n)
		}
		g.injectFaults(nil)
		g.drain()
		m := g.em.metrics
		denied := testutil.ToFloat64(m.posts.WithLabelValues("denied"))
		if denied < 1 || testutil.ToFloat64(m.retries) != denied {
			t.Errorf("%v POSTs denied, %v retries", denied, testutil.ToFloat64(m.retries))
		}
		if at := testutil.ToFloat64(m.success); at < float64(time.Now().Add(-time.Second).Unix()) || at > float64(time.Now().Unix()+1) {
			t.Errorf("last success at %v", at)
		}
		if n := testutil.CollectAndCount(m.lag); n != 1 {
			t.Errorf("%d lag series", n)
		}
		err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP flow_adapter_backlog_changes Changes that the server has not confirmed.
# TYPE flow_adapter_backlog_changes gauge
flow_adapter_backlog_changes 0
# HELP flow_adapter_changes_collapsed_total Changes that were replaced by newer ones because too many waited.
# TYPE flow_adapter_changes_collapsed_total counter
flow_adapter_changes_collapsed_total 3
# HELP flow_adapter_changes_confirmed_total Changes of nodes and relationships that the server confirmed.
# TYPE flow_adapter_changes_confirmed_total counter
flow_adapter_changes_confirmed_total 4
# HELP flow_adapter_changes_dropped_total Changes that the server rejected for good. An element is sent again when its value changes.
# TYPE flow_adapter_changes_dropped_total counter
flow_adapter_changes_dropped_total 0
# HELP flow_adapter_messages_sent_total FlowMessages that the server confirmed.
# TYPE flow_adapter_messages_sent_total counter
flow_adapter_messages_sent_total 3
# HELP flow_adapter_resyncs_total Comparisons with the server's snapshot, by cause: leading, lost, conflict, periodic.
# TYPE flow_adapter_resyncs_total counter
flow_adapter_resyncs_total{cause="leading"} 1
`), "flow_adapter_backlog_changes", "flow_adapter_changes_collapsed_total", "flow_adapter_changes_confirmed_total",
			"flow_adapter_changes_dropped_total", "flow_adapter_messages_sent_total", "flow_adapter_resyncs_total")
		if err != nil {
			t.Error(err)
		}
		_ = g.stop()
	})
}

func TestConfig_ErrorsNameTheField(t *testing.T) {
	good := Config{URL: "https://flow.example/sovereign", FlowID: "F", Region: "r1", Source: newRegion("r1")}
	for name, c := range map[string]struct {
		change   func(*Config)
		wantPart string
	}{
		"valid":               {func(*Config) {}, ""},
		"region with a slash": {func(c *Config) { c.Region = "eu/west;1" }, ""},
		"no URL":              {func(c *Config) { c.URL = "" }, "URL"},
		"URL without scheme":  {func(c *Config) { c.URL = "flow:8080" }, "URL"},
		"password in the URL": {func(c *Config) { c.URL = "https://me:secret@flow" }, "user and password"},
		"query in the URL":    {func(c *Config) { c.URL = "https://flow?x=1" }, "query"},
		"empty query":         {func(c *Config) { c.URL = "https://flow/?" }, "query"},
		"empty fragment":      {func(c *Config) { c.URL = "https://flow#" }, "query"},
		"flow id":             {func(c *Config) { c.FlowID = "a/b" }, "FlowID"},
		"flow id of dots":     {func(c *Config) { c.FlowID = ".." }, "FlowID"},
		"no region":           {func(c *Config) { c.Region = "" }, "Region"},
		"no source":           {func(c *Config) { c.Source = nil }, "Source"},
		"negative":            {func(c *Config) { c.Interval = -1 }, "Interval"},
		"name":                {func(c *Config) { c.Name = "a;b" }, "Name"},
		"metrics twice": {func(c *Config) {
			c.Registerer = prometheus.NewRegistry()
			_, _ = New(*c)
		}, "duplicate"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			_, err := New(cfg)
			if c.wantPart == "" && err != nil || c.wantPart != "" && (err == nil || !strings.Contains(err.Error(), c.wantPart)) {
				t.Errorf("got %v, want an error with %q", err, c.wantPart)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
}
