package follow_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/relay/follow"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

// bench applies frames to Flows and checks the result.
type bench struct {
	t     *testing.T
	flows *follow.Flows
}

func (b *bench) apply(id, flow, event, data string) {
	b.t.Helper()
	if err := b.flows.Apply(follow.Frame{ID: id, Flow: flow, Event: event, Data: []byte(data)}, 1000); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) wantComplete(want bool) {
	b.t.Helper()
	if got := b.flows.Complete(); got != want {
		b.t.Errorf("complete: %v, want %v", got, want)
	}
}

func (b *bench) wantFlows(ids ...string) {
	b.t.Helper()
	var got []string
	b.flows.Each(func(f *follow.Flow) { got = append(got, f.ID) })
	if slices.Sort(got); !slices.Equal(got, ids) {
		b.t.Errorf("flows %q, want %q", got, ids)
	}
}

func snapshot(flow string, nodes ...string) string {
	list := ""
	for i, id := range nodes {
		if i > 0 {
			list += ","
		}
		list += fmt.Sprintf(`{"id":%q,"flowId":%q,"label":"x","status":"failed","region":"r"}`, id, flow)
	}
	return fmt.Sprintf(`{"type":"snapshot","flow":{"id":%q,"status":"running","startedAt":1},"nodes":[%s],"relationships":[]}`, flow, list)
}

func begin(t *testing.T) *bench {
	b := &bench{t, follow.NewFlows()}
	b.wantComplete(false)
	b.apply("", "", follow.Connected, "")
	b.apply("", "", "heartbeat", `{"seq":1,"at":61000}`)
	b.wantComplete(false)
	b.apply("", "", "flows", `{"flows":{"a":"1","b":"1"},"seq":9}`)
	b.wantComplete(false)
	b.apply("", "a", "regions", `{"at":5,"regions":{}}`)
	b.apply("", "a", "snapshot", snapshot("a", "r/x"))
	b.wantComplete(false)
	b.apply("9", "b", "snapshot", snapshot("b"))
	b.wantComplete(true)
	b.wantFlows("a", "b")
	return b
}

func TestFlows_CompleteAfterAllSnapshots(t *testing.T) {
	b := begin(t)
	if now := b.flows.Now(2000); now != 62000 {
		t.Errorf("the server's clock shows %d", now)
	}
	found := b.flows.Get("a").Find(100_000)
	if len(found) != 1 || found[0].Kind != notice.KindCause || found[0].Nodes[0] != "r/x" || b.flows.Get("a").Changed {
		t.Errorf("%+v", found)
	}
	b.apply("10", "a", "upsert-nodes", `{"type":"upsert-nodes","nodes":[{"id":"r/x","flowId":"a","label":"x","status":"succeeded","region":"r"}]}`)
	if f := b.flows.Get("a"); !f.Changed || !f.RolloutsOutdated || len(f.Find(100_000)) != 0 {
		t.Error("the flow is not changed")
	}
}

func TestFlows_ResumedConnectionIsCompleteAtOnce(t *testing.T) {
	b := begin(t)
	b.apply("", "", follow.Lost, "")
	b.wantComplete(false)
	b.apply("", "", follow.Connected, "")
	b.apply("", "", "flows", `{"flows":{"a":"1","b":"1"},"seq":20}`)
	b.wantComplete(true)
	b.apply("21", "a", "delete-nodes", `{"type":"delete-nodes","ids":["r/x"]}`)
	if len(b.flows.Get("a").Find(100_000)) != 0 {
		t.Error("the node is still there")
	}
}

func TestFlows_NewConnectionWithoutCursorWaitsForAllSnapshots(t *testing.T) {
	b := begin(t)
	b.apply("", "", follow.Connected, "")
	b.apply("", "", "flows", `{"flows":{"a":"1","b":"1","c":"1"},"seq":20}`)
	b.wantComplete(false)
	b.apply("", "c", "snapshot", snapshot("c"))
	b.wantComplete(false) // the snapshots of a and b are pending
	b.apply("", "a", "snapshot", snapshot("a"))
	b.wantComplete(false)
	b.apply("20", "b", "snapshot", snapshot("b"))
	b.wantComplete(true)
	b.apply("", "", follow.Connected, "")
	b.apply("", "", "flows", `{"flows":{"a":"1","b":"1","c":"2"},"seq":30}`)
	b.apply("", "c", "snapshot", snapshot("c")) // c is a new incarnation; a and b are resumed
	b.wantComplete(false)
	b.apply("", "", "heartbeat", `{"seq":30,"at":61000}`)
	b.wantComplete(true)
}

func TestFlows_RemovesDeletedFlows(t *testing.T) {
	b := begin(t)
	b.apply("10", "b", "deleted", `{}`)
	b.wantFlows("a")
	b.apply("", "", "flows", `{"flows":{"a":"2"},"seq":20}`)
	b.wantComplete(false)
	b.apply("21", "a", "snapshot", snapshot("a"))
	b.wantFlows("a")
	if n := b.flows.Removals(); n != 2 || len(b.flows.Get("a").Find(100_000)) != 0 {
		t.Errorf("%d removals", n)
	}
}

// TestFlows_RegionStaysStaleUntilItsNextState looks between the list of flows of a new connection and the regions that follow it.
func TestFlows_RegionStaysStaleUntilItsNextState(t *testing.T) {
	b := begin(t)
	b.apply("", "b", "regions", `{"at":5,"regions":{"r":{"state":"stale","since":7,"heard":5,"cluster":"c"},"s":{"state":"fresh","since":7,"heard":5,"cluster":"d"}}}`)
	if found := b.flows.Get("b").Find(100_000); len(found) != 1 || found[0].Kind != notice.KindRegion || found[0].Since != 7 {
		t.Errorf("%+v", found)
	}
	b.apply("", "", "flows", `{"flows":{"a":"1","b":"1"},"seq":20}`)
	b.wantComplete(true)
	if found := b.flows.Get("b").Find(100_000); len(found) != 1 || found[0].Kind != notice.KindRegion {
		t.Errorf("before the regions: %+v", found)
	}
	b.apply("", "b", "regions", `{"at":9,"regions":{}}`)
	if f := b.flows.Get("b"); !f.Changed || len(f.Find(100_000)) != 0 {
		t.Error("the region is still stale")
	}
}

func TestFlows_RefusesUnreadableFrames(t *testing.T) {
	b := begin(t)
	for _, f := range []follow.Frame{
		{Flow: "a", Event: "upsert-nodes", Data: []byte(`{"type":"upsert-nodes"}`)}, {Flow: "a", Event: "regions", Data: []byte(`x`)},
		{Event: "heartbeat", Data: []byte(`x`)}, {Event: "flows", Data: []byte(`x`)},
	} {
		if err := b.flows.Apply(f, 0); err == nil {
			t.Errorf("%s is accepted", f.Event)
		}
	}
}
