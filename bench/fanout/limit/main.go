//go:build linux

// Command limit is a server for measuring how fast a machine can deliver if each message to each subscriber is a system call of its own. It has one thread for
// each core over epoll and minimal parsing of HTTP, but no validation, no fold and no resume.
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
	listen := flag.String("listen", "127.0.0.1:8082", "address to listen on, IPv4")
	flag.Parse()
	addr, err := netip.ParseAddrPort(*listen)
	if err != nil {
		log.Fatalf("-listen %q: %v", *listen, err)
	}
	if !addr.Addr().Is4() {
		log.Fatalf("-listen %q: not an IPv4 address", *listen)
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

// server numbers messages. Each thread writes them to the subscribers that it accepted.
type server struct {
	threads []*thread
	mu      sync.Mutex
	topics  map[string]*topic
}

type topic struct{ seq int64 }

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

// publish numbers a message and queues it for every thread, in the same order for all.
func (s *server) publish(flow string, body []byte) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topic(flow)
	t.seq++
	frame := fmt.Appendf(make([]byte, 0, len(body)+64), "id: %d\nevent: message\ndata: %s\n\n", t.seq, body)
	for _, thread := range s.threads {
		thread.enqueue(message{t, t.seq, frame})
	}
	return t.seq
}

func (s *server) head(flow string) (*topic, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topic(flow)
	return t, t.seq
}

// listenOn returns a listening socket that shares its port with the other threads' (SO_REUSEPORT).
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
