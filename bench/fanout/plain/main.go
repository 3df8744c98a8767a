// Command plain is a simple fan-out server with net/http, to compare with. Each subscriber has a channel; each message is sent to all channels under one
// mutex, and flushed for each subscriber. It neither validates nor folds. A slow subscriber blocks all others and the publishers.
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
	addr := flag.String("listen", "127.0.0.1:8081", "address to listen on")
	flag.Parse()
	log.Fatal(http.ListenAndServe(*addr, newServer()))
}

type server struct {
	mu     sync.Mutex // guards seq, topics and the content of all topics
	seq    int64
	topics map[string]*topic
	all    *topic // the messages of all flows
	http.ServeMux
}

func newServer() *server {
	s := &server{topics: map[string]*topic{}, all: newTopic()}
	s.HandleFunc("POST /v1/flows/{flow}/events", s.publish)
	s.HandleFunc("GET /v1/flows/{flow}/stream", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		t := s.topic(r.PathValue("flow"))
		s.mu.Unlock()
		s.stream(w, r, t)
	})
	s.HandleFunc("GET /v1/stream", func(w http.ResponseWriter, r *http.Request) { s.stream(w, r, s.all) })
	return s
}

type topic struct {
	last        int64
	evicted     int64 // sequence number of the last message that left the ring
	ring        []entry
	subscribers map[*subscriber]struct{}
}

type entry struct {
	seq   int64
	frame []byte
}

func newTopic() *topic { return &topic{subscribers: map[*subscriber]struct{}{}} }

type subscriber struct {
	frames chan []byte
	gone   chan struct{}
}

func (s *server) topic(flow string) *topic {
	if s.topics[flow] == nil {
		s.topics[flow] = newTopic()
	}
	return s.topics[flow]
}

func (s *server) publish(w http.ResponseWriter, r *http.Request) {
	message, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]int64{"seq": s.add(r.PathValue("flow"), message)})
}

func (s *server) add(flow string, message []byte) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	s.topic(flow).add(s.seq, fmt.Appendf(nil, "id: %d\nevent: message\ndata: %s\n\n", s.seq, message))
	s.all.add(s.seq, fmt.Appendf(nil, "id: %d\nevent: %s/message\ndata: %s\n\n", s.seq, flow, message))
	return s.seq
}

func (t *topic) add(seq int64, frame []byte) {
	t.last = seq
	t.ring = append(t.ring, entry{seq, frame})
	if len(t.ring) > ringSize {
		t.evicted = t.ring[0].seq
		t.ring = t.ring[1:]
	}
	for r := range t.subscribers {
		select {
		case r.frames <- frame:
		case <-r.gone:
		}
	}
}

// join returns a new subscriber and its first frames: those after the cursor, or an empty snapshot if the ring cannot resume there.
func (s *server) join(t *topic, after int64) (*subscriber, [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &subscriber{frames: make(chan []byte, queueSize), gone: make(chan struct{})}
	t.subscribers[r] = struct{}{}
	if after <= 0 || after > t.last || after < t.evicted {
		return r, [][]byte{fmt.Appendf(nil, "id: %d\nevent: snapshot\ndata: {}\n\n", t.last)}
	}
	var missed [][]byte
	for _, e := range t.ring {
		if e.seq > after {
			missed = append(missed, e.frame)
		}
	}
	return r, missed
}

func (s *server) leave(t *topic, r *subscriber) {
	close(r.gone)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(t.subscribers, r)
}

func (s *server) stream(w http.ResponseWriter, r *http.Request, t *topic) {
	after, _ := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64)
	me, first := s.join(t, after)
	defer s.leave(t, me)
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
