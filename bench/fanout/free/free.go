// Package free finds addresses to listen on.
package free

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
)

// given is the last port that Addr has returned, or where it begins.
var given = func() *atomic.Uint32 { n := new(atomic.Uint32); n.Store(rand.Uint32N(1 << 30)); return n }()

// Addr is an address on loopback that nobody listens on. Its port is none of those that the kernel gives to whoever asks for any: it is listened
// on later, and again after a restart.
func Addr() (addr string, err error) {
	for range 1000 {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+given.Add(1)%12_000)); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", err
}
