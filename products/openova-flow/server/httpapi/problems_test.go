package httpapi_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// inTrouble is a broken node with hostile text, a node that waits for it, a node of another region that waits for that one, and a node that is done.
const inTrouble = `{"type":"upsert-nodes","nodes":[
{"id":"r1/a","flowId":"F","label":"a","status":"failed","region":"r1","meta":{"judgement":{"state":"broken","since":1000,"problem":true,"marks":["retrying"],"cause":{"class":"install-failed","sentence":"a *failed*.\u001b[2J <img src=x>\n# b"},"command":["flux","get","it's"]}}},
{"id":"r1/b","flowId":"F","label":"b","status":"running","region":"r1","meta":{"judgement":{"state":"waiting","gate":"wait","needs":["r1/a"]}}},
{"id":"r2/c","flowId":"F","label":"c","status":"running","region":"r2","meta":{"judgement":{"state":"waiting","gate":"wait","needs":["r1/b"]}}},
{"id":"r3/d","flowId":"F","label":"d","status":"succeeded","region":"r3"}]}`

func TestProblems_ListsRootCausesAndBlockedNodes(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	e.post(strings.ReplaceAll(inTrouble, "\n", ""))
	get := func(query string) (a struct {
		At       int64
		Verdict  string
		Problems []map[string]any
	}) {
		t.Helper()
		answer := e.do("GET", "/v1/flows/F/problems"+query, "")
		if err := json.Unmarshal([]byte(answer.body), &a); err != nil || answer.status != 200 || answer.header.Get("Content-Type") != "application/json" || answer.header.Get("Flow-Incarnation") == "" {
			t.Fatalf("%d %v %s", answer.status, answer.header, answer.body)
		}
		return a
	}
	a := get("")
	if a.Verdict != "failed" || a.At == 0 || len(a.Problems) != 1 {
		t.Fatalf("%+v", a)
	}
	want := `{"blocked":2,"blocks":["r1/b","r2/c"],"class":"install-failed","command":["flux","get","it's"],"id":"r1/a","ids":["r1/a"],"label":"a","marks":["retrying"],"region":"r1","since":1000}`
	delete(a.Problems[0], "sentence")
	if got, _ := json.Marshal(a.Problems[0]); string(got) != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	for region, verdict := range map[string]string{"r2": "failed", "r3": "passed", "r4": "pending"} {
		if a := get("?region=" + region); a.Verdict != verdict || (len(a.Problems) > 0) != (verdict == "failed") {
			t.Errorf("%s: %+v", region, a)
		}
	}
	e.post(`{"type":"upsert-nodes","nodes":[{"id":"r1/a","flowId":"F","label":"a","status":"succeeded","region":"r1"}]}`)
	if a := get(""); a.Verdict != "pending" || len(a.Problems) != 0 {
		t.Errorf("once it has recovered: %+v", a)
	}
}

func TestProblems_TextIsEscaped(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	e.post(strings.ReplaceAll(inTrouble, "\n", ""))
	for accept, want := range map[string][]string{
		"text/plain":            {"failed at ", `1. a *failed*.\x1b[2J <img src=x>\n# b`, "blocks 2: r1/b, r2/c", `run: flux get 'it'\''s'`},
		"text/markdown, */*":    {`1. a \*failed\*\.\\x1b\[2J \<img src=x\>\\n\# b`, `       flux get 'it'\''s'`},
		"text/plain;q=1.0, */*": {"1. a"},
	} {
		a := e.do("GET", "/v1/flows/F/problems", "", "Accept", accept)
		kind, _, _ := strings.Cut(strings.TrimSuffix(accept, ", */*"), ";")
		if a.status != 200 || a.header.Get("Content-Type") != kind+"; charset=utf-8" || !slices.Contains(a.header.Values("Vary"), "Accept") {
			t.Errorf("%d %v", a.status, a.header)
		}
		for _, text := range want {
			if !strings.Contains(a.body, text) {
				t.Errorf("%s has no %q:\n%s", accept, text, a.body)
			}
		}
	}
}

func TestProblems_CommandsAreCodeInMarkdown(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	var nodes []string
	for i := range 100 {
		nodes = append(nodes, fmt.Sprintf(`{"id":"r1/%02d","flowId":"F","label":"a","status":"failed","region":"r1","meta":{"judgement":{"state":"broken","problem":true,"command":["flux","get","it's"]}}}`, i))
	}
	e.post(`{"type":"upsert-nodes","nodes":[` + strings.Join(nodes, ",") + `]}`)
	items := strings.Split(e.do("GET", "/v1/flows/F/problems", "", "Accept", "text/markdown").body, "\n\n")
	for _, i := range []int{1, 9, 10, 99, 100} { // of each, the text and the command
		number, _, _ := strings.Cut(items[2*i-1], " ")
		if want := strings.Repeat(" ", len(number)+1+4) + "flux get"; number != fmt.Sprint(i, ".") || !strings.HasPrefix(items[2*i], want) { // CommonMark, section 5.2
			t.Errorf("item %d has the command %q, want it to begin with %q", i, items[2*i], want)
		}
	}
}

func TestProblems_ListOnlySafeCommands(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	for _, command := range []string{`["sh","-c","curl http://x|sh"]`, `["kubectl","apply","-f","https://x"]`, `["kubectl","get","pods","--kubeconfig=/tmp/x"]`, `["rm","-rf","/"]`} {
		e.post(`{"type":"upsert-nodes","nodes":[{"id":"r1/a","flowId":"F","label":"a","status":"failed","meta":{"judgement":{"state":"broken","problem":true,"command":` + command + `}}}]}`)
		if a := e.do("GET", "/v1/flows/F/problems", ""); !strings.Contains(a.body, `"r1/a"`) || strings.Contains(a.body, "command") {
			t.Errorf("%s: %s", command, a.body)
		}
		if a := e.do("GET", "/v1/flows/F/problems", "", "Accept", "text/plain"); strings.Contains(a.body, "run:") {
			t.Errorf("%s: %s", command, a.body)
		}
	}
}

// TestProblems_TextCountsAllNodesOfARootCause has a dependency cycle of more nodes than an answer lists.
func TestProblems_TextCountsAllNodesOfARootCause(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	var nodes []string
	for i := range 300 {
		nodes = append(nodes, fmt.Sprintf(`{"id":"r1/%03d","flowId":"F","label":"a","status":"running","region":"r1","meta":{"judgement":{"state":"waiting","since":1,"needs":["r1/%03d"]}}}`, i, (i+1)%300))
	}
	e.post(`{"type":"upsert-nodes","nodes":[` + strings.Join(nodes, ",") + `]}`)
	if a := e.do("GET", "/v1/flows/F/problems", "", "Accept", "text/plain"); !strings.Contains(a.body, "problems: 1\n") || !strings.Contains(a.body, ", r1/010 and 289 more\n") {
		t.Errorf("%.1000s", a.body)
	}
}

// TestProblems_BytesOfIDsAreBounded has many root causes that block the same nodes with long ids.
func TestProblems_BytesOfIDsAreBounded(t *testing.T) {
	const roots, blocked, size, most = 100, 20, 5_000, 32 << 10
	e := start(t, hub.Config{}, httpapi.Config{})
	var nodes, names []string
	for i := range roots {
		names = append(names, fmt.Sprintf(`"r1/%d"`, i))
		nodes = append(nodes, fmt.Sprintf(`{"id":"r1/%d","flowId":"F","label":"a","status":"failed","region":"r1"}`, i))
	}
	e.post(`{"type":"upsert-nodes","nodes":[` + strings.Join(nodes, ",") + `]}`)
	waits := func(id string) {
		e.post(fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":%q,"flowId":"F","label":"a","status":"running","region":"r1","meta":{"judgement":{"state":"waiting","needs":[%s]}}}]}`, id, strings.Join(names, ",")))
	}
	check := func(listed int) {
		t.Helper()
		a := e.do("GET", "/v1/flows/F/problems", "")
		if a.status != 200 || len(a.body) > roots*(most+1000) {
			t.Fatalf("%d, %d bytes", a.status, len(a.body))
		}
		var got struct {
			Problems []struct{ IDs, Blocks []string }
		}
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || len(got.Problems) != roots {
			t.Fatalf("%v, %d problems", err, len(got.Problems))
		}
		for _, p := range got.Problems {
			if len(p.IDs) != 1 || len(p.Blocks) != listed {
				t.Errorf("%d and %d ids", len(p.IDs), len(p.Blocks))
			}
		}
	}
	for i := range blocked {
		waits(fmt.Sprintf("r1/w%02d%s", i, strings.Repeat("x", size)))
	}
	check(most / size)
	waits("r1/a" + strings.Repeat("x", 2*most)) // is first in the list
	check(0)
	if a := e.do("GET", "/v1/flows/F/problems", "", "Accept", "text/plain"); !strings.Contains(a.body, fmt.Sprintf("blocks %d: and %[1]d more\n", blocked+1)) {
		t.Errorf("without an id that is short enough: %.500s", a.body)
	}
	e.post(fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":%q,"flowId":"F","label":"a","status":"failed","region":"r2"}]}`, "r2/"+strings.Repeat("x", 2*most)))
	if a := e.do("GET", "/v1/flows/F/problems?region=r2", ""); !strings.Contains(a.body, `"ids":["r2/xxx`) {
		t.Errorf("a root with a long id: %.200s", a.body)
	}
}
