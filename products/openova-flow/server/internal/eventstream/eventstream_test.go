package eventstream_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/internal/backlog"
	"github.com/openova-io/openova/products/openova-flow/server/internal/eventstream"
	"github.com/openova-io/openova/products/openova-flow/server/internal/prom"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

const within = 20 * time.Second // timeout of every wait

// env is a server on a real socket that answers every request with the stream of flow F.
type env struct {
	t     *testing.T
	hub   *hub.Hub
	addr  string
	ended atomic.Int64 // calls of End
	sent  atomic.Int64
}

func start(t *testing.T, newWriter func(eventstream.Config) eventstream.Writer, heartbeat time.Duration) *env {
	t.Helper()
	return startAtPace(t, newWriter, heartbeat, backlog.Pace{Timeout: within, MinRate: backlog.DefaultMinRate})
}

func startAtPace(t *testing.T, newWriter func(eventstream.Config) eventstream.Writer, heartbeat time.Duration, pace backlog.Pace) *env {
	t.Helper()
	e := &env{t: t, hub: hub.New(hub.Config{})}
	streams := newWriter(eventstream.Config{Heartbeat: heartbeat, Pace: pace, Budget: backlog.NewBudget(1 << 30),
		Done: e.hub.Done(), Sent: &e.sent, Lag: prom.NewHistogram(time.Second), Logger: slog.Default()})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reader, err := e.hub.Follow("F", 0, false)
		if err != nil {
			t.Error(err)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		streams.Write(w, r, eventstream.Stream{Source: reader, Session: (*auth.Session)(nil), End: func() { reader.Close(); e.ended.Add(1) }})
	}))
	srv.Config.ConnContext = eventstream.ConnContext
	srv.Start()
	e.addr = strings.TrimPrefix(srv.URL, "http://")
	t.Cleanup(func() {
		e.hub.Close()
		srv.Close()
		streams.Shutdown(t.Context())
	})
	return e
}

// subscribe opens a stream and returns its connection and its body.
func (e *env) subscribe() (net.Conn, *bufio.Reader) {
	e.t.Helper()
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(within))
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		e.t.Fatal(err)
	}
	return conn, bufio.NewReader(resp.Body)
}

// event returns the name of the next frame's event, "" at the end of the stream.
func event(in *bufio.Reader) (name string) {
	for {
		line, err := in.ReadString('\n')
		if err != nil || line == "\n" {
			return name
		}
		if value, ok := strings.CutPrefix(line, "event: "); ok {
			name = strings.TrimSpace(value)
		}
	}
}

func onBothWriters(t *testing.T, test func(t *testing.T, newWriter func(eventstream.Config) eventstream.Writer)) {
	t.Run("portable", func(t *testing.T) { test(t, eventstream.NewPortable) })
	t.Run("fast", func(t *testing.T) { test(t, eventstream.NewFast) })
}

func TestWrite_FramesInOrderUntilTheFlowIsDeleted(t *testing.T) {
	onBothWriters(t, func(t *testing.T, newWriter func(eventstream.Config) eventstream.Writer) {
		e := start(t, newWriter, time.Hour)
		_, in := e.subscribe()
		for _, want := range []string{"heartbeat", "regions"} {
			if got := event(in); got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
		n := flow.Node{ID: "a", FlowID: "F", Label: "a", Status: "running"}
		if _, err := e.hub.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{flow.UpsertNodes(n)}}); err != nil {
			t.Fatal(err)
		}
		if got := event(in); got != "snapshot" {
			t.Fatalf("got %s, want snapshot", got)
		}
		if n := e.ended.Load(); n != 0 {
			t.Fatalf("End was called %d times during an open stream", n)
		}
		if _, err := e.hub.Delete("F"); err != nil {
			t.Fatal(err)
		}
		if got := event(in); got != "deleted" {
			t.Fatalf("got %s, want deleted", got)
		}
		if got := event(in); got != "" {
			t.Fatalf("the stream continues with %s", got)
		}
		if n := e.ended.Load(); n != 1 {
			t.Errorf("End was called %d times before the client saw the end of the stream", n)
		}
	})
}

func TestWrite_EndIsCalledOnceWhenTheClientGoes(t *testing.T) {
	onBothWriters(t, func(t *testing.T, newWriter func(eventstream.Config) eventstream.Writer) {
		e := start(t, newWriter, time.Hour)
		conn, in := e.subscribe()
		event(in)
		conn.Close()
		for deadline := time.Now().Add(within); e.ended.Load() == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("End was not called")
			}
		}
		e.hub.Close()
		time.Sleep(10 * time.Millisecond)
		if n := e.ended.Load(); n != 1 {
			t.Errorf("End was called %d times", n)
		}
	})
}

func TestShutdown_DisconnectsWhenItsContextEnds(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has the fast writer")
	}
	var streams eventstream.Writer
	e := start(t, func(cfg eventstream.Config) eventstream.Writer { streams = eventstream.NewFast(cfg); return streams }, time.Hour)
	_, in := e.subscribe()
	event(in)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	returned := make(chan struct{})
	go func() { streams.Shutdown(ctx); close(returned) }() // before Config.Done is closed
	select {
	case <-returned:
	case <-time.After(within):
		t.Fatal("Shutdown has not returned")
	}
	if n := e.ended.Load(); n != 1 {
		t.Errorf("End was called %d times", n)
	}
}

// TestWrite_SubscriberBelowTheMinimumRateIsDisconnected has a client read steadily, so that it never stalls, but take five times the allowed time.
func TestWrite_SubscriberBelowTheMinimumRateIsDisconnected(t *testing.T) {
	const size, piece, every = 16 << 20, 64 << 10, 50 * time.Millisecond // takes 12 s
	onBothWriters(t, func(t *testing.T, newWriter func(eventstream.Config) eventstream.Writer) {
		t.Parallel()
		e := startAtPace(t, newWriter, time.Hour, backlog.Pace{Timeout: 2 * time.Second, MinRate: 32 << 20}) // allows 2.5 s
		for i := range 20 {
			n := flow.Node{ID: fmt.Sprint(i), FlowID: "F", Label: strings.Repeat("l", size/20), Status: "s"}
			if _, err := e.hub.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{flow.UpsertNodes(n)}}); err != nil {
				t.Fatal(err)
			}
		}
		conn, in := e.subscribe()
		_ = conn.(*net.TCPConn).SetReadBuffer(piece)
		began, total := time.Now(), 0
		for e.ended.Load() == 0 {
			n, err := in.Read(make([]byte, piece))
			if total += n; err != nil || total >= size {
				break
			}
			time.Sleep(every)
		}
		if e.ended.Load() == 0 || total >= size/2 {
			t.Errorf("%d bytes were sent in %s", total, time.Since(began))
		}
	})
}

// TestWrite_InputDoesNotDelayHeartbeats has a client send bytes on its stream more often than heartbeats are due. Each byte makes the socket readable and
// writable.
func TestWrite_InputDoesNotDelayHeartbeats(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has the fast writer")
	}
	e := start(t, eventstream.NewFast, 100*time.Millisecond)
	conn, in := e.subscribe()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				_, _ = conn.Write([]byte("x"))
			}
		}
	}()
	began := time.Now()
	for n := 0; n < 5; {
		switch event(in) {
		case "heartbeat":
			n++
		case "":
			t.Fatalf("the stream has ended after %d heartbeats", n)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("5 heartbeats took %s", took)
	}
}
