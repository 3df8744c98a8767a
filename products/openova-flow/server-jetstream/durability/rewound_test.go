package durability

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/internal/natstest"
)

// TestServer_RejectsRewoundNATS replaces NATS's files by older ones while a server runs, so that new entries get numbers that were used before. The
// server ends, and no server starts with that stream again.
func TestServer_RejectsRewoundNATS(t *testing.T) {
	t.Parallel() // mostly waits
	c := natstest.Start(t, 1)
	p := newProcess(t, []string{"NATS_URL=" + c.URL()})
	p.start()
	p.ready()
	post := func(n int) int64 {
		body := fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"n%d","flowId":"F","label":"l","status":"s"}]}`, n)
		return mustPost(t, p, "F", body, fmt.Sprintf("e;epoch=1;n=%d", n))
	}
	for n := range 10 {
		post(n + 1)
	}
	c.Kill(0)
	earlier := filepath.Join(t.TempDir(), "earlier")
	if err := os.CopyFS(earlier, os.DirFS(c.Dir(0))); err != nil {
		t.Fatal(err)
	}
	c.StartNode(0)
	p.ready()
	for n := range 10 {
		post(n + 11)
	}
	c.Kill(0)
	if err := os.RemoveAll(c.Dir(0)); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(c.Dir(0), os.DirFS(earlier)); err != nil {
		t.Fatal(err)
	}
	c.StartNode(0)
	eventually(t, "the server has ended", func() bool {
		statusOf(t, "DELETE", p.url("/v1/flows/not-there")) // publishes an entry
		select {
		case <-p.ended:
			return true
		default:
			return false
		}
	})
	p.start()
	if p.readyOrEnds() {
		t.Error("a server has started with the rewound stream")
	}
	if !strings.Contains(p.log.String(), "stream OPENOVA_FLOW") {
		t.Error("the log does not name the stream")
	}
}
