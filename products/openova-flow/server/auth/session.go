package auth

import (
	"sync"
	"time"
)

// Session watches over a grant for as long as something that it allows goes on, such as a stream.
type Session struct {
	a     *Authority
	need  func(*Grant) error
	ended chan struct{}
	once  sync.Once

	grant *Grant // only look uses it
	err   error  // set before ended is closed
}

// Open watches over a grant until Close. need says whether a grant of the same credential still does; it is called by Run and must not
// block.
func (a *Authority) Open(g *Grant, need func(*Grant) error) *Session {
	s := &Session{a: a, need: need, ended: make(chan struct{}), grant: g}
	if !a.unguarded {
		a.mu.Lock()
		a.sessions[s] = struct{}{}
		a.mu.Unlock()
	}
	return s
}

// Ended is closed, by Run, when the credential no longer allows what the session needs.
func (s *Session) Ended() <-chan struct{} { return s.ended }

// Err is why the session has ended, nil while it has not.
func (s *Session) Err() error {
	select {
	case <-s.ended:
		return s.err
	default:
		return nil
	}
}

// Close ends the watch. Ended stays as it is.
func (s *Session) Close() {
	if s.a.unguarded {
		return
	}
	s.a.mu.Lock()
	delete(s.a.sessions, s)
	s.a.mu.Unlock()
}

func (s *Session) end(err error) {
	s.once.Do(func() {
		s.err = err
		close(s.ended)
	})
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
