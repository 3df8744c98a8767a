//go:build linux

package load

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// faulty is a server with at most one fault, at one message.
type faulty struct {
	fault string
	mu    sync.Mutex
	seq   int64
	sent  []string // frames
	more  chan struct{}
	old   string // a delayed frame
}

// faultAt is the sequence number with the fault.
const faultAt = 20

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		body, _ := io.ReadAll(r.Body)
		f.publish(w, string(body))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	f.mu.Lock()
	at := len(f.sent)
	fmt.Fprintf(w, "id: %d\nevent: snapshot\ndata: {}\n\n", f.seq)
	f.mu.Unlock()
	for {
		f.mu.Lock()
		frames, more := f.sent[at:], f.more
		at = len(f.sent)
		f.mu.Unlock()
		if _, err := io.WriteString(w, strings.Join(frames, "")); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		if f.fault == "cut" && at > faultAt {
			return
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return
		}
	}
}

func (f *faulty) publish(w http.ResponseWriter, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq++
	frame := func(id int64) string { return fmt.Sprintf("id: %d\nevent: message\ndata: %s\n\n", id, body) }
	frames := []string{frame(f.seq)}
	if f.seq == faultAt {
		switch f.fault {
		case "lost":
			frames = nil
		case "twice":
			frames = append(frames, frame(f.seq+1))
			f.seq++
		case "late":
			f.old, frames = frames[0], nil
		case "misnumbered":
			f.seq++
		case "resync":
			frames = []string{fmt.Sprintf("id: %d\nevent: snapshot\ndata: {}\n\n", f.seq)}
		case "refused":
			http.Error(w, "no", http.StatusTooManyRequests)
			return
		}
	} else if f.old != "" {
		frames = append(frames, f.old)
		f.old = ""
	}
	f.sent = append(f.sent, frames...)
	close(f.more)
	f.more = make(chan struct{})
	fmt.Fprintf(w, `{"seq":%d}`, f.seq)
}

func TestRun_FindsFaults(t *testing.T) {
	const readers, messages = 3, 40
	for _, tt := range []struct {
		fault string
		wrong string
		also  func(Result) bool
	}{
		{"", "", func(r Result) bool { return r.Delivered == readers*messages && r.Accepted == messages && r.Chunked }},
		{"lost", "3 deliveries lost", nil},
		{"twice", "3 duplicate deliveries", nil},
		{"late", "3 frames out of order", nil},
		{"misnumbered", "1 messages under another id", nil},
		{"resync", "", func(r Result) bool {
			return r.Resyncs == readers && r.Covered == readers && r.Delivered == readers*(messages-1)
		}},
		{"refused", "1 messages refused", func(r Result) bool { return r.Lost == 0 }},
		{"cut", "3 readers cut", func(r Result) bool { return r.Lost > 0 }},
	} {
		t.Run("fault "+tt.fault, func(t *testing.T) {
			s := httptest.NewServer(&faulty{fault: tt.fault, more: make(chan struct{})})
			defer s.Close()
			got, err := Run(Server{Addr: s.Listener.Addr().String(), PID: os.Getpid()}, Scenario{Kind: Fanout, Readers: readers, Messages: messages, Quiet: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			if (tt.wrong == "") != (got.Wrong() == "") || !strings.Contains(got.Wrong(), tt.wrong) {
				t.Errorf("wrong is %q, want %q", got.Wrong(), tt.wrong)
			}
			if tt.also != nil && !tt.also(got) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestRun_LatencyCountsFromDueTime has a server that answers the first measured POST late, so that the messages due meanwhile are late too.
func TestRun_LatencyCountsFromDueTime(t *testing.T) {
	const late = 200 * time.Millisecond
	f := &faulty{more: make(chan struct{})}
	var posts int
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			if posts++; posts == 2 { // the first makes the flow
				<-time.After(late)
			}
		}
		f.ServeHTTP(w, r)
	}))
	defer s.Close()
	got, err := Run(Server{Addr: s.Listener.Addr().String()}, Scenario{Kind: Fanout, Readers: 1, Messages: 100, Rate: 500})
	if err != nil || got.Wrong() != "" {
		t.Fatal(err, got.Wrong())
	}
	// All 100 were due within the delay, evenly. Timed from when they were sent, all but one would look fast.
	if got.P50 < late/4 || got.PublishP50 < late/4 {
		t.Errorf("p50 %v, of POSTs %v: the time before sending was not counted", got.P50, got.PublishP50)
	}
}

func TestRun_StopsPostingAtTheLimit(t *testing.T) {
	s := httptest.NewServer(&faulty{more: make(chan struct{})})
	defer s.Close()
	const messages = 100
	got, err := Run(Server{Addr: s.Listener.Addr().String()}, Scenario{Kind: Fanout, Readers: 2, Messages: messages, Rate: 100, Within: 300 * time.Millisecond})
	if err != nil || got.Wrong() != "" {
		t.Fatal(err, got.Wrong())
	}
	if got.Accepted == 0 || got.Accepted > messages/2 || got.Delivered != 2*got.Accepted {
		t.Errorf("%d accepted, %d delivered", got.Accepted, got.Delivered)
	}
}
