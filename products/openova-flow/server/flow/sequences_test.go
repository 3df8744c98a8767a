package flow_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

var update = flag.Bool("update", false, "rewrite testdata/sequences")

// sequence is a list of messages and the snapshot that they fold into. The Go and TypeScript tests each generate some,
// and both fold all.
type sequence struct {
	FlowID   string            `json:"flowId"`
	Messages []json.RawMessage `json:"messages"`
	Snapshot json.RawMessage   `json:"snapshot"`
}

func TestSequences(t *testing.T) {
	if *update {
		writeSequences(t)
	}
	for dir, least := range map[string]int{"testdata/sequences": 40, "../../core/testdata/sequences": 40} {
		paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil || len(paths) < least {
			t.Fatalf("%d sequences in %s, %v", len(paths), dir, err)
		}
		for _, p := range paths {
			t.Run(p, func(t *testing.T) {
				data, err := os.ReadFile(p)
				if err != nil {
					t.Fatal(err)
				}
				var q sequence
				if err := json.Unmarshal(data, &q); err != nil {
					t.Fatal(err)
				}
				s := flow.NewState(q.FlowID, 0)
				for _, raw := range q.Messages {
					m, err := flow.Decode(q.FlowID, raw)
					if err != nil {
						t.Fatalf("%s: %v", raw, err)
					}
					s.Apply(m)
				}
				if got := s.Snapshot().JSON(); !sameJSON(t, got, string(q.Snapshot)) {
					t.Errorf("folds into\n%s\nwant\n%s", got, q.Snapshot)
				}
			})
		}
	}
}

func writeSequences(t *testing.T) {
	t.Helper()
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 2))
		q := sequence{FlowID: "F"}
		s := flow.NewState("F", 0)
		add := func(m *flow.Message) {
			q.Messages = append(q.Messages, json.RawMessage(m.JSON()))
			s.Apply(decode(t, m.JSON()))
		}
		add(flow.UpsertFlow(flow.Instance{ID: "F", Status: "running", StartedAt: flow.At(1)}))
		for range 5 + 2*seed {
			add(randomMessage(r, true))
		}
		q.Snapshot = json.RawMessage(s.Snapshot().JSON())
		data, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll("testdata/sequences", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("testdata/sequences", fmt.Sprintf("%02d.json", seed+1)), append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
