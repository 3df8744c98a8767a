package emit

import (
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func ownNodes(region string, nodes []flow.Node) []flow.Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n flow.Node) bool { return n.Region != region })
}

func inRegion(region, id string) bool { return flow.RegionOf(id) == region }

func TestReadPart_KeepsTheRegionsElements(t *testing.T) {
	const text = ` {"relationships":[{"fromId":"r1/a","toId":"r1","type":"contains"}, {"fromId":"r1/a","toId":"r2/b","type":"contains"},
		{"fromId":"r2/b","toId":"r1/a","type":"contains"},{"fromId":"r1/b","toId":"r1","type":"contains","fromFlowId":"other"},
		{"fromId":"r2/b","toId":"r1/a","type":"finish-to-start","toFlowId":"F"},{"fromId":"r1/a","toId":"r2/b","type":"finish-to-start"},
		{"fromId":"x","toId":"r1/z","type":"triggers","toFlowId":"other"}],
		"type" : "snapshot", "unknown": [1,{"a":"b"}], "flow":{"id":"F","status":"running","startedAt":0},
		"nodes":[{"id":"r1/a","flowId":"F","label":"a","status":"x","region":"r1","meta":{"b" : [ "a b" ]}},{"id":"r2/b","flowId":"F","label":"b","status":"x","region":"r2"},
		{"id":"r1/c","flowId":"F","label":"c","status":"x"},{"id":"r1x/d","flowId":"F","label":"d","status":"x"},{"id":"r1/e","flowId":"F","label":"e","status":"x","region":"r2"}]}
	`
	got, err := readPart("F", "r1", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, n := range got.nodes {
		all = append(all, n.JSON())
	}
	for _, r := range got.rels {
		all = append(all, r.JSON())
	}
	want := []string{
		`{"id":"r1/a","flowId":"F","label":"a","status":"x","region":"r1","meta":{"b":["a b"]}}`,
		`{"id":"r1/c","flowId":"F","label":"c","status":"x"}`,
		`{"fromId":"r1/a","toId":"r1","type":"contains"}`,
		`{"fromId":"r2/b","toId":"r1/a","type":"finish-to-start","toFlowId":"F"}`,
	}
	if !slices.Equal(all, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(all, "\n"), strings.Join(want, "\n"))
	}
	if len(got.state().values) != 4 {
		t.Error(got.state().values)
	}
}

func TestReadPart_RejectsInvalidSnapshots(t *testing.T) {
	const instance = `"flow":{"id":"F","status":"x","startedAt":0}`
	for name, text := range map[string]string{
		"nothing":            "",
		"a page":             "<html>",
		"a number":           "7",
		"an array":           "[]",
		"cut":                `{"type":"snapshot",` + instance + `,"nodes":[`,
		"another type":       `{"type":"upsert-flow",` + instance + `}`,
		"no type":            `{` + instance + `}`,
		"no flow":            `{"type":"snapshot","nodes":[]}`,
		"another flow":       `{"type":"snapshot","flow":{"id":"G","status":"x","startedAt":0}}`,
		"nodes not an array": `{"type":"snapshot",` + instance + `,"nodes":{}}`,
		"an invalid node":    `{"type":"snapshot",` + instance + `,"nodes":[{"id":"r1/a","region":"r1"}]}`,
		"an invalid edge":    `{"type":"snapshot",` + instance + `,"relationships":[{"fromId":"a","toId":"r1","type":"finish-to-start","lag":-1}]}`,
		"more follows":       `{"type":"snapshot",` + instance + `} {}`,
	} {
		if p, err := readPart("F", "r1", strings.NewReader(text)); err != errNotASnapshot || len(p.nodes)+len(p.rels) > 0 {
			t.Errorf("%s: %+v %v", name, p, err)
		}
	}
}

// TestReadPart_KeepsElementsOfTheMaximumSize reads two neighbours that are each nearly as large as a message may be.
func TestReadPart_KeepsElementsOfTheMaximumSize(t *testing.T) {
	fill := strings.Repeat("a", DefaultMaxMessage-200)
	element := func(id string) string {
		return `{"id":"r1/` + id + `","flowId":"F","label":"n","status":"running","region":"r1","meta":{"a":"` + fill + `"}}`
	}
	p, err := readPart("F", "r1", strings.NewReader(head+element("a")+","+element("b")+`],"relationships":[]}`))
	if err != nil || len(p.nodes) != 2 {
		t.Errorf("%d nodes, %v; want 2", len(p.nodes), err)
	}
}
