// Package free finds addresses to listen on.
package free

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
)

// given counts the ports that Addr has tried, from a random start.
var given = func() *atomic.Uint32 { n := new(atomic.Uint32); n.Store(rand.Uint32N(1 << 30)); return n }()

// Addr returns a free loopback address. Its port is outside of the kernel's default ephemeral range, so that no outgoing connection takes it before the
// caller listens, or while the listener restarts.
func Addr() (addr string, err error) {
	for range 1000 {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+given.Add(1)%12_000)); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", fmt.Errorf("1,000 ports are not free: %w", err)
}
