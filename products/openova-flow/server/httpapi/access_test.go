package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// entry is an entry of a tokens file. The token is "secret-" and the name.
type entry struct {
	name    string
	scopes  []string
	flows   []string
	regions []string
}

func (e entry) bearer() []string { return []string{"Authorization", "Bearer secret-" + e.name} }

var (
	reader   = entry{"reader", []string{"read"}, []string{"*"}, nil}
	onlyF    = entry{"only-f", []string{"read"}, []string{"F", "team-*"}, nil}
	writer   = entry{"writer", []string{"ingest"}, []string{"*"}, nil}
	ofR1     = entry{"of-r1", []string{"read", "ingest"}, []string{"F"}, []string{"r1"}}
	ofR2     = entry{"of-r2", []string{"read", "ingest"}, []string{"F"}, []string{"r2"}}
	admin    = entry{"admin", []string{"admin"}, []string{"*"}, nil}
	adminR1  = entry{"admin-r1", []string{"admin"}, []string{"F"}, []string{"r1"}}
	everyone = []entry{reader, onlyF, writer, ofR1, ofR2, admin, adminR1}
)

// lockedLog is a log that may be read while it is written.
type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// guarded is a server with a tokens file.
type guarded struct {
	*env
	path string
	log  *lockedLog
}

// write replaces the tokens file atomically: entries, and more for its other fields.
func (g *guarded) write(entries []entry, more string) {
	g.env.t.Helper()
	list := []auth.Entry{}
	for _, e := range entries {
		list = append(list, auth.Entry{Name: e.name, SHA256: auth.Hash("secret-" + e.name), Scopes: e.scopes, Flows: e.flows, Regions: e.regions})
	}
	tokens, err := json.Marshal(list)
	if err != nil {
		g.env.t.Fatal(err)
	}
	if err := os.WriteFile(g.path+".new", fmt.Appendf(nil, `{"tokens":%s%s}`, tokens, more), 0o600); err != nil {
		g.env.t.Fatal(err)
	}
	if err := os.Rename(g.path+".new", g.path); err != nil {
		g.env.t.Fatal(err)
	}
}

// guard starts a server with the entries of everyone; more has other fields of the tokens file.
func guard(t testing.TB, hc hub.Config, cfg httpapi.Config, more string) *guarded {
	t.Helper()
	g := &guarded{env: &env{t: t}, path: filepath.Join(t.TempDir(), "tokens.json"), log: &lockedLog{}}
	g.write(everyone, more)
	cfg.Logger = slog.New(slog.NewTextHandler(g.log, nil))
	authority, err := auth.Load(g.path, cfg.Logger)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Auth = authority
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { authority.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	g.env = start(t, hc, cfg)
	return g
}

// as is like do, with the token of an entry and, after the other headers, NDJSON as Content-Type.
func (g *guarded) as(e entry, method, path, body string, header ...string) answer {
	g.env.t.Helper()
	return g.do(method, path, body, append(append(header, "Content-Type", asNDJSON), e.bearer()...)...)
}

// filled adds the flows F, team-a and other, each with a node in r1 and one in r2, and returns g.
func (g *guarded) filled() *guarded {
	g.env.t.Helper()
	for _, id := range []string{"F", "team-a", "other"} {
		g.fill(id)
	}
	return g
}

func (g *guarded) fill(id string) {
	g.env.t.Helper()
	if a := g.as(admin, "POST", "/v1/flows/"+id+"/events", upsertOf(id, "r1/a", "r1")+"\n"+upsertOf(id, "r2/a", "r2")); a.status != 200 {
		g.env.t.Fatalf("%d %s", a.status, a.body)
	}
}

func upsertOf(flowID, id, region string) string {
	return fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":%q,"flowId":%q,"label":"l","status":"running","region":%q}]}`, id, flowID, region)
}

// but returns 401 for nobody and status for each entry, except the statuses in others.
func but(status int, others map[string]int) map[string]int {
	m := map[string]int{"nobody": 401}
	for _, caller := range everyone {
		m[caller.name] = status
	}
	for name, status := range others {
		m[name] = status
	}
	return m
}

func TestAccess_EachCallerOnEachRoute(t *testing.T) {
	e := guard(t, hub.Config{}, httpapi.Config{}, "").filled()
	nobody := entry{name: "nobody"}
	type list = map[string]int
	noReader := list{"writer": 403}
	notOther := list{"writer": 403, "only-f": 403, "of-r1": 403, "of-r2": 403, "admin-r1": 403}
	for _, tt := range []struct {
		method, path string
		want         list
	}{
		{"GET", "/v1/flows/F/snapshot", but(200, noReader)},
		{"HEAD", "/v1/flows/F/snapshot", but(200, noReader)},
		{"GET", "/v1/flows/F/snapshot?region=r1", but(200, noReader)},
		{"GET", "/v1/flows/other/snapshot?region=r1", but(200, notOther)},
		{"GET", "/v1/flows/F/events", but(200, noReader)},
		{"GET", "/v1/flows/F/rollouts", but(200, noReader)},
		{"GET", "/v1/flows/F/revisions", but(200, noReader)},
		{"GET", "/v1/flows/F/problems", but(200, noReader)},
		{"GET", "/v1/flows/F/regions", but(200, noReader)},
		{"HEAD", "/v1/flows/F/stream", but(200, noReader)},
		{"GET", "/v1/flows/other/snapshot", but(200, notOther)},
		{"GET", "/v1/flows/other/events", but(200, notOther)},
		{"GET", "/v1/flows/other/rollouts", but(200, notOther)},
		{"GET", "/v1/flows/other/revisions", but(200, notOther)},
		{"GET", "/v1/flows/other/problems", but(200, notOther)},
		{"GET", "/v1/flows/other/regions", but(200, notOther)},
		{"HEAD", "/v1/flows/other/stream", but(200, notOther)},
		{"HEAD", "/v1/stream?flow=F&flow=other", but(200, notOther)},
		{"HEAD", "/v1/stream?flow=F", but(200, noReader)},
		{"GET", "/v1/flows/no-such-flow/snapshot", but(404, notOther)}, // 403 does not show whether a flow exists
		{"HEAD", "/v1/stream", but(200, noReader)},
		{"GET", "/v1/flows", but(200, noReader)},
		{"GET", "/metrics", but(200, notOther)}, // they are sums over all flows
		{"GET", "/v1/me", but(200, nil)},
		{"GET", "/", but(200, nil)},
		{"GET", "/healthz", but(200, list{"nobody": 200})},
		{"GET", "/readyz", but(200, list{"nobody": 200})},
		{"GET", "/v1/nothing", but(404, list{"nobody": 404})},
		{"POST", "/v1/flows/F/events", but(400, list{"reader": 403, "only-f": 403})}, // permissions are checked before the body
		{"POST", "/v1/flows/other/events", but(400, list{"reader": 403, "only-f": 403, "of-r1": 403, "of-r2": 403, "admin-r1": 403})},
		{"PUT", "/v1/flows/F/regions/r1", but(415, list{"reader": 403, "only-f": 403, "of-r2": 403})},
		{"PUT", "/v1/flows/F/regions/r1%2Fa", but(415, list{"reader": 403, "only-f": 403, "of-r1": 403, "of-r2": 403, "admin-r1": 403})},
		{"PUT", "/v1/flows/other/regions/r1", but(415, list{"reader": 403, "only-f": 403, "of-r1": 403, "of-r2": 403, "admin-r1": 403})},
		{"DELETE", "/v1/flows/none", but(204, list{"reader": 403, "only-f": 403, "of-r1": 403, "of-r2": 403, "admin-r1": 403})},
		{"DELETE", "/v1/flows/F/regions/none", but(204, list{"reader": 403, "only-f": 403, "of-r1": 403, "of-r2": 403})},
	} {
		for _, caller := range append(everyone, nobody) {
			header := []string{"Accept", asJSON, "Content-Type", asNDJSON}
			if caller.name != "nobody" {
				header = append(header, caller.bearer()...)
			}
			a := e.do(tt.method, tt.path, "", header...)
			what := tt.method + " " + tt.path + " of " + caller.name
			if a.status != tt.want[caller.name] {
				t.Errorf("%s: %d, want %d: %s", what, a.status, tt.want[caller.name], a.body)
			}
			if a.status != 401 && a.status != 403 {
				continue
			}
			if tt.method != "HEAD" {
				isProblem(t, a, a.status)
			}
			if got := a.header.Get("WWW-Authenticate") != ""; got != (a.status == 401) {
				t.Errorf("%s: %d with %v", what, a.status, a.header)
			}
			if a.header.Get("Flow-Incarnation") != "" {
				t.Errorf("%s: a denial has headers of the flow: %v", what, a.header)
			}
		}
	}
	a := e.do("GET", "/v1/flows/F/snapshot", "", "Authorization", "Bearer unknown")
	if isProblem(t, a, 401); a.header.Get("WWW-Authenticate") != `Bearer realm="openova-flow", error="invalid_token"` {
		t.Errorf("an unknown token: %v", a.header)
	}
}

func TestAccess_BoundTokenWritesOnlyItsRegions(t *testing.T) {
	e := guard(t, hub.Config{}, httpapi.Config{}, "").filled()
	before := e.as(reader, "GET", "/v1/flows/F/snapshot", "").body
	for _, tt := range []struct {
		body, field string
		line        int
	}{
		{upsertOf("F", "r1/b", "r1") + "\n\n" + upsertOf("F", "r2/b", "r2"), "nodes[0].id", 3},
		{upsertOf("F", "r1/b", "r2"), "nodes[0].region", 1},
		{`{"type":"delete-nodes","ids":["r1/a","r2/a"]}`, "ids[1]", 1},
		{`{"type":"upsert-rels","relationships":[{"fromId":"r1/a","toId":"r2/a","type":"finish-to-start"}]}`, "relationships[0].toId", 1},
		{`{"type":"delete-rels","pairs":[{"fromId":"r2/a","toId":"r1","type":"contains"}]}`, "pairs[0].fromId", 1},
		{`{"type":"upsert-rels","relationships":[{"fromId":"r1/a","toId":"r1","type":"contains"},{"fromId":"r1/a","toId":"r2/a","type":"contains"}]}`, "relationships[1].toId", 1},
		{`{"type":"delete-rels","pairs":[{"fromId":"r1/a","toId":"r2/a","type":"contains"}]}`, "pairs[0].toId", 1},
		{`{"type":"upsert-flow","flow":{"id":"F","status":"x","startedAt":1}}`, "type", 1},
		{`{"type":"snapshot","flow":{"id":"F","status":"x","startedAt":1}}`, "type", 1},
	} {
		a := e.as(ofR1, "POST", "/v1/flows/F/events", tt.body)
		if p := isProblem(t, a, 403); p.Field != tt.field || p.Line != tt.line {
			t.Errorf("%s: field %q, line %d: %s", tt.body, p.Field, p.Line, a.body)
		}
		if a.header.Get("Flow-Incarnation") == "" {
			t.Errorf("no incarnation: %v", a.header)
		}
	}
	if now := e.as(reader, "GET", "/v1/flows/F/snapshot", "").body; now != before {
		t.Errorf("part of a denied request was applied:\n%s", now)
	}
	if a := e.as(ofR1, "POST", "/v1/flows/F/events", upsertOf("F", "r1/b", "r1")+"\n"+upsertOf("F", "r1", "r1")); a.status != 200 {
		t.Errorf("its own: %d %s", a.status, a.body)
	}
}

// TestAccess_DeletionByBoundTokenKeepsForeignRelationships deletes a node that a node of another region depends on.
func TestAccess_DeletionByBoundTokenKeepsForeignRelationships(t *testing.T) {
	e := guard(t, hub.Config{}, httpapi.Config{}, "").filled()
	foreign := `{"fromId":"r1/a","toId":"r2/a","type":"finish-to-start"}`
	for _, step := range []struct {
		caller entry
		body   string
		stays  bool
	}{
		{ofR2, `{"type":"upsert-rels","relationships":[` + foreign + `]}`, true},
		{ofR1, `{"type":"delete-nodes","ids":["r1/a"]}`, true},
		{writer, `{"type":"delete-nodes","ids":["r1/a"]}`, false},
	} {
		if a := e.as(step.caller, "POST", "/v1/flows/F/events", step.body); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if a := e.as(reader, "GET", "/v1/flows/F/snapshot", ""); strings.Contains(a.body, foreign) != step.stays {
			t.Errorf("after %s of %s: %s", step.body, step.caller.name, a.body)
		}
	}
}

// TestFlowEmitter_BoundTokenCannotBlockAnotherTokensEmitter has one cluster's token use the name of another one's emitter with a far greater epoch.
func TestFlowEmitter_BoundTokenCannotBlockAnotherTokensEmitter(t *testing.T) {
	e := guard(t, hub.Config{}, httpapi.Config{}, "").filled()
	for _, step := range []struct {
		caller        entry
		region, stamp string
		want          int
	}{
		{ofR1, "r1", "adapter;epoch=1;n=1", 200},
		{ofR2, "r2", "adapter;epoch=9000000000000000;n=1", 200},
		{ofR1, "r1", "adapter;epoch=1;n=2", 200},
		{ofR1, "r1", "adapter;epoch=1;n=1", 409},
	} {
		if a := e.as(step.caller, "POST", "/v1/flows/F/events", upsertOf("F", step.region+"/x", step.region), "Flow-Emitter", step.stamp); a.status != step.want {
			t.Errorf("%s as %s: %d %s", step.caller.name, step.stamp, a.status, a.body)
		}
	}
}

// TestFlowEmitter_NamesCountWithinTheRegionsOfTheToken has one token after the other use all names that it may. The limit of one does not affect the
// others, whether they are bound to regions or not.
func TestFlowEmitter_NamesCountWithinTheRegionsOfTheToken(t *testing.T) {
	for _, order := range [][]entry{{ofR1, ofR2, writer}, {writer, ofR1, ofR2}} {
		e := guard(t, hub.Config{MaxEmitters: 2}, httpapi.Config{}, "").filled()
		for _, caller := range order {
			region := "r9"
			if len(caller.regions) > 0 {
				region = caller.regions[0]
			}
			for i, want := range []int{200, 200, 429} {
				stamp := fmt.Sprintf("r1/e%d;epoch=1;n=1", i)
				if a := e.as(caller, "POST", "/v1/flows/F/events", upsertOf("F", region+"/x", region), "Flow-Emitter", stamp); a.status != want {
					t.Errorf("%s, name %d: %d %s", caller.name, i, a.status, a.body)
				}
			}
			if a := e.as(caller, "POST", "/v1/flows/F/events", upsertOf("F", region+"/x", region), "Flow-Emitter", "r1/e0;epoch=1;n=2"); a.status != 200 {
				t.Errorf("%s, a name that is known: %d %s", caller.name, a.status, a.body)
			}
		}
		if a := e.as(admin, "DELETE", "/v1/flows/F", ""); a.status != 204 { // a durable hub would have it in the next order too
			t.Fatalf("deleting the flow: %d %s", a.status, a.body)
		}
	}
}

// TestFlowEmitter_UnboundTokenCannotBlockABoundTokensEmitter uses the name that the server has stored for the bound token's emitter.
func TestFlowEmitter_UnboundTokenCannotBlockABoundTokensEmitter(t *testing.T) {
	e := guard(t, hub.Config{}, httpapi.Config{}, "").filled()
	for _, step := range []struct {
		caller entry
		stamp  string
		want   int
	}{
		{ofR1, "adapter;epoch=1;n=1", 200},
		{writer, "r1/adapter;epoch=9000000000000000;n=1", 200},
		{writer, "/adapter;epoch=9000000000000000;n=1", 200},
		{ofR1, "adapter;epoch=1;n=2", 200},
		{writer, "r1/adapter;epoch=9000000000000000;n=0", 409},
	} {
		if a := e.as(step.caller, "POST", "/v1/flows/F/events", upsertOf("F", "r1/x", "r1"), "Flow-Emitter", step.stamp); a.status != step.want {
			t.Errorf("%s as %s: %d %s", step.caller.name, step.stamp, a.status, a.body)
		}
	}
}

// TestSnapshot_OnlyWritersKeepAFlowFromBeingDropped: a token that may only read keeps no flow, even if it sends Flow-Emitter.
func TestSnapshot_OnlyWritersKeepAFlowFromBeingDropped(t *testing.T) {
	var mu sync.Mutex
	clock := time.Now()
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return clock }
	g := guard(t, hub.Config{IdleTimeout: 4 * time.Millisecond, Now: now}, httpapi.Config{}, "").filled()
	mu.Lock()
	clock = clock.Add(time.Hour)
	mu.Unlock()
	for _, tt := range []struct {
		caller entry
		flow   string
	}{{ofR1, "F"}, {reader, "F"}, {reader, "other"}, {onlyF, "team-a"}} {
		if a := g.as(tt.caller, "GET", "/v1/flows/"+tt.flow+"/snapshot", "", "Flow-Emitter", "x"); a.status != 200 {
			t.Fatal(a.status)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go g.hub.Run(ctx)
	until(t, "idle flows to be dropped", func() bool { return len(g.hub.List(nil)) == 1 })
	if got := g.hub.List(nil)[0].ID; got != "F" {
		t.Errorf("%s was kept", got)
	}
}

func TestList_ShowsFlowsTheCallerMayRead(t *testing.T) {
	e := guard(t, hub.Config{}, httpapi.Config{}, "").filled()
	for _, tt := range []struct {
		caller entry
		want   string
	}{{reader, "F other team-a"}, {onlyF, "F team-a"}, {ofR1, "F"}, {admin, "F other team-a"}} {
		var list struct{ Flows []struct{ ID string } }
		if err := json.Unmarshal([]byte(e.as(tt.caller, "GET", "/v1/flows", "").body), &list); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, f := range list.Flows {
			ids = append(ids, f.ID)
		}
		if got := strings.Join(ids, " "); got != tt.want {
			t.Errorf("%s sees %s, want %s", tt.caller.name, got, tt.want)
		}
	}
}

func TestMe_ReportsTheCaller(t *testing.T) {
	e := guard(t, hub.Config{}, httpapi.Config{}, "")
	open := start(t, hub.Config{}, httpapi.Config{})
	for want, a := range map[string]answer{
		`{"name":"reader","scopes":["read"],"signedIn":"bearer"}`:                   e.as(reader, "GET", "/v1/me", ""),
		`{"name":"admin","scopes":["read","ingest","admin"],"signedIn":"bearer"}`:   e.as(admin, "GET", "/v1/me", ""),
		`{"name":"only-f","scopes":["read"],"signedIn":"cookie"}`:                   e.do("GET", "/v1/me", "", "Cookie", auth.CookieName+"=secret-only-f"),
		`{"name":"anonymous","scopes":["read","ingest","admin"],"signedIn":"none"}`: open.do("GET", "/v1/me", ""),
	} {
		if strings.TrimSpace(a.body) != want || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s, want %s", a.body, want)
		}
	}
}

// TestDenials_AreCountedAndLoggedWithoutTokens also checks the audit lines.
func TestDenials_AreCountedAndLoggedWithoutTokens(t *testing.T) {
	e := guard(t, hub.Config{}, httpapi.Config{}, "").filled()
	e.as(ofR1, "POST", "/v1/flows/F/events", upsertOf("F", "r2/b", "r2"))
	for range 3 {
		e.do("GET", "/v1/flows", "", "Authorization", "Bearer very-secret")
	}
	e.do("GET", "/v1/flows", "")
	e.as(reader, "DELETE", "/v1/flows/F", "")
	e.as(admin, "DELETE", "/v1/flows/F/regions/r2", "")
	e.as(writer, "DELETE", "/v1/flows/F", "")
	e.as(writer, "DELETE", "/v1/flows/F", "")
	metrics := e.as(reader, "GET", "/metrics", "").body
	for _, want := range []string{`access_refused_total{reason="region"} 1`, `{reason="unknown"} 3`, `{reason="no_credential"} 1`, `{reason="scope"} 1`, `{reason="expired"} 0`,
		`messages_refused_total{code="403"} 1`, `tokens_file_failing 0`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
	log := e.log.String()
	for _, want := range []string{
		`msg="access denied" denial.reason=region denial.name=of-r1 denial.field=nodes[0].id denial.line=1 denial.detail=`,
		`msg="access denied" denial.reason=scope denial.name=reader `,
		`msg="access denied" denial.reason=unknown denial.name="" `,
		`msg="region deleted" by=admin flow=F region=r2 nodes=1`,
		`msg="flow deleted" by=writer flow=F existed=true`,
		`msg="flow deleted" by=writer flow=F existed=false`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("no %s in\n%s", want, log)
		}
	}
	if strings.Contains(log, "secret") {
		t.Errorf("a token is in the log:\n%s", log)
	}
	if strings.Contains(log, "message refused") {
		t.Errorf("a denial is logged twice:\n%s", log)
	}
}

func TestDenials_EachIsCountedAndLogged(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<!doctype html>") })
	cookie := func(caller entry) []string { return []string{"Cookie", auth.CookieName + "=secret-" + caller.name} }
	elsewhere := []string{"Sec-Fetch-Site", "cross-site"}
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for _, tt := range []struct {
		method, path, body string
		header             []string
		status             int
		reason, name       string
	}{
		{"GET", "/v1/flows", "", nil, 401, "no_credential", `""`},
		{"GET", "/v1/flows", "", writer.bearer(), 403, "scope", "writer"},
		{"GET", "/metrics", "", writer.bearer(), 403, "scope", "writer"},
		{"GET", "/metrics", "", onlyF.bearer(), 403, "flow", "only-f"},
		{"GET", "/v1/stream", "", writer.bearer(), 403, "scope", "writer"},
		{"GET", "/v1/stream?flow=F&flow=other", "", onlyF.bearer(), 403, "flow", "only-f"},
		{"GET", "/v1/flows/other/stream", "", onlyF.bearer(), 403, "flow", "only-f"},
		{"POST", "/v1/flows/F/events", upsertOf("F", "r1/x", "r1"), reader.bearer(), 403, "scope", "reader"},
		{"POST", "/v1/flows/F/events", upsertOf("F", "r1/x", "r1"), append(ofR2.bearer(), "Content-Type", asJSON), 403, "region", "of-r2"},
		{"POST", "/v1/flows/F/events", upsertOf("F", "r1/x", "r1"), append(cookie(ofR1), elsewhere...), 403, "origin", "of-r1"},
		{"PUT", "/v1/flows/F/regions/r1", `{"cluster":"c"}`, append(ofR2.bearer(), "Content-Type", asJSON), 403, "region", "of-r2"},
		{"DELETE", "/v1/flows/F", "", ofR1.bearer(), 403, "region", "of-r1"},
		{"DELETE", "/v1/flows/F/regions/r1", "", ofR1.bearer(), 403, "region", "of-r1"},
		{"GET", "/", "", []string{"Accept", asJSON}, 401, "no_credential", `""`},
		{"GET", "/", "", []string{"Accept", "text/html", "Cookie", auth.CookieName + "=secret-other"}, 303, "unknown", `""`},
		{"POST", "/sign-in", "token=secret-other", form, 401, "unknown", `""`},
		{"POST", "/sign-in", "token=secret-reader", append(form, elsewhere...), 403, "origin", `""`},
		{"POST", "/sign-out", "", elsewhere, 403, "origin", `""`},
	} {
		t.Run(tt.method+" "+tt.path+" "+tt.reason, func(t *testing.T) {
			e := guard(t, hub.Config{}, httpapi.Config{Page: page}, "")
			e.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			if a := e.do(tt.method, tt.path, tt.body, tt.header...); a.status != tt.status {
				t.Errorf("%d, want %d: %s", a.status, tt.status, a.body)
			}
			if metrics := e.as(reader, "GET", "/metrics", "").body; !strings.Contains(metrics, fmt.Sprintf("access_refused_total{reason=%q} 1\n", tt.reason)) {
				t.Errorf("the denial is not counted:\n%s", metrics)
			}
			if log := e.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "denial.reason="+tt.reason+" denial.name="+tt.name+" ") {
				t.Errorf("the log is\n%s", log)
			}
		})
	}
	for reason, change := range map[string]func(*http.Request){
		"host":   func(r *http.Request) { r.Host = "rebound.example" },
		"origin": func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
	} {
		log := &lockedLog{}
		e := start(t, hub.Config{}, httpapi.Config{Loopback: true, Logger: slog.New(slog.NewTextHandler(log, nil))})
		r, err := http.NewRequest("GET", e.url+"/v1/flows", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		resp, err := e.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 403 || !strings.Contains(log.String(), "denial.reason="+reason) {
			t.Errorf("%s: %d and\n%s", reason, resp.StatusCode, log)
		}
		if metrics := e.do("GET", "/metrics", "").body; !strings.Contains(metrics, fmt.Sprintf("access_refused_total{reason=%q} 1\n", reason)) {
			t.Errorf("the denial is not counted:\n%s", metrics)
		}
	}
}

// TestDenials_CallerCannotKeepAnotherOutOfTheLog has one caller denied several times just before another is, for the same reason.
func TestDenials_CallerCannotKeepAnotherOutOfTheLog(t *testing.T) {
	e := guard(t, hub.Config{}, httpapi.Config{}, "").filled()
	claim := func(caller entry, region, cluster string) {
		t.Helper()
		e.do("PUT", "/v1/flows/F/regions/"+region, `{"cluster":"`+cluster+`"}`, append(caller.bearer(), "Content-Type", asJSON)...)
	}
	for range 3 {
		e.as(ofR1, "POST", "/v1/flows/F/events", upsertOf("F", "r2/b", "r2"))
		e.as(ofR1, "POST", "/v1/flows/F/events", "no message")
	}
	e.as(ofR2, "POST", "/v1/flows/F/events", upsertOf("F", "r1/b", "r1"))
	e.as(ofR2, "POST", "/v1/flows/F/events", "no message")
	claim(ofR2, "r2", "one")
	claim(ofR2, "r2", "two")
	log := e.log.String()
	for _, want := range []string{
		`msg="access denied" denial.reason=region denial.name=of-r1 `,
		`msg="access denied" denial.reason=region denial.name=of-r2 `,
		`msg="message refused" by=of-r1 `,
		`msg="message refused" by=of-r2 `,
		`msg="region claim refused" by=of-r2 flow=F region=r2 cluster=two holder=one`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("no %s in\n%s", want, log)
		}
	}
}
