package httpapi

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
)

// TestTurns_BusyCallerDelaysNoOther has one caller request much more than its share, and then others.
func TestTurns_BusyCallerDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTurns()
		taken := make(map[string]int)
		releases := make(map[string][]func())
		ask := func(caller string, times int) {
			for range times {
				go func() {
					if release, ok := s.take(t.Context().Done(), caller); ok {
						taken[caller]++
						releases[caller] = append(releases[caller], release)
					}
				}()
				synctest.Wait()
			}
		}
		release := func(caller string) {
			r := releases[caller]
			releases[caller] = r[1:]
			r[0]()
			synctest.Wait()
		}
		want := func(what, caller string, n int) {
			t.Helper()
			if taken[caller] != n {
				t.Errorf("%s: %s has had %d turns, want %d: %v", what, caller, taken[caller], n, taken)
			}
		}
		ask("busy", 10)
		want("ten requests at once", "busy", maxCallerTurns)
		ask("second", 1)
		ask("third", 1)
		want("beside a busy caller", "second", 1)
		want("beside a busy caller", "third", 1)
		release("third")
		want("a turn of another is free", "busy", maxCallerTurns)
		ask("third", 1)
		want("a turn is free", "third", 2)
		ask("second", 1)
		ask("fourth", 1)
		release("busy")
		release("busy")
		want("two turns are free, and callers with fewer turns wait", "second", 2)
		want("two turns are free, and callers with fewer turns wait", "fourth", 1)
		want("two turns are free, and callers with fewer turns wait", "busy", maxCallerTurns)
		for _, caller := range []string{"second", "second", "third", "fourth"} {
			release(caller)
		}
		for range 8 {
			release("busy")
		}
		want("all are served", "busy", 10)
		if len(s.all) != 0 || len(s.callers) != 0 {
			t.Errorf("%d turns are taken, callers %v are left", len(s.all), s.callers)
		}
	})
}

// TestTurns_DisconnectedClientLeavesTheQueue has clients disconnect while they wait for requests of their own caller, or of others.
func TestTurns_DisconnectedClientLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTurns()
		var releases []func()
		for _, caller := range []string{"one", "one", "two", "two"} {
			release, _ := s.take(nil, caller)
			releases = append(releases, release)
		}
		gone := make(chan struct{})
		for _, caller := range []string{"one", "three"} {
			go func() {
				if _, ok := s.take(gone, caller); ok {
					t.Errorf("%s got a turn before one was released", caller)
				}
			}()
		}
		synctest.Wait()
		close(gone)
		synctest.Wait()
		for _, release := range releases {
			release()
		}
		if len(s.all) != 0 || len(s.callers) != 0 {
			t.Errorf("%d turns are taken, callers %v are left", len(s.all), s.callers)
		}
	})
}

func TestAnswer_DisconnectedClientIsNoSuccess(t *testing.T) {
	s := &Server{cfg: Config{Auth: auth.Unguarded()}, turns: newTurns()}
	for range maxCallerTurns {
		if _, ok := s.turns.take(nil, "192.0.2.1"); !ok {
			t.Fatal("no turn")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, "GET", "/v1/flows", nil)
	w := &recorder{ResponseWriter: httptest.NewRecorder()}
	s.answer(w, r, nil, func() ([]byte, error) { return nil, nil })
	if w.status() != statusClientGone {
		t.Errorf("status %d", w.status())
	}
}

func TestEmitterName_IsCutBetweenCharacters(t *testing.T) {
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set(headerEmitter, "x"+strings.Repeat("ü", 40))
	if name := emitterName(r); !utf8.ValidString(name) {
		t.Errorf("%q", name)
	}
}
