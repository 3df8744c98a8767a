package httpapi_test

import (
	"strconv"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// TestRestart_StreamsContinue replaces a server by a second one. If that has the flows, streams resume; else they get a new incarnation and a snapshot.
func TestRestart_StreamsContinue(t *testing.T) {
	first := start(t, hub.Config{}, httpapi.Config{})
	a := first.do("POST", "/v1/flows/F/events", upsert(node("a", "running")), "Content-Type", asJSON)
	seq := seqOf(t, a)
	first.post(upsert(node("b", "running")))
	whole := first.snapshot()

	second := start(t, hub.Config{}, httpapi.Config{})
	if !durable {
		if got := second.do("GET", "/v1/flows/F/snapshot", ""); got.status != 404 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		second.post(upsert(node("a", "running")))
		second.post(upsert(node("b", "running")))
	} else if got := second.snapshot(); got != whole {
		t.Errorf("state\n%s\nwant\n%s", got, whole)
	}
	if got := second.do("GET", "/v1/flows/F/snapshot", "").header.Get("Flow-Incarnation"); (got == a.header.Get("Flow-Incarnation")) != durable {
		t.Errorf("incarnation %s, was %s", got, a.header.Get("Flow-Incarnation"))
	}
	sub := second.watch("/v1/flows/F/stream", "Last-Event-ID", strconv.FormatInt(seq, 10))
	if f := sub.message(); (f.event != "snapshot") != durable || f.id <= seq {
		t.Errorf("%+v", f)
	}
	all := second.watch("/v1/stream", "Last-Event-ID", strconv.FormatInt(seq, 10))
	if f := all.message(); f.event != "flows" {
		t.Errorf("%+v", f)
	}
	if f := all.message(); (f.event != "F/snapshot") != durable || f.id <= seq {
		t.Errorf("all flows: %+v", f)
	}
}
