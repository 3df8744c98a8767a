package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

const streamF = "/v1/flows/F/stream"

func TestStream_SnapshotThenEachMessage(t *testing.T) {
	onBothWriters(t, testNewSubscriberGetsASnapshotThenEachMessage)
}

func testNewSubscriberGetsASnapshotThenEachMessage(t *testing.T, mode string) {
	e := start(t, hub.Config{}, httpapi.Config{StreamMode: mode})
	e.post(upsert(node("a", "pending")))
	sub := e.watch(streamF)
	if f := sub.next(); f.event != "heartbeat" || f.id != -1 {
		t.Errorf("the first frame is %+v, want a heartbeat without id", f)
	}
	if sub.header.Get("Flow-Incarnation") == "" || sub.header.Get("Flow-Incarnation") == "none" {
		t.Errorf("headers %v", sub.header)
	}
	if f := sub.next(); f.event != "regions" || f.id != -1 {
		t.Errorf("the second frame is %+v, want regions without id", f)
	}
	snapshot := sub.next()
	if want := e.snapshot(); snapshot.event != "snapshot" || snapshot.data != want {
		t.Errorf("the third frame is %+v, want snapshot\n%s", snapshot, want)
	}
	batch := " { \"type\":\"upsert-nodes\", \"nodes\":[" + node("b", "running") + "],\"extra\":\"kept\" }\n" + upsert(node("c", "failed"))
	last := seqOf(t, e.do("POST", "/v1/flows/F/events", batch, "Content-Type", asNDJSON))
	one, two, derived := sub.next(), sub.next(), sub.next()
	if one.id != last-1 || one.id <= snapshot.id || one.event != "upsert-nodes" || one.data != `{"type":"upsert-nodes","nodes":[`+node("b", "running")+`],"extra":"kept"}` {
		t.Errorf("first message %+v", one)
	}
	if two.id != last || two.data != upsert(node("c", "failed")) {
		t.Errorf("second message %+v", two)
	}
	if derived.event != "upsert-flow" || derived.id <= last || !strings.Contains(derived.data, `"status":"failed"`) {
		t.Errorf("derived %+v", derived)
	}
}

func TestStream_DescribedFlowsAreNotDerived(t *testing.T) {
	onBothWriters(t, testDescribedFlowsAreNotDerived)
}

func testDescribedFlowsAreNotDerived(t *testing.T, mode string) {
	e := start(t, hub.Config{}, httpapi.Config{StreamMode: mode})
	sub := e.watch(streamF)
	e.post(upsert(node("a", "failed")))
	sub.message()
	e.post(`{"type":"upsert-flow","flow":{"id":"F","status":"mine","startedAt":1}}`)
	if f := sub.message(); !strings.Contains(f.data, `"mine"`) {
		t.Errorf("%+v", f)
	}
	e.post(upsert(node("b", "running")))
	e.post(upsert(node("c", "running")))
	if f := sub.message(); f.event != "upsert-nodes" {
		t.Errorf("%+v", f)
	}
	if f := sub.message(); f.event != "upsert-nodes" {
		t.Errorf("the server derived a message for a flow that an emitter has described: %+v", f)
	}
}

func TestStream_Resume(t *testing.T) { onBothWriters(t, testResume) }

func testResume(t *testing.T, mode string) {
	e := start(t, hub.Config{RingCapacity: 10}, httpapi.Config{StreamMode: mode})
	e.post(`{"type":"upsert-flow","flow":{"id":"F","status":"x","startedAt":1}}`)
	first := e.post(upsert(node("a", "0")))
	var seqs []int64
	for i := range 5 {
		seqs = append(seqs, e.post(upsert(node("a", strconv.Itoa(i+1)))))
	}
	resumesWith := func(t *testing.T, sub *subscriber, from []int64) {
		t.Helper()
		for _, want := range from {
			if f := sub.message(); f.id != want || f.event != "upsert-nodes" {
				t.Fatalf("got %+v, want %d", f, want)
			}
		}
		next := e.post(upsert(node("a", "later")))
		seqs = append(seqs, next)
		if f := sub.message(); f.id != next {
			t.Fatalf("got %+v, want %d", f, next)
		}
	}
	for _, tt := range []struct {
		name, query string
		header      []string
		from        func() []int64 // nil: a snapshot
	}{
		{"by header", "", []string{"Last-Event-ID", fmt.Sprint(seqs[1])}, func() []int64 { return seqs[2:] }},
		{"by query", fmt.Sprintf("?lastEventId=%d", seqs[3]), nil, func() []int64 { return seqs[4:] }},
		{"the header wins", "?lastEventId=1", []string{"Last-Event-ID", fmt.Sprint(first)}, func() []int64 { return seqs }},
		{"an empty header is absent", fmt.Sprintf("?lastEventId=%d", seqs[3]), []string{"Last-Event-ID", ""}, func() []int64 { return seqs[4:] }},
		{"nothing missed", "", []string{"Last-Event-ID", "head"}, func() []int64 { return nil }},
		{"both empty", "?lastEventId=", nil, nil},
		{"a sequence number from before this incarnation", "", []string{"Last-Event-ID", "17"}, nil},
		{"a sequence number above the last", "", []string{"Last-Event-ID", "9007199254740000"}, nil},
		{"no sequence number", "", []string{"Last-Event-ID", "abc"}, nil},
		{"a negative sequence number", "", []string{"Last-Event-ID", "-5"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			head := seqs[len(seqs)-1]
			for i, h := range tt.header {
				if h == "head" {
					tt.header[i] = fmt.Sprint(head)
				}
			}
			sub := e.watch(streamF+tt.query, tt.header...)
			if tt.from == nil {
				if f := sub.message(); f.event != "snapshot" || f.id != head {
					t.Fatalf("got %+v, want a snapshot of %d", f, head)
				}
				return
			}
			resumesWith(t, sub, tt.from())
		})
	}
	t.Run("past the ring", func(t *testing.T) {
		for i := range 10 {
			seqs = append(seqs, e.post(upsert(node("a", fmt.Sprint("more", i)))))
		}
		n := len(seqs)
		resumesWith(t, e.watch(streamF, "Last-Event-ID", fmt.Sprint(seqs[n-11])), seqs[n-10:])
		if f := e.watch(streamF, "Last-Event-ID", fmt.Sprint(seqs[n-11])).message(); f.event != "snapshot" || f.id != seqs[n] {
			t.Errorf("a subscriber that is one message behind the ring gets %+v", f)
		}
	})
	t.Run("a sequence number of the previous incarnation", func(t *testing.T) {
		old := seqs[len(seqs)-1]
		e.do("DELETE", "/v1/flows/F", "")
		e.post(upsert(node("z", "x")))
		if f := e.watch(streamF, "Last-Event-ID", fmt.Sprint(old)).message(); f.event != "snapshot" || strings.Contains(f.data, `"id":"a"`) {
			t.Errorf("got %+v", f)
		}
	})
}

func TestStream_FlowThatDoesNotExistYet(t *testing.T) {
	onBothWriters(t, testFlowThatDoesNotExistYet)
}

func testFlowThatDoesNotExistYet(t *testing.T, mode string) {
	e := start(t, hub.Config{}, httpapi.Config{StreamMode: mode})
	sub := e.watch(streamF, "Last-Event-ID", "12345")
	if f := sub.next(); f.event != "heartbeat" || !strings.Contains(f.data, `"seq":0,`) || sub.header.Get("Flow-Incarnation") != "none" {
		t.Fatalf("the first frame is %+v, want a heartbeat with seq 0; Flow-Incarnation is %q, want none", f, sub.header.Get("Flow-Incarnation"))
	}
	e.do("DELETE", "/v1/flows/F", "")
	e.post(`{"type":"delete-nodes","ids":["a"]}`)
	seq := e.post(upsert(node("a", "running")))
	if f := sub.message(); f.event != "snapshot" || f.id < seq || f.data != e.snapshot() {
		t.Errorf("%+v", f)
	}
}

func TestStream_EndsWithDeletion(t *testing.T) { onBothWriters(t, testEndsWithDeletion) }

func testEndsWithDeletion(t *testing.T, mode string) {
	e := start(t, hub.Config{}, httpapi.Config{StreamMode: mode})
	e.post(upsert(node("a", "running")))
	sub := e.watch(streamF)
	sub.message()
	e.do("DELETE", "/v1/flows/F", "")
	if f := sub.message(); f.event != "deleted" || f.data != "{}" || f.id != -1 {
		t.Errorf("%+v", f)
	}
	sub.ended()
}

func TestShutdown_StreamsEnd(t *testing.T) { onBothWriters(t, testStreamsEndOnShutdown) }

func testStreamsEndOnShutdown(t *testing.T, mode string) {
	e := start(t, hub.Config{}, httpapi.Config{StreamMode: mode})
	e.post(upsert(node("a", "running")))
	sub := e.watch(streamF)
	sub.message()
	e.hub.Close()
	sub.ended()
}

// sink is a ResponseWriter that keeps what was written, and when.
type sink struct {
	mu     sync.Mutex
	header http.Header
	at     []time.Duration
	frames []string
	since  time.Time
}

func (s *sink) Header() http.Header { return s.header }
func (s *sink) WriteHeader(int)     {}
func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = append(s.at, time.Since(s.since))
	s.frames = append(s.frames, string(b))
	return len(b), nil
}
func (s *sink) FlushError() error                { return nil }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }

func TestStream_HeartbeatAfter15SecondsOfSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Config{})
		api := httpapi.New(h, httpapi.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		s := &sink{header: http.Header{}, since: time.Now()}
		done := make(chan struct{})
		go func() {
			defer close(done)
			api.ServeHTTP(s, httptest.NewRequest("GET", streamF, nil).WithContext(ctx))
		}()
		post := func() {
			r := httptest.NewRequest("POST", "/v1/flows/F/events", strings.NewReader(upsert(node("a", time.Now().String()))))
			r.Header.Set("Content-Type", asJSON)
			w := httptest.NewRecorder()
			api.ServeHTTP(w, r)
			if w.Code != 200 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		time.Sleep(20 * time.Second) // beats at 0 and 15
		post()                       // at 20
		time.Sleep(31 * time.Second) // beats at 35 and 50
		cancel()
		<-done
		var got []string
		for i, f := range s.frames {
			event := strings.TrimPrefix(strings.Split(f[strings.Index(f, "event: "):], "\n")[0], "event: ")
			got = append(got, fmt.Sprintf("%s@%d", event, int(s.at[i].Seconds())))
		}
		if want := "[heartbeat@0 regions@0 heartbeat@15 snapshot@20 heartbeat@35 heartbeat@50]"; fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
		var beat struct {
			Seq, At     int64
			Incarnation string
		}
		last := s.frames[len(s.frames)-1]
		data := strings.TrimSuffix(last[strings.Index(last, "data: ")+6:], "\n\n")
		if err := json.Unmarshal([]byte(data), &beat); err != nil || beat.Seq == 0 || beat.At != time.Now().Add(-time.Second).UnixMilli() || beat.Incarnation == "none" || strings.Contains(last, "id:") {
			t.Errorf("%q: %+v %v", last, beat, err)
		}
		h.Close()
	})
}

func TestIdle_FlowsAreKeptByTheirEmitters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Config{})
		api := httpapi.New(h, httpapi.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); h.Run(ctx) }()
		do := func(method, path, body string, header ...string) int {
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.Header.Set("Content-Type", asJSON)
			for i := 0; i < len(header); i += 2 {
				r.Header.Set(header[i], header[i+1])
			}
			w := httptest.NewRecorder()
			api.ServeHTTP(w, r)
			return w.Code
		}
		for _, id := range []string{"idle", "active"} {
			do("POST", "/v1/flows/"+id+"/events", strings.ReplaceAll(upsert(node("a", "x")), `"F"`, `"`+id+`"`))
		}
		for range 14 { // 70 hours
			time.Sleep(5 * time.Hour)
			do("GET", "/v1/flows/active/snapshot", "", "Flow-Emitter", "me;epoch=1;n=1")
			do("GET", "/v1/flows/idle/snapshot", "")
		}
		if got := do("GET", "/v1/flows/idle/snapshot", ""); got != 200 {
			t.Errorf("dropped before 72 h: %d", got)
		}
		time.Sleep(3 * time.Hour)
		if idle, active := do("GET", "/v1/flows/idle/snapshot", ""), do("GET", "/v1/flows/active/snapshot", ""); idle != 404 || active != 200 {
			t.Errorf("after 73 h: idle flow %d, active flow %d", idle, active)
		}
		cancel()
		<-done
	})
}

// TestStream_StuckSubscriberIsDisconnected has a client stop reading for longer than the write timeout.
func TestStream_StuckSubscriberIsDisconnected(t *testing.T) {
	onBothWriters(t, testStuckSubscriberIsDisconnected)
}

func testStuckSubscriberIsDisconnected(t *testing.T, mode string) {
	e := start(t, hub.Config{RingBytes: 64 << 20}, httpapi.Config{StreamMode: mode, WriteTimeout: 300 * time.Millisecond})
	conn := e.dial()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", streamF)
	big := upsert(node("a", strings.Repeat("x", 500_000)))
	deadline := time.Now().Add(within)
	if _, err := conn.Read(make([]byte, 1)); err != nil { // the answer has begun, so the subscriber counts
		t.Fatal(err)
	}
	for e.hub.Stats.Subscribers.Load() > 0 {
		if time.Now().After(deadline) {
			t.Fatal("still connected")
		}
		e.post(big)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add("a", "running", "x")
	f.Add("id: 5", "event: deleted", "data: {}\n\n")
	f.Add("\u2028", "\r\n\r", "\x00")
	h := hub.New(hub.Config{})
	api := httpapi.New(h, httpapi.Config{})
	f.Fuzz(func(t *testing.T, id, status, extra string) {
		message, err := json.Marshal(map[string]any{"type": "upsert-nodes", "x": extra, "nodes": []any{map[string]any{"id": "i", "flowId": "F", "label": "l" + id, "status": "s" + status}}})
		if err != nil {
			t.Fatal(err)
		}
		reader, err := h.Follow("F", 0, false)
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		for d := reader.Take(); d.Frames != nil; d = reader.Take() {
		}
		r := httptest.NewRequest("POST", "/v1/flows/F/events", bytes.NewReader(message))
		r.Header.Set("Content-Type", asJSON)
		w := httptest.NewRecorder()
		if api.ServeHTTP(w, r); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		d := reader.Take()
		raw := bytes.Join(d.Frames, nil)
		// The strict parser reads the first frame as exactly this message, or as a snapshot if the flow is new.
		fr, err := parseOne(raw)
		if err != nil || fr.event != "upsert-nodes" && fr.event != "snapshot" {
			t.Fatalf("%q: %+v %v", raw, fr, err)
		}
		if fr.event == "upsert-nodes" && fr.data != string(message) {
			t.Fatalf("%q came as %q", message, fr.data)
		}
	})
}
