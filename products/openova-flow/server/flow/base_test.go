package flow_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func nodeText(id, label string) string {
	return fmt.Sprintf(`{"id":%q,"flowId":"F","label":%q,"status":"running"}`, id, label)
}

func put(t *testing.T, b *flow.Base, nodes ...string) string {
	t.Helper()
	return fold(t, b, `{"type":"upsert-nodes","nodes":[`+strings.Join(nodes, ",")+`]}`)
}

func fold(t *testing.T, b *flow.Base, text string) string {
	t.Helper()
	m := decode(t, text)
	b.Apply([]byte(m.JSON()), []byte(m.SingleNode()))
	return text
}

// TestBase_BytesFollowContent: a node counts once, as text or decoded, and what is deleted counts no more.
func TestBase_BytesFollowContent(t *testing.T) {
	const entry = 100
	b := flow.NewBase(flow.NewState("F", 0))
	empty := b.Bytes()
	put(t, b, nodeText("a", "1"), nodeText("b", "1"))
	decoded := b.Bytes()
	put(t, b, nodeText("a", "first"))
	kept := put(t, b, nodeText("b", "1")) + put(t, b, nodeText("a", "second, which is longer"))
	if got, want := b.Bytes()-empty, int64(len(kept)+2*(entry+len("a"))); got != want {
		t.Errorf("two nodes as text take %d bytes, want %d", got, want)
	}
	put(t, b, nodeText("a", "1"), nodeText("b", "1"))
	if got := b.Bytes(); got != decoded {
		t.Errorf("the same two nodes, decoded again, take %d bytes, want %d", got, decoded)
	}
	put(t, b, nodeText("a", "1"))
	fold(t, b, `{"type":"delete-nodes","ids":["a","b"]}`)
	if got := b.Bytes(); got != empty {
		t.Errorf("without nodes it takes %d bytes, want %d", got, empty)
	}
	const snapshot = `{"type":"snapshot","flow":{"id":"F","status":"x","startedAt":1},"nodes":[],"relationships":[]}`
	fold(t, b, snapshot)
	empty = b.Bytes()
	put(t, b, nodeText("a", "1"))
	fold(t, b, snapshot)
	if _, nodes := b.Collect(); len(nodes) != 0 || b.Bytes() != empty {
		t.Errorf("after an empty snapshot it has %q and takes %d bytes, want none and %d", nodes, b.Bytes(), empty)
	}
}

func TestBase_ShortTextFreesALongOne(t *testing.T) {
	b := flow.NewBase(flow.NewState("F", 0))
	for i := range 64 {
		id := fmt.Sprint(i)
		put(t, b, nodeText(id, strings.Repeat("x", 256<<10)))
		put(t, b, nodeText(id, "x"))
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 8<<20 {
		t.Errorf("%d bytes of heap for a Base of %d", m.HeapAlloc, b.Bytes())
	}
	runtime.KeepAlive(b)
}
