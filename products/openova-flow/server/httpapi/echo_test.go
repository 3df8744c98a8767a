package httpapi_test

import (
	"encoding/base64"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// TestAnswersAndLog_EchoLittleOfARequest sends requests with a huge value, each in another place. No error and no log line repeats more than a short piece
// of it.
func TestAnswersAndLog_EchoLittleOfARequest(t *testing.T) {
	const limit = 2 << 10
	big := strings.Repeat("x", 50_000)
	node := func(field, value string) string {
		return strings.Replace(upsert(node("a", "x")), `"id"`, `"`+field+`":`+value+`,"id"`, 1)
	}
	var log lockedLog
	plain := start(t, hub.Config{MaxNodes: 1}, httpapi.Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	guarded := guard(t, hub.Config{}, httpapi.Config{}, "").filled()
	guardedLog := guarded.log.String
	jwt := func(claims string) string {
		part := base64.RawURLEncoding.EncodeToString
		return part([]byte(`{"alg":"RS256","kid":"`+big[:5000]+`"}`)) + "." + part([]byte(claims)) + "." + part([]byte("signature"))
	}
	events := func(body string) [3]string { return [3]string{"POST", "/v1/flows/F/events", body} }
	for name, tt := range map[string]struct {
		request [3]string
		header  []string
	}{
		"a key twice at the top":  {events(`{"` + big + `":1,"` + big + `":2}`), nil},
		"a key twice in a node":   {events(node(big, `1,"`+big+`":1`)), nil},
		"a type":                  {events(`{"type":"` + big + `"}`), nil},
		"another flow":            {events(node("flowId", `"`+big+`"`)), nil},
		"a condition":             {events(`{"type":"upsert-rels","relationships":[{"fromId":"a","toId":"b","type":"` + big + `"}]}`), nil},
		"a number":                {events(node("startedAt", strings.Repeat("9", 50_000))), nil},
		"a node id over a limit":  {events(upsert(`{"id":"`+big+`","flowId":"F","label":"a","status":"x"}`, `{"id":"b`+big+`","flowId":"F","label":"a","status":"x"}`)), nil},
		"an emitter":              {events("{}"), []string{"Flow-Emitter", big + ";epoch=1;n=1"}},
		"an epoch":                {events("{}"), []string{"Flow-Emitter", "e;epoch=" + big + ";n=1"}},
		"an incarnation":          {events(upsert(node("a", `1`))), []string{"Flow-If-Incarnation", big}},
		"a lease":                 {events(`{"type":"delete-nodes","ids":["a"]}`), []string{"Flow-Lease", big}},
		"a content type":          {events("{}"), []string{"Content-Type", big}},
		"a content encoding":      {events("{}"), []string{"Content-Encoding", big}},
		"a flow id":               {[3]string{"GET", "/v1/flows/" + big + "/snapshot", ""}, nil},
		"a path":                  {[3]string{"GET", "/" + big, ""}, nil},
		"a query":                 {[3]string{"GET", "/v1/flows/F/events?after=" + big, ""}, nil},
		"a query's name":          {[3]string{"GET", "/v1/stream?" + big + "=%zz", ""}, nil},
		"flows of a stream":       {[3]string{"GET", "/v1/stream?flow=" + big, ""}, nil},
		"a region to claim":       {[3]string{"PUT", "/v1/flows/F/regions/" + big, `{"cluster":"a"}`}, nil},
		"a region to delete":      {[3]string{"DELETE", "/v1/flows/F/regions/" + big, ""}, nil},
		"a cluster":               {[3]string{"PUT", "/v1/flows/F/regions/r1", `{"cluster":"` + big[:3000] + `"}`}, nil},
		"a TTL that is no number": {[3]string{"PUT", "/v1/flows/F/regions/r1", `{"ttlSeconds":"` + big[:3000] + `"}`}, nil},
		"a method":                {[3]string{strings.Repeat("X", 5000), "/v1/flows", ""}, nil},
		"a token":                 {[3]string{"GET", "/v1/flows", ""}, []string{"Authorization", "Bearer " + big}},
		"a scheme":                {[3]string{"GET", "/v1/flows", ""}, []string{"Authorization", big + " x"}},
		"a token's issuer":        {[3]string{"GET", "/v1/flows", ""}, []string{"Authorization", "Bearer " + jwt(`{"iss":"`+big[:5000]+`","sub":"`+big[:5000]+`","aud":"`+big[:5000]+`"}`)}},
		"an origin":               {[3]string{"POST", "/sign-in", "token=x"}, []string{"Origin", "https://" + big, "Content-Type", "application/x-www-form-urlencoded"}},
		"a host":                  {[3]string{"GET", "/v1/flows", ""}, []string{"X-Forwarded-Host", big}},
	} {
		for _, as := range []string{"nobody", "an admin"} {
			r := tt.request
			header := append([]string{"Content-Type", asJSON}, tt.header...)
			do := plain.do
			if as != "nobody" {
				do = guarded.do
				header = append(admin.bearer(), header...)
			}
			if a := do(r[0], r[1], r[2], header...); strings.Contains(a.body, big[:1000]) || len(a.body) > limit && strings.HasPrefix(a.header.Get("Content-Type"), "application/problem+json") {
				t.Errorf("%s, %s: %d, %d bytes: %.300s", name, as, a.status, len(a.body), a.body)
			} else if a.status == http.StatusInternalServerError {
				t.Errorf("%s, %s: %s", name, as, a.body)
			}
		}
	}
	for line := range strings.Lines(log.String() + guardedLog()) {
		if len(line) > limit {
			t.Errorf("a line of %d bytes: %.300s", len(line), line)
		}
	}
}
