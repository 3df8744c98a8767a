package main

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// memory returns a value of /proc/PID/status in bytes.
func (p *program) memory(name string) int64 {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+) kB$`).FindSubmatch(text)
	if m == nil {
		p.t.Fatalf("no %s in\n%s", name, text)
	}
	n, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return n << 10
}

func send(t *testing.T, url, flow string, lines ...string) *http.Response {
	t.Helper()
	resp, err := http.Post(url+"/v1/flows/"+flow+"/events", "application/x-ndjson", strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// release returns a node as large as one of the Flux adapter.
func release(flow string, i int, status string) string {
	return fmt.Sprintf(`{"id":"fsn1/r%d","flowId":%q,"label":"bp-r%[1]d","status":%q,"family":"platform","region":"fsn1","startedAt":1795475147659,"meta":{"kind":"HelmRelease","namespace":"flux-system","name":"bp-r%[1]d","versionApplied":"1.2.%[1]d","versionWanted":"1.2.%[1]d","reason":"UpgradeSucceeded","reasonSince":1795475147659,"message":"Helm upgrade succeeded for release flux-system/bp-r%[1]d.v3 with chart bp-r%[1]d@1.2.%[1]d","waitingFor":[]}}`, i, flow, status)
}

// TestMeasure_TenFlowsFitInto64MiB bootstraps ten flows of 1,000 releases with two relationships each, from pending to succeeded, while each flow has a
// subscriber. Then it scrapes their metrics.
func TestMeasure_TenFlowsFitInto64MiB(t *testing.T) {
	p := spawn(t, command(t))
	for f := range 10 {
		flow := fmt.Sprint("flow", f)
		stream, err := http.Get(p.url + "/v1/flows/" + flow + "/stream")
		if err != nil {
			t.Fatal(err)
		}
		go drain(stream.Body)
		for _, status := range []string{"pending", "running", "succeeded"} {
			for i := 0; i < 1000; i += 10 {
				var lines []string
				for j := i; j < i+10; j++ {
					lines = append(lines, `{"type":"upsert-nodes","nodes":[`+release(flow, j, status)+`]}`)
					if status == "pending" {
						lines = append(lines, fmt.Sprintf(`{"type":"upsert-rels","relationships":[{"fromId":"fsn1/r%d","toId":"fsn1/r%d","type":"finish-to-start"},{"fromId":"fsn1/r%d","toId":"fsn1/r%[2]d","type":"finish-to-start"}]}`, j/2, j, j/3))
					}
				}
				if resp := send(t, p.url, flow, lines...); resp.StatusCode != 200 {
					t.Fatal(resp.Status)
				}
			}
		}
	}
	most := p.memory("VmHWM")
	if most >= 64<<20 {
		t.Errorf("the process took %.1f MiB", float64(most)/(1<<20))
	}
	// The first scrape judges all flows.
	if n := metric(t, p.url, "openova_flow_nodes"); n != "10000" {
		t.Fatalf("%s nodes", n)
	}
	scraped := p.memory("VmHWM")
	if scraped >= most+12<<20 {
		t.Errorf("a scrape took %.1f MiB", float64(scraped-most)/(1<<20))
	}
	t.Logf("at most %.1f MiB, %.1f MiB with a scrape; state %s, rings %s, heap %s", float64(most)/(1<<20), float64(scraped)/(1<<20),
		metric(t, p.url, "openova_flow_state_bytes"), metric(t, p.url, "openova_flow_ring_bytes"), metric(t, p.url, "go_memstats_heap_alloc_bytes"))
}
