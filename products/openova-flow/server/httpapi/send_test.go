package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/internal/backlog"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// TestSend_LargeBodyThroughWriterWithoutDeadlines writes to a ResponseWriter without deadlines, like that of a wrapping handler without Unwrap.
func TestSend_LargeBodyThroughWriterWithoutDeadlines(t *testing.T) {
	h := hub.New(hub.Config{})
	defer h.Close()
	n := flow.Node{ID: "a", FlowID: "F", Label: strings.Repeat("l", 3*backlog.PieceBytes), Status: "s"}
	if _, err := h.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{flow.UpsertNodes(n)}}); err != nil {
		t.Fatal(err)
	}
	snap, err := h.Snapshot("F")
	if err != nil {
		t.Fatal(err)
	}
	s := New(h, Config{})
	for path, want := range map[string]string{"/v1/flows/F/snapshot": string(snap.JSON()), "/v1/flows/F/events": n.Label} {
		w := httptest.NewRecorder() // supports no deadlines
		s.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if got := w.Body.String(); w.Code != 200 || !strings.Contains(got, want) {
			t.Errorf("%s: status %d, %d bytes lack the %d wanted ones", path, w.Code, len(got), len(want))
		}
	}
	if bytes, _ := s.unread.Stats(); bytes != 0 {
		t.Errorf("%d bytes are still held", bytes)
	}
}

// TestSend_TricklingReaderIsCut has a client read so slowly that the whole answer takes too long.
func TestSend_TricklingReaderIsCut(t *testing.T) {
	for _, mode := range []string{StreamAuto, StreamPortable} {
		for _, path := range []string{"/v1/flows/F/snapshot", "/v1/flows/F/stream"} {
			t.Run(mode+path, func(t *testing.T) {
				h := hub.New(hub.Config{MaxMetaBytes: 1 << 20})
				s := New(h, Config{StreamMode: mode, WriteTimeout: 500 * time.Millisecond, minReadRate: 100 << 20})
				srv := httptest.NewUnstartedServer(s)
				srv.Config.ConnContext = ConnContext
				srv.Start()
				defer func() { h.Close(); srv.Close(); s.Shutdown(context.Background()) }()
				for i := range 20 { // 16 MB
					n := flow.Node{ID: fmt.Sprint(i), FlowID: "F", Label: strings.Repeat("l", 800<<10), Status: "s"}
					if _, err := h.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{flow.UpsertNodes(n)}}); err != nil {
						t.Fatal(err)
					}
				}
				conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_ = conn.(*net.TCPConn).SetReadBuffer(4096)
				fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
				began, piece, total := time.Now(), make([]byte, 16<<10), 0
				for time.Since(began) < 30*time.Second {
					if bytes, _ := s.unread.Stats(); bytes == 0 && time.Since(began) > 3*time.Second {
						break // cut off: further reads would return only what the kernel has buffered
					}
					_ = conn.SetReadDeadline(time.Now().Add(time.Second))
					n, err := conn.Read(piece)
					total += n
					if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
						break
					}
					time.Sleep(20 * time.Millisecond)
				}
				if bytes, _ := s.unread.Stats(); bytes != 0 || total > 15<<20 {
					t.Errorf("the client has %d bytes after %s, and %d count as unread", total, time.Since(began), bytes)
				}
			})
		}
	}
}
