package httpapi

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// TestWhatIsRefusedTakesNoRoom has large bodies be refused all the time, and small ones come beside them, for which there is room.
func TestWhatIsRefusedTakesNoRoom(t *testing.T) {
	s := New(hub.New(hub.Config{}), Config{MaxIngestBytes: 1000})
	if !s.reserve(nil, 1000, false) {
		t.Fatal("there is no room at all")
	}
	var large sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		large.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if s.reserve(nil, 500, false) {
					t.Error("there is room for what is too much")
					return
				}
			}
		})
	}
	for i := range 20_000 {
		if !s.reserve(nil, 100, true) {
			t.Errorf("small body %d is refused for large ones that are refused too", i)
			break
		}
		s.release(nil, 100)
	}
	close(done)
	large.Wait()
}

// TestReserve_CallerGetsItsBytesBackWhenTheServerIsFull is refused for the bytes of others as often as it takes to use up its own share.
func TestReserve_CallerGetsItsBytesBackWhenTheServerIsFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	entries := fmt.Sprintf(`{"tokens":[{"name":"one","sha256":%q,"scopes":["ingest"],"flows":["*"]},{"name":"two","sha256":%q,"scopes":["ingest"],"flows":["*"]}]}`, auth.Hash("one"), auth.Hash("two"))
	if err := os.WriteFile(path, []byte(entries), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := auth.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := New(hub.New(hub.Config{}), Config{Auth: a, MaxIngestBytes: 1000, MaxBatchBytes: 100})
	caller := func(name string) *auth.Grant {
		g, err := a.Check(t.Context(), auth.Bearer(name))
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	one, two := caller("one"), caller("two")
	if !s.reserve(one, 800, false) {
		t.Fatal("there is no room at all")
	}
	for range 10 {
		if s.reserve(two, 300, false) {
			t.Fatal("there is room for what is too much")
		}
	}
	s.release(one, 800)
	if !s.reserve(two, 800, false) {
		t.Error("what was refused counts as the caller's")
	}
}
