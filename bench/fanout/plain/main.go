// Command plain is what one writes in an afternoon with net/http: a channel for each reader, every message put into all of them under
// one mutex, a Flush for each. It validates nothing and folds nothing. A reader that is behind holds up all others and who posts.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	ringSize  = 4096
	queueSize = 128
	heartbeat = 15 * time.Second
	maxBody   = 1 << 20
)

func main() {
	addr := flag.String("listen", "127.0.0.1:8081", "where to listen")
	flag.Parse()
	log.Fatal(http.ListenAndServe(*addr, newServer()))
}

type server struct {
	mu     sync.Mutex
	topics map[string]*topic
	http.ServeMux
}

func newServer() *server {
	s := &server{topics: map[string]*topic{}}
	s.HandleFunc("POST /v1/flows/{flow}/events", s.publish)
	s.HandleFunc("GET /v1/flows/{flow}/stream", s.stream)
	return s
}

type topic struct {
	mu      sync.Mutex
	seq     int64
	ring    [ringSize][]byte // message n at n%ringSize
	readers map[*reader]struct{}
}

type reader struct {
	frames chan []byte
	gone   chan struct{}
}

func (s *server) topic(r *http.Request) *topic {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[r.PathValue("flow")]
	if t == nil {
		t = &topic{readers: map[*reader]struct{}{}}
		s.topics[r.PathValue("flow")] = t
	}
	return t
}

func (s *server) publish(w http.ResponseWriter, r *http.Request) {
	message, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]int64{"seq": s.topic(r).add(message)})
}

func (t *topic) add(message []byte) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seq++
	frame := fmt.Appendf(nil, "id: %d\nevent: message\ndata: %s\n\n", t.seq, message)
	t.ring[t.seq%ringSize] = frame
	for r := range t.readers {
		select {
		case r.frames <- frame:
		case <-r.gone:
		}
	}
	return t.seq
}

// join returns a new reader and what it gets first: all that the ring holds after a number, else an empty snapshot.
func (t *topic) join(after int64) (*reader, [][]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &reader{frames: make(chan []byte, queueSize), gone: make(chan struct{})}
	t.readers[r] = struct{}{}
	if after <= 0 || after > t.seq || t.seq-after > ringSize {
		return r, [][]byte{fmt.Appendf(nil, "id: %d\nevent: snapshot\ndata: {}\n\n", t.seq)}
	}
	var missed [][]byte
	for n := after + 1; n <= t.seq; n++ {
		missed = append(missed, t.ring[n%ringSize])
	}
	return r, missed
}

func (t *topic) leave(r *reader) {
	close(r.gone)
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.readers, r)
}

func (s *server) stream(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64)
	t := s.topic(r)
	me, first := t.join(after)
	defer t.leave(me)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	send := func(frame []byte) error {
		if _, err := w.Write(frame); err != nil {
			return err
		}
		return out.Flush()
	}
	for _, frame := range first {
		if send(frame) != nil {
			return
		}
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var frame []byte
		select {
		case frame = <-me.frames:
			beat.Reset(heartbeat)
		case <-beat.C:
			frame = []byte("event: heartbeat\ndata: {}\n\n")
		case <-r.Context().Done():
			return
		}
		if send(frame) != nil {
			return
		}
	}
}
