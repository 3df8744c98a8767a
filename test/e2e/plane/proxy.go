package plane

import (
	"io"
	"net"
	"sync"
)

// Proxy forwards connections to an address. It stands for the network between two processes, which can be cut.
type Proxy struct {
	listener net.Listener
	target   string

	mu     sync.Mutex
	cut    bool
	closed bool
	conns  map[net.Conn]bool
	wg     sync.WaitGroup
}

// NewProxy returns a Proxy on loopback to target. Call Close.
func NewProxy(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, target: target, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	return p, nil
}

// Addr returns the address of the proxy.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.pass(c) })
	}
}

// keep registers c, so that Drop and Close close it. It reports whether the network is not cut.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
	if p.closed {
		c.Close()
	}
	return !p.cut
}

func (p *Proxy) close(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *Proxy) pass(in net.Conn) {
	defer p.close(in)
	if !p.keep(in) {
		_, _ = io.Copy(io.Discard, in) // discard requests without answering
		return
	}
	out, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer p.close(out)
	p.keep(out)
	var wg sync.WaitGroup
	wg.Go(func() {
		p.copy(out, in)
		out.(*net.TCPConn).CloseWrite()
	})
	p.copy(in, out)
	in.Close()
	wg.Wait()
}

// copy forwards bytes, and discards those that arrive while the network is cut.
func (p *Proxy) copy(to io.Writer, from io.Reader) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		cut := p.cut
		p.mu.Unlock()
		if cut {
			_, _ = io.Copy(io.Discard, from)
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// Cut discards everything that is sent until Mend. It closes no connection.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
}

// Mend forwards bytes again, and closes all open connections, since they may have lost some.
func (p *Proxy) Mend() {
	p.mu.Lock()
	p.cut = false
	p.mu.Unlock()
	p.Drop()
}

// Drop closes all open connections.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// Close closes the proxy and all of its connections.
func (p *Proxy) Close() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Drop()
	p.wg.Wait()
}
