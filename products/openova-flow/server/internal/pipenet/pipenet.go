// Package pipenet has listeners whose connections are net.Pipes. It is for tests in fake time: unlike sockets, a synctest bubble knows when
// they wait.
package pipenet

import (
	"context"
	"errors"
	"net"
)

// Listener is a net.Listener on loopback, as far as it says.
type Listener struct {
	conns chan net.Conn
	done  chan struct{}
}

// Listen returns a Listener, which belongs to the bubble that it is made in. Close it once.
func Listen() *Listener { return &Listener{make(chan net.Conn), make(chan struct{})} }

func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *Listener) Close() error   { close(l.done); return nil }
func (l *Listener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// Dial connects to the listener, whatever the address. It fails when ctx is done, and once the listener is closed.
func (l *Listener) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.done:
		return nil, errors.New("connection refused")
	}
}
