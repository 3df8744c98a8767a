package matrix

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/app"
	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
)

const within = 60 * time.Second // timeout of a request, long enough for a busy machine

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// server is the whole server on a socket, with all flows planted. It is not safe for concurrent use.
type server struct {
	t    testing.TB
	addr string
	conn net.Conn
	in   *bufio.Reader
	log  *logBuffer

	incarnations map[string]string   // by flow
	etags        map[string]string   // of the snapshots, by flow
	foreign      map[string][]string // results of foreignElements for planted flows, by caller and flow
}

type answer struct {
	status int
	header http.Header
	body   string
}

// start runs a server until the test ends. proxyPeer is the address of its trusted proxy.
func start(t testing.TB, proxyPeer string, change func(name string, entry object)) *server {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"tokens.json": tokensFile(proxyPeer, change), "fsn1.json": keysOfFsn1.set(), "hel1.json": keysOfHel1.set()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, addr: listener.Addr().String(), log: &logBuffer{}, incarnations: map[string]string{}, etags: map[string]string{}, foreign: map[string][]string{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	cfg := app.Config{HTTP: httpapi.Config{Origins: []string{listedOrigin}}, TokensFile: filepath.Join(dir, "tokens.json"), Log: newLog(t),
		Logger: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	go func() { done <- app.Serve(ctx, listener, cfg) }()
	t.Cleanup(func() {
		s.hangUp()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	for end := time.Now().Add(within); s.send("GET", "/readyz", nil, "").status != 200; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("timeout waiting for /readyz")
		}
	}
	for _, flow := range flows {
		s.plant(flow)
	}
	return s
}

func (s *server) hangUp() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// send sends one request, as bytes. It reads a stream until the state has arrived.
func (s *server) send(method, target string, header []string, body string) answer {
	s.t.Helper()
	if s.conn == nil {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			s.t.Fatal(err)
		}
		s.conn, s.in = conn, bufio.NewReader(conn)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, s.addr)
	for _, line := range header {
		b.WriteString(line + "\r\n")
	}
	if body != "" || method == "POST" || method == "PUT" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	_ = s.conn.SetDeadline(time.Now().Add(within))
	if _, err := io.WriteString(s.conn, b.String()); err != nil {
		s.t.Fatalf("%s %q: %v", method, target, err)
	}
	resp, err := http.ReadResponse(s.in, &http.Request{Method: method})
	if err != nil {
		s.t.Fatalf("%s %q: %v", method, target, err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") && method != "HEAD" {
		a.body = readStream(bufio.NewReader(resp.Body))
		s.hangUp()
		return a
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %q: %v", method, target, err)
	}
	a.body = string(text)
	if resp.Close {
		s.hangUp()
	}
	return a
}

// readStream reads the first frames of a stream, until it has a snapshot of each existing flow in the stream.
func readStream(in *bufio.Reader) string {
	var text strings.Builder
	event, awaited := "", map[string]bool{"snapshot": true}
	for {
		line, err := in.ReadString('\n')
		text.WriteString(line)
		if err != nil {
			return text.String()
		}
		if e, ok := strings.CutPrefix(line, "event: "); ok {
			event = strings.TrimSpace(e)
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		switch event {
		case "heartbeat":
			if strings.Contains(data, `"incarnation":"none"`) || strings.Contains(data, `"incarnation":""`) {
				return text.String() // a flow that does not exist
			}
		case "flows":
			var list struct{ Flows map[string]string }
			_ = json.Unmarshal([]byte(data), &list)
			clear(awaited)
			for flow := range list.Flows {
				awaited[flow+"/snapshot"] = true
			}
		default:
			delete(awaited, event)
		}
		if len(awaited) == 0 {
			return text.String()
		}
	}
}

func (s *server) asAdmin(method, target, contentType, body string) answer {
	s.t.Helper()
	return s.send(method, target, []string{"Authorization: Bearer " + tokens[adminOfAll], "Content-Type: " + contentType}, body)
}

// planted returns the content of a flow: nodes of three regions, each with the flow's canary, and edges. A release of hel1 has failed.
func planted(flow string) string {
	var nodes, edges []object
	for _, n := range [][2]string{{"fsn1", "running"}, {"fsn1/a", "running"}, {"fsn1/app", "pending"}, {"fsn1/" + canary(flow), "succeeded"}, {"fsn2/a", "running"},
		{"hel1", "failed"}, {"hel1/failed", "failed"}, {"hel1/ok", "succeeded"}, {"hel1/" + canary(flow), "pending"}} {
		nodes = append(nodes, object{"id": n[0], "flowId": flow, "region": regionOf(n[0]), "label": canary(flow) + " " + n[0], "status": n[1], "family": canary(flow),
			"meta": object{"message": canary(flow)}})
	}
	for _, e := range []edge{inside("fsn1/a", "fsn1"), inside("fsn1/app", "fsn1"), inside("hel1/failed", "hel1"), inside("hel1/ok", "hel1"), fts("fsn1/a", "fsn1/app"),
		fts("hel1/ok", "fsn1/app"), fts("fsn1/a", "hel1/failed"), fts("fsn1/"+canary(flow), "hel1/"+canary(flow)), fts("hel1/ok", "hel1/failed")} {
		edges = append(edges, object{"fromId": e.from, "toId": e.to, "type": e.kind})
	}
	return asJSON(object{"type": "upsert-nodes", "nodes": nodes}) + "\n" + asJSON(object{"type": "upsert-rels", "relationships": edges})
}

// plant replaces the content of a flow with that of planted, and claims its regions. A flow that must not exist is only deleted.
func (s *server) plant(flow string) {
	s.t.Helper()
	path := "/v1/flows/" + flow
	s.must(s.asAdmin("DELETE", path, "", ""))
	if exists(flow) {
		s.must(s.asAdmin("POST", path+"/events", "application/x-ndjson", planted(flow)))
		for _, region := range claimedRegions {
			s.must(s.asAdmin("PUT", path+"/regions/"+region, "application/json", asJSON(object{"cluster": clusterOf(flow, region), "ttlSeconds": 3600})))
		}
	}
	a := s.asAdmin("HEAD", path+"/snapshot", "", "")
	s.incarnations[flow], s.etags[flow] = a.header.Get("Flow-Incarnation"), a.header.Get("ETag")
}

func (s *server) must(a answer) {
	s.t.Helper()
	if a.status >= 300 {
		s.t.Fatalf("%d %s", a.status, a.body)
	}
}

// changed returns the flows whose content differs from the planted one, and plants them again.
func (s *server) changed() (list []string) {
	s.t.Helper()
	for _, flow := range flows {
		if a := s.asAdmin("HEAD", "/v1/flows/"+flow+"/snapshot", "", ""); a.header.Get("ETag") != s.etags[flow] || (a.status == 200) != exists(flow) {
			list = append(list, flow)
			s.plant(flow)
		}
	}
	return list
}

// foreignElements returns the nodes and edges of a flow that a bound caller does not own, as sorted JSON, and the status of the flow.
func (s *server) foreignElements(caller *principal, flow string) (foreign []string, status string) {
	s.t.Helper()
	var snapshot struct {
		Flow          struct{ Status string }
		Nodes         []json.RawMessage
		Relationships []json.RawMessage
	}
	a := s.asAdmin("GET", "/v1/flows/"+flow+"/snapshot", "", "")
	if a.status == 404 {
		return nil, ""
	}
	if err := json.Unmarshal([]byte(a.body), &snapshot); err != nil {
		s.t.Fatalf("%v: %s", err, a.body)
	}
	for _, raw := range slices.Concat(snapshot.Nodes, snapshot.Relationships) {
		var one struct{ ID, FromID, ToID, Type string }
		if err := json.Unmarshal(raw, &one); err != nil {
			s.t.Fatal(err)
		}
		if one.ID != "" && !caller.owns(one.ID) || one.ID == "" && !caller.ownsEdge(edge{one.FromID, one.ToID, one.Type}) {
			foreign = append(foreign, string(raw))
		}
	}
	slices.Sort(foreign)
	return foreign, snapshot.Flow.Status
}

// plantedForeign returns the foreign elements in the planted content of a flow.
func (s *server) plantedForeign(caller *principal, flow string) []string {
	s.t.Helper()
	key := caller.name + " " + flow
	if s.foreign[key] == nil {
		s.plant(flow)
		s.foreign[key], _ = s.foreignElements(caller, flow)
	}
	return s.foreign[key]
}
