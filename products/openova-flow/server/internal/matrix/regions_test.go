package matrix

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/app"
	"github.com/openova-io/openova/products/openova-flow/server/cli"
)

var update = flag.Bool("update", false, "update the table of SECURITY.md")

// attempt is a request with the token of region fsn1, and its answer.
type attempt struct {
	method, path string // path: after the flow
	header, body string
	status       int
}

func posts(status int, bodies ...string) (list []attempt) {
	for _, b := range bodies {
		list = append(list, attempt{method: "POST", path: "/events", body: b, status: status})
	}
	return list
}

func join(lists ...[]attempt) []attempt { return slices.Concat(lists...) }

func asNodes(nodes ...string) string {
	return `{"type":"upsert-nodes","nodes":[` + strings.Join(nodes, ",") + `]}`
}

// asNode returns a node of the region that its id begins with; more begins with a comma.
func asNode(id, status, more string) string {
	region, _, _ := strings.Cut(id, "/")
	return fmt.Sprintf(`{"id":%q,"flowId":"FLOW","label":%q,"region":%q,"status":%q%s}`, id, id[len(region)+1:], region, status, more)
}

func judged(judgement string) string {
	return `,"meta":{"kind":"HelmRelease","judgement":{` + judgement + `}}`
}

func rels(typ string, pairs ...string) string {
	var list []string
	for _, p := range pairs {
		from, to, _ := strings.Cut(p, " ")
		list = append(list, fmt.Sprintf(`{"fromId":%q,"toId":%q,"type":%q}`, from, to, typ))
	}
	return `{"type":"upsert-rels","relationships":[` + strings.Join(list, ",") + `]}`
}

const ok = http.StatusOK

// commit is the one that the artifact of hel1 was made from.
const commit = "0123456789012345678901234567890123456789"

// honest is the state that region hel1 posts: a failed release, one that waits for it and for a release of fsn1, a unit with ready parts, and a source with
// its Kustomization.
var honest = []string{
	asNodes(
		asNode("hel1/db", "failed", `,"startedAt":1000,"endedAt":2000`+judged(`"state":"broken","problem":true,"final":true,"cause":{"class":"install-failed","sentence":"db could not be installed."}`)),
		asNode("hel1/app", "pending", judged(`"state":"waiting","since":2000,"gate":"wait","needs":["hel1/db","fsn1/shared"],"named":["hel1/db"],"cause":{"class":"dependency"}`)),
		asNode("hel1/unit", "succeeded", judged(`"state":"ready","gate":"pass"`)),
		asNode("hel1/part", "succeeded", `,"startedAt":1000,"endedAt":1500`+judged(`"state":"ready","gate":"pass"`)),
		asNode("hel1/web", "succeeded", `,"startedAt":2500,"endedAt":2600`+judged(`"state":"ready","gate":"pass"`))),
	asNodes(
		asNode("hel1/OCIRepository/n/s", "succeeded", `,"meta":{"kind":"OCIRepository","auxiliary":true,"namespace":"n","url":"oci://h/p","ref":"tag 1","revision":"1@sha256:0123456","originRevision":"main@sha1:`+commit+`","updatedAt":1000,"judgement":{"state":"ready","gate":"pass"}}`),
		asNode("hel1/Kustomization/n/k", "succeeded", `,"startedAt":1000,"endedAt":1500,"meta":{"kind":"Kustomization","revision":"1@sha256:0123456","source":{"kind":"OCIRepository","namespace":"n","name":"s"},"judgement":{"state":"ready","gate":"pass"}}`)),
	rels("finish-to-start", "hel1/db hel1/app", "fsn1/shared hel1/app"),
	rels("contains", "hel1/part hel1/unit", "hel1/web hel1/unit"),
}

// ownNodes are the nodes of region fsn1 before an attempt.
var ownNodes = asNodes(asNode("fsn1/shared", "succeeded", `,"startedAt":1000,"endedAt":1500`+judged(`"state":"ready","gate":"pass"`)),
	asNode("fsn1/own", "succeeded", `,"startedAt":1000,"endedAt":1500`+judged(`"state":"ready","gate":"pass"`)))

// What readers and the emitter of region hel1 see.
const (
	seenState    = "its nodes and relationships"
	seenStatus   = "the flow's status is failed"
	seenVerdict  = "its verdict"
	seenProblems = "its problems"
	seenBlocks   = "the nodes that its problems block"
	seenListed   = "its problems among those of the whole flow"
	seenWait     = "the exit code of wait"
	seenRollouts = "its part in rollouts"
	seenRevision = "its part in revisions"
	seenCommit   = "the commit that its artifact was made from"
	seenClaim    = "its claim"
	seenWrites   = "whether its emitter can write and renew"
)

// effects lists how an element may affect others than its writer, and how a region may try to use that against another region.
var effects = []struct {
	effect, tries, result string
	changes               []string // seen constants of what changes for the other region
	attempts              []attempt
}{
	{"leaves of the flow", "makes a node of another region a child or a parent of its own node, so that it is no leaf", "denied: a `contains` needs both ends", nil,
		posts(http.StatusForbidden, rels("contains", "fsn1/own hel1/db"), rels("contains", "hel1/db fsn1/own"), rels("contains", "hel1/part hel1/db"))},
	{"roll-up of containers", "removes a part from another region's unit, or makes the unit a part", "denied", nil,
		posts(http.StatusForbidden, `{"type":"delete-rels","pairs":[{"fromId":"hel1/part","toId":"hel1/unit","type":"contains"}]}`, rels("contains", "hel1/unit fsn1/own"), rels("contains", "fsn1/own hel1/unit"))},
	{"nodes", "writes or deletes a node with another region's id prefix, region, or name", "denied", nil,
		join(posts(http.StatusForbidden, asNodes(asNode("hel1/db", "succeeded", "")), asNodes(`{"id":"fsn1/x","flowId":"FLOW","label":"x","region":"hel1","status":"failed"}`),
			asNodes(`{"id":"fsn1/x","flowId":"FLOW","label":"x","status":"failed"}`), asNodes(`{"id":"hel1","flowId":"FLOW","label":"x","region":"hel1","status":"succeeded"}`),
			asNodes(asNode("fsn1/x", "succeeded", ""), asNode("hel1/db", "succeeded", "")), `{"type":"delete-nodes","ids":["fsn1/own","hel1/db"]}`, `{"type":"delete-nodes","ids":["hel1"]}`))},
	{"deletion", "deletes a node of its own that relationships of another region name", "accepted: the server restores those relationships, and the waiting node of the other region shows its missing dependency", []string{seenProblems, seenBlocks, seenListed},
		posts(ok, `{"type":"delete-nodes","ids":["fsn1/shared"]}`)},
	{"relationships", "makes a node of another region wait for its own, or removes its dependency", "denied: a dependency belongs to the region of the waiting node", nil,
		posts(http.StatusForbidden, rels("finish-to-start", "fsn1/own hel1/web"), rels("triggers", "fsn1/own hel1/web"), rels("start-to-finish", "hel1/db hel1/web"),
			`{"type":"delete-rels","pairs":[{"fromId":"hel1/db","toId":"hel1/app","type":"finish-to-start"}]}`)},
	{"cycles", "closes a cycle by a dependency on a node that waits for its own", "accepted: its own node waits; the other region's node keeps its cause", nil,
		posts(ok, rels("finish-to-start", "hel1/app fsn1/shared", "hel1/web fsn1/own"), asNodes(asNode("fsn1/own", "pending", judged(`"state":"waiting","gate":"wait","needs":["hel1/web"]`))))},
	{"blocks", "lets many nodes of its own wait for a problem of another region", "accepted: the problem lists them as blocked, after those of its own region, and may move up the list", []string{seenBlocks},
		posts(ok, asNodes(asNode("fsn1/w1", "pending", judged(`"state":"waiting","gate":"wait","needs":["hel1/db"],"named":["hel1/db"]`))), rels("finish-to-start", "hel1/db fsn1/w1"))},
	{"held by", "names nodes of another region in each list of its judgement", "no effect", nil,
		posts(ok, asNodes(asNode("fsn1/own", "failed", judged(`"state":"broken","problem":true,"needs":["hel1/part","hel1/web"],"named":["hel1/part"],"readyWhile":["hel1/part"],"checks":["hel1/web","hel1/part"],"source":"hel1/part","blamesSource":true`))))},
	{"critical path", "puts its nodes before or after those of another region in time, with dependencies of its own", "accepted: the page draws the path through them; no node of the other region waits for more", nil,
		posts(ok, rels("finish-to-start", "hel1/web fsn1/own"), rels("finish-to-finish", "hel1/part fsn1/own"), asNodes(asNode("fsn1/own", "succeeded", `,"startedAt":2600,"endedAt":8640000000000000`+judged(`"state":"ready","gate":"pass"`))))},
	{"revisions", "waits for a revision that a release of another region does not have", "no effect: only releases of its own region become outdated", nil,
		posts(ok, asNodes(asNode("fsn1/own", "running", judged(`"state":"waiting","since":0,"gate":"wait","needs":["hel1/part"],"named":["hel1/part"],"marks":["old-revision"],"cause":{"class":"dependency-revision"}`))))},
	{"rollouts", "starts a run at any time, never ends it, and fails", "accepted: a rollout covers the whole flow, so its times and outcome change; the members of the other region and their outcomes do not", nil,
		posts(ok, asNodes(asNode("fsn1/own", "running", `,"startedAt":3000`+judged(`"state":"working","gate":"wait"`))), asNodes(asNode("fsn1/own", "failed", `,"startedAt":-8640000000000000,"endedAt":8640000000000000`)),
			asNodes(asNode("fsn1/own", "running", `,"startedAt":8640000000000000`)), asNodes(asNode("fsn1/k", "failed", `,"meta":{"kind":"Kustomization"}`)))},
	{"revisions of sources", "applies releases of its own by a Kustomization of another region, or has a source that follows the same repository and a Kustomization that fails", "no effect: a region's part is that of its own objects", nil,
		posts(ok, asNodes(asNode("fsn1/own", "failed", `,"startedAt":1200,"endedAt":1300,"meta":{"kind":"HelmRelease","generation":2,"observedGeneration":2,"appliedBy":"hel1/Kustomization/n/k","source":{"kind":"OCIRepository","namespace":"n","name":"s"}}`)),
			asNodes(asNode("fsn1/OCIRepository/n/s", "failed", `,"meta":{"kind":"OCIRepository","namespace":"n","url":"oci://h/p","ref":"tag 1","revision":"1@sha256:0123456","updatedAt":1}`), asNode("fsn1/Kustomization/n/k", "failed", `,"meta":{"kind":"Kustomization","attemptedRevision":"1@sha256:0123456","source":{"kind":"OCIRepository","namespace":"n","name":"s"}}`)),
			asNodes(asNode("fsn1/OCIRepository/n/s", "succeeded", `,"meta":{"kind":"OCIRepository","namespace":"n","url":"oci://h/p","ref":"tag 1","revision":"2@sha256:7654321"}`)))},
	{"commits of artifacts", "names another commit for the same artifact", "accepted: no commit is shown while regions disagree", []string{seenCommit},
		posts(ok, asNodes(asNode("fsn1/OCIRepository/n/s", "succeeded", `,"meta":{"kind":"OCIRepository","namespace":"n","url":"oci://h/p","ref":"tag 1","revision":"1@sha256:0123456","originRevision":"main@sha1:7654321"}`)))},
	{"status of the flow", "sets it, or reports success in nodes of its own, also with unknown statuses", "denied, and no effect: the worst leaf decides", nil,
		join(posts(http.StatusForbidden, `{"type":"upsert-flow","flow":{"id":"FLOW","status":"succeeded","startedAt":0}}`, `{"type":"snapshot","flow":{"id":"FLOW","status":"succeeded","startedAt":0}}`),
			posts(ok, asNodes(asNode("fsn1/own", "succeeded", ""), asNode("fsn1/x", "excellent", ""))))},
	{"problems and their order", "floods the list with problems of its own that block many nodes", "accepted without `?region=`, but the first problems of each region are listed; with `?region=` there is no effect", nil,
		posts(ok, flood(600))},
	{"progress", "adds, ends or reopens nodes of its own", "accepted: the flow's counts cover all regions; the counts of a region are its own", nil,
		posts(ok, asNodes(asNode("fsn1/x", "pending", ""), asNode("fsn1/own", "running", `,"startedAt":1`)), `{"type":"delete-nodes","ids":["fsn1/own"]}`)},
	{"the verdict of `wait`", "fails, or never ends, while a pipeline waits for the other region", "accepted for `wait` without `--region`; no effect with it", nil,
		posts(ok, asNodes(asNode("fsn1/own", "failed", judged(`"state":"broken","problem":true,"final":true`)), asNode("fsn1/x", "running", judged(`"state":"working","gate":"wait"`))))},
	{"names of emitters", "uses the name of another region's emitter with a later epoch", "no effect: names are separate for each set of a token's regions", nil,
		[]attempt{{method: "POST", path: "/events", header: "flux-hel1;epoch=9007199254740991;n=9007199254740991", body: ownNodes, status: ok}}},
	{"claims", "claims or deletes another region, or deletes the flow", "denied", nil,
		[]attempt{{method: "PUT", path: "/regions/hel1", body: `{"cluster":"of-hel1"}`, status: http.StatusForbidden}, {method: "PUT", path: "/regions/hel1", body: `{"cluster":"another"}`, status: http.StatusForbidden},
			{method: "DELETE", path: "/regions/hel1", status: http.StatusForbidden}, {method: "DELETE", path: "/regions/fsn1", status: http.StatusForbidden}, {method: "DELETE", status: http.StatusForbidden}}},
	{"history and limits", "sends many messages", "accepted: the ring and the limits of a flow are shared, so old messages of others leave it sooner; this row reaches no limit", nil,
		posts(ok, slices.Repeat([]string{ownNodes}, 50)...)},
}

// flood returns n broken nodes, each of which blocks three others.
func flood(n int) string {
	var list []string
	for i := range n {
		list = append(list, asNode(fmt.Sprintf("fsn1/b%d", i), "failed", judged(`"state":"broken","problem":true,"final":true,"cause":{"class":"install-failed"}`)))
		for j := range 3 {
			list = append(list, asNode(fmt.Sprintf("fsn1/w%d-%d", i, j), "pending", judged(fmt.Sprintf(`"state":"waiting","needs":["fsn1/b%d"],"named":["fsn1/b%d"]`, i, i))))
		}
	}
	return asNodes(list...)
}

// regionsWorld is a server with a token for each of two regions, and one for reading.
type regionsWorld struct {
	t   *testing.T
	url string
	dir string
}

func startRegions(t *testing.T) *regionsWorld {
	w := &regionsWorld{t: t, dir: t.TempDir()}
	var list []object
	for _, region := range []string{"fsn1", "hel1"} {
		list = append(list, object{"name": region, "sha256": hashOf("of-" + region), "scopes": []string{"read", "ingest"}, "flows": []string{"*"}, "regions": []string{region}})
	}
	list = append(list, object{"name": "reader", "sha256": hashOf("of-reader"), "scopes": []string{"read"}, "flows": []string{"*"}})
	file := w.file("tokens.json", asJSON(object{"tokens": list}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- app.Serve(ctx, listener, app.Config{TokensFile: file, Log: newLog(t), Logger: slog.New(slog.DiscardHandler)})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	for end := time.Now().Add(within); ; time.Sleep(time.Millisecond) {
		if status, _ := w.send("reader", "GET", "/readyz", "", ""); status == ok {
			return w
		}
		if time.Now().After(end) {
			t.Fatal("timeout waiting for /readyz")
		}
	}
}

func (w *regionsWorld) file(name, text string) string {
	file := filepath.Join(w.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return file
}

func (w *regionsWorld) request(caller, method, path, emitter, body string) *http.Response {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	w.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer of-"+caller)
	r.Header.Set("Content-Type", "application/json")
	if emitter != "" {
		r.Header.Set("Flow-Emitter", emitter)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return res
}

func (w *regionsWorld) send(caller, method, path, emitter, body string) (int, string) {
	w.t.Helper()
	res := w.request(caller, method, path, emitter, body)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func (w *regionsWorld) get(path string, into any) {
	w.t.Helper()
	status, text := w.send("reader", "GET", path, "", "")
	if status != ok {
		w.t.Fatalf("GET %s: %d %s", path, status, text)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		w.t.Fatal(err)
	}
}

// claim returns the state of a region from the first regions frame of a stream.
func (w *regionsWorld) claim(flow, region string) string {
	w.t.Helper()
	res := w.request("reader", "GET", "/v1/flows/"+flow+"/stream", "", "")
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 16<<20)
	for named := false; lines.Scan(); {
		switch line := lines.Text(); {
		case line == "event: regions":
			named = true
		case named && strings.HasPrefix(line, "data: "):
			var frame struct{ Regions map[string]map[string]any }
			if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &frame); err != nil {
				w.t.Fatal(line, err)
			}
			if r := frame.Regions[region]; r != nil {
				return fmt.Sprint(r["state"], r["cluster"], r["refused"])
			}
			return "none"
		}
	}
	w.t.Fatal("no regions frame")
	return ""
}

// see returns what readers and the emitter of region hel1 see, by the seen constants. The emitter posts with the number n, which must increase with each
// call for a flow.
func (w *regionsWorld) see(flow string, n int) map[string]string {
	w.t.Helper()
	seen := make(map[string]string)
	show := func(key string, v any) { seen[key] += fmt.Sprintln(asJSON(v)) }
	var part struct{ Nodes, Relationships []json.RawMessage }
	w.get("/v1/flows/"+flow+"/snapshot?region=hel1", &part)
	show(seenState, part)
	var all struct{ Flow struct{ Status string } }
	w.get("/v1/flows/"+flow+"/snapshot", &all)
	show(seenStatus, all.Flow.Status == "failed")
	type answer struct {
		Verdict  string
		Problems []struct {
			ID, Region, Class, Sentence string
			IDs, Blocks, Marks, Command []string
			Blocked                     int
		}
	}
	var a answer
	w.get("/v1/flows/"+flow+"/problems?region=hel1", &a)
	show(seenVerdict, a.Verdict)
	for _, p := range a.Problems {
		show(seenBlocks, []any{p.ID, p.Blocks, p.Blocked})
		p.Blocks, p.Blocked = nil, 0
		show(seenProblems, p)
	}
	a = answer{}
	w.get("/v1/flows/"+flow+"/problems", &a)
	for _, p := range a.Problems {
		if p.Region == "hel1" {
			show(seenListed, p.ID)
		}
	}
	var out bytes.Buffer
	err := (cli.Program{Name: "p"}).Run(context.Background(), []string{"wait", "--url=" + w.url, "--flow=" + flow, "--region=hel1", "--timeout=" + within.String(), "--settle=0s", "--token-file=" + w.file("reader", "of-reader")},
		func(string) string { return "" }, &out, &out)
	var code cli.ExitCode
	errors.As(err, &code)
	show(seenWait, int(code))
	var rollouts struct {
		Rollouts []struct {
			Members       []map[string]any
			AlreadyBroken []string
		}
	}
	w.get("/v1/flows/"+flow+"/rollouts", &rollouts)
	for _, r := range rollouts.Rollouts {
		for _, m := range r.Members {
			if m["region"] == "hel1" {
				show(seenRollouts, m)
			}
		}
	}
	var revisions struct {
		Revisions []struct {
			ID, Revision, Commit string
			Regions              []map[string]any
		}
	}
	w.get("/v1/flows/"+flow+"/revisions", &revisions)
	for _, r := range revisions.Revisions {
		for _, g := range r.Regions {
			if g["region"] == "hel1" {
				show(seenRevision, []any{r.ID, r.Revision, g})
				show(seenCommit, r.Commit)
			}
		}
	}
	show(seenClaim, w.claim(flow, "hel1"))
	status, _ := w.send("hel1", "POST", "/v1/flows/"+flow+"/events", fmt.Sprintf("flux-hel1;epoch=2;n=%d", n), strings.ReplaceAll(honest[0], "FLOW", flow))
	renewed, _ := w.send("hel1", "PUT", "/v1/flows/"+flow+"/regions/hel1", "", `{"cluster":"of-hel1","ttlSeconds":3600}`)
	show(seenWrites, []int{status, renewed})
	return seen
}

func TestRegions_EffectsOnAnotherRegion(t *testing.T) {
	w := startRegions(t)
	for i, row := range effects {
		t.Run(row.effect, func(t *testing.T) {
			w.t = t
			flow := fmt.Sprint("f", i)
			must := func(caller, method, path, body string) {
				t.Helper()
				if status, text := w.send(caller, method, "/v1/flows/"+flow+path, "", strings.ReplaceAll(body, "FLOW", flow)); status != ok {
					t.Fatal(caller, status, text)
				}
			}
			must("hel1", "PUT", "/regions/hel1", `{"cluster":"of-hel1","ttlSeconds":3600}`)
			must("fsn1", "PUT", "/regions/fsn1", `{"cluster":"of-fsn1","ttlSeconds":3600}`)
			must("fsn1", "POST", "/events", ownNodes)
			for _, body := range slices.Concat(honest, honest[:1]) {
				must("hel1", "POST", "/events", body)
			}
			before := w.see(flow, 1)
			for _, a := range row.attempts {
				status, text := w.send("fsn1", a.method, "/v1/flows/"+flow+a.path, a.header, strings.ReplaceAll(a.body, "FLOW", flow))
				if status != a.status {
					t.Errorf("%s %s %.300s: %d %.300s, want %d", a.method, a.path, a.body, status, text, a.status)
				}
			}
			after := w.see(flow, 2)
			for what, was := range before {
				if is := after[what]; is != was && !slices.Contains(row.changes, what) {
					t.Errorf("%s: now\n%swas\n%s", what, is, was)
				} else if is == was && slices.Contains(row.changes, what) {
					t.Errorf("%s: unchanged, but the row lists it as changed:\n%s", what, is)
				}
			}
		})
	}
}

func TestRegions_SecurityPageHasTheEffects(t *testing.T) {
	table := "| effect | attempt of a region against another | result |\n|---|---|---|\n"
	for _, row := range effects {
		table += fmt.Sprintf("| %s | %s | %s |\n", row.effect, row.tries, row.result)
	}
	const page = "../../../../../SECURITY.md"
	section := regexp.MustCompile(`(?s)(<!-- regions -->\n).*?(<!-- /regions -->)`)
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(section.FindAll(text, -1)); n != 1 {
		t.Fatalf("SECURITY.md has %d sections between <!-- regions --> and <!-- /regions -->, want 1", n)
	}
	want := section.ReplaceAll(text, []byte("${1}"+strings.ReplaceAll(table, "$", "$$")+"${2}"))
	if bytes.Equal(want, text) {
		return
	}
	if !*update {
		t.Fatal("the table of SECURITY.md is outdated; run go test ./internal/matrix -run Regions -update")
	}
	if err := os.WriteFile(page, want, 0o644); err != nil {
		t.Fatal(err)
	}
}
