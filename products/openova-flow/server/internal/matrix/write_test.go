package matrix

import (
	"encoding/json"
	"strings"
)

// node, edge and message describe posted messages as far as the oracle needs.
type node struct{ id, region string }

type edge struct{ from, to, kind string }

type message struct {
	kind  string
	nodes []node
	edges []edge // of upsert-rels and snapshot
	ids   []string
	pairs []edge // of delete-rels
	extra string // extra fields, as JSON members
}

// writeShape is one body of a POST.
type writeShape struct {
	name        string
	messages    []message // one a line
	raw         func(body string) string
	broken      bool // invalid, whoever sends it
	contentType string
	lines       []string // more lines of the header
}

func put(nodes ...node) message    { return message{kind: "upsert-nodes", nodes: nodes} }
func link(edges ...edge) message   { return message{kind: "upsert-rels", edges: edges} }
func drop(ids ...string) message   { return message{kind: "delete-nodes", ids: ids} }
func unlink(e ...edge) message     { return message{kind: "delete-rels", pairs: e} }
func whole(kind string) message    { return message{kind: kind} }
func fts(from, to string) edge     { return edge{from, to, "finish-to-start"} }
func inside(child, in string) edge { return edge{child, in, "contains"} }

var (
	own   = node{"fsn1/new", "fsn1"}
	other = node{"hel1/new", "hel1"}
)

var writeShapes = makeWriteShapes()

func makeWriteShapes() []*writeShape {
	var all []*writeShape
	add := func(name string, messages ...message) *writeShape {
		w := &writeShape{name: name, messages: messages, contentType: "application/x-ndjson"}
		all = append(all, w)
		return w
	}
	broken := func(name string, raw func(string) string, messages ...message) *writeShape {
		w := add(name, messages...)
		w.raw, w.broken = raw, true
		return w
	}
	text := func(s string) func(string) string { return func(string) string { return s } }

	add("node of its own", put(own)).contentType = "application/json"
	add("node of another region", put(other))
	add("node with the id of another region", put(node{"hel1/new", "fsn1"}))
	add("node with the region of another", put(node{"fsn1/new", "hel1"}))
	add("node without a region", put(node{id: "fsn1/new"}))
	add("node that exists in another region", put(node{"hel1/failed", "hel1"}))
	add("node that takes over another region's id", put(node{"hel1/failed", "fsn1"}))
	add("the region's own node", put(node{"fsn1", "fsn1"}))
	add("another region's own node", put(node{"hel1", "hel1"}))
	add("two nodes, one of another region", put(own, other))
	add("two nodes, of fsn1 and fsn2", put(own, node{"fsn2/new", "fsn2"}))
	for _, region := range []string{"FSN1", "fѕn1", "fsn", "fsn1a", " fsn1", "fsn1 ", "fsn1\x00", "", "..", ".", "fsn1%2Fx", "fsn1\\x", "fsn1,fsn2", "*"} {
		add("node of the region "+region, put(node{region + "/new", region}))
	}
	add("node with a path", put(node{"fsn1/../hel1/new", "fsn1"}))
	add("node with a path before", put(node{"../fsn1/new", "fsn1"}))
	add("node with two slashes", put(node{"fsn1//new", "fsn1"}))
	add("node with a slash first", put(node{"/fsn1/new", "fsn1"}))

	for _, e := range []edge{
		fts("fsn1/a", "fsn1/app"), fts("hel1/ok", "fsn1/a"), fts("fsn1/app", "hel1/ok"), fts("hel1/failed", "hel1/ok"),
		fts("hel1/none", "fsn1/none"), fts("fsn1/none", "hel1/none"), fts("fsn1/a", "fsn2/a"), fts("FSN1/a", "fsn1/a"), fts("fsn1/a", "fsn1a/a"),
		{"fsn1/a", "hel1/ok", "start-to-start"}, {"fsn1/a", "hel1/ok", "finish-to-finish"}, {"fsn1/a", "hel1/ok", "start-to-finish"}, {"fsn1/a", "hel1/ok", "triggers"},
		{"hel1/ok", "fsn1/a", "start-to-start"}, {"hel1/ok", "fsn1/a", "triggers"},
		inside("fsn1/a", "fsn1"), inside("fsn1/a", "hel1"), inside("fsn1/a", "hel1/failed"), inside("hel1/failed", "fsn1"), inside("hel1/failed", "fsn1/a"),
		inside("hel1/ok", "hel1/failed"), inside("fsn1/none", "hel1/none"), inside("fsn1/a", "fsn2"), inside("fsn2/a", "fsn1"), inside("fsn1/a", "fsn1a"),
	} {
		add("edge "+e.from+" "+e.kind+" "+e.to, link(e))
		add("no edge "+e.from+" "+e.kind+" "+e.to, unlink(e))
	}
	add("two edges, one of another region", link(fts("fsn1/a", "fsn1/app"), fts("fsn1/a", "hel1/ok")))
	add("two pairs, one of another region", unlink(fts("fsn1/a", "fsn1/app"), fts("fsn1/a", "hel1/failed")))

	for _, ids := range [][]string{{"fsn1/a"}, {"fsn1"}, {"fsn1/none"}, {"hel1/failed"}, {"hel1"}, {"hel1/none"}, {"fsn1/a", "hel1/failed"}, {"fsn2/a"}, {"fsn1/a", "fsn2/a"}, {"FSN1/a"}, {"fsn1a/a"}, {""}} {
		add("delete "+strings.Join(ids, " "), drop(ids...))
	}

	add("upsert-flow", whole("upsert-flow"))
	add("snapshot, empty", whole("snapshot"))
	add("snapshot of its own nodes", message{kind: "snapshot", nodes: []node{own}})
	add("snapshot of another region", message{kind: "snapshot", nodes: []node{other}, edges: []edge{inside("hel1/new", "fsn1")}})

	add("batch of its own", put(own), link(fts("fsn1/a", "fsn1/new")), drop("fsn1/app"))
	add("batch with another region last", put(own), drop("fsn1/app"), put(other))
	add("batch with another region first", drop("hel1/failed"), put(own))
	add("batch with upsert-flow", put(own), whole("upsert-flow"))
	add("batch with blank lines", put(own), put(other)).raw = func(body string) string { return "\n\n" + strings.ReplaceAll(body, "\n", "\r\n\n  \n") }
	broken("batch with a bad line", func(body string) string { return body + "\n{\"type\":" }, put(own), drop("fsn1/a"))
	broken("batch with a bad line of another region", func(body string) string { return "{}\n" + body }, put(other))

	// Fields that a type of message does not use have no effect.
	add("its own node with fields of other variants", message{kind: "upsert-nodes", nodes: []node{own},
		extra: `"ids":["hel1/failed"],"pairs":[{"fromId":"fsn1/a","toId":"hel1/failed","type":"finish-to-start"}],"flow":{"id":"FLOW","status":"succeeded","startedAt":1}`})
	add("its own deletion with nodes of others", message{kind: "delete-nodes", ids: []string{"fsn1/app"}, extra: `"nodes":[{"id":"hel1/failed","flowId":"FLOW","label":"x","status":"succeeded"}]`})
	add("edge with a field for another flow", link(fts("fsn1/a", "fsn1/app"))).raw = func(body string) string {
		return strings.Replace(body, `"toId":`, `"fromFlowId":"`+foreignFlow+`","toFlowId":"`+foreignFlow+`","toId":`, 1)
	}
	add("another region's edge with a field for another flow", link(fts("fsn1/a", "hel1/ok"))).raw = func(body string) string {
		return strings.Replace(body, `"toId":`, `"toFlowId":"`+foreignFlow+`","toId":`, 1)
	}

	broken("nothing", text(""))
	broken("no JSON", text("upsert-nodes"))
	broken("no type", text("{}"))
	broken("an unknown type", text(`{"type":"delete-flow"}`))
	broken("a node of another flow", func(body string) string { return strings.Replace(body, `"flowId":"`, `"flowId":"x`, 1) }, put(own))
	broken("a node of the flow none", text(`{"type":"upsert-nodes","nodes":[{"id":"fsn1/new","flowId":"none","label":"`+payload+`","status":"running","region":"fsn1"}]}`))
	broken("two types", func(body string) string { return strings.Replace(body, `{`, `{"type":"delete-nodes",`, 1) }, put(own))
	broken("a type in capitals", func(body string) string { return strings.Replace(body, `"type"`, `"Type"`, 1) }, put(own))
	broken("an id twice", func(body string) string { return strings.Replace(body, `"id":`, `"id":"hel1/failed","id":`, 1) }, put(own))
	broken("a region twice", func(body string) string { return strings.Replace(body, `"region":`, `"region":"hel1","region":`, 1) }, put(own))
	broken("an edge of an unknown type", func(body string) string { return strings.ReplaceAll(body, "finish-to-start", "owns") }, link(fts("fsn1/a", "fsn1/app")))
	broken("a body of another type", nil, put(own)).contentType = "text/plain"
	broken("a compressed body", nil, put(own)).lines = []string{"Content-Encoding: gzip"}
	return all
}

func (w *writeShape) body(flow string) string {
	var lines []string
	for _, m := range w.messages {
		lines = append(lines, m.line(flow))
	}
	body := strings.Join(lines, "\n")
	if w.raw != nil {
		body = w.raw(body)
	}
	return body
}

type object map[string]any

// line returns the message as JSON.
func (m message) line(flow string) string {
	edges := func(list []edge) (all []object) {
		for _, e := range list {
			all = append(all, object{"fromId": e.from, "toId": e.to, "type": e.kind})
		}
		return all
	}
	o := object{"type": m.kind}
	var nodes []object
	for _, n := range m.nodes {
		one := object{"id": n.id, "flowId": flow, "label": payload, "status": "succeeded", "meta": object{"message": payload}}
		if n.region != "" {
			one["region"] = n.region
		}
		nodes = append(nodes, one)
	}
	for name, list := range map[string][]object{"nodes": nodes, "relationships": edges(m.edges), "pairs": edges(m.pairs)} {
		if list != nil {
			o[name] = list
		}
	}
	if m.ids != nil {
		o["ids"] = m.ids
	}
	if m.kind == "snapshot" || m.kind == "upsert-flow" {
		o["flow"] = object{"id": flow, "status": "succeeded", "startedAt": 1, "definitionId": payload}
	}
	b, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	if m.extra != "" {
		return strings.TrimSuffix(string(b), "}") + "," + strings.ReplaceAll(m.extra, "FLOW", flow) + "}"
	}
	return string(b)
}
