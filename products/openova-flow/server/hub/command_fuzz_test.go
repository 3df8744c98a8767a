package hub_test

import (
	"bytes"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// FuzzCommand: a decoded command does not change when it is encoded and decoded again.
func FuzzCommand(f *testing.F) {
	f.Add(record.Command{Kind: record.KindPost, Post: record.Post{FlowID: "F", Regions: []string{}, Stamp: record.Stamp{Name: "e\xff", Epoch: 1, N: 2}, Messages: []*flow.Message{upsert(f, "a", "x")}}}.Encode())
	f.Add(record.Command{Kind: record.KindIdle, Post: record.Post{FlowID: "F", IfIncarnation: "i"}, LastActivity: 5}.Encode())
	f.Add([]byte(`{"kind":"post","flow":"F","emitter":"ZQ==","digest":"` + string(bytes.Repeat([]byte("ab"), 40)) + `"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := record.DecodeCommand(data)
		if err != nil {
			return
		}
		text := c.Encode()
		again, err := record.DecodeCommand(text)
		if err != nil || !bytes.Equal(again.Encode(), text) {
			t.Fatalf("%q is written as %q, %v", data, text, err)
		}
	})
}
