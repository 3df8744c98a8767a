package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// regionNode returns a node of a region, with an id that begins with the region.
func regionNode(region, name, status string) string {
	return fmt.Sprintf(`{"id":%q,"flowId":"F","label":%q,"status":%q,"region":%q}`, region+"/"+name, name, status, region)
}

// idsOf returns the ids of the nodes of a snapshot, and its relationships as "from type to", in order.
func idsOf(t *testing.T, body string) (nodes, rels []string) {
	t.Helper()
	var m struct {
		Type          string
		Flow          *struct{ ID string }
		Nodes         []struct{ ID string }
		Relationships []struct{ FromID, ToID, Type string }
	}
	if err := json.Unmarshal([]byte(body), &m); err != nil || m.Type != "snapshot" || m.Flow == nil || m.Flow.ID != "F" || m.Nodes == nil || m.Relationships == nil {
		t.Fatalf("no snapshot: %v %s", err, body)
	}
	for _, n := range m.Nodes {
		nodes = append(nodes, n.ID)
	}
	for _, r := range m.Relationships {
		rels = append(rels, r.FromID+" "+r.Type+" "+r.ToID)
	}
	return nodes, rels
}

func TestSnapshot_OfOneRegion(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	isProblem(t, e.do("GET", "/v1/flows/F/snapshot?region=fsn1", ""), 404)
	e.post(upsert(regionNode("fsn1", "b", "x"), regionNode("fsn1", "a", "x"), regionNode("hel1", "a", "x"), node("free", "x"), regionNode("a b/ü&", "c", "x")))
	e.post(`{"type":"upsert-rels","relationships":[` + strings.Join([]string{
		`{"fromId":"hel1/a","toId":"fsn1/a","type":"finish-to-start"}`,
		`{"fromId":"fsn1/a","toId":"hel1/a","type":"finish-to-start"}`,
		`{"fromId":"fsn1/a","toId":"fsn1","type":"contains"}`,
		`{"fromId":"fsn1/a","toId":"hel1","type":"contains"}`,
		`{"fromId":"hel1/a","toId":"fsn1","type":"contains"}`,
		`{"fromId":"fsn1/a","toId":"fsn1x/a","type":"finish-to-start"}`,
	}, ",") + `]}`)
	for region, want := range map[string][2][]string{
		"fsn1":    {{"fsn1/a", "fsn1/b"}, {"fsn1/a contains fsn1", "hel1/a finish-to-start fsn1/a"}},
		"hel1":    {{"hel1/a"}, {"fsn1/a finish-to-start hel1/a"}},
		"fsn1x":   {nil, {"fsn1/a finish-to-start fsn1x/a"}},
		"a b/ü&":  {{"a b/ü&/c"}, nil},
		"fsn":     {},
		"unknown": {},
	} {
		a := e.do("GET", "/v1/flows/F/snapshot?region="+url.QueryEscape(region), "")
		if a.status != 200 || a.header.Get("Content-Type") != asJSON || a.header.Get("Flow-Incarnation") == "" || a.header.Get("ETag") == "" {
			t.Fatalf("%s: %d %v %s", region, a.status, a.header, a.body)
		}
		if nodes, rels := idsOf(t, a.body); !slices.Equal(nodes, want[0]) || !slices.Equal(rels, want[1]) {
			t.Errorf("%s: %q %q, want %q", region, nodes, rels, want)
		}
		for _, match := range []string{a.header.Get("ETag"), `"x", W/` + a.header.Get("ETag"), "*"} {
			b := e.do("GET", "/v1/flows/F/snapshot?region="+url.QueryEscape(region), "", "If-None-Match", match)
			if b.status != 304 || b.body != "" || b.header.Get("ETag") != a.header.Get("ETag") || b.header.Get("Flow-Incarnation") != a.header.Get("Flow-Incarnation") {
				t.Errorf("%s, If-None-Match %s: %d %v %s", region, match, b.status, b.header, b.body)
			}
		}
	}
	for _, query := range []string{"region=", "region=fsn1&region=hel1", "region=%ff"} {
		if p := isProblem(t, e.do("GET", "/v1/flows/F/snapshot?"+query, ""), 400); p.Field != "region" {
			t.Errorf("%s: %+v", query, p)
		}
	}
}

func TestSnapshot_OfOneRegionChangesOnlyWithTheRegion(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	e.post(`{"type":"upsert-flow","flow":{"id":"F","status":"running","startedAt":1}}`)
	e.post(upsert(regionNode("fsn1", "a", "x"), regionNode("hel1", "a", "x"), regionNode("hel1", "b", "x")))
	rel := func(from, to, typ string) string {
		return fmt.Sprintf(`{"type":"upsert-rels","relationships":[{"fromId":%q,"toId":%q,"type":%q}]}`, from, to, typ)
	}
	last := e.do("GET", "/v1/flows/F/snapshot?region=fsn1", "")
	for _, step := range []struct {
		message string
		changes bool
	}{
		{upsert(regionNode("hel1", "a", "y")), false},
		{upsert(regionNode("fsn1", "a", "y")), true},
		{upsert(regionNode("fsn1", "a", "y")), false}, // the same again
		{rel("hel1/a", "fsn1/a", "finish-to-start"), true},
		{rel("fsn1/a", "hel1/a", "finish-to-start"), false},
		{rel("hel1/b", "fsn1/a", "finish-to-start"), true},
		{`{"type":"delete-nodes","ids":["hel1/b"]}`, true}, // and its relationship to fsn1/a
		{`{"type":"delete-nodes","ids":["hel1/c"]}`, false},
		{rel("fsn1/a", "hel1", "contains"), false},
		{rel("fsn1/a", "fsn1", "contains"), true},
		{`{"type":"delete-rels","pairs":[{"fromId":"fsn1/a","toId":"fsn1","type":"contains"}]}`, true},
		{upsert(strings.Replace(regionNode("fsn1", "a", "y"), `"region":"fsn1"`, `"region":"hel1"`, 1)), true}, // it moves
		{upsert(regionNode("fsn1", "a", "y")), true},
		{`{"type":"upsert-flow","flow":{"id":"F","status":"failed","startedAt":1}}`, true},
		{`{"type":"snapshot","flow":{"id":"F","status":"failed","startedAt":1}}`, true},
		{upsert(regionNode("hel1", "a", "z")), false},
		{upsert(regionNode("fsn1", "a", "y")), true},
	} {
		e.post(step.message)
		etag := last.header.Get("ETag")
		now := e.do("GET", "/v1/flows/F/snapshot?region=fsn1", "", "If-None-Match", etag)
		if changed := now.status == 200; changed != step.changes {
			t.Errorf("%s: %d %s after %s", step.message, now.status, now.body, last.body)
		}
		if full := e.do("GET", "/v1/flows/F/snapshot?region=fsn1", ""); (full.body != last.body) != step.changes || (full.header.Get("ETag") != etag) != step.changes {
			t.Errorf("%s: %s %s after %s %s", step.message, full.header.Get("ETag"), full.body, etag, last.body)
		} else {
			last = full
		}
	}
	e.do("DELETE", "/v1/flows/F", "")
	isProblem(t, e.do("GET", "/v1/flows/F/snapshot?region=fsn1", "", "If-None-Match", "*"), 404)
	e.post(`{"type":"upsert-flow","flow":{"id":"F","status":"failed","startedAt":1}}`)
	e.post(upsert(regionNode("fsn1", "a", "y")))
	again := e.do("GET", "/v1/flows/F/snapshot?region=fsn1", "", "If-None-Match", last.header.Get("ETag"))
	if again.status != 200 || again.body == "" || again.header.Get("Flow-Incarnation") == last.header.Get("Flow-Incarnation") {
		t.Errorf("in another incarnation: %d %v", again.status, again.header)
	}
}

func TestSnapshot_OfOneRegionCompressed(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	e.post(upsert(regionNode("fsn1", "a", "x"), regionNode("hel1", "a", "x")))
	plain := e.do("GET", "/v1/flows/F/snapshot?region=fsn1", "", "Accept-Encoding", "identity")
	zipped := e.do("GET", "/v1/flows/F/snapshot?region=fsn1", "", "Accept-Encoding", "gzip")
	z, err := gzip.NewReader(bytes.NewReader([]byte(zipped.body)))
	if err != nil || zipped.header.Get("Content-Encoding") != "gzip" || zipped.header.Get("ETag") == plain.header.Get("ETag") || !slices.Contains(zipped.header.Values("Vary"), "Accept-Encoding") {
		t.Fatalf("%v %v", err, zipped.header)
	}
	if text, err := io.ReadAll(z); err != nil || string(text) != plain.body {
		t.Errorf("%v: %s, want %s", err, text, plain.body)
	}
	if a := e.do("GET", "/v1/flows/F/snapshot?region=fsn1", "", "Accept-Encoding", "identity", "If-None-Match", zipped.header.Get("ETag")); a.status != http.StatusNotModified {
		t.Errorf("the other encoding's tag: %d", a.status)
	}
}
