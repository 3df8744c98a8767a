package httpapi

import (
	"net"
	"net/http"
	"sync"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
)

const (
	maxTurns       = 4            // answers made at the same time
	maxCallerTurns = maxTurns / 2 // answers made at the same time for one caller
)

// turns limits how many answers are made at the same time, in all and for one caller. A request waits for a turn of its caller first, then for one of all.
// So at most maxCallerTurns requests of one caller are ahead of another caller's.
type turns struct {
	all chan struct{} // has an element for each taken turn

	mu      sync.Mutex
	callers map[string]*callerTurns // callers that have a turn or wait for one
}

type callerTurns struct {
	taken chan struct{} // like turns.all
	users int           // requests that have a turn or wait for one; guarded by turns.mu
}

func newTurns() *turns {
	return &turns{all: make(chan struct{}, maxTurns), callers: make(map[string]*callerTurns)}
}

// take waits for a turn of a caller, which must be returned with release. If done is closed while it waits, ok is false.
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

// inTurn waits for a turn of the caller and runs f. It returns false if the client disconnects first.
func (s *Server) inTurn(r *http.Request, g *auth.Grant, f func()) bool {
	release, ok := s.turns.take(r.Context().Done(), s.caller(r, g))
	if !ok {
		return false
	}
	defer release()
	f()
	return true
}

// caller returns the name of a request's caller, or its address if there is no access control.
func (s *Server) caller(r *http.Request, g *auth.Grant) string {
	if s.cfg.Auth.Guarded() {
		return g.Name()
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return host
}
