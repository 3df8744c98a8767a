package httpapi

import (
	"net"
	"net/http"
	"sync"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
)

const (
	maxTurns       = 4            // answers that are made at the same time
	maxCallerTurns = maxTurns / 2 // of these, answers for one caller
)

// turns limits how many answers are made at the same time, in all and for one caller. A request waits for a turn of its caller first, then for one of all: so
// at most maxCallerTurns requests of one caller are in front of another caller's.
type turns struct {
	all chan struct{} // holds an element for each turn that is taken

	mu      sync.Mutex
	callers map[string]*callerTurns // callers that have a turn or wait for one
}

type callerTurns struct {
	taken chan struct{} // as turns.all
	users int           // requests that have a turn or wait for one; guarded by turns.mu
}

func newTurns() *turns {
	return &turns{all: make(chan struct{}, maxTurns), callers: make(map[string]*callerTurns)}
}

// take waits for a turn of a caller, which has to be given back by release. It reports false when done is closed before.
func (t *turns) take(done <-chan struct{}, caller string) (release func(), ok bool) {
	own := t.enter(caller)
	select {
	case own.taken <- struct{}{}:
	case <-done:
		t.leave(caller)
		return nil, false
	}
	giveBack := func() {
		<-own.taken
		t.leave(caller)
	}
	select {
	case t.all <- struct{}{}:
	case <-done:
		giveBack()
		return nil, false
	}
	return func() {
		<-t.all
		giveBack()
	}, true
}

func (t *turns) enter(caller string) *callerTurns {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.callers[caller]
	if own == nil {
		own = &callerTurns{taken: make(chan struct{}, maxCallerTurns)}
		t.callers[caller] = own
	}
	own.users++
	return own
}

func (t *turns) leave(caller string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own := t.callers[caller]; own.users > 1 {
		own.users--
	} else {
		delete(t.callers, caller)
	}
}

// inTurn runs f when the caller has a turn. It reports false when the client has gone before.
func (s *Server) inTurn(r *http.Request, g *auth.Grant, f func()) bool {
	release, ok := s.turns.take(r.Context().Done(), s.caller(r, g))
	if !ok {
		return false
	}
	defer release()
	f()
	return true
}

// caller returns whose share of a limit a request takes: the caller's name, or its address where there is no access control.
func (s *Server) caller(r *http.Request, g *auth.Grant) string {
	if s.cfg.Auth.Guarded() {
		return g.Name()
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return host
}
