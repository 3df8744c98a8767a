package emit

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// TestEmitter_DeliversOverTLSWithAToken runs the emitter with the configuration of a real cluster, against the real server under a path prefix.
func TestEmitter_DeliversOverTLSWithAToken(t *testing.T) {
	ca := newAuthority(t, "ca")
	dir := t.TempDir()
	caFile, tokenFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "token")
	write(t, caFile, ca.pem)
	write(t, tokenFile, "token-1\n")
	server := serve(t, ca.issue(t, "127.0.0.1", time.Now().Add(time.Hour)))
	api := httpapi.New(hub.New(hub.Config{}), httpapi.Config{Logger: slog.New(slog.DiscardHandler)})
	server.Config.Handler = http.StripPrefix("/sovereign", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token-1" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		api.ServeHTTP(w, r)
	}))
	g := newRig(t, &handlerBackend{api}, func(c *Config) {
		c.URL, c.Transport, c.CAFile, c.TokenFile, c.Interval = server.URL+"/sovereign/", nil, caFile, tokenFile, time.Millisecond
	})
	g.lead()
	for i := range 200 {
		g.change(g.region.upsert(fmt.Sprint("n", i%20), fmt.Sprint("s", i)), g.region.contains(fmt.Sprint("n", i%20)))
	}
	if err := g.em.Drained(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.wantSameState()
	g.wantReadyError("")
	if err := g.stop(); err != nil {
		t.Error(err)
	}
}

// handlerBackend reads the server's final state directly from its handler.
type handlerBackend struct{ http.Handler }

func (h *handlerBackend) restart() {}

func (h *handlerBackend) RoundTrip(req *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Result(), nil
}

// largeRegion returns a region with n releases, each of which depends on the previous one.
func largeRegion(n int) (*region, []mapping.Change) {
	r := newRegion("r1")
	changes := []mapping.Change{r.upsert("", "running")}
	name := func(i int) string { return fmt.Sprint("release-", i) }
	meta := map[string]any{"kind": "HelmRelease", "namespace": "flux-system", "uid": "0f7c1f0e", "message": "Helm install succeeded for release flux-system/release.v1 with chart release@1.2.3", "reason": "InstallSucceeded"}
	for i := range n {
		changes = append(changes, r.upsertWith(name(i), "succeeded", meta), r.contains(name(i)))
		if i > 0 {
			changes = append(changes, r.dependency(name(i-1), name(i)))
		}
	}
	return r, r.fold(changes...)
}

func BenchmarkPut10000Releases(b *testing.B) {
	_, changes := largeRegion(10_000)
	for b.Loop() {
		o := newOutbox(DefaultBacklog)
		for _, c := range changes {
			o.put(fromMapping(c, time.Time{}))
		}
	}
}

func BenchmarkCompare10000Releases(b *testing.B) {
	r, changes := largeRegion(10_000)
	nodes, rels := r.State()
	snapshot := flow.NewState("F", 0)
	for line := range bytes.Lines(Encode(changes)) {
		m, err := flow.Decode("F", line)
		if err != nil {
			b.Fatal(err)
		}
		snapshot.Apply(m)
	}
	text := snapshot.Snapshot().JSON()
	o := newOutbox(DefaultBacklog)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		p, err := readPart("F", "r1", strings.NewReader(text))
		if err != nil {
			b.Fatal(err)
		}
		o.beginCompare()
		if n := o.compare(p.state(), nodes, rels, time.Time{}); n != 0 {
			b.Fatalf("%d differences", n)
		}
	}
}
