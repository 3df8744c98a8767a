package truth

import (
	"io"
	"net"
	"sync"
	"testing"
)

// wire is a TCP proxy to whichever of several servers answers, that can be cut.
type wire struct {
	listener net.Listener
	mu       sync.Mutex
	to       []string
	next     int
	cut      bool
	open     map[net.Conn]bool
}

func newWire(t testing.TB, to ...string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: l, to: to, open: make(map[net.Conn]bool)}
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
	t.Cleanup(func() { l.Close(); w.setCut(true); wg.Wait() })
	return w
}

func (w *wire) url() string { return "nats://" + w.listener.Addr().String() }

// setCut ends all connections and takes none, or takes them again.
func (w *wire) setCut(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if cut {
		for c := range w.open {
			c.Close()
		}
	}
}

func (w *wire) carry(in net.Conn) {
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
	wg.Go(func() { _, _ = io.Copy(out, in); out.Close() })
	wg.Go(func() { _, _ = io.Copy(in, out); in.Close() })
	wg.Wait()
	w.mu.Lock()
	delete(w.open, in)
	delete(w.open, out)
	w.mu.Unlock()
}
