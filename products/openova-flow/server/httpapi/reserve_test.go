package httpapi

import (
	"sync"
	"testing"

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
