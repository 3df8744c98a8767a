//go:build linux

// Command limit shows what a machine lets anybody reach who writes once for each message and reader: one thread a core over epoll,
// HTTP parsed just as far as it must be, no validation, no state. It resumes nobody.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/netip"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8082", "where to listen: an IPv4 address and a port")
	flag.Parse()
	addr, err := netip.ParseAddrPort(*listen)
	if err != nil {
		log.Fatal(err)
	}
	s := &server{topics: map[string]*topic{}}
	for range runtime.NumCPU() {
		t, err := newThread(s, addr)
		if err != nil {
			log.Fatal(err)
		}
		s.threads = append(s.threads, t)
	}
	var threads sync.WaitGroup
	for _, t := range s.threads {
		threads.Go(func() { log.Fatal(t.run()) })
	}
	threads.Wait()
}

// server gives messages their numbers. Each thread writes them to the readers that came in at it.
type server struct {
	threads []*thread
	mu      sync.Mutex
	topics  map[string]*topic
}

type topic struct{ seq int64 }

// message is a frame on its way to a thread.
type message struct {
	topic *topic
	seq   int64
	frame []byte
}

func (s *server) topic(flow string) *topic {
	t := s.topics[flow]
	if t == nil {
		t = &topic{}
		s.topics[flow] = t
	}
	return t
}

// publish numbers a message and hands it to every thread, to all in the same order.
func (s *server) publish(flow string, body []byte) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topic(flow)
	t.seq++
	frame := fmt.Appendf(make([]byte, 0, len(body)+64), "id: %d\nevent: message\ndata: %s\n\n", t.seq, body)
	for _, thread := range s.threads {
		thread.hand(message{t, t.seq, frame})
	}
	return t.seq
}

func (s *server) head(flow string) (*topic, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topic(flow)
	return t, t.seq
}

// listenOn returns a listening socket that shares its port with those of the other threads.
func listenOn(addr netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return -1, fmt.Errorf("SO_REUSEPORT: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		return -1, fmt.Errorf("bind %s: %w", addr, err)
	}
	if err := unix.Listen(fd, 4096); err != nil {
		return -1, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return fd, nil
}
