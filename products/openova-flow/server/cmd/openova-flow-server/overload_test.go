package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

type answers struct {
	t    *testing.T
	mu   sync.Mutex
	over map[string]int // rejected requests, by limit
}

// take counts an answer that rejects a request. An answer must be a success, or a problem document with Retry-After if a retry may help.
func (a *answers) take(what string, resp *http.Response, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.t.Errorf("%s: %v", what, err)
		return
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if resp.Header.Get("Retry-After") == "" {
			a.t.Errorf("%s: %s without Retry-After", what, resp.Status)
		}
	case http.StatusRequestEntityTooLarge:
	default:
		a.t.Errorf("%s: %s", what, resp.Status)
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
		a.t.Errorf("%s: %s as %s", what, resp.Status, resp.Header.Get("Content-Type"))
	}
	a.over[what]++
}

func (a *answers) post(what, url, flow string, emitter string, lines ...string) {
	req, err := http.NewRequest(http.MethodPost, url+"/v1/flows/"+flow+"/events", strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		a.t.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	if emitter != "" {
		req.Header.Set("Flow-Emitter", emitter)
	}
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	a.take(what, resp, err)
}

func startUpload(t *testing.T, url string) net.Conn {
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Error(err)
		return nil
	}
	_, _ = fmt.Fprintf(conn, "POST /v1/flows/slow/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: 1000000\r\n\r\n%s", strings.Repeat(" ", 900_000))
	return conn
}

// TestServer_ServesOtherFlowsWhenLimitsAreExceeded exceeds ten limits at the same time.
func TestServer_ServesOtherFlowsWhenLimitsAreExceeded(t *testing.T) {
	p := spawn(t, command(t, "--max-flows=20", "--max-nodes=500", "--max-relationships=500", "--max-meta-bytes=1024", "--max-emitters=4", "--max-subscribers=60",
		"--max-flow-bytes=2097152", "--max-state-bytes=16777216", "--max-message-bytes=65536", "--max-batch-bytes=1048576", "--max-ingest-bytes=4194304", "--max-answer-bytes=4194304",
		"--ring-bytes=1048576", "--log-level=info"))
	const messages = 400
	post(t, p.url, `{"type":"upsert-nodes","nodes":[`+nodeJSON("n0", "", "running", "")+`]}`)
	stream, err := http.Get(p.url + "/v1/flows/F/stream")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan int)
	go func() {
		n := 0
		for in := bufio.NewScanner(stream.Body); n < messages && in.Scan(); {
			if strings.Contains(in.Text(), fmt.Sprintf(`"n%d"`, n+1)) {
				n++
			}
		}
		seen <- n
	}()

	a := &answers{t: t, over: map[string]int{}}
	var slow []net.Conn
	for range 8 {
		if c := startUpload(t, p.url); c != nil {
			defer c.Close()
			slow = append(slow, c)
		}
	}
	done := make(chan struct{})
	var attack sync.WaitGroup
	repeat := func(f func(i int)) {
		attack.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
					f(i)
				}
			}
		})
	}
	filled := func(flow string, i int) string {
		return fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"x%d","flowId":%q,"label":"l","status":"s","meta":{"x":"%s"}}]}`, i%450, flow, strings.Repeat("x", 900))
	}
	repeat(func(i int) {
		flow := fmt.Sprint("many", i%100)
		a.post("flows", p.url, flow, "", filled(flow, i), filled(flow, i+1))
	})
	repeat(func(i int) {
		flow := fmt.Sprint("many", i%15)
		var lines []string
		for j := range 100 {
			lines = append(lines, filled(flow, 100*i+j))
		}
		a.post("bytes", p.url, flow, "", lines...)
	})
	repeat(func(i int) {
		var nodes, rels []string
		for j := range 600 {
			nodes = append(nodes, fmt.Sprintf(`{"id":"%d-%d","flowId":"wide","label":"l","status":"s"}`, i, j))
			rels = append(rels, fmt.Sprintf(`{"fromId":"%d-%d","toId":"x","type":"triggers"}`, i, j))
		}
		a.post("nodes", p.url, "wide", "", `{"type":"upsert-nodes","nodes":[`+strings.Join(nodes, ",")+`]}`)
		a.post("relationships", p.url, "wide", "", `{"type":"upsert-rels","relationships":[`+strings.Join(rels, ",")+`]}`)
		a.post("meta", p.url, "wide", "", `{"type":"upsert-nodes","nodes":[{"id":"m","flowId":"wide","label":"l","status":"s","meta":{"x":"`+strings.Repeat("x", 2000)+`"}}]}`)
		a.post("message", p.url, "wide", "", `{"type":"delete-nodes","ids":["`+strings.Repeat("x", 70_000)+`"]}`)
		a.post("batch", p.url, "wide", "", strings.Repeat(" ", 1<<20+1))
		a.post("emitters", p.url, "F", fmt.Sprintf("e%d;epoch=1;n=1", i), `{"type":"upsert-nodes","nodes":[`+nodeJSON("e", "", "running", "")+`]}`)
		a.post("bodies", p.url, "wide", "", strings.Repeat(" ", 900_000)+`{"type":"delete-nodes","ids":["a"]}`)
	})
	repeat(func(i int) {
		for j := range 80 {
			resp, err := http.Get(fmt.Sprintf("%s/v1/stream?flow=F&flow=s%d", p.url, j%20))
			a.take("streams", resp, err)
			if err == nil {
				if resp.StatusCode == http.StatusOK {
					defer resp.Body.Close() // the connection stays open, and nothing is read
				} else {
					resp.Body.Close()
				}
			}
		}
	})

	began, longest := time.Now(), time.Duration(0)
	for i := range messages {
		at := time.Now()
		post(t, p.url, `{"type":"upsert-nodes","nodes":[`+nodeJSON(fmt.Sprint("n", i+1), "", "running", "")+`]}`)
		longest = max(longest, time.Since(at))
	}
	if n := <-seen; n != messages {
		t.Errorf("the other flow's subscriber got %d of %d messages", n, messages)
	}
	stream.Body.Close()
	close(done)
	attack.Wait()
	for _, what := range []string{"flows", "bytes", "nodes", "relationships", "meta", "message", "batch", "emitters", "bodies", "streams"} {
		if a.over[what] == 0 {
			t.Errorf("the limit of %s was not reached", what)
		}
	}
	if len(slow) != 8 {
		t.Errorf("%d of 8 slow bodies", len(slow))
	}
	const bound = 64<<20 + 16<<20*5/2 + 4*4<<20 + 3*4<<20 + 2*8<<20 + 60*160<<10 + 20*128<<10 // see docs/configuration.md; 20 other connections
	most := p.memory("VmHWM")
	t.Logf("%d messages in %s, the slowest took %s; rejected: %v; memory at most %.1f MiB of %.1f", messages, time.Since(began).Round(time.Millisecond), longest.Round(time.Millisecond), a.over, float64(most)/(1<<20), float64(bound)/(1<<20))
	if most > bound {
		t.Errorf("the process took %d bytes, more than %d", most, int64(bound))
	}
	if resp, _ := get(t, http.DefaultClient, p.url+"/readyz"); resp.StatusCode != 200 {
		t.Errorf("afterwards the server answers %s", resp.Status)
	}
}

// TestSlowReaders_MemoryIsWithinTheFormula opens many connections that request a large state and read only the head of the answer. The state changes after each request.
func TestSlowReaders_MemoryIsWithinTheFormula(t *testing.T) {
	const state, answers, connections = 64 << 20, 16 << 20, 90
	p := spawn(t, command(t, fmt.Sprint("--max-state-bytes=", state), fmt.Sprint("--max-answer-bytes=", answers), "--max-ingest-bytes=4194304", "--max-batch-bytes=4194304", "--ring-bytes=1048576"))
	message := func(i, nodes int) string {
		var list []string
		for j := range nodes {
			list = append(list, nodeJSON(fmt.Sprintf("n%d-%d", i, j), "", "running", `,"meta":{"x":"`+strings.Repeat("x", 3_000)+`"}`))
		}
		return `{"type":"upsert-nodes","nodes":[` + strings.Join(list, ",") + `]}`
	}
	for i := range 30 { // a state of 9 MB
		post(t, p.url, message(i, 100))
	}
	rejected := 0
	for i := range connections {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.(*net.TCPConn).SetReadBuffer(4096)
		path := []string{"/v1/flows/F/snapshot", "/v1/flows/F/stream", "/v1/flows/F/events"}[i%3]
		_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		switch {
		case err != nil:
			t.Fatal(err)
		case resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
			rejected++
		case resp.StatusCode != http.StatusOK:
			t.Errorf("%s: %s", path, resp.Status)
		}
		post(t, p.url, message(i%30, 1))
	}
	const bound = 64<<20 + state*5/2 + 4*4<<20 + 3*answers + connections*160<<10
	most := p.memory("VmHWM")
	t.Logf("%d of %d are rejected; memory at most %.1f MiB of %.1f", rejected, connections, float64(most)/(1<<20), float64(bound)/(1<<20))
	if most > bound {
		t.Errorf("the process took %d bytes, more than %d", most, int64(bound))
	}
}
