package hub

import (
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// BenchmarkRing_AppendFrame pushes messages of about 400 bytes. The evicted messages are not folded.
func BenchmarkRing_AppendFrame(b *testing.B) {
	m, err := flow.Decode("F", []byte(`{"type":"upsert-nodes","nodes":[{"id":"r1/n42","flowId":"F","label":"n42","status":"running","region":"r1","startedAt":1790000000000,"meta":{"s":"`+strings.Repeat("x", 250)+`"}}]}`))
	if err != nil {
		b.Fatal(err)
	}
	r := ring{maxEntries: 4096, maxBytes: 8 << 20}
	b.ReportAllocs()
	b.SetBytes(int64(len(m.JSON())))
	for seq := int64(1); b.Loop(); seq++ {
		r.push(seq, 0, m, func(entry) {})
	}
}
