package auth

import (
	"sync"
	"time"
)

// Session watches over a grant for as long as something that it allows goes on, such as a stream. A nil Session never ends.
type Session struct {
	a     *Authority
	need  func(*Grant) error
	ended chan struct{}
	name  string // of the caller, when it was opened

	grant *Grant // only look uses it

	mu   sync.Mutex
	then func()
	err  error // set before ended is closed
}

// Open watches over a grant until Close. need says whether a grant of the same credential still does; it is called by Run and must not
// block. Where there is no access control nothing ends, and the Session is nil.
func (a *Authority) Open(g *Grant, need func(*Grant) error) *Session {
	if !a.Guarded() {
		return nil
	}
	s := &Session{a: a, need: need, ended: make(chan struct{}), name: g.name, grant: g}
	a.mu.Lock()
	a.sessions[s] = struct{}{}
	a.mu.Unlock()
	return s
}

// Caller is the name of the grant that the session was opened with.
func (s *Session) Caller() string { return s.name }

// Then has f called once when the session ends, at once when it has ended already. It is called by Run and must not block. Whoever waits
// for much by one channel, or has no goroutine to wait, needs no other.
func (s *Session) Then(f func()) {
	if s == nil {
		return
	}
	s.mu.Lock()
	ended := s.err != nil
	if !ended {
		s.then = f
	}
	s.mu.Unlock()
	if ended {
		f()
	}
}

// Ended is closed, by Run, when the credential no longer allows what the session needs.
func (s *Session) Ended() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.ended
}

// Err is why the session has ended, nil while it has not.
func (s *Session) Err() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the watch. Ended stays as it is.
func (s *Session) Close() {
	if s == nil {
		return
	}
	s.a.mu.Lock()
	delete(s.a.sessions, s)
	s.a.mu.Unlock()
}

func (s *Session) end(err error) {
	s.mu.Lock()
	then := s.then
	s.err, s.then = err, nil
	close(s.ended)
	s.mu.Unlock()
	if then != nil {
		then()
	}
}

// look ends the sessions whose credential does not do any more. While nothing has changed it costs a comparison for each; after a change
// each credential is checked once, however many sessions it has.
func (a *Authority) look(now time.Time) {
	generation := a.generation.Load()
	var due []*Session
	a.mu.Lock()
	for s := range a.sessions {
		if s.grant.generation != generation || !s.grant.holds(now) {
			due = append(due, s)
		}
	}
	a.mu.Unlock()
	type answer struct {
		grant   *Grant
		refusal *Refusal
	}
	answers := map[Credential]answer{}
	for _, s := range due {
		c := s.grant.credential
		have, ok := answers[c]
		if !ok {
			have.grant, have.refusal = a.check(c, nil)
			answers[c] = have
		}
		var err error
		if have.refusal == nil {
			err = s.need(have.grant)
		} else {
			refusal := *have.refusal
			refusal.Name = s.grant.name // a token that was revoked has no name any more, but it had one
			err = &refusal
		}
		if err != nil {
			s.Close()
			s.end(err)
			continue
		}
		s.grant = have.grant
	}
}

// holds reports whether the grant has not ended by itself.
func (g *Grant) holds(now time.Time) bool { return g.expires.IsZero() || now.Before(g.expires) }
