// Package pipenet has listeners with net.Pipe connections, for tests in a synctest bubble: fake time does not advance while a goroutine waits for a socket,
// but does while it waits for a pipe.
package pipenet

import (
	"context"
	"errors"
	"net"
)

// Listener is a net.Listener that pretends to listen on loopback.
type Listener struct {
	conns chan net.Conn
	done  chan struct{}
}

// Listen returns a Listener of the current synctest bubble. It must be closed exactly once.
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

// Dial connects to the listener, whatever the address. It fails when ctx ends or the listener is closed.
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
