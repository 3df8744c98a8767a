package app

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/follow"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// TestSession_ServerClockSetBack looks at a flow without changes, and reads its lists, although the last look and read were later by the server's clock.
func TestSession_ServerClockSetBack(t *testing.T) {
	flows := follow.NewFlows()
	for _, f := range []follow.Frame{
		{Event: "flows", Data: []byte(`{"flows":{"f":"1"}}`)},
		{Flow: "f", Event: "snapshot", Data: []byte(`{"type":"snapshot","flow":{"id":"f","status":"running","startedAt":1}}`)},
	} {
		if err := flows.Apply(f, time.Now().UnixMilli()); err != nil {
			t.Fatal(err)
		}
	}
	future := time.Now().Add(10 * time.Minute).UnixMilli()
	s := &session{flows: flows, metrics: newMetrics(""), desks: &desks{found: map[string][]notice.Notice{}}, lookedAt: map[string]int64{"f": future}, read: make(chan lists, 1),
		server: &follow.Server{URL: "http://127.0.0.1:1", Client: http.DefaultClient, Token: func() (string, error) { return "", nil }}}
	f := flows.Get("f")
	f.Changed = false
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	if s.look(ctx, &wg); s.lookedAt["f"] >= future {
		t.Error("the flow was not looked at")
	}
	f.Rollouts, f.Known, f.ReadAt = []rollout.Rollout{{StartedAt: 1}}, true, future
	if s.readIfDue(ctx, &wg, f, true, time.Now().UnixMilli()); s.reading != 1 {
		t.Error("the lists are not read")
	}
}
