//go:build !race

package httpapi_test

import (
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// idle opens streams and returns the bytes of heap and stack of each while it is idle, including its client's connection.
func (e *env) idle(streams int) (heap, stack int) {
	e.t.Helper()
	used := func() (heap, stack int) {
		for range 3 { // each halves a stack at most
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc), int(m.StackInuse)
	}
	open := func(n int) {
		for range n {
			conn := e.dial()
			_ = conn.SetReadDeadline(time.Now().Add(within))
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", streamF)
			awaitHeartbeat(e.t, conn)
		}
	}
	open(streams / 4) // so that one-time allocations are not counted
	heapBefore, stackBefore := used()
	open(streams)
	heap, stack = used()
	return (heap - heapBefore) / streams, (stack - stackBefore) / streams
}

// awaitHeartbeat reads an answer up to its first frame, without a buffer that stays in memory.
func awaitHeartbeat(t testing.TB, conn net.Conn) {
	t.Helper()
	const end = "event: heartbeat"
	matched, b := 0, make([]byte, 1)
	for matched < len(end) {
		if _, err := conn.Read(b); err != nil {
			t.Fatal(err)
		}
		switch b[0] {
		case end[matched]:
			matched++
		case end[0]:
			matched = 1
		default:
			matched = 0
		}
	}
}

// TestMeasure_IdlePortableStreamStack measures the stacks of a stream's two goroutines in net/http: 8 KiB for the one that writes it, 2 KiB for the one that
// reads in the background. Writing before handler and middleware have returned would take 8 KiB more, for their stack frames.
func TestMeasure_IdlePortableStreamStack(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{StreamMode: httpapi.StreamPortable})
	if heap, stack := e.idle(200); stack > 15<<10 { // above 10 KiB, since StackInuse also counts the unused parts of spans
		t.Errorf("an idle stream has %d bytes of stack and %d of heap", stack, heap)
	}
}

// TestMeasure_IdleFastStreamMemory checks that net/http's request and buffers, 9 KiB, are freed.
func TestMeasure_IdleFastStreamMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has the fast writer")
	}
	e := start(t, hub.Config{}, httpapi.Config{})
	if heap, stack := e.idle(200); heap+stack > 3<<10 {
		t.Errorf("an idle stream has %d bytes of heap and %d of stack", heap, stack)
	}
}
