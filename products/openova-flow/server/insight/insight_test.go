package insight_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

// outcome has all results for a graph. Nodes without marks, blockers or roots are not in these maps.
type outcome struct {
	States   map[string]insight.State `json:"states"`
	Marks    map[string][]string      `json:"marks"`
	HeldBy   map[string][]string      `json:"heldBy"`
	Roots    map[string][]string      `json:"roots"`
	Problems []problem                `json:"problems"`
	Open     []string                 `json:"open"`
	Verdict  string                   `json:"verdict"`
	Final    bool                     `json:"final"`
}

type problem struct {
	IDs    []string `json:"ids"`
	Blocks []string `json:"blocks"`
	Class  string   `json:"class"`
	details
}

// details has the results that a vector need not list.
type details struct {
	Sentence string   `json:"sentence,omitempty"`
	Command  []string `json:"command,omitempty"`
	Region   string   `json:"region,omitempty"`
	Label    string   `json:"label,omitempty"`
	Since    int64    `json:"since,omitempty"`
}

func everything(*flow.Node) bool { return true }

func outcomeOf(m *flow.Message, now int64, lastSeen map[string]int64) outcome {
	v := insight.Read(m).At(now, lastSeen)
	o := outcome{States: map[string]insight.State{}, Marks: map[string][]string{}, HeldBy: map[string][]string{}, Roots: map[string][]string{}, Problems: []problem{}, Open: []string{}}
	put := func(in map[string][]string, id string, list []string) {
		if len(list) > 0 {
			in[id] = list
		}
	}
	for _, n := range m.Nodes {
		o.States[n.ID] = v.State(n.ID)
		put(o.Marks, n.ID, v.Marks(n.ID))
		put(o.HeldBy, n.ID, v.HeldBy(n.ID))
		put(o.Roots, n.ID, v.Roots(n.ID))
	}
	d := v.Verdict(everything)
	for _, p := range d.Problems {
		o.Problems = append(o.Problems, problem{IDs: p.IDs, Blocks: append([]string{}, p.Blocks...), Class: p.Class, details: details{p.Sentence, p.Command, p.Region, p.Label, p.Since.Ms()}})
	}
	o.Open = append(o.Open, d.Open...)
	o.Verdict, o.Final = d.Result, d.Final
	return o
}

// TestVectors compares the package with expectations written by hand.
func TestVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/vectors/*.json")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d vectors, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var vector struct {
				Now      int64
				LastSeen map[string]int64 `json:"heard"`
				Snapshot json.RawMessage
				Expect   outcome
			}
			if err := json.Unmarshal(text, &vector); err != nil {
				t.Fatal(err)
			}
			m, err := flow.Decode("F", vector.Snapshot)
			if err != nil {
				t.Fatal(err)
			}
			got, want := outcomeOf(m, vector.Now, vector.LastSeen), vector.Expect
			for i := range got.Problems {
				if i < len(want.Problems) {
					has := want.Problems[i].details
					if has.Sentence == "" {
						got.Problems[i].Sentence = ""
					}
					if has.Command == nil {
						got.Problems[i].Command = nil
					}
					if has.Label == "" {
						got.Problems[i].Region, got.Problems[i].Label, got.Problems[i].Since = "", "", 0
					}
				}
			}
			if !reflect.DeepEqual(got, want) {
				g, _ := json.MarshalIndent(got, "", " ")
				w, _ := json.MarshalIndent(want, "", " ")
				t.Errorf("got %s\nwant %s", g, w)
			}
		})
	}
}
