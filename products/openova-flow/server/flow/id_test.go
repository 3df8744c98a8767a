package flow_test

import (
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func TestValidID(t *testing.T) {
	for _, id := range []string{"a", "a:b", "A-_.9", "...", ".a", strings.Repeat("z", 128)} {
		if !flow.ValidID(id) {
			t.Errorf("%q is rejected", id)
		}
	}
	for _, id := range []string{"", ".", "..", "a/b", "../x", "%2e", "a b", "a\n", "é", strings.Repeat("z", 129)} {
		if flow.ValidID(id) {
			t.Errorf("%q is accepted", id)
		}
	}
}

func TestDecode_InstantsAreDates(t *testing.T) {
	for message, least := range map[string]string{
		`{"type":"upsert-nodes","nodes":[{"id":"a","flowId":"F","label":"a","status":"x","startedAt":T}]}`: "-8640000000000000",
		`{"type":"upsert-nodes","nodes":[{"id":"a","flowId":"F","label":"a","status":"x","endedAt":T}]}`:   "-8640000000000000",
		`{"type":"upsert-flow","flow":{"id":"F","status":"x","startedAt":T}}`:                              "0",
		`{"type":"upsert-flow","flow":{"id":"F","status":"x","startedAt":0,"endedAt":T}}`:                  "-8640000000000000",
	} {
		for text, want := range map[string]bool{"8640000000000000": true, "8640000000000001": false, least: true, "-8640000000000001": false, "9007199254740991": false, "-9007199254740991": false} {
			data := []byte(strings.Replace(message, "T", text, 1))
			if _, err := flow.Decode("F", data); (err == nil) != want {
				t.Errorf("%s: %v", data, err)
			}
		}
	}
}

func TestDecodeStored_KeepsInstantsOfEarlierVersions(t *testing.T) {
	node := `{"id":"a","flowId":"F","label":"a","status":"x","startedAt":-9007199254740991}`
	padding := `,"unknown":"` + strings.Repeat("x", 2000) + `"` // makes the state copy the node out of its message
	messages, err := flow.DecodeStoredBatch("F", []byte(`{"type":"upsert-nodes","nodes":[`+node+`]`+padding+`}`))
	if err != nil {
		t.Fatal(err)
	}
	s := flow.NewState("F", 1)
	s.Apply(messages[0])
	again, err := flow.DecodeNode("F", s.Snapshot().Nodes[0].JSON())
	if err != nil || again.StartedAt.Ms() != -9007199254740991 {
		t.Errorf("%+v %v", again, err)
	}
	if _, err := flow.DecodeStored("F", []byte(`{"type":"upsert-nodes","nodes":[{"id":"a","flowId":"F","label":"","status":"x"}]}`)); err == nil {
		t.Error("DecodeStored accepted a message that no version accepted")
	}
}

func TestDecode_ErrorsLimitFieldNames(t *testing.T) {
	key := strings.Repeat("x", 100_000)
	for _, message := range []string{
		`{"KEY":1,"KEY":2}`,
		`{"type":"upsert-nodes","nodes":[{"KEY":1,"KEY":2}]}`,
		`{"type":"upsert-nodes","nodes":[{"meta":{"KEY":1,"KEY":2}}]}`,
	} {
		if _, err := flow.Decode("F", []byte(strings.ReplaceAll(message, "KEY", key))); err == nil || len(err.Error()) > 512 {
			t.Errorf("%.60s: %.100v", message, err)
		}
	}
}

func TestDecode_LimitsIntegers(t *testing.T) {
	node := `{"type":"upsert-nodes","nodes":[{"id":"a","flowId":"F","label":"a","status":"x","startedAt":N}]}` // decoded as stored, so that the narrower bounds of instants do not apply
	lag := `{"type":"upsert-rels","relationships":[{"fromId":"a","toId":"b","type":"triggers","lag":N}]}`
	for _, tt := range []struct {
		message, n string
		ok         bool
	}{
		{node, "9007199254740991", true}, {node, "9007199254740992", false}, {node, "-9007199254740991", true}, {node, "-9007199254740992", false},
		{node, "99999999999999999999", false}, {lag, "9007199254740991", true}, {lag, "9007199254740992", false}, {lag, "-1", false},
	} {
		if _, err := flow.DecodeStored("F", []byte(strings.Replace(tt.message, "N}", tt.n+"}", 1))); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.n, err)
		}
	}
}
