package emit

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// anyChange returns a random change of few nodes and edges, so that changes often concern the same ones.
func anyChange(rng *rand.Rand) change {
	name := func() string { return "r1/" + string(rune('a'+rng.IntN(5))) }
	rel := flow.RelKey{FromID: name(), ToID: name(), Type: flow.FinishToStart}
	switch rng.IntN(6) {
	case 0:
		return change{key: key{node: name()}}
	case 1:
		return change{key: key{rel: rel}}
	case 2:
		return change{key: key{rel: rel}, json: flow.Relationship{FromID: rel.FromID, ToID: rel.ToID, Type: rel.Type, Lag: rng.Int64N(3)}.JSON()}
	}
	id, uid := name(), fmt.Sprint(rng.IntN(2))
	return nodeChange(flow.Node{ID: id, FlowID: "F", Label: "l", Status: fmt.Sprint("s", rng.IntN(4)), Meta: flow.Object(`{"uid":"` + uid + `"}`)}, time.Time{})
}

// folded returns the state that the server folds from NDJSON, starting with a state.
func folded(t *testing.T, base *regionState, body string) map[string]string {
	t.Helper()
	s := flow.NewState("F", 0)
	for k, v := range base.values {
		list := map[bool]string{true: "nodes", false: "rels"}[k.node != ""]
		text := `{"type":"upsert-` + list + `","` + map[string]string{"nodes": "nodes", "rels": "relationships"}[list] + `":[` + v + `]}`
		m, err := flow.Decode("F", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		s.Apply(m)
	}
	if body != "" {
		messages, err := flow.DecodeBatch("F", []byte(body), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			s.Apply(m)
		}
	}
	out := map[string]string{}
	m := s.Snapshot()
	for _, n := range m.Nodes {
		out[n.ID] = n.JSON()
	}
	for _, r := range m.Relationships {
		out[key{rel: r.Key()}.String()] = r.JSON()
	}
	return out
}

func flat(m *regionState) map[string]string {
	out := map[string]string{}
	for k, v := range m.values {
		out[k.String()] = v
	}
	return out
}

func TestRegionState_FoldsLikeTheServer(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		base, log := newRegionState(), []change{}
		for range 20 {
			base.apply(anyChange(rng))
		}
		want := base.clone()
		for range rng.IntN(60) + 1 {
			c := anyChange(rng)
			log = append(log, c)
			want.apply(c)
		}
		lim := limits{message: 200 + rng.IntN(2000), batch: 600 + rng.IntN(5000), single: rng.IntN(5) == 0}
		var body strings.Builder
		for rest := log; len(rest) > 0; {
			b := makeBatch(rest, lim)
			if len(b.body) > lim.batch && len(b.changes) > 1 {
				t.Errorf("seed %d: a batch of %d bytes, over %d", seed, len(b.body), lim.batch)
			}
			for _, line := range strings.Split(string(b.body), "\n") {
				if len(line) > lim.message && strings.Count(line, `"label"`)+strings.Count(line, "fromId") > 1 {
					t.Errorf("seed %d: a message of %d bytes, over %d", seed, len(line), lim.message)
				}
			}
			body.Write(b.body)
			rest = rest[len(b.changes):]
		}
		if got := folded(t, base, body.String()); !maps.Equal(got, flat(want)) {
			t.Fatalf("seed %d: the server folds to %v, the emitter to %v", seed, got, flat(want))
		}
	}
}

func TestBatch_EachTransitionIsAMessage(t *testing.T) {
	n := func(s string) change {
		return nodeChange(flow.Node{ID: "a", FlowID: "F", Label: "l", Status: s}, time.Time{})
	}
	b := makeBatch([]change{n("1"), n("2"), {key: key{node: "a"}}, n("1")}, limits{message: 1 << 20, batch: 1 << 20})
	want := `{"type":"upsert-nodes","nodes":[` + n("1").json + `]}
{"type":"upsert-nodes","nodes":[` + n("2").json + `]}
{"type":"delete-nodes","ids":["a"]}
{"type":"upsert-nodes","nodes":[` + n("1").json + `]}
`
	if string(b.body) != want {
		t.Errorf("got\n%s, want\n%s", b.body, want)
	}
}

func TestOutbox_CollapsingKeepsTheEndStateAndTheLimit(t *testing.T) {
	for seed := range uint64(80) {
		rng := rand.New(rand.NewPCG(seed, 2))
		o := newOutbox(30)
		for range 20 {
			o.confirmed.apply(anyChange(rng))
		}
		o.want, o.compared = o.confirmed.clone(), true
		want := o.confirmed.clone()
		for range 1000 {
			c := anyChange(rng)
			o.put(c)
			want.apply(c)
			if n := len(o.log); n > 3*5+25+30 { // three for each of 5 nodes, 25 edges, and the backlog
				t.Fatalf("seed %d: %d changes wait", seed, n)
			}
		}
		if o.collapsed == 0 {
			t.Fatal("nothing was collapsed")
		}
		end := o.confirmed.clone()
		for _, c := range o.log {
			end.apply(c)
		}
		if !maps.Equal(flat(end), flat(want)) || !maps.Equal(flat(o.want), flat(want)) {
			t.Fatalf("seed %d: folds to %v, want %v", seed, flat(end), flat(want))
		}
	}
}

func TestOutbox_RecreatedObjectIsNotCollapsed(t *testing.T) {
	n := func(uid, status string) change {
		return nodeChange(flow.Node{ID: "a", FlowID: "F", Label: "l", Status: status, Meta: flow.Object(`{"uid":"` + uid + `"}`)}, time.Time{})
	}
	gone := change{key: key{node: "a"}}
	for name, c := range map[string]struct{ put, kept []change }{
		"one object":                         {[]change{n("1", "x"), n("1", "y"), n("1", "z")}, []change{n("1", "z")}},
		"made again":                         {[]change{n("1", "x"), n("1", "y"), gone, n("2", "x"), n("2", "y")}, []change{n("1", "y"), gone, n("2", "y")}},
		"made again, its deletion unseen":    {[]change{n("1", "x"), n("1", "y"), n("2", "x"), n("2", "y")}, []change{n("1", "y"), n("2", "y")}},
		"made again and again":               {[]change{n("1", "x"), gone, n("2", "x"), gone, n("3", "x")}, []change{n("2", "x"), gone, n("3", "x")}},
		"made again under one uid":           {[]change{n("1", "x"), gone, n("1", "y")}, []change{n("1", "x"), gone, n("1", "y")}},
		"deleted, and unknown to the server": {[]change{n("1", "x"), gone}, nil},
		"unchanged after several changes":    {[]change{n("0", "old"), n("0", "x"), n("0", "old")}, nil},
		"deleted, and known to the server":   {[]change{n("0", "x"), gone}, []change{gone}},
		"deleted, made again, deletion due":  {[]change{gone, n("2", "x"), n("3", "x"), n("3", "y")}, []change{gone, n("2", "x"), n("3", "y")}},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOutbox(len(c.put) - 1)
			if strings.Contains(name, ", and known to") || strings.Contains(name, "unchanged") || strings.Contains(name, "deletion due") {
				o.confirmed.apply(n("0", "old"))
			}
			o.want, o.compared = o.confirmed.clone(), true
			if name == "unchanged after several changes" {
				c.put = c.put[1:] // the server has the first one
				o.limit = 1
			}
			for _, p := range c.put {
				o.put(p)
			}
			if len(o.log) != len(c.kept) {
				t.Fatalf("kept %v, want %v", o.log, c.kept)
			}
			for i := range c.kept {
				if o.log[i].key != c.kept[i].key || o.log[i].json != c.kept[i].json {
					t.Errorf("kept %v, want %v", o.log, c.kept)
				}
			}
		})
	}
}

func TestOutbox_CollapsesBeforeTheComparison(t *testing.T) {
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 3))
		server, truth := newRegionState(), newRegionState()
		for range 20 {
			server.apply(anyChange(rng))
			truth.apply(anyChange(rng))
		}
		o := newOutbox(20)
		for range 300 {
			c := anyChange(rng)
			o.put(c)
			truth.apply(c)
		}
		o.beginCompare()
		nodes, rels := elements(t, truth)
		for range rng.IntN(3) { // while the Source is read
			c := anyChange(rng)
			o.put(c)
			truth.apply(c)
		}
		o.compare(server, nodes, rels, time.Time{})
		if !maps.Equal(flat(o.want), flat(truth)) {
			t.Fatalf("seed %d: want is %v, should be %v", seed, flat(o.want), flat(truth))
		}
		end := o.confirmed.clone()
		for _, c := range o.log {
			end.apply(c)
		}
		if !maps.Equal(flat(end), flat(truth)) {
			t.Fatalf("seed %d: the batches fold into %v, want %v", seed, flat(end), flat(truth))
		}
	}
}

func elements(t *testing.T, m *regionState) (nodes []flow.Node, rels []flow.Relationship) {
	for k, v := range m.values {
		var err error
		if k.node != "" {
			var n flow.Node
			err = json.Unmarshal([]byte(v), &n)
			nodes = append(nodes, n)
		} else {
			var r flow.Relationship
			err = json.Unmarshal([]byte(v), &r)
			rels = append(rels, r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return nodes, rels
}

func TestOutbox_DropsHeldEdgesWithTheirNode(t *testing.T) {
	r, now := newRegion("r1"), time.Unix(0, 0)
	o := newOutbox(10)
	o.beginCompare()
	o.compare(newRegionState(), nil, nil, now)
	for _, c := range r.fold(r.upsert("a", "running"), r.contains("a")) {
		o.put(fromMapping(c, now))
	}
	b := o.take(limits{message: 1 << 20, batch: 1 << 20})
	sent := slices.Clone(b.changes)
	o.setAside(b.changes[1:], now.Add(time.Minute), time.Minute)
	if !slices.Equal(b.changes, sent) {
		t.Errorf("the sent batch has changed to %v from %v", b.changes, sent)
	}
	if o.release(now); len(o.held) != 1 {
		t.Fatalf("held: %v", o.held)
	}
	for _, c := range r.fold(r.deletion("a")) {
		o.put(fromMapping(c, now))
	}
	if next := o.release(now.Add(time.Hour)); len(o.held) != 0 || !next.IsZero() {
		t.Errorf("held: %v", o.held)
	}
	for _, c := range o.log {
		if c.key.node == "" {
			t.Errorf("the edge is sent: %v", c)
		}
	}
}
