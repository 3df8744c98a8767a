package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// within is how long tests wait for what must happen.
const within = 60 * time.Second

type frame struct {
	id    int64  // -1: none
	mark  string // hub.Selection.Mark
	event string
	data  string
}

// parser reads frames. It fails on a line that is neither id nor event nor the first data, such as a comment.
type parser struct{ in *bufio.Reader }

func (p parser) next() (frame, error) {
	f := frame{id: -1}
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			return f, err
		}
		line = line[:len(line)-1]
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "":
			return f, nil
		case name == "id":
			digits, mark, marked := strings.Cut(value, ".")
			if f.id, err = strconv.ParseInt(digits, 10, 64); err != nil || marked && mark == "" {
				return f, fmt.Errorf("id %q: %w", value, err)
			}
			f.mark = value[len(digits):]
		case name == "event":
			f.event = value
		case name == "data" && f.data == "":
			f.data = value
		default:
			return f, fmt.Errorf("unexpected line %q", line)
		}
	}
}

// subscriber is a client of a stream. Frames arrive on a channel that closes with the stream.
type subscriber struct {
	t      testing.TB
	header http.Header
	frames chan frame
	err    error // why the stream ended, once frames is closed
	cancel context.CancelFunc
}

func (e *env) watch(path string, header ...string) *subscriber {
	e.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	e.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url+path, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := e.client.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		body, _ := io.ReadAll(resp.Body)
		e.t.Fatalf("GET %s: %s %s", path, resp.Status, body)
	}
	sub := &subscriber{t: e.t, header: resp.Header, frames: make(chan frame, 100_000), cancel: cancel}
	go func() {
		defer close(sub.frames)
		defer resp.Body.Close()
		p := parser{bufio.NewReader(resp.Body)}
		for {
			f, err := p.next()
			if err != nil {
				sub.err = err
				return
			}
			sub.frames <- f
		}
	}()
	return sub
}

// next returns the next frame of any kind.
func (sub *subscriber) next() frame {
	sub.t.Helper()
	select {
	case f, ok := <-sub.frames:
		if !ok {
			sub.t.Fatalf("the stream ended: %v", sub.err)
		}
		return f
	case <-time.After(within):
		sub.t.Fatal("no frame")
	}
	panic("unreachable")
}

// message returns the next frame that is neither a heartbeat nor about regions.
func (sub *subscriber) message() frame {
	sub.t.Helper()
	for {
		if f := sub.next(); f.event != "heartbeat" && f.event != "regions" && !strings.HasSuffix(f.event, "/regions") {
			return f
		}
	}
}

func (sub *subscriber) ended() {
	sub.t.Helper()
	for {
		select {
		case f, ok := <-sub.frames:
			if !ok {
				return
			}
			if f.event != "heartbeat" {
				sub.t.Fatalf("the stream has not ended: %+v", f)
			}
		case <-time.After(within):
			sub.t.Fatal("the stream does not end")
		}
	}
}

// env is a server on a real socket.
type env struct {
	t      testing.TB
	hub    *hub.Hub
	api    *httpapi.Server
	url    string
	client *http.Client
}

func start(t testing.TB, hc hub.Config, ac httpapi.Config) *env {
	t.Helper()
	h := newHub(t, hc)
	api := httpapi.New(h, ac)
	api.SetReady(true)
	srv := httptest.NewUnstartedServer(api)
	srv.Config.ConnContext = httpapi.ConnContext
	srv.Start()
	e := &env{t: t, hub: h, api: api, url: srv.URL, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	t.Cleanup(func() {
		h.Close()
		e.client.CloseIdleConnections()
		srv.Close()
		api.Shutdown(context.Background())
	})
	return e
}

// onBothWriters runs a test with each of the two writers of streams.
func onBothWriters(t *testing.T, test func(t *testing.T, mode string)) {
	t.Helper()
	for _, mode := range []string{httpapi.StreamAuto, httpapi.StreamPortable} {
		t.Run(mode, func(t *testing.T) { test(t, mode) })
	}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (e *env) do(method, path, body string, header ...string) answer {
	e.t.Helper()
	req, err := http.NewRequest(method, e.url+path, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := e.client.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// post sends one message to flow F and returns its sequence number.
func (e *env) post(message string, header ...string) int64 {
	e.t.Helper()
	return e.postTo("F", message, header...)
}

func (e *env) postTo(flowID, message string, header ...string) int64 {
	e.t.Helper()
	a := e.do("POST", "/v1/flows/"+flowID+"/events", message, append([]string{"Content-Type", "application/json"}, header...)...)
	return seqOf(e.t, a)
}

func seqOf(t testing.TB, a answer) int64 {
	t.Helper()
	text, ok1 := strings.CutPrefix(strings.TrimSpace(a.body), `{"seq":`)
	text, ok2 := strings.CutSuffix(text, "}")
	seq, err := strconv.ParseInt(text, 10, 64)
	if a.status != 200 || !ok1 || !ok2 || err != nil {
		t.Fatalf("POST: %d %s", a.status, a.body)
	}
	return seq
}

func (e *env) snapshot() string {
	e.t.Helper()
	a := e.do("GET", "/v1/flows/F/snapshot", "")
	if a.status != 200 {
		e.t.Fatalf("snapshot: %d %s", a.status, a.body)
	}
	return strings.TrimSpace(a.body)
}

func node(id, status string, more ...string) string {
	return `{"id":"` + id + `","flowId":"F","label":"` + id + `","status":"` + status + `"` + strings.Join(more, "") + `}`
}

func upsert(nodes ...string) string {
	return `{"type":"upsert-nodes","nodes":[` + strings.Join(nodes, ",") + `]}`
}

// folded folds frames, as a client does.
type folded struct {
	state *flow.State
	last  int64
}

func (f *folded) apply(t testing.TB, fr frame) {
	t.Helper()
	if fr.id < 0 || fr.id <= f.last {
		t.Fatalf("frame %d (%s) after %d", fr.id, fr.event, f.last)
	}
	m, err := flow.Decode("F", []byte(fr.data))
	if err != nil || string(m.Type) != fr.event {
		t.Fatalf("frame %+v: %v", fr, err)
	}
	if f.state == nil {
		f.state = flow.NewState("F", 0)
	}
	f.state.Apply(m)
	f.last = fr.id
}

func parseOne(raw []byte) (frame, error) {
	return parser{bufio.NewReader(bytes.NewReader(raw))}.next()
}
