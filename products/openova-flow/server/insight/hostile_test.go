package insight_test

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

// verdictOf returns the verdict on a region of a flow with two nodes: r1/a, which waits, with the given fields of its judgement, and r2/b, which is ready.
func verdictOf(t *testing.T, waits, region string) insight.Verdict {
	t.Helper()
	m, err := flow.Decode("F", []byte(`{"type":"upsert-nodes","nodes":[
{"id":"r1/a","flowId":"F","label":"a","status":"running","region":"r1","meta":{"judgement":{"state":"waiting","since":0,"cause":{"class":"dependency-revision"},`+waits+`}}},
{"id":"r2/b","flowId":"F","label":"b","status":"succeeded","region":"r2"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return insight.Read(m).At(1_000_000, nil).Verdict(func(n *flow.Node) bool { return n.Region == region })
}

func TestVerdict_OtherRegionDoesNotOutdate(t *testing.T) {
	const waits = `"needs":["r2/b"],"named":["r2/b"]`
	if d := verdictOf(t, waits, "r2"); d.Result != insight.Passed || len(d.Problems) > 0 {
		t.Errorf("the ready region: %+v", d)
	}
	if d := verdictOf(t, waits, "r1"); d.Result != insight.Failed || len(d.Problems) != 1 || d.Problems[0].ID != "r1/a" {
		t.Errorf("the waiting region: %+v", d)
	}
}

// TestMeasure_GraphHeapIsBounded reads judgements with many ids, which cost their sender little.
func TestMeasure_GraphHeapIsBounded(t *testing.T) {
	meta := flow.Object(`{"judgement":{"state":"waiting","since":0,"needs":[` + strings.Repeat(`"n0",`, 10_000) + `"n0"]}}`)
	m := &flow.Message{Type: flow.TypeSnapshot, Flow: &flow.Instance{ID: "F"}}
	for i := range 300 {
		m.Nodes = append(m.Nodes, flow.Node{ID: "n" + strconv.Itoa(i), FlowID: "F", Label: "n", Status: "running", Meta: meta})
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	g := insight.Read(m)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 { // without a limit, 3 million ids take 60 MB
		t.Errorf("the heap grew by %d bytes", grown)
	}
	runtime.KeepAlive(g)
}

func TestVerdict_NamedNeedMayBeMissing(t *testing.T) {
	if d := verdictOf(t, `"needs":["r2/b"],"named":["r1/gone"]`, "r1"); len(d.Problems) != 1 || d.Problems[0].ID != "r1/a" {
		t.Errorf("%+v", d)
	}
}

func TestProblems_ShortensNamesInSentences(t *testing.T) {
	const most = 512 // characters of a name
	long := strings.Repeat("ä", most)
	for name, c := range map[string]struct {
		nodes []string
		want  string
	}{
		"ready-expr": {[]string{
			`{"id":"r/a","label":"LONG","region":"r","status":"succeeded","flowId":"F"}`, `{"id":"r/b","label":"LONGx","region":"r","status":"succeeded","flowId":"F"}`,
			`{"id":"r/w","label":"w","region":"r","status":"running","flowId":"F","meta":{"judgement":{"state":"waiting","since":1,"needs":["r/a","r/b"],"marks":["ready-expr"]}}}`,
		}, "(LONG, LONG)"},
		"a cycle": {[]string{
			`{"id":"r/a","label":"LONGa","region":"r","status":"running","flowId":"F","meta":{"judgement":{"state":"waiting","since":1,"needs":["r2/b"]}}}`,
			`{"id":"r2/b","label":"LONGb","region":"r2","status":"running","flowId":"F","meta":{"judgement":{"state":"waiting","since":1,"needs":["r/a"]}}}`,
		}, "r declares that LONG waits for LONG, "},
	} {
		m, err := flow.Decode("F", []byte(strings.ReplaceAll(fmt.Sprintf(`{"type":"upsert-nodes","nodes":[%s]}`, strings.Join(c.nodes, ",")), "LONG", long)))
		if err != nil {
			t.Fatal(err)
		}
		all := insight.Read(m).At(1_000_000, nil).Problems()
		if len(all) != 1 || !strings.Contains(all[0].Sentence, strings.ReplaceAll(c.want, "LONG", long)) {
			t.Errorf("%s: %d problems: %+v", name, len(all), all)
		}
	}
}
