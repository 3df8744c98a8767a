package httpapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/flowmetrics"
	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

const (
	asJSON   = "application/json"
	asNDJSON = "application/x-ndjson"
)

func TestPost_Vectors(t *testing.T) {
	for dir, want := range map[string]int{"valid": 200, "invalid": 400, "invalid-bytes": 400} {
		paths, _ := filepath.Glob(filepath.Join("../flow/testdata/vectors", dir, "*.json"))
		if len(paths) == 0 {
			t.Fatalf("no vectors in %s", dir)
		}
		for _, p := range paths {
			t.Run(dir+"/"+filepath.Base(p), func(t *testing.T) {
				e := start(t, hub.Config{}, httpapi.Config{})
				data, err := os.ReadFile(p)
				if err != nil {
					t.Fatal(err)
				}
				a := e.do("POST", "/v1/flows/F/events", string(data), "Content-Type", asJSON)
				if a.status != want {
					t.Fatalf("%d %s", a.status, a.body)
				}
				if want == 400 {
					isProblem(t, a, 400)
					if got := e.do("GET", "/v1/flows/F/snapshot", ""); got.status != 404 {
						t.Errorf("a refused message created a flow: %s", got.body)
					}
				}
			})
		}
	}
}

type problem struct {
	Type, Title, Detail, Field string
	Status, Line               int
}

func isProblem(t *testing.T, a answer, status int) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	if a.status != status || p.Status != status || a.header.Get("Content-Type") != "application/problem+json" || p.Title != http.StatusText(status) || p.Type != "about:blank" || p.Detail == "" {
		t.Fatalf("no problem document of status %d: %d %v %s", status, a.status, a.header, a.body)
	}
	return p
}

func TestRefused_ProblemNamesFieldAndLine(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for _, tt := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		field                    string
		line                     int
	}{
		{"field in a single message", "POST", "/v1/flows/F/events", `{"type":"upsert-nodes","nodes":[` + strings.Repeat(node("a", "x")+",", 3) + `{"id":"d","flowId":"F","label":"d","status":5}]}`, []string{"Content-Type", asJSON}, 400, "nodes[3].status", 0},
		{"line and field in a batch, blank lines counted", "POST", "/v1/flows/F/events", upsert(node("a", "x")) + "\n\n" + upsert(node("a", "")), []string{"Content-Type", asNDJSON}, 400, "nodes[0].status", 3},
		{"empty batch", "POST", "/v1/flows/F/events", "\n \n", []string{"Content-Type", asNDJSON}, 400, "", 0},
		{"empty body", "POST", "/v1/flows/F/events", "", []string{"Content-Type", asJSON}, 400, "", 0},
		{"two messages as one", "POST", "/v1/flows/F/events", upsert(node("a", "x")) + "\n" + upsert(node("a", "x")), []string{"Content-Type", asJSON}, 400, "", 0},
		{"no content type", "POST", "/v1/flows/F/events", upsert(node("a", "x")), nil, 415, "Content-Type", 0},
		{"form", "POST", "/v1/flows/F/events", upsert(node("a", "x")), []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "Content-Type", 0},
		{"gzip", "POST", "/v1/flows/F/events", upsert(node("a", "x")), []string{"Content-Type", asJSON, "Content-Encoding", "gzip"}, 415, "Content-Encoding", 0},
		{"message too large", "POST", "/v1/flows/F/events", upsert(node("a", long)), []string{"Content-Type", asJSON}, 413, "", 0},
		{"batch too large", "POST", "/v1/flows/F/events", strings.Repeat(upsert(node("a", "x"))+"\n", 100), []string{"Content-Type", asNDJSON}, 413, "", 0},
		{"message of a batch too large", "POST", "/v1/flows/F/events", upsert(node("a", "x")) + "\n" + upsert(node("a", long)), []string{"Content-Type", asNDJSON}, 413, "", 2},
		{"bad flow id", "POST", "/v1/flows/a%20b/events", upsert(node("a", "x")), []string{"Content-Type", asJSON}, 400, "flowId", 0},
		{"slash in a flow id", "GET", "/v1/flows/a%2Fb/snapshot", "", nil, 400, "flowId", 0},
		{"flow id of a dot", "POST", "/v1/flows/%2E/events", upsert(node("a", "x")), []string{"Content-Type", asJSON}, 400, "flowId", 0},
		{"flow id of two dots", "GET", "/v1/flows/%2E%2E/snapshot", "", nil, 400, "flowId", 0},
		{"flow ids of dots in a list", "GET", "/v1/stream?flow=F&flow=..", "", nil, 400, "flow[1]", 0},
		{"another flow's dots in a message", "POST", "/v1/flows/F/events", strings.ReplaceAll(upsert(node("a", "x")), `"F"`, `".."`), []string{"Content-Type", asJSON}, 400, "nodes[0].flowId", 0},
		{"empty flow id", "GET", "/v1/flows//snapshot", "", nil, 400, "flowId", 0},
		{"long flow id", "GET", "/v1/flows/" + strings.Repeat("a", 129) + "/snapshot", "", nil, 400, "flowId", 0},
		{"emitter header", "POST", "/v1/flows/F/events", upsert(node("a", "x")), []string{"Content-Type", asJSON, "Flow-Emitter", "me;epoch=x;n=1"}, 400, "Flow-Emitter", 0},
		{"emitter header without name", "POST", "/v1/flows/F/events", upsert(node("a", "x")), []string{"Content-Type", asJSON, "Flow-Emitter", ";epoch=1;n=1"}, 400, "Flow-Emitter", 0},
		{"after", "GET", "/v1/flows/F/events?after=x", "", nil, 400, "after", 0},
		{"a query with a semicolon", "GET", "/v1/stream?flow=F;flow=other", "", nil, 400, "query", 0},
		{"a query that is not encoded", "GET", "/v1/flows/F/stream?lastEventId=%zz", "", nil, 400, "query", 0},
		{"negative after", "GET", "/v1/flows/F/events?after=-1", "", nil, 400, "after", 0},
		{"limit", "GET", "/v1/flows/F/events?limit=0", "", nil, 400, "limit", 0},
		{"unknown flow's snapshot", "GET", "/v1/flows/never/snapshot", "", nil, 404, "", 0},
		{"unknown flow's events", "GET", "/v1/flows/never/events", "", nil, 404, "", 0},
		{"unknown flow's rollouts", "GET", "/v1/flows/never/rollouts", "", nil, 404, "", 0},
		{"unknown flow's revisions", "GET", "/v1/flows/never/revisions", "", nil, 404, "", 0},
		{"too many revisions", "GET", "/v1/flows/F/revisions?limit=1001", "", nil, 400, "limit", 0},
		{"no revisions", "GET", "/v1/flows/F/revisions?limit=0", "", nil, 400, "limit", 0},
		{"revisions by too few digits", "GET", "/v1/flows/F/revisions?revision=@sha1:01234", "", nil, 400, "revision", 0},
		{"revisions by two names", "GET", "/v1/flows/F/revisions?revision=main&revision=v1", "", nil, 400, "revision", 0},
		{"revisions by no name", "GET", "/v1/flows/F/revisions?revision=", "", nil, 400, "revision", 0},
		{"unknown flow's problems", "GET", "/v1/flows/never/problems", "", nil, 404, "", 0},
		{"problems of no region", "GET", "/v1/flows/F/problems?region=", "", nil, 400, "region", 0},
		{"problems of two regions", "GET", "/v1/flows/F/problems?region=a&region=b", "", nil, 400, "region", 0},
		{"unknown path", "GET", "/v1/flow", "", nil, 404, "", 0},
		{"unknown path below", "GET", "/v1/flows/F/more/things", "", nil, 404, "", 0},
		{"incarnation", "POST", "/v1/flows/F/events", upsert(node("a", "x")), []string{"Content-Type", asJSON, "Flow-If-Incarnation", "other"}, 412, "Flow-If-Incarnation", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := start(t, hub.Config{}, httpapi.Config{MaxMessageBytes: 1500, MaxBatchBytes: 4000})
			if strings.HasPrefix(tt.path, "/v1/flows/F/") {
				e.post(upsert(node("before", "x")))
			}
			a := e.do(tt.method, tt.path, tt.body, tt.header...)
			p := isProblem(t, a, tt.status)
			if tt.method == "POST" && a.header.Get("Flow-Incarnation") == "" && tt.field != "flowId" {
				t.Errorf("no incarnation: %v", a.header)
			}
			if p.Field != tt.field || p.Line != tt.line {
				t.Errorf("field %q, line %d: %s", p.Field, p.Line, a.body)
			}
			if strings.HasPrefix(tt.path, "/v1/flows/F/") {
				if got := e.snapshot(); strings.Contains(got, `"id":"a"`) || !strings.Contains(got, `"id":"before"`) {
					t.Errorf("part of the refused request was applied: %s", got)
				}
			}
		})
	}
}

func TestRoutes_WrongMethods(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	for path, allow := range map[string]string{
		"/v1/flows":                 "GET, HEAD",
		"/v1/flows/F":               "DELETE",
		"/v1/flows/F/events":        "GET, HEAD, POST",
		"/v1/flows/F/snapshot":      "GET, HEAD",
		"/v1/flows/F/stream":        "GET, HEAD",
		"/v1/flows/F/rollouts":      "GET, HEAD",
		"/v1/flows/F/revisions":     "GET, HEAD",
		"/v1/flows/F/problems":      "GET, HEAD",
		"/v1/flows/F/regions/r":     "PUT, DELETE",
		"/healthz":                  "GET, HEAD",
		"/readyz":                   "GET, HEAD",
		"/metrics":                  "GET, HEAD",
		"/":                         "GET, HEAD",
		"/v1/flows/F/regions/a%2Fb": "PUT, DELETE",
	} {
		a := e.do("PATCH", path, "")
		isProblem(t, a, 405)
		if got := a.header.Get("Allow"); got != allow {
			t.Errorf("PATCH %s: Allow is %q, want %q", path, got, allow)
		}
	}
}

func TestSnapshot_HasTheFoldedStateAndATag(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	if seq := e.postTo("F", upsert(node("b", "running", `,"startedAt":5`), node("a", "succeeded", `,"x":[1]`))); seq <= 0 {
		t.Fatal(seq)
	}
	e.post(`{"type":"upsert-rels","relationships":[{"fromId":"b","toId":"c","type":"triggers"},{"fromId":"a","toId":"b","type":"finish-to-start","why":"x"}]}`)
	a := e.do("GET", "/v1/flows/F/snapshot", "")
	want := `{"type":"snapshot","flow":{"id":"F","status":"running","startedAt":5},"nodes":[` + node("a", "succeeded", `,"x":[1]`) + `,` + node("b", "running", `,"startedAt":5`) +
		`],"relationships":[{"fromId":"a","toId":"b","type":"finish-to-start","why":"x"},{"fromId":"b","toId":"c","type":"triggers"}]}`
	if a.body != want {
		t.Fatalf("got  %s\nwant %s", a.body, want)
	}
	etag, incarnation := a.header.Get("ETag"), a.header.Get("Flow-Incarnation")
	if etag == "" || incarnation == "" || a.header.Get("Content-Type") != asJSON {
		t.Fatalf("headers %v", a.header)
	}
	for _, match := range []string{etag, "W/" + etag, `"x", ` + etag, "*"} {
		if a := e.do("GET", "/v1/flows/F/snapshot", "", "If-None-Match", match); a.status != 304 || a.body != "" || a.header.Get("ETag") != etag || a.header.Get("Flow-Incarnation") != incarnation {
			t.Errorf("If-None-Match %s: %d %v %s", match, a.status, a.header, a.body)
		}
	}
	e.post(upsert(node("a", "failed")))
	if a := e.do("GET", "/v1/flows/F/snapshot", "", "If-None-Match", etag); a.status != 200 || a.header.Get("ETag") == etag || !strings.Contains(a.body, `"status":"failed"`) {
		t.Errorf("after a change: %d %v %s", a.status, a.header, a.body)
	}
	if a := e.do("HEAD", "/v1/flows/F/snapshot", ""); a.status != 200 || a.body != "" || a.header.Get("Content-Length") == "" {
		t.Errorf("HEAD: %d %v %s", a.status, a.header, a.body)
	}
}

func TestRoutes_OddFlowIDs(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	for _, id := range []string{"...", ".a", "a:b", "A-_.9", strings.Repeat("z", 128)} {
		for _, segment := range []string{id, strings.ReplaceAll(id, ".", "%2E")} {
			path := "/v1/flows/" + segment
			message := strings.ReplaceAll(upsert(node("a", "running")), `"F"`, `"`+id+`"`)
			if a := e.do("POST", path+"/events", message, "Content-Type", asJSON+"; charset=utf-8"); a.status != 200 {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
			if a := e.do("GET", path+"/snapshot", ""); a.status != 200 {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		}
	}
}

func TestPost_SequenceNumbersIncrease(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	var last int64
	for i := range 20 {
		seq := e.postTo([]string{"F", "G"}[i%2], strings.ReplaceAll(upsert(node("a", strconv.Itoa(i))), `"F"`, `"`+[]string{"F", "G"}[i%2]+`"`))
		if seq <= last || seq >= 1<<53 {
			t.Fatalf("seq %d after %d", seq, last)
		}
		last = seq
	}
	e.do("DELETE", "/v1/flows/F", "")
	if seq := e.post(upsert(node("a", "x"))); seq <= last {
		t.Errorf("a flow that is created again has seq %d after %d", seq, last)
	}
	if second := start(t, hub.Config{}, httpapi.Config{}).post(upsert(node("a", "x"))); second <= last {
		t.Errorf("after a restart seq is %d after %d", second, last)
	}
}

func TestPost_DeletesCreateNoFlow(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	first := e.post(`{"type":"delete-nodes","ids":["a"]}`)
	a := e.do("POST", "/v1/flows/F/events", `{"type":"delete-rels","pairs":[{"fromId":"a","toId":"b","type":"triggers"}]}`, "Content-Type", asJSON)
	if seqOf(t, a) <= first || a.header.Get("Flow-Incarnation") != "none" {
		t.Errorf("%v %s", a.header, a.body)
	}
	if a := e.do("GET", "/v1/flows/F/snapshot", ""); a.status != 404 {
		t.Errorf("a deletion created a flow: %s", a.body)
	}
	if a := e.do("GET", "/v1/flows", ""); strings.TrimSpace(a.body) != `{"flows":[]}` {
		t.Errorf("listed: %s", a.body)
	}
}

func TestList_ShowsStatusCountsAndRegions(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	seq := e.post(upsert(node("r1", "running", `,"region":"r1"`), node("r1/a", "succeeded", `,"region":"r1"`), node("r2/b", "failed", `,"region":"r2"`), node("c", "failed")))
	e.postTo("A", strings.ReplaceAll(upsert(node("a", "pending")), `"F"`, `"A"`))
	var list struct {
		Flows []struct {
			ID, Status, Incarnation string
			Counts                  map[string]int
			Regions                 []string
			Seq, UpdatedAt          int64
		}
	}
	a := e.do("GET", "/v1/flows", "")
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list.Flows) != 2 {
		t.Fatalf("%s: %v", a.body, err)
	}
	f := list.Flows[1]
	if list.Flows[0].ID != "A" || f.ID != "F" || f.Status != "failed" || fmt.Sprint(f.Counts) != "map[failed:2 running:1 succeeded:1]" ||
		fmt.Sprint(f.Regions) != "[r1 r2]" || f.Seq < seq || f.UpdatedAt == 0 || f.Incarnation == "" {
		t.Errorf("%s", a.body)
	}
}

func TestDeleteFlow_MayBeRepeated(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	e.post(upsert(node("a", "running")))
	for range 2 {
		if a := e.do("DELETE", "/v1/flows/F", ""); a.status != 204 || a.body != "" {
			t.Errorf("DELETE: %d %s", a.status, a.body)
		}
	}
	if a := e.do("GET", "/v1/flows/F/snapshot", ""); a.status != 404 || a.header.Get("Flow-Incarnation") != "none" {
		t.Errorf("%d %v", a.status, a.header)
	}
}

func TestDeleteRegion_RemovesItsNodesAndTheirRelationships(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	e.post(upsert(node("a/b", "failed", `,"region":"a/b"`), node("a/b/x", "failed", `,"region":"a/b"`), node("c", "succeeded", `,"region":"c","endedAt":3`)))
	e.post(`{"type":"upsert-rels","relationships":[{"fromId":"c","toId":"a/b/x","type":"triggers"},{"fromId":"c","toId":"d","type":"triggers"}]}`)
	sub := e.watch("/v1/flows/F/stream")
	sub.message()
	if a := e.do("DELETE", "/v1/flows/F/regions/a%2Fb", ""); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if f := sub.message(); f.event != "delete-nodes" || f.data != `{"type":"delete-nodes","ids":["a/b","a/b/x"]}` {
		t.Errorf("%+v", f)
	}
	if f := sub.message(); f.event != "upsert-flow" || !strings.Contains(f.data, `"status":"succeeded"`) {
		t.Errorf("%+v", f)
	}
	if got := e.snapshot(); strings.Contains(got, "a/b") || !strings.Contains(got, `"toId":"d"`) {
		t.Errorf("%s", got)
	}
	for _, path := range []string{"/v1/flows/F/regions/nowhere", "/v1/flows/never/regions/c"} {
		if a := e.do("DELETE", path, ""); a.status != 204 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

func TestDeleteRegion_ForgetsTheEpochsOfItsEmitters(t *testing.T) {
	e := start(t, hub.Config{MaxEmitters: 2}, httpapi.Config{})
	post := func(emitter, lease string) answer {
		t.Helper()
		return e.do("POST", "/v1/flows/F/events", upsert(node("a", "x")), "Content-Type", asNDJSON, "Flow-Emitter", emitter, "Flow-Lease", lease)
	}
	fsn1, hel1 := e.lease("fsn1", "one"), e.lease("hel1", "two")
	seqOf(t, post("flux-fsn1;epoch=9;n=9", fsn1))
	seqOf(t, post("flux-hel1;epoch=9;n=9", hel1))
	if a := e.do("DELETE", "/v1/flows/F/regions/fsn1", ""); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if p := isProblem(t, post("flux-fsn1;epoch=10;n=1", fsn1), 409); p.Field != "Flow-Lease" {
		t.Errorf("with the old lease: field %q", p.Field)
	}
	seqOf(t, post("flux-fsn1;epoch=1;n=1", e.lease("fsn1", "one")))
	if p := isProblem(t, post("flux-hel1;epoch=1;n=1", hel1), 409); p.Field != "Flow-Emitter" {
		t.Errorf("with an emitter of another region: field %q", p.Field)
	}
}

func TestEvents_HaveTheRingAndTheStateBeforeIt(t *testing.T) {
	e := start(t, hub.Config{RingCapacity: 4}, httpapi.Config{})
	var seqs []int64
	states := []string{}
	snapshotOf := func(raw json.RawMessage) string {
		m, err := flow.Decode("F", raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		return m.JSON()
	}
	states = append(states, "")
	for i := range 6 {
		// The emitter sends the FlowInstance, so nothing is derived and each request is one message.
		message := upsert(node(fmt.Sprintf("n%d", i%3), strconv.Itoa(i)))
		if i == 0 {
			message = `{"type":"snapshot","flow":{"id":"F","status":"x","startedAt":1},"nodes":[` + node("n9", "x") + `]}`
		}
		seqs = append(seqs, e.post(message))
		states = append(states, e.snapshot())
	}
	var h struct {
		Base                  json.RawMessage
		BaseSeq, Oldest, Head int64
		Events                []struct {
			Seq, At int64
			Message json.RawMessage
		}
	}
	get := func(query string) {
		t.Helper()
		a := e.do("GET", "/v1/flows/F/events"+query, "")
		h.Events, h.Base = nil, nil
		if err := json.Unmarshal([]byte(a.body), &h); err != nil || a.status != 200 || a.header.Get("Flow-Incarnation") == "" {
			t.Fatalf("%d %v %s", a.status, a.header, a.body)
		}
	}
	for _, tt := range []struct {
		query      string
		base, from int // indexes
		n          int
	}{
		{"", 2, 2, 4},
		{"?after=0&limit=2", 2, 2, 2},
		{fmt.Sprintf("?after=%d", seqs[1]), 2, 2, 4},
		{fmt.Sprintf("?after=%d&limit=1", seqs[3]), 4, 4, 1},
		{fmt.Sprintf("?after=%d", seqs[5]), 6, 6, 0},
	} {
		get(tt.query)
		if len(h.Events) != tt.n || h.Oldest != seqs[2] || h.Head != seqs[5] || h.BaseSeq != seqs[tt.base-1] {
			t.Errorf("%s: %d events, oldest %d, head %d, base %d", tt.query, len(h.Events), h.Oldest, h.Head, h.BaseSeq)
			continue
		}
		if got := snapshotOf(h.Base); got != states[tt.base] {
			t.Errorf("%s: base is %s\nwant %s", tt.query, got, states[tt.base])
		}
		state := flow.NewState("F", 0)
		state.Apply(mustDecode(t, h.Base))
		for i, ev := range h.Events {
			state.Apply(mustDecode(t, ev.Message))
			if ev.Seq != seqs[tt.from+i] || ev.At == 0 || state.Snapshot().JSON() != states[tt.from+i+1] {
				t.Errorf("%s: event %d leads to %s\nwant %s", tt.query, i, state.Snapshot().JSON(), states[tt.from+i+1])
			}
		}
	}
}

func mustDecode(t *testing.T, raw []byte) *flow.Message {
	t.Helper()
	m, err := flow.Decode("F", raw)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPost_IncarnationPreconditions(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	post := func(condition string) answer {
		return e.do("POST", "/v1/flows/F/events", upsert(node("a", "x")), "Content-Type", asJSON, "Flow-If-Incarnation", condition)
	}
	if a := post("abc"); a.status != 412 || a.header.Get("Flow-Incarnation") != "none" {
		t.Errorf("an incarnation of a flow that does not exist: %d %v", a.status, a.header)
	}
	a := post("none")
	seqOf(t, a)
	first := a.header.Get("Flow-Incarnation")
	if a := post("none"); a.status != 412 || a.header.Get("Flow-Incarnation") != first {
		t.Errorf("none for an existing flow: %d %v", a.status, a.header)
	}
	seqOf(t, post(first))
	e.do("DELETE", "/v1/flows/F", "")
	if a := post(first); a.status != 412 {
		t.Errorf("after DELETE: %d", a.status)
	}
	if second := post("none").header.Get("Flow-Incarnation"); second == first || second == "" {
		t.Errorf("the flow that is created again has incarnation %q, before %q", second, first)
	}
}

func TestFlowEmitter_RefusesOldRequests(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	post := func(emitter, status string, more ...string) answer {
		return e.do("POST", "/v1/flows/F/events", upsert(node("a", status)), append([]string{"Content-Type", asJSON, "Flow-Emitter", emitter}, more...)...)
	}
	first := post("me;epoch=1;n=5", "s1", "Flow-If-Incarnation", "none")
	seq := seqOf(t, first)
	if a := post("me;epoch=1;n=5", "s1", "Flow-If-Incarnation", "none"); a.body != first.body || a.header.Get("Flow-Incarnation") != first.header.Get("Flow-Incarnation") {
		t.Errorf("an exact repeat gets %d %s, first was %s", a.status, a.body, first.body)
	}
	for _, stale := range []string{"me;epoch=1;n=5", "me;epoch=1;n=4", "me;epoch=0;n=99"} {
		if a := post(stale, "old"); a.status != 409 {
			t.Errorf("%s: %d %s", stale, a.status, a.body)
		}
	}
	if got := e.snapshot(); !strings.Contains(got, "s1") {
		t.Errorf("a stale request was applied: %s", got)
	}
	for i, newer := range []string{"me;epoch=1;n=6", "me;epoch=2;n=1", "other;epoch=0;n=0", "me; epoch=2; n=2"} {
		if got := seqOf(t, post(newer, "new"+strconv.Itoa(i))); got <= seq {
			t.Errorf("%s: %d", newer, got)
		}
	}
	e.do("DELETE", "/v1/flows/F", "")
	seqOf(t, post("me;epoch=1;n=1", "again"))
}

func TestLimits_RefuseWithRetryAfter(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cfg    hub.Config
		before []string
		body   string
		status int
		field  string
		line   int
	}{
		{"nodes", hub.Config{MaxNodes: 2}, []string{upsert(node("a", "x"), node("b", "x"))}, "\n" + upsert(node("a", "y")) + "\n" + upsert(node("c", "x")), 429, "nodes", 3},
		{"relationships", hub.Config{MaxRelationships: 1}, []string{`{"type":"upsert-rels","relationships":[{"fromId":"a","toId":"b","type":"triggers"}]}`}, `{"type":"upsert-rels","relationships":[{"fromId":"a","toId":"c","type":"triggers"}]}`, 429, "relationships", 1},
		{"meta", hub.Config{MaxMetaBytes: 20}, nil, upsert(node("a", "x"), node("b", "x", `,"meta":{"a":"aaaaaaaaaaaaaaaaaaaaaaa"}`)), 429, "nodes[1].meta", 1},
		{"flows", hub.Config{MaxFlows: 1}, []string{"G"}, upsert(node("a", "x")), 503, "", 0},
		{"a flow's bytes", hub.Config{MaxFlowBytes: 100}, []string{upsert(node("a", "x"))}, upsert(node("a", "y")), 429, "", 0},
		{"state", hub.Config{MaxStateBytes: 100}, []string{upsert(node("a", "x"))}, upsert(node("a", "y")), 503, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := start(t, tt.cfg, httpapi.Config{})
			for _, m := range tt.before {
				if m == "G" {
					e.postTo("G", strings.ReplaceAll(upsert(node("a", "x")), `"F"`, `"G"`))
				} else {
					e.post(m)
				}
			}
			a := e.do("POST", "/v1/flows/F/events", tt.body, "Content-Type", asNDJSON)
			p := isProblem(t, a, tt.status)
			if a.header.Get("Retry-After") == "" || p.Field != tt.field || p.Line != tt.line {
				t.Errorf("%v %s", a.header, a.body)
			}
		})
	}
	t.Run("within, when a delete in the same batch makes room", func(t *testing.T) {
		e := start(t, hub.Config{MaxNodes: 2}, httpapi.Config{})
		e.post(upsert(node("a", "x"), node("b", "x")))
		a := e.do("POST", "/v1/flows/F/events", `{"type":"delete-nodes","ids":["a"]}`+"\n"+upsert(node("c", "x"), node("c", "y"), node("b", "z")), "Content-Type", asNDJSON)
		seqOf(t, a)
	})
	t.Run("within, when the server is full and the request only deletes", func(t *testing.T) {
		e := start(t, hub.Config{MaxStateBytes: 100}, httpapi.Config{})
		e.post(upsert(node("a", "x")))
		e.post(`{"type":"delete-nodes","ids":["a"]}`)
	})
	t.Run("emitters", func(t *testing.T) {
		e := start(t, hub.Config{MaxEmitters: 1}, httpapi.Config{})
		post := func(stamp string) answer {
			return e.do("POST", "/v1/flows/F/events", upsert(node("a", "x")), "Content-Type", asJSON, "Flow-Emitter", stamp)
		}
		seqOf(t, post("one;epoch=1;n=1"))
		if a := post("two;epoch=1;n=1"); isProblem(t, a, 429).Detail == "" || a.header.Get("Retry-After") == "" {
			t.Errorf("%v", a.header)
		}
		seqOf(t, post("one;epoch=1;n=2"))
	})
	t.Run("subscribers", func(t *testing.T) {
		e := start(t, hub.Config{MaxSubscribers: 1}, httpapi.Config{})
		sub := e.watch("/v1/flows/F/stream")
		sub.next()
		if a := e.do("GET", "/v1/flows/F/stream", ""); isProblem(t, a, 503).Detail == "" || a.header.Get("Retry-After") == "" {
			t.Errorf("%v", a.header)
		}
	})
	t.Run("lines in flight", func(t *testing.T) {
		e := start(t, hub.Config{}, httpapi.Config{MaxMessageBytes: 1 << 10, MaxBatchBytes: 1 << 20, MaxIngestBytes: 1 << 20})
		holds := func(bytes string) func() bool {
			return func() bool {
				return strings.Contains(e.do("GET", "/metrics", "").body, "openova_flow_ingest_bytes "+bytes+"\n")
			}
		}
		send := func(lines, want int) { // a line counts as its length plus 512 bytes
			t.Helper()
			body := strings.Repeat(`{"type":"delete-nodes","ids":["none"]}`+"\n", lines)
			if a := e.do("POST", "/v1/flows/F/events", body, "Content-Type", asNDJSON); a.status != want {
				t.Errorf("%d lines: %d %s", lines, a.status, a.body)
			}
		}
		send(1500, 200)
		send(1990, 413) // more than the caller's whole share
		send(2100, 413)
		until(t, "nothing is held", holds("0"))
		conn := e.dial()
		fmt.Fprintf(conn, "POST /v1/flows/F/events HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 524288\r\n\r\n%s", asNDJSON, strings.Repeat(" ", 500_000))
		until(t, "bytes of another request are held", holds("524288"))
		send(1500, 503) // would fit alone
		conn.Close()
		until(t, "nothing is held", holds("0"))
		send(1500, 200)
	})
	t.Run("bodies in flight", func(t *testing.T) {
		e := start(t, hub.Config{}, httpapi.Config{MaxIngestBytes: 10})
		a := e.do("POST", "/v1/flows/F/events", upsert(node("a", "x")), "Content-Type", asJSON)
		if isProblem(t, a, 503); a.header.Get("Retry-After") == "" {
			t.Errorf("%v", a.header)
		}
		if a := e.do("GET", "/metrics", ""); !strings.Contains(a.body, "openova_flow_ingest_bytes 0\n") || !strings.Contains(a.body, "openova_flow_limit_hits_total 1\n") {
			t.Errorf("%s", a.body)
		}
	})
}

// TestServer_ManyHeaderLinesAreRefused: a stream of the portable writer would keep the header in memory.
func TestServer_ManyHeaderLinesAreRefused(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	const byClient = 2 // User-Agent and Accept-Encoding
	for lines, want := range map[int]int{100: 200, 128: 200, 129: 431, 200: 431} {
		var headers []string
		for i := range lines - byClient {
			headers = append(headers, fmt.Sprint("X-", i), "1")
		}
		if a := e.do("GET", "/v1/flows", "", headers...); a.status != want {
			t.Errorf("%d lines: %d", lines, a.status)
		}
	}
}

func TestReadyz_Answers503WhileDraining(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	if a := e.do("GET", "/healthz", ""); a.status != 200 {
		t.Errorf("healthz: %d", a.status)
	}
	if a := e.do("GET", "/readyz", ""); a.status != 200 {
		t.Errorf("readyz: %d", a.status)
	}
	e.api.SetReady(false)
	isProblem(t, e.do("GET", "/readyz", ""), 503)
	if a := e.do("GET", "/healthz", ""); a.status != 200 {
		t.Errorf("healthz while draining: %d", a.status)
	}
}

func TestRoot_AnswersWithPageOrDescription(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{Version: "v1.2.3", Page: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("the page")) })})
	for accept, page := range map[string]bool{"": true, "text/html,application/json": true, "application/json": false, "application/json, text/plain": false} {
		a := e.do("GET", "/", "", "Accept", accept)
		if got := a.body == "the page"; got != page || !page && !strings.Contains(a.body, `"version":"v1.2.3"`) {
			t.Errorf("Accept %q: %s", accept, a.body)
		}
	}
}

func TestMetrics_CountWhatHappened(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	e.post(upsert(node("a", "running")))
	e.do("POST", "/v1/flows/F/events", "{", "Content-Type", asJSON)
	sub := e.watch("/v1/flows/F/stream")
	sub.message()
	a := e.do("GET", "/metrics", "")
	for _, line := range []string{
		`openova_flow_messages_total{type="upsert-nodes"} 1`,
		`openova_flow_messages_refused_total{code="400"} 1`,
		`openova_flow_http_requests_total{route="events",method="POST",code="200"} 1`,
		`openova_flow_derived_messages_total 1`,
		`openova_flow_subscribers 1`,
		`openova_flow_snapshots_sent_total 1`,
		`openova_flow_resyncs_total 0`,
		`openova_flow_flows 1`,
		`openova_flow_nodes 1`,
		`openova_flow_ring_messages 2`,
	} {
		if !strings.Contains(a.body, line+"\n") {
			t.Errorf("no line %s in\n%s", line, a.body)
		}
	}
	ofFlows := make(map[string]bool) // metrics of flowmetrics, whose own test checks their samples
	for _, f := range flowmetrics.New(e.hub).Families() {
		ofFlows[f.Name] = true
	}
	for _, line := range []string{`openova_flow_flow_nodes{flow="F",region="",state="working"} 1`, `openova_flow_rollout_in_progress{flow="F"} 0`} {
		if !strings.Contains(a.body, line+"\n") {
			t.Errorf("no line %s in\n%s", line, a.body)
		}
	}
	for _, gauge := range regexp.MustCompile(`(?m)^# TYPE (\S+) gauge$`).FindAllStringSubmatch(a.body, -1) {
		if !ofFlows[gauge[1]] && !regexp.MustCompile(`(?m)^`+gauge[1]+`[ {]`).MatchString(a.body) {
			t.Errorf("%s has no sample", gauge[1])
		}
	}
	for name, atLeast := range map[string]int{
		`openova_flow_http_request_duration_seconds_count{route="events",code="2xx"}`: 1, `openova_flow_http_request_duration_seconds_count{route="events",code="4xx"}`: 1,
		"openova_flow_apply_duration_seconds_count": 1, "go_goroutines": 1, "process_open_fds": 1,
	} {
		line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\d+)$`).FindStringSubmatch(a.body)
		if line == nil {
			t.Errorf("no sample %s", name)
		} else if n, err := strconv.Atoi(line[1]); err != nil || n < atLeast {
			t.Errorf("%s is %s", name, line[1])
		}
	}
	sub.cancel()
	until(t, "the stream is counted", func() bool {
		return strings.Contains(e.do("GET", "/metrics", "").body, `openova_flow_http_requests_total{route="stream",method="GET",code="200"} 1`)
	})
	if a := e.do("GET", "/metrics", ""); strings.Contains(a.body, `duration_seconds_count{route="stream"`) {
		t.Error("the duration of a stream counts as that of a request")
	}
}

func TestPost_TooLargeNamesItsSetting(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{MaxMessageBytes: 1500, MaxBatchBytes: 4000})
	large := upsert(node("a", strings.Repeat("x", 2000)))
	for _, c := range []struct{ contentType, body, setting string }{
		{asJSON, large, "FLOW_SERVER_MAX_MESSAGE_BYTES"},
		{asNDJSON, large, "FLOW_SERVER_MAX_MESSAGE_BYTES"},
		{asNDJSON, large + "\n" + large, "FLOW_SERVER_MAX_BATCH_BYTES"},
	} {
		resp, err := http.Post(e.url+"/v1/flows/F/events", c.contentType, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(body), c.setting) {
			t.Errorf("%s, %d bytes: %d %s, want 413 and %s", c.contentType, len(c.body), resp.StatusCode, body, c.setting)
		}
	}
}
