package insight_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

// TestOutline_AgreesWithJudge checks that Outline and Judge return the same values for the fields that an outline has.
func TestOutline_AgreesWithJudge(t *testing.T) {
	const then = `"then":[{"at":5},{"state":"ready"},{"at":7,"state":"nonsense"},{"at":9,"state":"broken","gate":"wait","final":true,"marks":["m"]},1,{"at":11,"state":"ready","gate":"pass"}]`
	for meta, want := range map[string]string{
		`{"kind":"K","auxiliary":true,"judgement":{"state":"working","gate":"wait"}}`:                    `K true working wait false [];`,
		`{"judgement":{"state":"working","marks":["suspended","b"]},"kind":"K","auxiliary":true}`:        `K true working  false [suspended b];`,
		`{"kind":"K","judgement":{` + then + `,"state":"suspended","final":true}}`:                       `K false suspended  true [];9 broken wait true;11 ready pass false;`,
		`{"kind":"K","judgement":{"state":"nonsense","gate":"pass","marks":["suspended"],` + then + `}}`: `K false working wait false [];`,
		`{"kind":"K","judgement":[],"deletingSince":4}`:                                                  `K false terminating wait false [];300005 terminating  false;`,
		`{"kind":"K","judgement":{"state":"ready","needs":["a"],"cause":{"class":"c"},"command":["a"]}}`: `K false ready  false [];`,
		`{"waitingFor":["a"]}`: ` false waiting wait false [];`,
		`{"suspended":true}`:   ` false suspended  false [];`,
	} {
		n := &flow.Node{ID: "a", Label: "a", Status: "running", Meta: flow.Object(meta)}
		outline := insight.Outline(n)
		for _, j := range []*insight.Judgement{insight.Judge(n), &outline} {
			got := fmt.Sprint(j.Kind(), " ", j.Auxiliary(), " ")
			for at, s := range j.Segments() {
				if at < 0 {
					got += fmt.Sprintf("%s %s %t %v;", s.State, s.Gate, s.Final, slices.Clone(s.Marks))
				} else {
					got += fmt.Sprintf("%d %s %s %t;", at, s.State, s.Gate, s.Final)
				}
			}
			if got != want {
				t.Errorf("%s: %s, want %s", meta, got, want)
			}
		}
	}
}
