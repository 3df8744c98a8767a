package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/app"
	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/internal/web"
	"github.com/openova-io/openova/products/openova-flow/server/proxy"
)

const (
	within = 30 * time.Second
	prefix = "/sovereign/api"
)

var quiet = slog.New(slog.DiscardHandler)

// flowServer is a real server that keeps its address over restarts.
type flowServer struct {
	t    *testing.T
	addr string
	stop func()

	tokens string // the path of its tokens file, if it has one
}

func startServer(t *testing.T, heartbeat time.Duration) *flowServer {
	s := &flowServer{t: t, addr: "127.0.0.1:0"}
	s.start(heartbeat)
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *flowServer) start(heartbeat time.Duration) {
	s.t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	cfg := app.Config{Logger: quiet, TokensFile: s.tokens}
	cfg.HTTP.Heartbeat = heartbeat
	done := make(chan error, 1)
	go func() { done <- app.Serve(ctx, l, cfg) }()
	s.stop = func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
		s.stop = func() {}
	}
}

func (s *flowServer) post(id, status string) {
	s.t.Helper()
	s.postTo("F", id, status)
}

func (s *flowServer) postTo(flow, id, status string) {
	s.t.Helper()
	body := fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":%q,"flowId":%q,"label":"x","status":%q}]}`, id, flow, status)
	resp, err := http.Post("http://"+s.addr+"/v1/flows/"+flow+"/events", "application/json", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		s.t.Fatal(resp.Status)
	}
}

func allow(*http.Request, string) error { return nil }

// mount serves a proxy to upstream under a prefix, and returns the URL of its flows.
func mount(t *testing.T, upstream string, change func(*proxy.Config)) string {
	t.Helper()
	u, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := proxy.Config{Upstream: u, Authorize: allow, Logger: quiet}
	if change != nil {
		change(&cfg)
	}
	h, err := proxy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(prefix+"/", http.StripPrefix(prefix, h))
	srv := httptest.NewUnstartedServer(mux)
	srv.Config.ErrorLog = slog.NewLogLogger(quiet.Handler(), slog.LevelDebug)
	srv.Start()
	t.Cleanup(func() { h.Close(); srv.Close() })
	return srv.URL + prefix + "/v1/flows/"
}

func do(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

type frame struct{ id, event, data string }

type stream struct {
	t      *testing.T
	in     *bufio.Scanner
	cancel context.CancelFunc
}

func follow(t *testing.T, flows, lastEventID string) *stream {
	t.Helper()
	return followAt(t, flows+"F/stream", lastEventID)
}

func followAt(t *testing.T, url, lastEventID string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	t.Cleanup(cancel)
	req, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
	req.Header.Set("Last-Event-ID", lastEventID)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("X-Accel-Buffering") != "no" {
		t.Fatal(resp.Status, resp.Header)
	}
	return &stream{t, bufio.NewScanner(resp.Body), cancel}
}

// next returns the next frame; ok is false when the stream has ended.
func (s *stream) next() (f frame, ok bool) {
	for s.in.Scan() {
		name, value, _ := strings.Cut(s.in.Text(), ": ")
		switch name {
		case "id":
			f.id = value
		case "event":
			f.event = value
		case "data":
			f.data = value
		case "":
			return f, true
		}
	}
	return f, false
}

// message returns the next frame other than heartbeats, regions and the server's own upsert-flow.
func (s *stream) message() frame {
	s.t.Helper()
	for {
		f, ok := s.next()
		if !ok {
			s.t.Fatal("the stream ended: ", s.in.Err())
		}
		if f.event != "heartbeat" && f.event != "regions" && f.event != "upsert-flow" {
			return f
		}
	}
}

func TestStream_IsUnbufferedAndResumesAfterARestart(t *testing.T) {
	server := startServer(t, 15*time.Second)
	flows := mount(t, "http://"+server.addr, nil)
	server.post("a", "running")

	s := follow(t, flows, "")
	if f, _ := s.next(); f.event != "heartbeat" || f.id != "" {
		t.Fatalf("first comes %+v", f)
	}
	if f := s.message(); f.event != "snapshot" || !strings.Contains(f.data, `"id":"a"`) {
		t.Fatalf("%+v", f)
	}
	server.post("b", "running") // must arrive though no more data follows
	seen := s.message()
	if seen.event != "upsert-nodes" || !strings.Contains(seen.data, `"id":"b"`) {
		t.Fatalf("%+v", seen)
	}

	s.cancel()
	server.post("c", "running")
	s = follow(t, flows, seen.id)
	if f := s.message(); f.event != "upsert-nodes" || !strings.Contains(f.data, `"id":"c"`) {
		t.Fatalf("a resumed stream continues with %+v", f)
	}

	server.stop()
	for {
		if _, ok := s.next(); !ok {
			break
		}
	}
	resp, body := do(t, "GET", flows+"F/stream", "")
	if resp.StatusCode != 502 || strings.Contains(body, server.addr) || strings.Contains(body, "127.0.0.1") {
		t.Fatal(resp.Status, body)
	}

	server.start(15 * time.Second)
	server.post("d", "running")
	s = follow(t, flows, seen.id)
	if f := s.message(); f.event != "snapshot" || !strings.Contains(f.data, `"id":"d"`) || strings.Contains(f.data, `"id":"a"`) {
		t.Fatalf("after a restart the stream continues with %+v", f)
	}
}

func TestStream_PassesHeartbeats(t *testing.T) {
	server := startServer(t, 20*time.Millisecond)
	s := follow(t, mount(t, "http://"+server.addr, nil), "")
	for _, want := range []string{"heartbeat", "regions", "heartbeat", "heartbeat"} {
		if f, ok := s.next(); !ok || f.event != want {
			t.Fatalf("%+v", f)
		}
	}
}

func TestHandler_ForwardsReadsAndAllowedWrites(t *testing.T) {
	server := startServer(t, 15*time.Second)
	server.post("a", "running")
	readOnly := mount(t, "http://"+server.addr, nil)
	flows := mount(t, "http://"+server.addr, func(c *proxy.Config) { c.AllowIngest = true })

	resp, body := do(t, "GET", flows+"F/snapshot", "")
	if resp.StatusCode != 200 || !strings.Contains(body, `"id":"a"`) || resp.Header.Get("Flow-Incarnation") == "" {
		t.Fatal(resp.Status, body)
	}
	if again, _ := do(t, "GET", flows+"F/snapshot", "", "If-None-Match", resp.Header.Get("ETag")); again.StatusCode != 304 {
		t.Error(again.Status)
	}
	good := `{"type":"upsert-nodes","nodes":[{"id":"p","flowId":"F","label":"x","status":"running"}]}`
	if part, body := do(t, "GET", flows+"F/snapshot?region=r%2F1", ""); part.StatusCode != 200 || strings.Contains(body, `"id":"a"`) || part.Header.Get("ETag") == resp.Header.Get("ETag") {
		t.Error("the parameter region does not pass", part.Status, body)
	}
	for _, tt := range []struct {
		name, method, url, body string
		status                  int
		want                    string
	}{
		{"a message is folded", "POST", flows + "F/events", good, 200, `{"seq":`},
		{"a refused message has its field", "POST", flows + "F/events", `{"type":"upsert-nodes","nodes":[]}`, 400, `"field":"nodes"`},
		{"without AllowIngest nothing is written", "POST", readOnly + "F/events", good, 405, "GET, HEAD"},
		{"flows are never deleted", "DELETE", flows + "F/events", "", 405, "GET, HEAD, POST"},
		{"the messages that are held", "GET", flows + "F/events?after=0&limit=1", "", 200, `"head":`},
		{"the rollouts", "GET", flows + "F/rollouts", "", 200, `"rollouts":`},
		{"the revisions", "GET", flows + "F/revisions?revision=0123456&limit=5", "", 200, `"revisions":`},
		{"one revision that is none", "GET", flows + "F/revisions?revision=%3A", "", 400, `"field":"revision"`},
		{"the problems", "GET", flows + "F/problems?region=r%2F1", "", 200, `"problems":`},
		{"a flow that does not exist", "GET", flows + "G/snapshot", "", 404, "application/problem+json"},
		{"without AuthorizeList there is no list", "GET", strings.TrimSuffix(flows, "/"), "", 404, "unknown path"},
		{"the claims of regions", "GET", flows + "F/regions", "", 200, `"regions":{`},
		{"the claims of regions without AllowIngest", "GET", readOnly + "F/regions", "", 200, `"regions":{`},
		{"an unknown resource", "GET", flows + "F/region", "", 404, "unknown path"},
		{"a claim without a region", "PUT", flows + "F/regions/", `{"cluster":"one"}`, 404, "unknown path"},
		{"a region is claimed", "PUT", flows + "F/regions/fsn1", `{"cluster":"one"}`, 200, `"lease":`},
		{"a region with a slash is claimed", "PUT", flows + "F/regions/a%2Fb", `{"cluster":"one"}`, 200, `"lease":`},
		{"a region is claimed by another cluster", "PUT", flows + "F/regions/fsn1", `{"cluster":"two"}`, 409, `"holder":"one"`},
		{"without AllowIngest no region is claimed", "PUT", readOnly + "F/regions/fsn1", `{"cluster":"one"}`, 404, "unknown path"},
		{"regions are never deleted", "DELETE", flows + "F/regions/fsn1", "", 405, "PUT"},
		{"a path below a region", "PUT", flows + "F/regions/fsn1/x", `{"cluster":"one"}`, 404, "unknown path"},
		{"a path below a resource", "GET", flows + "F/events/x", "", 404, "unknown path"},
		{"a slash in an id stays in it", "GET", flows + "a%2Fb/snapshot", "", 400, "a flow id has"},
		{"an id of dots", "GET", flows + "%2E%2E/snapshot", "", 400, "a flow id has"},
	} {
		resp, body := do(t, tt.method, tt.url, tt.body, "Content-Type", "application/json")
		all := body + resp.Header.Get("Allow") + resp.Header.Get("Content-Type")
		if resp.StatusCode != tt.status || !strings.Contains(all, tt.want) {
			t.Errorf("%s: %s %s", tt.name, resp.Status, all)
		}
	}
	resp, body = do(t, "POST", flows+"F/events", good, "Content-Type", "application/json", "Flow-Lease", "none of it")
	if resp.StatusCode != 409 || !strings.Contains(body, `"field":"Flow-Lease"`) {
		t.Errorf("a lease does not pass: %s %s", resp.Status, body)
	}
}

func TestAuthorize_DecidesPerFlow(t *testing.T) {
	server := startServer(t, 15*time.Second)
	server.post("a", "running")
	flows := mount(t, "http://"+server.addr, func(c *proxy.Config) {
		c.Authorize = func(r *http.Request, flowID string) error {
			switch {
			case r.Header.Get("Cookie") == "":
				return proxy.ErrUnauthenticated
			case flowID == "hidden":
				return fmt.Errorf("tenant 7: %w", proxy.ErrNotFound)
			case flowID != "F":
				return errors.New("secret reason")
			}
			return nil
		}
	})
	for _, tt := range []struct {
		path, cookie string
		want         int
	}{
		{"F/snapshot", "me", 200}, {"F/stream", "", 401}, {"F/snapshot", "", 401}, {"G/stream", "me", 403}, {"hidden/snapshot", "me", 404},
	} {
		headers := []string{"Cookie", tt.cookie}
		if tt.cookie == "" {
			headers = nil
		}
		resp, body := do(t, "GET", flows+tt.path, "", headers...)
		if resp.StatusCode != tt.want || strings.Contains(body, "secret") || strings.Contains(body, "tenant") {
			t.Errorf("%s as %q: %s %s", tt.path, tt.cookie, resp.Status, body)
		}
	}
}

// only returns an Authorize that allows the given flows.
func only(flows ...string) func(*http.Request, string) error {
	return func(_ *http.Request, flowID string) error {
		if !slices.Contains(flows, flowID) {
			return proxy.ErrNotFound
		}
		return nil
	}
}

func TestList_HasTheFlowsThatAuthorizeAllows(t *testing.T) {
	server := startServer(t, 15*time.Second)
	for _, flow := range []string{"a", "b", "secret-c"} {
		server.postTo(flow, "x", "running")
	}
	flows := mount(t, "http://"+server.addr, func(c *proxy.Config) {
		c.Authorize = only("a", "b")
		c.AuthorizeList = func(r *http.Request) error {
			if r.Header.Get("Cookie") == "" {
				return proxy.ErrUnauthenticated
			}
			return nil
		}
	})
	list := strings.TrimSuffix(flows, "/")
	resp, body := do(t, "GET", list, "", "Cookie", "me")
	var got struct{ Flows []struct{ ID, Status string } }
	if err := json.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != 200 || len(got.Flows) != 2 || got.Flows[0].ID != "a" || got.Flows[1].ID != "b" ||
		got.Flows[0].Status != "running" || strings.Contains(body, "secret") || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %s", resp.Status, body)
	}
	if resp, _ := do(t, "HEAD", list, "", "Cookie", "me"); resp.StatusCode != 200 || resp.Header.Get("Content-Length") != "" {
		t.Errorf("HEAD: %s %v", resp.Status, resp.Header)
	}
	if resp, body := do(t, "GET", list, ""); resp.StatusCode != 401 || strings.Contains(body, "this flow") {
		t.Errorf("an unknown caller: %s %s", resp.Status, body)
	}
	if resp, _ := do(t, "POST", list, "", "Cookie", "me"); resp.StatusCode != 405 {
		t.Errorf("POST: %s", resp.Status)
	}
	for denial, want := range map[error]int{proxy.ErrNotFound: 404, errors.New("denied"): 403} {
		denied := mount(t, "http://"+server.addr, func(c *proxy.Config) { c.AuthorizeList = func(*http.Request) error { return denial } })
		if resp, body := do(t, "GET", strings.TrimSuffix(denied, "/"), ""); resp.StatusCode != want || strings.Contains(body, "this flow") || strings.Contains(body, "unknown flow") {
			t.Errorf("%v: %s %s", denial, resp.Status, body)
		}
	}
	nobody := mount(t, "http://"+server.addr, func(c *proxy.Config) {
		c.Authorize, c.AuthorizeList = only(), func(*http.Request) error { return nil }
	})
	if resp, body := do(t, "GET", strings.TrimSuffix(nobody, "/"), ""); resp.StatusCode != 200 || body != `{"flows":[]}` {
		t.Errorf("a caller without flows: %s %s", resp.Status, body)
	}
}

func TestList_OmitsInvalidEntries(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"flows":[{"id":"a"},"a",["a"],{"id":7},{}]}`)
	}))
	defer upstream.Close()
	flows := mount(t, upstream.URL, func(c *proxy.Config) {
		c.Authorize, c.AuthorizeList = only("a"), func(*http.Request) error { return nil }
	})
	if resp, body := do(t, "GET", strings.TrimSuffix(flows, "/"), ""); resp.StatusCode != 200 || body != `{"flows":[{"id":"a"}]}` {
		t.Errorf("%s %s", resp.Status, body)
	}
}

func TestList_InvalidListIs502(t *testing.T) {
	for name, body := range map[string]string{"no JSON": "<html>", "too large": `{"flows":["` + strings.Repeat("x", 64<<20) + `"]}`} {
		upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
		}))
		flows := mount(t, upstream.URL, func(c *proxy.Config) { c.AuthorizeList = func(*http.Request) error { return nil } })
		if resp, _ := do(t, "GET", strings.TrimSuffix(flows, "/"), ""); resp.StatusCode != 502 {
			t.Errorf("%s: %s", name, resp.Status)
		}
		upstream.Close()
	}
}

func TestStreamOfSeveral_HasOnlyFlowsThatAuthorizeAllows(t *testing.T) {
	server := startServer(t, 15*time.Second)
	for _, flow := range []string{"a", "b", "hidden"} {
		server.postTo(flow, "x", "running")
	}
	calls := 0
	flows := mount(t, "http://"+server.addr, func(c *proxy.Config) {
		c.Authorize = func(r *http.Request, flowID string) error {
			calls++
			return only("a", "b", "later")(r, flowID)
		}
	})
	several := strings.TrimSuffix(flows, "flows/") + "stream"
	for query, want := range map[string]int{
		"": 400, "?flow=": 400, "?flow=a%2Fb": 400, "?flow=" + strings.Repeat("a&flow=", 256) + "a": 400,
		"?flow=hidden": 404, "?flow=a&flow=hidden": 404, "?flow=a;flow=hidden": 400,
	} {
		calls = 0
		if resp, _ := do(t, "GET", several+query, ""); resp.StatusCode != want || want == 400 && calls > 0 {
			t.Errorf("%s: %s, after %d calls of Authorize", query, resp.Status, calls)
		}
	}
	events := func(s *stream, n int) (got []string, last string) {
		for len(got) < n {
			f, ok := s.next()
			if !ok {
				t.Fatalf("after %q the stream ended", got)
			}
			if name, _ := strings.CutSuffix(f.event, "/regions"); name == f.event && f.event != "heartbeat" && f.event != "flows" && !strings.HasSuffix(f.event, "/upsert-flow") {
				got = append(got, f.event)
			}
			if f.id != "" {
				last = f.id
			}
		}
		return got, last
	}
	s := followAt(t, several+"?flow=a&flow=b&flow=later", "")
	got, _ := events(s, 2)
	if slices.Sort(got); !slices.Equal(got, []string{"a/snapshot", "b/snapshot"}) {
		t.Fatalf("%q", got)
	}
	server.postTo("hidden", "y", "running")
	server.postTo("later", "y", "running")
	if got, _ = events(s, 1); got[0] != "later/snapshot" {
		t.Fatalf("%q", got)
	}
	server.postTo("a", "y", "running")
	got, last := events(s, 1)
	if got[0] != "a/upsert-nodes" {
		t.Fatalf("%q", got)
	}
	s.cancel()
	server.postTo("b", "y", "running")
	if got, _ := events(followAt(t, several+"?flow=a&flow=b&flow=later", last), 1); got[0] != "b/upsert-nodes" {
		t.Errorf("a resumed stream continues with %q", got)
	}
}

func TestHandler_PassesOnlyKnownHeadersAndParameters(t *testing.T) {
	var got *http.Request
	secured := http.Header{}
	web.Secure(secured)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Set-Cookie", "upstream=1")
		w.Header().Set("Server", "internal")
		w.Header().Set("Location", "http://"+r.Host+"/")
		w.Header().Set("X-Backend", r.Host)
		web.Secure(w.Header())
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("Trailer", "X-Trailer")
		_, _ = io.WriteString(w, "{}")
		w.Header().Set("X-Trailer", r.Host)
	}))
	defer upstream.Close()
	flows := mount(t, upstream.URL+"/base", func(c *proxy.Config) {
		c.Token = func() (string, error) { return "service", nil }
	})
	resp, _ := do(t, "GET", flows+"F.1/events?after=7&access_token=caller&limit=2", "", "Authorization", "Bearer caller", "Cookie", "session=caller",
		"X-Forwarded-User", "caller", "Forwarded", "for=1.2.3.4", "X-Forwarded-For", "1.2.3.4", "Origin", "https://console", "Connection", "Upgrade", "Upgrade", "websocket",
		"Last-Event-ID", "5", "If-None-Match", `"x"`, "Flow-Emitter", "e;epoch=1;n=1")
	if got.Host != strings.TrimPrefix(upstream.URL, "http://") || got.RequestURI != "/base/v1/flows/F%2E1/events?after=7&limit=2" {
		t.Error(got.Host, got.RequestURI)
	}
	want := map[string]string{"Authorization": "Bearer service", "User-Agent": "openova-flow-proxy", "Last-Event-Id": "5", "If-None-Match": `"x"`, "Flow-Emitter": "e;epoch=1;n=1"}
	for name, values := range got.Header {
		if len(values) != 1 || values[0] != want[name] {
			t.Errorf("upstream got %s: %q", name, values)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Error("upstream did not get", want)
	}
	for name := range resp.Header {
		if _, secure := secured[name]; !secure && !slices.Contains([]string{"Content-Type", "Etag", "Content-Length", "Date"}, name) {
			t.Errorf("the caller got %s: %q", name, resp.Header[name])
		}
	}
	refused, _ := do(t, "GET", flows+"F.1/nothing", "")
	for name, values := range secured {
		if !slices.Equal(resp.Header[name], values) || !slices.Equal(refused.Header[name], values) {
			t.Errorf("%s is %q, and %q in the proxy's own answers; want %q", name, resp.Header[name], refused.Header[name], values)
		}
	}
	if len(resp.Trailer) != 0 || resp.Header.Get("ETag") != `"e"` {
		t.Error(resp.Trailer, resp.Header)
	}
}

func TestHandler_PassesNoInformationalAnswerOn(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Backend", r.Host)
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	}))
	defer upstream.Close()
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		t.Errorf("the caller got %d %v", code, header)
		return nil
	}}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", mount(t, upstream.URL, nil)+"F/snapshot", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("X-Backend") != "" {
		t.Error(resp.Status, resp.Header)
	}
}

func TestHandler_PassesNoTrailerOn(t *testing.T) {
	got := make(chan http.Header, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got <- r.Trailer
	}))
	defer upstream.Close()
	flows := mount(t, upstream.URL, func(c *proxy.Config) { c.AllowIngest = true })
	req, err := http.NewRequest("POST", flows+"F/events", io.MultiReader(strings.NewReader("{}"))) // of unknown length
	if err != nil {
		t.Fatal(err)
	}
	req.Trailer = http.Header{"X-Forwarded-User": {"caller"}}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if trailer := <-got; len(trailer) != 0 {
		t.Errorf("upstream got the trailer %v", trailer)
	}
}

func TestHandler_HidesAnswersOfUpstream(t *testing.T) {
	const problem = "application/problem+json"
	for _, tt := range []struct {
		name   string
		status int
		media  string
		want   int
	}{
		{"the service's own credentials are unknown", 401, problem, 502},
		{"the service's own credentials are denied", 403, problem, 502},
		{"a gateway asks for credentials", 407, problem, 502},
		{"a redirect", 302, "text/html", 502},
		{"a gateway's error page", 500, "text/html", 502},
		{"a gateway does not know the host", 404, "text/html", 502},
		{"a gateway's timeout", 504, "text/html", 504},
		{"a status that the API does not have", 206, "application/json", 502},
		{"a limit", 503, problem, 503},
		{"a limit is reached", 429, problem, 429},
		{"an unknown flow", 404, problem, 404},
	} {
		upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", tt.media)
			w.Header().Set("Retry-After", "5")
			w.Header().Set("Location", "http://"+r.Host)
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, `{"detail":"from `+r.Host+`"}`)
		}))
		resp, body := do(t, "GET", mount(t, upstream.URL, nil)+"F/snapshot", "")
		passed := tt.want == tt.status && tt.media == problem
		var p struct{ Status int }
		if resp.StatusCode != tt.want || resp.Header.Get("Content-Type") != problem || resp.Header.Get("Location") != "" ||
			!passed && (json.Unmarshal([]byte(body), &p) != nil || p.Status != tt.want || strings.Contains(body, "127.0.0.1")) ||
			passed && resp.Header.Get("Retry-After") != "5" {
			t.Errorf("%s: %s %v %s", tt.name, resp.Status, resp.Header, body)
		}
		upstream.Close()
	}
}

func TestHandler_UpstreamTimeoutIs504(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer upstream.Close()
	var log bytes.Buffer
	flows := mount(t, upstream.URL, func(c *proxy.Config) {
		c.AnswerTimeout = 20 * time.Millisecond
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	resp, body := do(t, "GET", flows+"F/snapshot", "")
	if resp.StatusCode != 504 || strings.Contains(body, "127.0.0.1") {
		t.Error(resp.Status, body)
	}
	if !strings.Contains(log.String(), "timeout") {
		t.Error("the timeout is not in the log:", log.String())
	}
}

func TestHandler_SendsNothingWithoutToken(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("upstream was called") }))
	defer upstream.Close()
	flows := mount(t, upstream.URL, func(c *proxy.Config) {
		c.Token = func() (string, error) { return "", errors.New("no file /run/secret") }
	})
	if resp, body := do(t, "GET", flows+"F/snapshot", ""); resp.StatusCode != 502 || strings.Contains(body, "secret") {
		t.Error(resp.Status, body)
	}
}

// endless is an upstream that sends one small chunk, or large ones without end. It closes gone when its reader has disconnected.
func endless(t *testing.T, chunk string) (upstream string, gone chan struct{}) {
	gone = make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Accel-Buffering", "no")
		rc := http.NewResponseController(w)
		for {
			_, err := io.WriteString(w, chunk)
			if err == nil {
				err = rc.Flush()
			}
			if err != nil || r.Context().Err() != nil {
				return
			}
			if len(chunk) < 1000 {
				<-r.Context().Done()
			}
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, gone
}

func wait(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(within):
		t.Fatal(what)
	}
}

const heartbeat = "event: heartbeat\ndata: {}\n\n"

func TestStream_EndsUpstreamWithItsCaller(t *testing.T) {
	upstream, gone := endless(t, heartbeat)
	s := follow(t, mount(t, upstream, nil), "")
	if _, ok := s.next(); !ok {
		t.Fatal("no frame")
	}
	s.cancel()
	wait(t, gone, "upstream still streams")
}

func TestStream_DisconnectsACallerThatReadsNothing(t *testing.T) {
	upstream, gone := endless(t, ": "+strings.Repeat("x", 64<<10)+"\n\n")
	flows := mount(t, upstream, func(c *proxy.Config) { c.WriteTimeout = 50 * time.Millisecond })
	u, err := url.Parse(flows)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %sF/stream HTTP/1.1\r\nHost: x\r\n\r\n", u.Path)
	wait(t, gone, "a caller that reads nothing was not disconnected")
}

func TestStream_OverHTTP2OutlivesTheWriteTimeoutWhileIdle(t *testing.T) {
	const timeout = 50 * time.Millisecond
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		rc := http.NewResponseController(w)
		for range 2 {
			_, _ = io.WriteString(w, heartbeat)
			_ = rc.Flush()
			time.Sleep(4 * timeout)
		}
	}))
	defer upstream.Close()
	u, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	h, err := proxy.New(proxy.Config{Upstream: u, Authorize: allow, Logger: quiet, WriteTimeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL + "/v1/flows/F/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || string(text) != heartbeat+heartbeat || resp.ProtoMajor != 2 {
		t.Errorf("%q over %s: %v; want two frames over HTTP/2", text, resp.Proto, err)
	}
}

func TestClose_EndsStreams(t *testing.T) {
	upstream, gone := endless(t, heartbeat)
	u, _ := url.Parse(upstream)
	h, err := proxy.New(proxy.Config{Upstream: u, Authorize: allow, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(h)
	srv.Config.RegisterOnShutdown(h.Close)
	srv.Start()
	defer srv.Close()
	s := follow(t, srv.URL+"/v1/flows/", "")
	if _, ok := s.next(); !ok {
		t.Fatal("no frame")
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if err := srv.Config.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	wait(t, gone, "upstream still streams")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/v1/flows/F/stream", nil))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Error("a closed proxy answers", w.Code)
	}
}

func TestServeHTTP_AbortsAnAnswerThatIsIncomplete(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "{")
	}))
	defer upstream.Close()
	u, _ := url.Parse(upstream.URL)
	h, err := proxy.New(proxy.Config{Upstream: u, Authorize: allow, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	panicked := make(chan any, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			panicked <- p
			panic(p)
		}()
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()
	if resp, err := http.Get(srv.URL + "/v1/flows/F/snapshot"); err == nil { // fails here if nothing was flushed yet
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil {
			t.Errorf("the caller got %q as a complete answer", body)
		}
	}
	if p := <-panicked; p != http.ErrAbortHandler {
		t.Errorf("%v", p)
	}
}

func TestNew_RefusesInvalidConfig(t *testing.T) {
	for upstream, want := range map[string]string{
		"flow:8080": "must be absolute", "/v1": "must be absolute", "http://": "must be absolute", "ftp://flow": "must be absolute",
		"http://me:secret@flow": "no user", "http://flow?a=b": "no user, query", "http://flow#x": "no user, query",
	} {
		u, err := url.Parse(upstream)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := proxy.New(proxy.Config{Upstream: u, Authorize: allow}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", upstream, err)
		}
	}
	if _, err := proxy.New(proxy.Config{Authorize: allow}); err == nil || !strings.Contains(err.Error(), "upstream URL is missing") {
		t.Error(err)
	}
	if _, err := proxy.New(proxy.Config{Upstream: &url.URL{Scheme: "http", Host: "flow"}}); err == nil || !strings.Contains(err.Error(), "has no Authorize") {
		t.Error(err)
	}
}

// TestToken_ReachesTheServer also checks that a caller gets 502 if the server denies the service's token.
func TestToken_ReachesTheServer(t *testing.T) {
	token := auth.NewToken()
	entry, err := json.Marshal(auth.Entry{Name: "proxy", SHA256: auth.Hash(token), Scopes: []string{"read", "ingest"}, Flows: []string{"F"}})
	if err != nil {
		t.Fatal(err)
	}
	s := &flowServer{t: t, addr: "127.0.0.1:0", tokens: filepath.Join(t.TempDir(), "tokens.json")}
	if err := os.WriteFile(s.tokens, fmt.Appendf(nil, `{"tokens":[%s]}`, entry), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(0)
	t.Cleanup(func() { s.stop() })
	with := func(token string) string {
		return mount(t, "http://"+s.addr, func(c *proxy.Config) {
			c.AllowIngest = true
			c.Token = func() (string, error) { return token, nil }
		})
	}
	known, unknown := with(token), with("unknown")
	message := `{"type":"upsert-nodes","nodes":[{"id":"a","flowId":"F","label":"x","status":"running"}]}`
	// The caller's own credentials are for the service and must not reach the server.
	own := []string{"Authorization", "Bearer of-the-caller", "Cookie", auth.CookieName + "=of-the-caller", "Content-Type", "application/json", "Origin", "https://elsewhere.example"}
	if resp, body := do(t, "POST", known+"F/events", message, own...); resp.StatusCode != 200 {
		t.Errorf("%s %s", resp.Status, body)
	}
	if resp, body := do(t, "GET", known+"F/snapshot", "", own...); resp.StatusCode != 200 || !strings.Contains(body, `"id":"a"`) {
		t.Errorf("%s %s", resp.Status, body)
	}
	follow(t, known, "").message()
	for name, url := range map[string]string{"a flow that the token is not for": known + "G/snapshot", "an unknown token": unknown + "F/snapshot"} {
		if resp, body := do(t, "GET", url, ""); resp.StatusCode != http.StatusBadGateway || resp.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: %s %s", name, resp.Status, body)
		}
	}
}

// TestProxy_ImportsOnlyFlowAndWeb: a service that mounts the proxy must not compile in the server.
func TestProxy_ImportsOnlyFlowAndWeb(t *testing.T) {
	const server = "github.com/openova-io/openova/products/openova-flow/server/"
	list, err := exec.Command("go", "list", "-deps", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, list)
	}
	var ours []string
	for _, path := range strings.Fields(string(list)) {
		if name, ok := strings.CutPrefix(path, server); ok && name != "proxy" {
			ours = append(ours, name)
		}
	}
	if slices.Sort(ours); !slices.Equal(ours, []string{"flow", "internal/web"}) {
		t.Errorf("the proxy imports %q of the server", ours)
	}
}
