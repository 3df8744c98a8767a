package app

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

var update = flag.Bool("update", false, "update the table in docs/metrics.md")

var described = regexp.MustCompile(`fqName: "([^"]+)", help: "([^"]+)", .*variableLabels: \{([^}]*)\}`)

// TestDocs_TableOfMetrics compares the relay's table of docs/metrics.md with the metrics.
func TestDocs_TableOfMetrics(t *testing.T) {
	m := newMetrics("test")
	m.addQueueLengths(func() map[string]int { return nil })
	out := make(chan *prometheus.Desc, 1000)
	m.registry.Describe(out)
	close(out)
	var rows []string
	for d := range out {
		if f := described.FindStringSubmatch(d.String()); f != nil && strings.HasPrefix(f[1], "openova_") {
			labels := ""
			if f[3] != "" {
				labels = "`" + strings.ReplaceAll(f[3], ",", "`, `") + "`"
			}
			rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |\n", f[1], labels, f[2]))
		}
	}
	slices.Sort(rows)
	const file, begin, end = "../../../../docs/metrics.md", "<!-- relay-metrics -->\n", "<!-- /relay-metrics -->"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed || len(rows) < 9 {
		t.Fatalf("%d metrics, markers: %v %v", len(rows), ok, closed)
	}
	want := before + begin + "| metric | labels | meaning |\n|---|---|---|\n" + strings.Join(rows, "") + end + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(text) != want {
		t.Error("the table in docs/metrics.md is outdated; run go test ./app -run Docs -update")
	}
}
