package natstest

import (
	"net"
	"sync"
	"testing"
)

// Wire is a TCP proxy to one or more servers. Each connection goes to the next server in turn that accepts it. A Wire can be cut, or stalled while its
// connections stay open. It is safe for concurrent use.
type Wire struct {
	listener net.Listener
	to       []string

	mu      sync.Mutex
	changed *sync.Cond
	next    int
	cut     bool
	stalled [2]bool
	open    map[net.Conn]bool
}

// Direction is a direction of a Wire.
type Direction int

// The directions.
const (
	ToServer Direction = iota
	ToClient
)

// NewWire returns a Wire to the addresses, which is closed when the test ends.
func NewWire(t testing.TB, to ...string) *Wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Wire{listener: l, to: to, open: make(map[net.Conn]bool)}
	w.changed = sync.NewCond(&w.mu)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { w.carry(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		w.Cut(true)
		w.Stall(ToServer, false)
		w.Stall(ToClient, false)
		wg.Wait()
	})
	return w
}

// URL returns the URL at which clients connect to the Wire.
func (w *Wire) URL() string { return "nats://" + w.listener.Addr().String() }

// Cut closes all connections and rejects new ones if cut is true, and accepts connections again if it is false.
func (w *Wire) Cut(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if cut {
		w.close()
	}
}

// Stall holds back all bytes in one direction, on new connections too, if stall is true. If it is false, bytes flow again, and the connections that
// were stalled are closed.
func (w *Wire) Stall(d Direction, stall bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stalled[d] && !stall {
		w.close()
	}
	w.stalled[d] = stall
	w.changed.Broadcast()
}

// close closes all connections. mu is held.
func (w *Wire) close() {
	for c := range w.open {
		c.Close()
	}
	w.changed.Broadcast()
}

func (w *Wire) carry(in net.Conn) {
	defer in.Close()
	var out net.Conn
	for range w.to {
		w.mu.Lock()
		w.next++
		addr := w.to[w.next%len(w.to)]
		w.mu.Unlock()
		if c, err := net.Dial("tcp", addr); err == nil {
			out = c
			break
		}
	}
	if out == nil {
		return
	}
	defer out.Close()
	w.mu.Lock()
	if w.cut {
		w.mu.Unlock()
		return
	}
	w.open[in], w.open[out] = true, true
	w.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { w.copy(out, in, ToServer); out.Close() })
	wg.Go(func() { w.copy(in, out, ToClient); in.Close() })
	wg.Wait()
	w.mu.Lock()
	delete(w.open, in)
	delete(w.open, out)
	w.mu.Unlock()
}

func (w *Wire) copy(to, from net.Conn, d Direction) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		w.mu.Lock()
		for w.stalled[d] && !w.cut {
			w.changed.Wait()
		}
		w.mu.Unlock()
		if err != nil {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}
