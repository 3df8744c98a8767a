package flowmetrics_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/flowmetrics"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/internal/prom"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// release is a release of a flow. One in ten is broken.
func release(flowID string, region, i int) flow.Node {
	state := "ready"
	if i%10 == 0 {
		state = "broken"
	}
	id := fmt.Sprintf("r%d/release-%d", region, i)
	return flow.Node{ID: id, FlowID: flowID, Label: id, Status: "succeeded", Region: fmt.Sprintf("r%d", region),
		Meta: flow.Object(`{"kind":"HelmRelease","judgement":{"state":"` + state + `","problem":true,"since":946684800000,"cause":{"class":"upgrade-failed"}}}`)}
}

func fill(b *testing.B, h *hub.Hub, flowID string, regions, releases int) {
	for r := range regions {
		var nodes []flow.Node
		for i := range releases {
			nodes = append(nodes, release(flowID, r, i))
		}
		if _, err := h.Ingest(record.Post{FlowID: flowID, Messages: []*flow.Message{flow.UpsertNodes(nodes...)}}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIngest posts one node to each of 1,000 flows of 50 nodes in turns, without scrapes and with one each second.
func BenchmarkIngest(b *testing.B) {
	const flows = 1000
	for _, scraped := range []bool{false, true} {
		b.Run(fmt.Sprintf("scraped=%v", scraped), func(b *testing.B) {
			h := hub.New(hub.Config{})
			for i := range flows {
				fill(b, h, fmt.Sprintf("f%d", i), 5, 10)
			}
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				c, tick := flowmetrics.New(h), time.NewTicker(time.Second)
				defer tick.Stop()
				for scraped {
					_ = prom.Write(io.Discard, c.Families())
					select {
					case <-tick.C:
					case <-stop:
						return
					}
				}
			}()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				id := fmt.Sprintf("f%d", i%flows)
				if _, err := h.Ingest(record.Post{FlowID: id, Messages: []*flow.Message{flow.UpsertNodes(release(id, i%5, i%10))}}); err != nil {
					b.Fatal(err)
				}
			}
			close(stop)
			<-stopped
		})
	}
}

// BenchmarkScrape scrapes a flow of 100 regions with 500 releases each. A new Collector judges the flow for each scrape. It also reports the lines and
// bytes of the output.
func BenchmarkScrape(b *testing.B) {
	h := hub.New(hub.Config{MaxNodes: 50_000, MaxFlowBytes: 1 << 30})
	fill(b, h, "F", 100, 500)
	b.ReportAllocs()
	var text strings.Builder
	for b.Loop() {
		text.Reset()
		if err := prom.Write(&text, flowmetrics.New(h).Families()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(strings.Count(text.String(), "\n")), "lines")
	b.ReportMetric(float64(text.Len()), "B/scrape")
}
