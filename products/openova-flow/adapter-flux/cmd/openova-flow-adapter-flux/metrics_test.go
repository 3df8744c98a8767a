package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/clock"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/emit"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
)

// described is a Registerer that records the descriptions of the metrics.
type described struct {
	prometheus.Registerer
	rows []string
}

var description = regexp.MustCompile(`fqName: "([^"]+)", help: "([^"]+)".*variableLabels: {([^}]*)}`)

func (d *described) Register(c prometheus.Collector) error {
	descs := make(chan *prometheus.Desc, 100)
	c.Describe(descs)
	close(descs)
	for desc := range descs {
		m := description.FindStringSubmatch(desc.String())
		labels := ""
		if m[3] != "" {
			labels = "`" + strings.ReplaceAll(m[3], ",", "`, `") + "`"
		}
		d.rows = append(d.rows, fmt.Sprintf("| `%s` | %s | %s |\n", m[1], labels, m[2]))
	}
	return nil
}

// TestDocs_TableOfMetrics compares the adapter's table in docs/metrics.md with its own metrics: all but those of the Go runtime and the process.
func TestDocs_TableOfMetrics(t *testing.T) {
	var d described
	for _, c := range append(watch.QueueMetrics(&watch.Queue{}), watch.NewMetrics(), new(clock.Offset).Metric(), buildInfo()) {
		_ = d.Register(c) // never fails
	}
	if _, err := emit.New(emit.Config{URL: "http://127.0.0.1", FlowID: "f", Region: "r", Source: watch.NewPump(watch.PumpConfig{}), Name: "n", ClusterUID: "c", Registerer: &d}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(d.rows)
	if len(d.rows) < 15 {
		t.Fatalf("there are %d metrics", len(d.rows))
	}
	compareTable(t, "metrics.md", "adapter-metrics", "| metric | labels | meaning |\n|---|---|---|\n"+strings.Join(d.rows, ""))
}
