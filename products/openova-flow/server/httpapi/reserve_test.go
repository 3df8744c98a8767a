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

// TestReserve_RefusedBodiesTakeNoMemory has large bodies refused all the time, beside small ones that fit.
func TestReserve_RefusedBodiesTakeNoMemory(t *testing.T) {
	s := New(hub.New(hub.Config{}), Config{MaxIngestBytes: 1000})
	if s.reserve(new(auth.Grant)).grow(1000, false) != nil {
		t.Fatal("the first reservation was refused")
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
					t.Error("a body beyond the limit was accepted")
					return
				}
			}
		})
	}
	for i := range 20_000 {
		small := s.reserve(new(auth.Grant))
		if small.grow(100, true) != nil {
			t.Errorf("small body %d is refused because of refused large ones", i)
			break
		}
		small.release()
	}
	close(done)
	large.Wait()
}

// TestReserve_CallerGetsItsBytesBackWhenTheServerIsFull has a caller refused because the server is full, so often that leaks would use up its share.
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
		t.Fatal("the first reservation was refused")
	}
	for range 10 {
		if s.reserve(two).grow(300, false) == nil {
			t.Fatal("a body beyond the limit was accepted")
		}
	}
	first.release()
	if s.reserve(two).grow(800, false) != nil {
		t.Error("refused bytes count as the caller's")
	}
}
