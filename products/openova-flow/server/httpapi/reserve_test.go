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

// TestReserve_RefusedBodiesTakeNoMemory has large bodies be refused all the time, and small ones come beside them, for which there is room.
func TestReserve_RefusedBodiesTakeNoMemory(t *testing.T) {
	s := New(hub.New(hub.Config{}), Config{MaxIngestBytes: 1000})
	if s.reserve(new(auth.Grant)).grow(1000, false) != nil {
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
				if s.reserve(new(auth.Grant)).grow(500, false) == nil {
					t.Error("there is room for what is too much")
					return
				}
			}
		})
	}
	for i := range 20_000 {
		small := s.reserve(new(auth.Grant))
		if small.grow(100, true) != nil {
			t.Errorf("small body %d is refused for large ones that are refused too", i)
			break
		}
		small.release()
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
	first := s.reserve(one)
	if first.grow(800, false) != nil {
		t.Fatal("there is no room at all")
	}
	for range 10 {
		if s.reserve(two).grow(300, false) == nil {
			t.Fatal("there is room for what is too much")
		}
	}
	first.release()
	if s.reserve(two).grow(800, false) != nil {
		t.Error("what was refused counts as the caller's")
	}
}
