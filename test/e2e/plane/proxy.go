package plane

import (
	"io"
	"net"
	"sync"
)

// Proxy is the network between two processes: it passes bytes on to an address until it is cut.
type Proxy struct {
	listener net.Listener
	target   string

	mu     sync.Mutex
	cut    bool
	closed bool
	conns  map[net.Conn]bool
	wg     sync.WaitGroup
}

// NewProxy returns a Proxy on loopback to target. Close ends it.
func NewProxy(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, target: target, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is where the proxy listens.
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

// keep reports whether the network is whole. It keeps c, to be closed by Drop or Close.
func (p *Proxy) keep(c net.Conn) (whole bool) {
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
		_, _ = io.Copy(io.Discard, in) // what is sent vanishes, and nothing is answered
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

// copy passes bytes on; those that come while the network is cut vanish.
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

// Cut makes everything that is sent vanish, without a word to either end, until Mend.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
}

// Mend lets new connections through again, and ends those that lost something.
func (p *Proxy) Mend() {
	p.mu.Lock()
	p.cut = false
	p.mu.Unlock()
	p.Drop()
}

// Drop ends all connections that are open now.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// Close ends the proxy and every connection through it.
func (p *Proxy) Close() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Drop()
	p.wg.Wait()
}
